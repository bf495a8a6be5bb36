/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client.h: inside of the file client: the connection to the server and the calls in flight.
 * Must not know: FUSE (that is fuse/, which fills in struct mfs_call and gets the answers).
 * Threads: everything belongs to the loop's thread but for the notifier (notify.c). */
#ifndef MRCFS_CLIENT_CLIENT_H
#define MRCFS_CLIENT_CLIENT_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/base/wire.h"
#include "common/sys/buf.h"
#include "common/sys/loop.h"
#include "mrcfs/client/behind.h"
#include "mrcfs/client/idmap.h"
#include "mrcfs/client/lease.h"
#include "mrcfs/client/names.h"
#include "mrcfs/client/window.h"
#include "mrcfs/mrcfs.h"
#include "mrcfs/ops.h"
#include "mrcfs/packer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Bytes queued on one stream above which the kernel is not asked for more requests, and
     * below which it is again. The server always reads on, so the queue always drains. */
    MFS_OUT_HIGH_BYTES = 16 << 20,
    MFS_OUT_LOW_BYTES = 4 << 20,
    /* The hard maximum: what one turn may add above MFS_OUT_HIGH_BYTES. */
    MFS_OUT_MAX_BYTES = MFS_OUT_HIGH_BYTES + (16 << 20),
    /* Calls in flight above which the kernel is not asked for more. Waits for locks don't
     * count: their ends depend on requests still to be read (an unlock). */
    MFS_CALLS_MAX = 8192,
    MFS_LOCK_WAITS_MAX = 16384, /* ENOLCK above */
    MFS_CALL_BUCKETS = 1024,
    MFS_HELLO_WAIT_MS = 30000,
    MFS_FORGETS_MAX = 1024, /* pairs gathered before they are sent */
    /* How long the server has to answer a request of a process that is being killed; then the
     * process may go without the answer. */
    MFS_DYING_WAIT_MS = 1000,
    MFS_FAREWELL_WAIT_MS = 2000, /* for writing the rest of a message at the end */
    MFS_CHANGED_MAX =
        4, /* nodes that one call changes: two directories and what is moved, and replaced */
};

struct mfs_caller;
struct mfs_call;
struct mfs_chunks;
struct mfs_landing;
struct mfs_root;
struct mfs_session;

/* The answer of one call. rc is 0 and body holds the reply's fields, or -errno and body is
 * NULL. Returns 0, or -EPROTO (only when rc was 0) if the fields make no sense: nothing was
 * done then, and it is called again with rc -EIO when the connection has been given up. */
typedef int (*mfs_reply_fn)(struct mfs_call *call, int rc, struct rd *body);

/* One call in flight. Made by mfs_call_new, gone after fn. The lower part is fn's. */
struct mfs_call {
    struct link link;
    struct mfs_client *client;
    uint64_t id;
    uint64_t depth; /* round trips that were waited for before and with this one */
    uint64_t sent_us;
    uint16_t op;
    bool is_lock_wait;
    bool is_barred;   /* barriers wait for it */
    bool is_unwaited; /* nobody waits for its answer as such: who uses that says so by mfs_client_waited */
    mfs_reply_fn fn;
    struct link interrupted; /* in the client's list, since interrupted_ms; or, of what is
                                behind, in that of those */
    uint64_t behind_number;
    uint64_t interrupted_ms;

    struct mfs_session *session;
    void *req;       /* the kernel's request, as libfuse has it */
    uint64_t unique; /* … or its number, for those that libfuse doesn't know */
    void *file;
    uint64_t node;
    uint64_t size;
    uint64_t offset;
    uint32_t flags;
    bool is_plus;
    bool is_write_open; /* who opens its node for reading waits for it (own.h) */
    bool is_behind; /* the kernel was answered already (behind.h) */
    bool is_failure_known; /* its session has gone, and who wrote had heard of a failure before */
    bool is_ordered;
    bool is_in_order;  /* although nothing is on the way */
    bool is_unordered; /* although something is on the way */
    size_t behind_bytes;
    uint64_t behind_nodes[MFS_CHANGED_MAX];
    unsigned behind_count;
    uint64_t makes_node, makes_fh; /* numbers of ours for what it makes; 0: the server's */
    /* Of an ordered call that is waited for: the message without its length and head, in case
     * that the server wants it without order. */
    struct mfs_caller *who;
    uint8_t *body; /* … of a put: the bytes that it names */
    size_t body_bytes;
    uint32_t pid;
    /* lease.c: the node that it asks about, and those that it changes. */
    uint64_t asked;
    uint32_t asked_changes;
    uint64_t asked_at; /* changes of ours in its session before it was sent */
    bool is_asked_clean;
    struct {
        uint64_t node;
        uint32_t told;
        bool is_told;
    } changed[MFS_CHANGED_MAX];
    unsigned changed_count;
    /* Not sent, but waiting in a flight (scan.h) through link; called when that has landed. */
    void (*resume)(struct mfs_call *call, struct mfs_landing *how);
    char *name; /* in directory node, and in new_node; freed with the call */
    char *new_name;
    uint64_t new_node;
};

