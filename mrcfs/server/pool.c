/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pool.c: requests waiting for a worker, and the workers.
 * Must not know: what requests do, sockets. */
#include "mrcfs/server/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { STACK_BYTES = 512 * 1024 };

void mfs_request_free(struct mfs_request *rq)
{
    if (!rq)
        return;
    free(rq->message);
    free(rq);
}

/* The queue that may be served now, or NULL. mu held. */
static struct link *startable(struct mfs_pool *p)
{
    struct link *meta = &p->queue[MFS_CLASS_META], *bulk = &p->queue[MFS_CLASS_BULK];
    if (!list_is_empty(meta) && (p->is_closing || p->o.has_room(p->o.server, MFS_CLASS_META)))
        return meta;
    struct link *ordered = &p->queue[MFS_CLASS_ORDERED];
    if (!list_is_empty(ordered) && !p->is_ordered_running &&
        (p->is_closing || p->o.has_room(p->o.server, MFS_CLASS_ORDERED)))
        return ordered;
    unsigned bulk_max = p->workers > 3 ? p->workers - 2 : 2;
    if (!list_is_empty(bulk) && (p->is_closing || (p->bulk_running < bulk_max &&
                                                   p->o.has_room(p->o.server, MFS_CLASS_BULK))))
        return bulk;
    return NULL;
}

/* mu held. */
static bool has_room_for_worker(const struct mfs_pool *p)
{
    return p->workers < MFS_WORKERS_MAX + p->waiting;
}

/* Everybody is busy and something could be started. mu held. */
static bool is_short_of_workers(struct mfs_pool *p)
{
    return !p->idle && has_room_for_worker(p) && startable(p);
}

/* Waits for a request; NULL when it is time to end. mu held. */
static struct mfs_request *take(struct mfs_pool *p)
{
    struct link *queue;
    while (!(queue = startable(p))) {
        if (p->is_closing)
            return NULL;
        p->idle++;
        pthread_cond_wait(&p->has_work, &p->mu);
        p->idle--;
    }
    struct mfs_request *rq = LIST_ENTRY(queue->next, struct mfs_request, link);
    list_remove(&rq->link);
    p->count[rq->class]--;
    p->bytes[rq->class] -= rq->len_bytes;
    p->started++;
    pthread_cond_broadcast(&p->has_space);
    /* Whoever queued the others may have counted on this worker, which may now be stuck. */
    if (is_short_of_workers(p))
        pthread_cond_signal(&p->keeper_wanted);
    return rq;
}

static void *worker_main(void *arg)
{
    struct mfs_pool *p = arg;
    void *ctx = NULL;
    struct mfs_request *rq;
    int rc = p->o.start(p->o.server, &ctx);
    pthread_mutex_lock(&p->mu);
    while (rc == 0 && (rq = take(p))) {
        enum mfs_class class = rq->class;
        bool is_bulk = class == MFS_CLASS_BULK, is_ordered = class == MFS_CLASS_ORDERED;
        p->bulk_running += is_bulk;
        p->is_ordered_running |= is_ordered;
        pthread_mutex_unlock(&p->mu);
        p->o.run(ctx, rq);
        pthread_mutex_lock(&p->mu);
        p->bulk_running -= is_bulk;
        if (is_ordered)
            p->is_ordered_running = false;
        if ((is_bulk || is_ordered) && !list_is_empty(&p->queue[class]))
            pthread_cond_signal(&p->has_work);
    }
    pthread_mutex_unlock(&p->mu);
    if (rc == 0)
        p->o.stop(ctx);
    return NULL;
}

/* mu held. */
static int add_worker(struct mfs_pool *p)
{
    if (!has_room_for_worker(p))
        return -EAGAIN;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = pthread_create(&p->threads[p->workers], &attr, worker_main, p);
    pthread_attr_destroy(&attr);
    if (rc == 0)
        p->workers++;
    return -rc;
}

