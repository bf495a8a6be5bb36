/* SPDX-License-Identifier: GPL-2.0-or-later */
/* leases.h: what the client may believe, and making it forget: grants, recalls, its time.
 * Must not know: what each operation does.
 * Threads: the member's lock (mfs_member_lock) guards everything, and orders replies that grant
 * and recalls on the meta stream.
 * Source: docs/leases.md. */
#ifndef MRCFS_SERVER_LEASES_H
#define MRCFS_SERVER_LEASES_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "mrcfs/broker/member.h"
#include "mrcfs/mrcfs.h"
#include "mrcfs/ops.h"
#include "mrcfs/server/nodes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_server;
struct mfs_call;
struct mfs_file;
struct mfs_filelease;

enum {
    /* How long a client that is not heard of believes what it was granted: long enough for a
       renewal over a slow link to be late, short enough to wait for. */
    MFS_LEASE_MS = 10000,
    /* Between clocks that run at different speeds, and for what is on the way. */
    MFS_LEASE_MARGIN_MS = 1000,
    /* Recalls of one file in a row, because the client reads it again and again, until its
       operations wait. */
    MFS_RECALL_ROUNDS_MAX = 4,
    /* Tokens of one operation: a rename in two directories that replaces a file has four. */
    MFS_USES_MAX = 8,
    /* Times that an operation starts again because what a name means has changed. */
    MFS_RESTARTS_MAX = 32,
};

/* A token in use by an operation, and the node that the client knows its file by (0: none). */
struct mfs_op_use {
    struct mfs_use use;
    uint64_t node;
};

/* Something in a reply that may be believed if it can still be when the reply is sent. */
struct mfs_grant {
    struct mfs_lease_key key;
    uint64_t epoch;  /* the token's when it was looked at */
    uint64_t node;   /* what is recalled */
    bool is_name;    /* a name in directory node; else node's attributes */
    bool is_dir;     /* node is a directory: with it, its names would be recalled */
    uint32_t events; /* is_name: the directory's when it was looked at */
    /* Or, of an open file, that the kernel leased it: this flag of the reply's. */
    const struct mfs_filelease *lease;
    uint32_t *flags;
    uint32_t flag;
    uint32_t *valid_ms;
    uint32_t *sole_flags; /* of attributes that may be MFS_ATTR_SOLE; or NULL */
    size_t at;            /* valid_ms NULL: where it is in the reply's payload */
};

/* A node that an operation changes. */
struct mfs_op_change {
    struct mfs_node *node; /* pinned or held by the operation, until it is done */
    uint64_t node_id;
    int fd;
    bool is_told; /* its attributes are told once it is done */
    bool has_attr; /* … as they were before it was closed: nobody else has changed it by then */
    struct mfs_attr attr;
};

struct mfs_leases {
    bool is_on;              /* there is a broker: operations take tokens */
    bool is_granting;        /* the client takes part */
    bool was_granting;       /* it did before the broker ended */
    int64_t broken_until_ms; /* … and until when others wait because of that */
    struct mfs_member member;
    uint32_t lease_ms;
    int64_t renewed_ms;  /* 0: the client has no lease */
    bool is_refusing;    /* renewals don't count */
    bool is_gone;        /* the client hung up */
    uint64_t generation; /* what the client knows from an earlier one is void */
    uint64_t expired_epoch; /* tokens of a later one were not held without a break when that ended */
    uint64_t last_serial;
    struct link recalls; /* unanswered ones, oldest first */
    uint64_t recalled;   /* sent so far: for tests and figures */
};

/* broker_fd and finder_fd (-1: none) are taken. Returns 0 or -errno. */
MUST int mfs_leases_start(struct mfs_server *srv, int broker_fd, int finder_fd,
                          uint32_t lease_ms, bool is_granting);
/* The client hung up: it believes nothing any more. is_dropping: waits of operations end. */
void mfs_leases_hang_up(struct mfs_server *srv, bool is_dropping);
void mfs_leases_stop(struct mfs_server *srv);

