/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lockwait.h: what the files of the locks share: owners, and threads that wait for a lock.
 * Must not know: the wire, nodes.
 * Threads: mfs_locks.mu guards owners and the list of waits. */
#ifndef MRCFS_SERVER_LOCKWAIT_H
#define MRCFS_SERVER_LOCKWAIT_H

#include "mrcfs/server/held.h"
#include "mrcfs/server/locks.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>

/* An open file in an owner's descriptor table. */
struct mfs_lock_copy {
    struct mfs_lock_copy *next;
    uint64_t file_id;
    uint64_t dev;
    uint64_t ino;
    int fd;
};

struct mfs_lock_owner {
    struct mfs_locks *t;
    struct mfs_link link; /* in owners */
    struct link unborn;
    pthread_cond_t has_command;
    struct link commands;
    struct mfs_lock_copy *copies;
    struct mfs_held *held;
    unsigned waiters;
};

/* A thread that waits for one lock. */
struct mfs_lockwait {
    struct link link;
    struct mfs_locks *t;
    pthread_t thread;
    struct mfs_request *rq;
    struct mfs_lock_owner *owner; /* NULL: flock */
    int fd;
    struct flock fl;
    struct mfs_held want;
    struct mfs_file *f; /* flock: counted */
    int how;
};

/* Once before any wait: the signal that ends waits. It must be blocked in all threads. */
void mfs_lockwait_init(void);
/* Starts waiting for a copy of *what in a thread that shares the calling thread's descriptor
 * table. Returns MFS_LOCK_DEFERRED or -ENOLCK. */
MUST int mfs_lockwait_start(struct mfs_locks *t, const struct mfs_lockwait *what);
/* Wakes the threads whose wait was cancelled; t->is_nudging: there are some left. mu held. */
void mfs_lockwait_nudge(struct mfs_locks *t);
/* mu held. */
void mfs_lockwait_cancel_all(struct mfs_locks *t);
/* A small detached thread. Returns 0 or -errno. */
MUST int mfs_lockwait_thread(pthread_t *thread, void *(*fn)(void *), void *arg);

#endif
