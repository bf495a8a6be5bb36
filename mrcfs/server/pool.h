/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pool.h: requests waiting for a worker, and the workers.
 * Must not know: what requests do, sockets.
 * Three queues: small operations always go first; ordered ones are run one at a time; those
 * that move much data start only while the bulk stream has room for their replies, and never
 * occupy every worker. Few workers at first; one more whenever none of them finished anything
 * for a while (slow disks), up to a bound. Threads: the workers, and a keeper who adds workers.
 */
#ifndef MRCFS_SERVER_POOL_H
#define MRCFS_SERVER_POOL_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "common/base/wire.h"
#include "mrcfs/ops.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MFS_WORKERS_FIRST = 4,
    MFS_WORKERS_MAX = 64, /* operations that can be stuck in the kernel at once */
    /* Operations that wait for other clients at once; the rest of them waits without a worker.
     */
    MFS_WAITING_MAX = 192,
    MFS_WORKERS_STUCK_MS = 5,
    /* Requests waiting, of each queue; reached: the stream is not read until some are done. */
    MFS_QUEUE_MAX = 4096,
    MFS_QUEUE_BYTES_MAX = 16 << 20,
};

/* ORDERED: one after the other, as they came. */
enum mfs_class { MFS_CLASS_META, MFS_CLASS_BULK, MFS_CLASS_ORDERED, MFS_CLASSES };

/* One request, from its arrival until its reply; owns its message. */
struct mfs_request {
    struct link link; /* in a queue of the pool */
    struct mfs_head head;
    struct rd body;
    enum mfs_class class;
    size_t len_bytes;
    /* Lock waits (mrcfs/server/locks.h). */
    struct link waits;
    atomic_bool is_cancelled;
    uint8_t *message;
};

struct mfs_pool;

/* What a worker thread keeps between requests; ctx is what start returned. */
struct mfs_pool_opts {
    void *server;
    int (*start)(void *server, void **ctx); /* in each new worker; -errno: it ends again */
    void (*stop)(void *ctx);
    void (*run)(void *ctx, struct mfs_request *rq);     /* takes rq */
    void (*drop)(void *server, struct mfs_request *rq); /* takes rq, which will not run */
    bool (*has_room)(void *server, enum mfs_class class);
};

struct mfs_pool {
    struct mfs_pool_opts o;
    pthread_mutex_t mu; /* guards what follows */
    pthread_cond_t has_work;
    pthread_cond_t has_space;
    pthread_cond_t keeper_wanted;
    struct link queue[MFS_CLASSES];
    size_t count[MFS_CLASSES];
    size_t bytes[MFS_CLASSES];
    unsigned workers;
    unsigned idle;
    struct link parked;
    unsigned waiting; /* workers that wait for other clients, up to MFS_WAITING_MAX */
    unsigned bulk_running;
    bool is_ordered_running;
    uint64_t started; /* requests taken from the queues so far */
    bool is_closing;
    pthread_t threads[MFS_WORKERS_MAX + MFS_WAITING_MAX];
    pthread_t keeper;
    bool has_keeper;
};

/* Returns 0 or -errno. */
MUST int mfs_pool_start(struct mfs_pool *p, const struct mfs_pool_opts *o);
/* Queues rq (taken); waits while the queue is full. */
void mfs_pool_push(struct mfs_pool *p, struct mfs_request *rq);
/* Around a wait for other clients: others' operations may be what they wait for, so a worker
 * more may run meanwhile. */
/* False: MFS_WAITING_MAX wait already; the request is to be given to _park, and begins again
 * later. */
MUST bool mfs_pool_wait_begin(struct mfs_pool *p);
void mfs_pool_park(struct mfs_pool *p, struct mfs_request *rq);
void mfs_pool_wait_end(struct mfs_pool *p);
/* There may be room for replies again. */
void mfs_pool_wake(struct mfs_pool *p);
/* Ends the workers after everything queued has been run, or dropped. */
void mfs_pool_stop(struct mfs_pool *p, bool is_dropping);

void mfs_request_free(struct mfs_request *rq);

#endif