struct mfs_stream {
    struct mfs_client *client;
    const char *name;
    int fd;
    struct loop_fd watch;
    struct buf in;
    struct buf out;
    struct mfs_packer packer; /* of out */
    uint64_t busy_since_us;   /* since then out was never empty; 0: it is */
    size_t message_left; /* of the message at the front of out, when a part of it was written */
};

struct mfs_join;
struct mfs_seen_table;

struct mfs_client {
    struct mfs_join *join; /* join.h: NULL: there was no run yet */
    struct mfs_seen_table *seen; /* fuse/put.c: chunks that came by; NULL: none */
    struct loop *loop;
    struct mfs_client_opts opts;
    struct mfs_stream meta;
    struct mfs_stream bulk;
    struct mfs_export_info *exports;
    size_t export_count;
    uint32_t features; /* of the server */
    uint32_t server_uid;
    uint32_t server_gid;
    struct mfs_idmap users; /* empty when the server maps */
    struct mfs_idmap groups;

    uint64_t notices; /* that came so far */
    uint64_t last_id;
    struct link calls[MFS_CALL_BUCKETS];
    size_t call_count; /* without lock waits */
    size_t lock_wait_count;
    struct link interrupted; /* calls whose processes got signals, oldest first */
    struct loop_timer interrupted_timer;

    uint64_t change_count;  /* requests sent that change something, writes aside */
    uint64_t written_bytes; /* sent to be written */

    uint64_t depth_seen; /* deepest call that has been answered */
    struct mfs_stats stats;

    uint8_t forgets[MFS_FORGETS_MAX * 16];
    size_t forget_bytes;

    bool is_lost;
    bool is_away;       /* away.h: no server is there; is_patient only */
    struct link parked; /* calls that wait for one */
    bool is_held;         /* the sessions don't read: too much in flight */
    struct link sessions; /* struct mfs_session */
    struct mfs_notifier *notifier;
    /* Of pages that are dropped for a lock: what that waits for may wait for a recall. */
    struct mfs_notifier *lock_notifier;
    /* Of names that are dropped to save memory (shed.c): what that waits for likewise. NULL: none was. */
    struct mfs_notifier *shed_notifier;
    struct mfs_lease lease;
    uint64_t behind_bytes; /* on the way that the kernel takes for written */
    struct link behind;    /* calls that it takes for done, oldest first */
    struct link behind_waiting;
    uint64_t behind_sent;
    uint64_t copied_until; /* number of the last of them that reads a file */
    uint64_t last_number;    /* of nodes and file handles that we numbered */
    unsigned behind_untold;  /* failures of what is behind of which nobody heard */
    int behind_error;        /* the first of these */
    struct err behind_words; /* … in words */
    bool is_order_broken;    /* one failed: nothing is behind until that is over */
    bool begins_order;       /* it is: the next ordered request says so */
    uint32_t order;          /* how often that was */
    bool is_refusing;        /* … because somebody else was first: nothing is changed any more */
    struct link barriers; /* struct mfs_barrier that have calls to wait for */
    size_t barred_count;  /* calls in flight that barriers wait for; of them to close files: */
    size_t closing_count;
    int mark_fd; /* eventfd: marks came into effect; -1: nobody asks */
    struct loop_fd mark_watch;
    _Atomic uint64_t mark;
    struct link moving_locks; /* locks.h: of nodes whose locks move to the server */
    int recalled[2];  /* pipe: numbers of recalls whose pages were dropped */
    struct loop_fd recalled_watch;
    char *paths_ahead;       /* paths.h: asked for when an export is attached; NULL: none */
    struct mfs_root *roots; /* roots.h: of each export; NULL: none were asked for */
    struct link readings;  /* struct mfs_reading (fuse/readahead.c), the one used last at the end */
    size_t reading_bytes;  /* what these have asked for and not given to the kernel */
    struct mfs_rate rate;  /* of what is read ahead */
    struct mfs_chunks *chunks; /* the cache of contents on this computer; NULL: none */
    uint8_t *request; /* room for one request of the kernel */
    /* Launch profiles (warm.h). */
    uint32_t use_count; /* nodes that were used, each once after each use_start */
    uint32_t use_start; /* the count when the last job began */
    uint64_t warm_serial; /* of the profile begun last */
    uint8_t *profile;     /* to be followed by sessions to come */
    size_t profile_bytes;
    uint8_t *used; /* MFS_PROFILE_BYTES_MAX: what ended sessions were asked for; NULL: nobody will ask */
    size_t used_bytes, used_count;
};