/* Adds a worker when nothing was started for MFS_WORKERS_STUCK_MS although something could. */
static void *keeper_main(void *arg)
{
    struct mfs_pool *p = arg;
    pthread_mutex_lock(&p->mu);
    while (!p->is_closing) {
        if (!is_short_of_workers(p)) {
            pthread_cond_wait(&p->keeper_wanted, &p->mu);
            continue;
        }
        uint64_t started = p->started;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += MFS_WORKERS_STUCK_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        int rc = 0;
        while (rc == 0 && !p->is_closing && p->started == started)
            rc = pthread_cond_timedwait(&p->keeper_wanted, &p->mu, &until);
        if (p->started == started && is_short_of_workers(p) && add_worker(p) < 0)
            pthread_cond_wait(&p->keeper_wanted, &p->mu);
    }
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

int mfs_pool_start(struct mfs_pool *p, const struct mfs_pool_opts *o)
{
    *p = (struct mfs_pool){ .o = *o };
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->mu, NULL);
    pthread_cond_init(&p->has_work, NULL);
    pthread_cond_init(&p->has_space, NULL);
    pthread_cond_init(&p->keeper_wanted, &monotonic);
    pthread_condattr_destroy(&monotonic);
    list_init(&p->parked);
    for (int i = 0; i < MFS_CLASSES; i++)
        list_init(&p->queue[i]);
    pthread_mutex_lock(&p->mu);
    int rc = -pthread_create(&p->keeper, NULL, keeper_main, p);
    p->has_keeper = rc == 0;
    for (int i = 0; rc == 0 && i < MFS_WORKERS_FIRST; i++)
        rc = add_worker(p);
    pthread_mutex_unlock(&p->mu);
    if (rc < 0)
        mfs_pool_stop(p, true);
    return rc;
}

static bool is_full(const struct mfs_pool *p, const struct mfs_request *rq)
{
    return p->count[rq->class] >= MFS_QUEUE_MAX ||
           (p->count[rq->class] && p->bytes[rq->class] + rq->len_bytes > MFS_QUEUE_BYTES_MAX);
}

void mfs_pool_push(struct mfs_pool *p, struct mfs_request *rq)
{
    pthread_mutex_lock(&p->mu);
    while (is_full(p, rq) && !p->is_closing)
        pthread_cond_wait(&p->has_space, &p->mu);
    list_push_back(&p->queue[rq->class], &rq->link);
    p->count[rq->class]++;
    p->bytes[rq->class] += rq->len_bytes;
    pthread_cond_signal(p->idle ? &p->has_work : &p->keeper_wanted);
    pthread_mutex_unlock(&p->mu);
}

bool mfs_pool_wait_begin(struct mfs_pool *p)
{
    pthread_mutex_lock(&p->mu);
    bool may_wait = p->waiting < MFS_WAITING_MAX;
    p->waiting += may_wait;
    /* At once: this one may wait for long, and not for the disk. */
    if (is_short_of_workers(p) && add_worker(p) < 0)
        pthread_cond_signal(&p->keeper_wanted);
    pthread_mutex_unlock(&p->mu);
    return may_wait;
}

/* mu held. */
static void queue_again(struct mfs_pool *p)
{
    LIST_EACH(&p->parked, it, nx)
    {
        struct mfs_request *rq = LIST_ENTRY(it, struct mfs_request, link);
        list_remove(it);
        list_push_back(&p->queue[rq->class], it);
    }
    if (p->idle)
        pthread_cond_broadcast(&p->has_work);
    else
        pthread_cond_signal(&p->keeper_wanted);
}

void mfs_pool_park(struct mfs_pool *p, struct mfs_request *rq)
{
    pthread_mutex_lock(&p->mu);
    list_push_back(&p->parked, &rq->link);
    p->count[rq->class]++;
    p->bytes[rq->class] += rq->len_bytes;
    if (p->waiting <= MFS_WAITING_MAX / 2 || p->is_closing)
        queue_again(p);
    pthread_mutex_unlock(&p->mu);
}

void mfs_pool_wait_end(struct mfs_pool *p)
{
    pthread_mutex_lock(&p->mu);
    p->waiting--;
    if (p->waiting <= MFS_WAITING_MAX / 2 && !list_is_empty(&p->parked))
        queue_again(p);
    pthread_mutex_unlock(&p->mu);
}

void mfs_pool_wake(struct mfs_pool *p)
{
    pthread_mutex_lock(&p->mu);
    if (startable(p)) {
        if (p->idle)
            pthread_cond_broadcast(&p->has_work);
        else
            pthread_cond_signal(&p->keeper_wanted);
    }
    pthread_mutex_unlock(&p->mu);
}

void mfs_pool_stop(struct mfs_pool *p, bool is_dropping)
{
    pthread_mutex_lock(&p->mu);
    p->is_closing = true;
    queue_again(p);
    for (int i = 0; i < MFS_CLASSES && is_dropping; i++) {
        LIST_EACH(&p->queue[i], it, nx)
        {
            list_remove(it);
            p->o.drop(p->o.server, LIST_ENTRY(it, struct mfs_request, link));
        }
    }
    pthread_cond_broadcast(&p->has_work);
    pthread_cond_broadcast(&p->has_space);
    pthread_cond_signal(&p->keeper_wanted);
    pthread_mutex_unlock(&p->mu);
    if (p->has_keeper)
        pthread_join(p->keeper, NULL);
    for (unsigned i = 0; i < p->workers; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->has_work);
    pthread_cond_destroy(&p->has_space);
    pthread_cond_destroy(&p->keeper_wanted);
    pthread_mutex_destroy(&p->mu);
}