/* How far does what the client relied on, when it had seen so many notices that all is void, still hold? */
enum mfs_reliance {
    MFS_RELY_NOT,
    MFS_RELY_HELD, /* where nobody else has had the token meanwhile */
    MFS_RELY_ALL,
};
enum mfs_reliance mfs_leases_reliance(struct mfs_server *srv, uint32_t expiries);

/* ---- for the operations; all return at once when there is no broker ---- */

/* Takes the token of a file for the rest of the operation: MFS_LEASE_SHARED before looking,
 * MFS_LEASE_EXCLUSIVE before changing. Before anything is changed. Returns 0; -ERESTART: return
 * that, the operation begins again once all tokens it needs are had; or -errno. */
MUST int mfs_need(struct mfs_call *o, const struct mfs_identity *what, uint8_t mode);
MUST int mfs_need_node(struct mfs_call *o, struct mfs_node *n, uint8_t mode);
/* Contents of a node or an open file. */
MUST int mfs_need_data(struct mfs_call *o, struct mfs_node *n, uint8_t mode);
MUST int mfs_need_file(struct mfs_call *o, struct mfs_file *f, uint8_t mode);
/* The node's token exclusively if nobody else has it; else -EBUSY. */
MUST int mfs_claim_node(struct mfs_call *o, struct mfs_node *n);
/* The token of what was just found or made at a place, before it is looked at (again). Returns
 * 0, -ERESTART, -errno. */
MUST int mfs_need_found(struct mfs_call *o, const struct mfs_place *at,
                        const struct mfs_identity *what);
/* Those of a directory's entries that are free, for what follows. */
void mfs_fetch_entries(struct mfs_call *o, const struct mfs_node *dir, const uint64_t *inos,
                       size_t count);

/* The pinned n is changed, too, beside what was needed exclusively: it is told. */
void mfs_changes(struct mfs_call *o, struct mfs_node *n);
/* A written file was closed: its attributes are told if its token is there. */
void mfs_closed(struct mfs_call *o, struct mfs_file *f);

/* What was promised in the reply stays so if the token was had; *a: the attributes, whose flag
 * MFS_ATTR_SOLE is set too. */
void mfs_grant_attr(struct mfs_call *o, const struct mfs_identity *what, uint64_t node,
                    struct mfs_attr *a);
void mfs_grant_name(struct mfs_call *o, const struct mfs_node *dir, uint32_t events,
                    uint32_t *valid_ms);
/* flag is set in *flags, in the reply, if lease is still there then. */
void mfs_grant_flag(struct mfs_call *o, const struct mfs_node *n,
                    const struct mfs_filelease *lease, uint32_t *flags, uint32_t flag);
/* The same for a struct mfs_entry in the payload so far, whose coded form ends at end. epoch:
 * the token's, from before the file was looked at. */
void mfs_grant_listed(struct mfs_call *o, const struct mfs_place *at,
                      const struct mfs_identity *what, uint64_t epoch,
                      const struct mfs_entry *e, size_t end);
/* The token's epoch if it is held now, for _listed; 0 if not. */
uint64_t mfs_leases_epoch(struct mfs_server *srv, const struct mfs_lease_key *key);

/* Has take do what the client did itself so far, while no lease ends; the member's lock is held
 * in take. Returns what it returned; -ESTALE without a broker. */
MUST int mfs_leases_surrender(struct mfs_call *o,
                              int (*take)(struct mfs_call *o, const void *what),
                              const void *what);

/* ---- for run.c ---- */

/* After -ERESTART: waits for all tokens. Returns 0: try again; or -errno. */
MUST int mfs_leases_again(struct mfs_call *o);
/* The operation has ended with rc; nodes and files are still borrowed. */
void mfs_leases_done(struct mfs_call *o, int rc);
/* Decides what is granted, and tells; then until _decided the order of what is sent is kept. */
void mfs_leases_decide(struct mfs_call *o);
void mfs_leases_decided(struct mfs_call *o);
void mfs_leases_put(struct mfs_call *o);

#endif