/* Who asks, in this side's numbers. */
struct mfs_caller {
    uint32_t uid;
    uint32_t gid;
    uint32_t pid;
};

/* New call of client, not sent. NULL when there is no memory. */
struct mfs_call *mfs_call_new(struct mfs_client *c, mfs_reply_fn fn);
/* Only for a call that was not sent. */
void mfs_call_drop(struct mfs_call *call);
/* The process of a sent call got a signal: asks the server to end the call's wait early; the
 * answer comes as usual. If the process is being killed and the answer takes too long,
 * mfs_session_abandon is called. */
void mfs_call_interrupt(struct mfs_call *call);

typedef void (*mfs_put_fn)(struct wr *w, const void *fields);
/* Sends call as operation op; from now on it is answered through its fn, later than this
 * returns. var_bytes: how long the text fields are together. On failure (-ENOTCONN, -ENOMEM,
 * -ENOLCK) nothing was sent and the call is still the caller's. */
MUST int mfs_call_send(struct mfs_call *call, enum mfs_op op, const struct mfs_caller *who,
                       mfs_put_fn put, const void *fields, size_t var_bytes);

/* mfs_send_<op>(call, who, &request, var_bytes) */
#define OP(number, name, req, rep)                                                             \
    MUST int mfs_send_##name(struct mfs_call *call, const struct mfs_caller *who,              \
                             const struct mfs_##name##_req *m, size_t var_bytes);
#include "mrcfs/ops.def"
#undef OP

/* Directly after a walk was sent: call is the next one of those that are answered with it (ops.def).
 */
void mfs_call_expect(struct mfs_call *call, enum mfs_op op);
/* Somebody goes on because of an answer to op that came after so many round trips in a row. */
void mfs_client_waited(struct mfs_client *c, enum mfs_op op, uint64_t depth);
/* node was forgotten nlookup times; sent in batches. */
void mfs_client_forget(struct mfs_client *c, uint64_t node, uint64_t nlookup);
/* Gives all that is queued to the sockets, and holds or resumes the sessions: at the end of
 * everything that may have sent. */
void mfs_client_flush(struct mfs_client *c);
/* One more notifier, freed by mfs_client_free where that knows of it. */
MUST int mfs_client_add_notifier(struct mfs_client *c, struct mfs_notifier **out);
bool mfs_client_is_crowded(const struct mfs_client *c);
/* Gives the connection up: answers everything in flight. why is copied. */
void mfs_client_lose(struct mfs_client *c, const struct err *why);
/* For the decoder's fuzz target: handles one message without its length. -EPROTO: malformed. */
MUST int mfs_client_message(struct mfs_client *c, struct bytes message, struct err *e);

/* Takes it out of those in flight. */
void mfs_call_leave(struct mfs_call *call);
/* The call with that number that waits for an answer; NULL: none does. */
struct mfs_call *mfs_call_find(struct mfs_client *c, uint64_t id);
/* Sends call, whose body was kept and which has left, once more, without order. False: it can't be. */
MUST bool mfs_call_send_again(struct mfs_call *call);
/* The streams from now on, taken. */
MUST int mfs_client_watch(struct mfs_client *c, int meta_fd, int bulk_fd);

/* barrier.c. A call entered or left those in flight. */
void mfs_barrier_enter(struct mfs_call *call);
void mfs_barrier_leave(struct mfs_call *call);
/* The connection is lost: nothing is waited for any more. */
void mfs_barrier_lost(struct mfs_client *c);
MUST int mfs_mark_start(struct mfs_client *c);
void mfs_mark_stop(struct mfs_client *c);
/* A mark came. */
void mfs_mark_take(struct mfs_client *c, uint64_t mark);

/* Implemented by fuse/ and coherence.c. */
/* Starts all that the kernel has asked for by now. False: too much is in flight, the rest is to
 * be taken later. */
bool mfs_session_drain(struct mfs_session *s);
/* If call's process is being killed: answers its request now, and makes call's fn one that only
 * gives back what the server's answer brings. */
void mfs_session_abandon(struct mfs_call *call);
/* Starts what a request of the kernel, as it was read, asks for. */
void mfs_session_take(struct mfs_session *s, const void *ptr, size_t len_bytes);
void mfs_session_hold(struct mfs_session *s, bool is_held);
void mfs_session_free(struct mfs_session *s);
void mfs_session_inval_node(struct mfs_session *s, const struct mfs_inval_node_notice *n);
void mfs_session_inval_entry(struct mfs_session *s, const struct mfs_inval_entry_notice *n);
/* Drops what the kernel has of n; when that is done, and serial is not 0, mfs_lease_answer is
 * called, perhaps on another thread. */
void mfs_session_drop_cached(struct mfs_session *s, struct mfs_known *n, uint64_t serial);
struct mfs_session *mfs_session_of(struct link *l);

#endif
