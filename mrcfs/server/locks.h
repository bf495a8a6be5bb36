/* SPDX-License-Identifier: GPL-2.0-or-later */
/* locks.h: advisory locks of the client's processes, held in this computer's kernel, so that
 * they conflict with everybody else's here and deadlocks are found as the kernel finds them.
 * Must not know: the wire, nodes.
 *
 * The kernel takes a descriptor table for the owner of record locks (fcntl). So every lock
 * owner of the client has a thread with a descriptor table of its own, into which the open
 * files are copied when it locks them. Waiting is done by further threads that share the
 * owner's table. A flock belongs to the open file itself; only waiting for it needs a thread.
 * Threads: mu guards everything here. A nursery thread, whose table is nearly empty, starts the
 * owners' threads and keeps waking those whose wait was cancelled until they notice. */
#ifndef MRCFS_SERVER_LOCKS_H
#define MRCFS_SERVER_LOCKS_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "mrcfs/server/files.h"
#include "mrcfs/server/pool.h"
#include "mrcfs/server/table.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    /* Threads of each kind; reached: ENOLCK. */
    MFS_LOCK_OWNERS_MAX = 4096,
    MFS_LOCK_WAITERS_MAX = 4096,
    MFS_LOCK_NUDGE_MS = 5,
    /* mfs_lock_set, mfs_lock_flock: the answer comes later. */
    MFS_LOCK_DEFERRED = 1,
};

/* Record lock wanted, or found by mfs_lock_test. */
struct mfs_lock {
    uint64_t owner; /* not 0 */
    uint8_t type;   /* MFS_LOCK_* */
    uint64_t start;
    uint64_t end; /* inclusive, UINT64_MAX = to the end of the file */
    uint32_t pid;
};

struct mfs_locks {
    struct mfs_files *files;
    void (*answer)(void *ctx, struct mfs_request *rq, int rc); /* takes rq */
    void *ctx;
    pthread_mutex_t mu; /* guards what follows and the owners */
    pthread_cond_t nursery_wanted;
    pthread_cond_t done; /* some command was carried out, some thread ended */
    struct mfs_table owners;
    struct link unborn;  /* owners whose threads the nursery must start */
    struct link pending; /* lock requests not answered, for cancelling */
    struct link waiters;
    unsigned owner_count; /* threads */
    unsigned waiter_count;
    bool is_nudging; /* some waiter is cancelled and has not noticed */
    bool is_stopping;
    int process_fd; /* of this process, also in the nursery's and owners' tables; or -1 */
    int nursery_rc; /* 1 until the nursery has its table */
    pthread_t nursery;
};

/* answer: how deferred requests are answered. Returns 0 or -errno. */
MUST int mfs_locks_start(struct mfs_locks *t, struct mfs_files *files,
                         void (*answer)(void *ctx, struct mfs_request *rq, int rc), void *ctx);
/* Cancels every wait, gives up every record lock, ends the threads. */
void mfs_locks_stop(struct mfs_locks *t);

/* rq, a request that may wait, has arrived; it can be cancelled until _forget, which comes
 * before it is freed. */
void mfs_locks_expect(struct mfs_locks *t, struct mfs_request *rq);
void mfs_locks_forget(struct mfs_locks *t, struct mfs_request *rq);
void mfs_locks_cancel(struct mfs_locks *t, uint64_t request_id);

/* F_SETLK, or F_SETLKW if is_waiting. Returns 0, -errno as fcntl(2), -ENOLCK at a bound, or
 * MFS_LOCK_DEFERRED: rq is taken and will be answered. */
MUST int mfs_lock_set(struct mfs_locks *t, struct mfs_file *f, const struct mfs_lock *want,
                      bool is_waiting, struct mfs_request *rq);
/* F_GETLK: found is the lock in the way, or of type MFS_LOCK_UN. */
MUST int mfs_lock_test(struct mfs_locks *t, struct mfs_file *f, const struct mfs_lock *want,
                       struct mfs_lock *found);
/* flock(2); results as mfs_lock_set. */
MUST int mfs_lock_flock(struct mfs_locks *t, struct mfs_file *f, uint8_t type, bool is_waiting,
                        struct mfs_request *rq);

/* owner closed a descriptor of f's file: its record locks on it end. */
void mfs_locks_flush(struct mfs_locks *t, const struct mfs_file *f, uint64_t owner);
/* f is closed: the record locks taken through it end. */
void mfs_locks_release(struct mfs_locks *t, struct mfs_file *f);

#endif
