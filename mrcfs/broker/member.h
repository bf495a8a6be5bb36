/* SPDX-License-Identifier: GPL-2.0-or-later */
/* member.h: a file server's side of the tokens: which it has, which operations use them, and
 * giving them back when the broker asks.
 * Must not know: clients, files, what is believed where.
 * Threads: any thread uses tokens; one of its own reads what the broker says. mu guards
 * everything; callbacks run with mu held. What must be decided and said in one order takes mu
 * too (mfs_member_lock).
 * Source: docs/leases.md, "Tokens: between servers". */
#ifndef MRCFS_BROKER_MEMBER_H
#define MRCFS_BROKER_MEMBER_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "mrcfs/lease/message.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Tokens kept because they may be used again; fewer than the broker lets us have
       (MFS_LEASE_CLAIMS_MAX). The one not used for longest is given back, but not those that cost
       more (mfs_member_keep) as long as these are not more than half. */
    MFS_MEMBER_TOKENS_MAX = 48 * 1024,
    /* Bytes for the broker that its socket did not take. */
    MFS_MEMBER_OUT_MAX = 4 << 20,
    /* A broker that answers nothing for so long is taken for dead: longer than it waits for a
     * member. */
    MFS_MEMBER_WAIT_MS = 180000,
    /* For so long operations wait for another broker, and for those that began without; then they
       go on without, and it is tried again. */
    MFS_MEMBER_SHUT_MS = 4000,
    MFS_MEMBER_RETRY_MS = 5000,
};

enum mfs_token_phase {
    MFS_TOKEN_KEPT,
    MFS_TOKEN_ASKED,  /* to be given back; operations that it suffices for still start */
    MFS_TOKEN_CLOSED, /* none start any more; given back when the last one has ended */
};

struct mfs_token {
    struct mfs_token *next; /* in its slot */
    struct mfs_lease_key key;
    uint8_t held;
    uint8_t asking;   /* mode of an unanswered ACQUIRE or TRY */
    uint8_t phase;    /* enum mfs_token_phase */
    uint8_t asked_to; /* unless KEPT: what is kept */
    bool is_trying;   /* asking is a TRY */
    bool is_revoked;  /* the broker waits for GIVEN */
    bool is_costly;   /* mfs_member_keep */
    unsigned uses;
    unsigned uses_exclusive;
    unsigned pins;  /* the owner's: not forgotten meanwhile */
    uint64_t epoch; /* of the time since when something is held without a break */
    struct link waiters;
    struct link lru;
    void *belief; /* the owner's */
};

/* One operation's use of one token. */
struct mfs_use {
    struct mfs_lease_key key;
    uint8_t mode;
    /* Contents of a file: allowed with what is held while it is asked for, so that a client
     * can write what it must write before it answers. */
    bool is_data;
    bool is_further;         /* the operation has others already, and waits for no new broker */
    struct mfs_token *token; /* NULL: there is no broker (any more) */
    bool is_bare;            /* … and it counts all the same */
};

enum mfs_drained { MFS_DRAINED_GIVE, MFS_DRAINED_OPEN, MFS_DRAINED_CLOSED };

struct mfs_member_opts {
    int fd; /* to the broker; taken */
    /* Who finds another one when it has died (mfs_broker_finder); taken. */
    bool has_finder;
    int finder_fd;
    /* How long others may believe something after the broker has died: changes wait. */
    int grace_ms;
    /* t is asked for (phase is ASKED): the owner calls mfs_member_close when nobody believes
     * anything of it; at once or later. */
    void (*asked)(void *ctx, struct mfs_token *t);
    /* The last use of the closed t has ended: GIVE it back; or is asked again, with operations
     * starting (OPEN) or not (CLOSED). */
    enum mfs_drained (*drained)(void *ctx, struct mfs_token *t);
    void (*forget)(void *ctx, struct mfs_token *t); /* t is freed: so is its belief */
    void (*broken)(void *ctx);                      /* the broker is gone: no tokens any more */
    /* There is one again: no token is held, and no operation runs that began without. */
    void (*joined)(void *ctx);
    /* Milliseconds until it wants to be called again; -1: not. */
    int (*tick)(void *ctx);
    void *ctx;
};

enum mfs_member_finding {
    MFS_FIND_LATER, /* not begun */
    MFS_FIND_ASKED,
    MFS_FIND_FOUND, /* joined as soon as no operation runs that began without */
};

struct mfs_member {
    struct mfs_member_opts o;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    struct mfs_token **slots;
    size_t slot_count;
    size_t count;
    size_t costly_count;
    struct link lru; /* longest not used first */
    uint64_t last_epoch;
    uint8_t *out;
    size_t out_first, out_end, out_size;
    int64_t broken_ms;
    bool is_broken;
    /* While it is: the search for another broker, and the time of its next step. */
    enum mfs_member_finding finding;
    int64_t find_ms;
    int found_fd;
    bool is_shut; /* no operation begins without a token */
    unsigned uses; /* by operations, of tokens or without */
    bool is_stopping;
    int wake; /* eventfd */
    pthread_t thread;
    bool has_thread;
    uint64_t asked_count; /* messages that waited for the broker: for tests and figures */
};

/* fd is taken, also on failure. Returns 0 or -errno. */
MUST int mfs_member_start(struct mfs_member *m, const struct mfs_member_opts *o);
/* No operation uses tokens any more. */
void mfs_member_stop(struct mfs_member *m);
/* Every wait ends with -ECANCELED from now on. */
void mfs_member_cancel(struct mfs_member *m);

/* Waits until u's token is had and counts the use. Of several tokens they are taken in the
 * order of mfs_lease_compare. Returns 0; -ECANCELED; -ENOMEM. */
MUST int mfs_member_use(struct mfs_member *m, struct mfs_use *u);
/* The same without waiting for anybody but the broker: -EAGAIN if somebody else would have to
 * give it back first. */
MUST int mfs_member_try(struct mfs_member *m, struct mfs_use *u);
/* Is it there without asking anybody? Counts the use then. */
bool mfs_member_has(struct mfs_member *m, struct mfs_use *u);
/* Ends it. */
void mfs_member_put(struct mfs_member *m, struct mfs_use *u);
/* Gets those of the tokens that are free, for later; nothing is used. */
void mfs_member_fetch(struct mfs_member *m, const struct mfs_lease_key *keys, size_t count);

/* ---- with the lock ---- */
void mfs_member_lock(struct mfs_member *m);
void mfs_member_unlock(struct mfs_member *m);
struct mfs_token *mfs_member_find(const struct mfs_member *m, const struct mfs_lease_key *key);
/* Nothing is believed of the asked t any more. */
void mfs_member_close(struct mfs_member *m, struct mfs_token *t);
/* t->pins is counted up by its owner; this counts it down, after which t may be gone. */
void mfs_member_unpin(struct mfs_member *m, struct mfs_token *t);
/* To have t anew would cost much: it is not given back for want of room while others can be. */
void mfs_member_keep(struct mfs_member *m, struct mfs_token *t);
/* tick is to be called soon. */
void mfs_member_wake(struct mfs_member *m);

#endif
