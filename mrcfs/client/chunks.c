/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chunks.c: see chunks.h.
 * Must not know: FUSE, calls.
 * Threads: the worker's own are store and scratch; mu guards what both use. */
#include "mrcfs/client/chunks.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mrcfs/chunks/gather.h"
#include "mrcfs/chunks/put.h"
#include "mrcfs/chunkstore.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { END_WAIT_MS = 300 }; /* for writing what came last */

/* A list of tags that grows up to MFS_TAGS_MAX. */
struct tags {
    uint8_t *bytes;
    size_t count, size;
};

/* A whole chunk on its way to the disk. */
struct keeping {
    struct link link;
    struct mfs_chunk_name name;
    uint32_t len_bytes;
    uint8_t bytes[];
};

struct mfs_chunks {
    struct loop *loop;
    struct loop_fd watch;
    int done_fd; /* an eventfd: loads are done */
    char *dir;
    pthread_t thread;
    pthread_mutex_t mu; /* guards what follows */
    pthread_cond_t has_work;
    struct link loads, done;
    struct link keeps;
    size_t keep_count;
    struct tags have, gone;
    struct mfs_chunks_stats stats;
    struct err why_off;
    bool is_on, is_ending;
    uint64_t end_ms; /* what is to be written is, until then */
    /* the loop's own */
    struct tags told[2]; /* what mfs_chunks_tags has given out */
    struct mfs_gather *gather;
    /* the worker's own */
    struct mfs_store *store;
    uint8_t scratch[MFS_CHUNK_BYTES];
};

static void tags_add(struct tags *t, const struct mfs_chunk_name *name)
{
    if (t->count == t->size) {
        size_t size = t->size ? 2 * t->size : 64;
        if (size > MFS_TAGS_MAX)
            size = MFS_TAGS_MAX;
        uint8_t *bytes = size > t->size ? realloc(t->bytes, size * MFS_CHUNK_TAG_BYTES) : NULL;
        if (!bytes)
            return;
        t->bytes = bytes;
        t->size = size;
    }
    memcpy(t->bytes + t->count++ * MFS_CHUNK_TAG_BYTES, name->bytes, MFS_CHUNK_TAG_BYTES);
}

/* ---- the worker ---- */

static void on_found(void *ctx, const struct mfs_chunk_name *name)
{
    struct mfs_chunks *x = ctx;
    pthread_mutex_lock(&x->mu);
    tags_add(&x->have, name);
    pthread_mutex_unlock(&x->mu);
}

static int open_and_scan(struct mfs_chunks *x)
{
    struct err e = { "" };
    struct mfs_store_opts o = { .dir = x->dir };
    int rc = mfs_store_open(&o, &x->store, &e);
    if (rc == 0 && (rc = mfs_store_scan(x->store, on_found, x, NULL)) < 0)
        err_set(&e, -rc, "look through the cache");
    pthread_mutex_lock(&x->mu);
    if (rc < 0)
        x->why_off = e;
    pthread_mutex_unlock(&x->mu);
    return rc;
}

static void load_one(struct mfs_chunks *x, struct mfs_chunk_load *l)
{
    ssize_t n = mfs_store_load(x->store, &l->name, x->scratch);
    if (n >= 0 && (n != (ssize_t)l->len_bytes || l->first > (size_t)n ||
                   l->part_bytes > (size_t)n - l->first))
        n = -EBADMSG;
    if (n >= 0)
        memcpy(l->to, x->scratch + l->first, l->part_bytes);
    l->sample = n >= MFS_SEEN_FROM ? mfs_seen_sample(x->scratch, (size_t)n) : 0;
    l->rc = n < 0 ? (int)n : 0;
    pthread_mutex_lock(&x->mu);
    if (l->rc == 0) {
        x->stats.used++;
        x->stats.used_bytes += l->part_bytes;
    } else {
        x->stats.missed++;
        x->stats.damaged += l->rc == -EBADMSG;
        tags_add(&x->gone, &l->name);
    }
    list_push_back(&x->done, &l->link);
    pthread_mutex_unlock(&x->mu);
    uint64_t one = 1;
    ssize_t written = write(x->done_fd, &one, sizeof one);
    (void)written; /* full means that it is readable */
}

static void keep_one(struct mfs_chunks *x, struct keeping *k)
{
    int rc = mfs_store_add(x->store, &k->name, k->bytes, k->len_bytes);
    pthread_mutex_lock(&x->mu);
    x->keep_count--;
    if (rc == 0) {
        x->stats.kept++;
        tags_add(&x->have, &k->name);
    } else {
        x->stats.left_out++;
    }
    pthread_mutex_unlock(&x->mu);
    free(k);
}

/* One thing to do, loads first: somebody waits for them. False: the end. */
static bool next_work(struct mfs_chunks *x, struct mfs_chunk_load **l, struct keeping **k)
{
    *l = NULL;
    *k = NULL;
    pthread_mutex_lock(&x->mu);
    while (!x->is_ending && list_is_empty(&x->loads) && list_is_empty(&x->keeps))
        pthread_cond_wait(&x->has_work, &x->mu);
    bool is_ending = x->is_ending && (list_is_empty(&x->keeps) || clock_mono_ms() >= x->end_ms);
    if (!x->is_ending && !list_is_empty(&x->loads)) {
        *l = LIST_ENTRY(x->loads.next, struct mfs_chunk_load, link);
        list_remove(&(*l)->link);
    } else if (!is_ending) {
        *k = LIST_ENTRY(x->keeps.next, struct keeping, link);
        list_remove(&(*k)->link);
    }
    pthread_mutex_unlock(&x->mu);
    return !is_ending;
}

static void *worker(void *arg)
{
    struct mfs_chunks *x = arg;
    struct mfs_chunk_load *l;
    struct keeping *k;
    if (open_and_scan(x) == 0) {
        __atomic_store_n(&x->is_on, true, __ATOMIC_RELEASE);
        while (next_work(x, &l, &k)) {
            if (l)
                load_one(x, l);
            else
                keep_one(x, k);
        }
    }
    mfs_store_close(x->store);
    return NULL;
}

/* ---- the loop's side ---- */

static void on_done(void *ctx, uint32_t events)
{
    struct mfs_chunks *x = ctx;
    uint64_t count;
    ssize_t n = fd_read(x->done_fd, &count, sizeof count);
    (void)n;
    (void)events;
    for (;;) {
        pthread_mutex_lock(&x->mu);
        struct link *it = list_is_empty(&x->done) ? NULL : x->done.next;
        if (it)
            list_remove(it);
        pthread_mutex_unlock(&x->mu);
        if (!it)
            return;
        struct mfs_chunk_load *l = LIST_ENTRY(it, struct mfs_chunk_load, link);
        l->fn(l);
    }
}

static int start(struct mfs_chunks *x)
{
    sigset_t all, old;
    int rc = loop_fd_add(x->loop, &x->watch, x->done_fd, EPOLLIN, on_done, x);
    if (rc < 0)
        return rc;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    rc = -pthread_create(&x->thread, NULL, worker, x);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

static void dispose(struct mfs_chunks *x)
{
    loop_fd_del(&x->watch);
    fd_close(&x->done_fd);
    LIST_EACH(&x->keeps, it, nx)
    free(LIST_ENTRY(it, struct keeping, link));
    free(x->have.bytes);
    free(x->gone.bytes);
    for (size_t i = 0; i < ARRAY_LEN(x->told); i++)
        free(x->told[i].bytes);
    free(x->gather);
    free(x->dir);
    pthread_cond_destroy(&x->has_work);
    pthread_mutex_destroy(&x->mu);
    free(x);
}

int mfs_chunks_new(struct loop *loop, const char *dir, struct mfs_chunks **out)
{
    struct mfs_chunks *x = calloc(1, sizeof *x);
    if (!x)
        return -ENOMEM;
    x->loop = loop;
    pthread_mutex_init(&x->mu, NULL);
    pthread_cond_init(&x->has_work, NULL);
    list_init(&x->loads);
    list_init(&x->done);
    list_init(&x->keeps);
    x->dir = strdup(dir);
    x->gather = calloc(1, sizeof *x->gather);
    x->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = x->done_fd < 0 ? -errno : !x->dir || !x->gather ? -ENOMEM : start(x);
    if (rc < 0) {
        dispose(x);
        return rc;
    }
    *out = x;
    return 0;
}

void mfs_chunks_free(struct mfs_chunks *x)
{
    if (!x)
        return;
    pthread_mutex_lock(&x->mu);
    x->is_ending = true;
    x->end_ms = clock_mono_ms() + END_WAIT_MS;
    pthread_cond_signal(&x->has_work);
    pthread_mutex_unlock(&x->mu);
    pthread_join(x->thread, NULL);
    on_done(x, 0);
    while (!list_is_empty(&x->loads)) {
        struct mfs_chunk_load *l = LIST_ENTRY(x->loads.next, struct mfs_chunk_load, link);
        list_remove(&l->link);
        l->rc = -ECANCELED;
        l->fn(l);
    }
    dispose(x);
}

bool mfs_chunks_is_on(const struct mfs_chunks *x)
{
    return x && __atomic_load_n(&x->is_on, __ATOMIC_ACQUIRE);
}

void mfs_chunks_load(struct mfs_chunks *x, struct mfs_chunk_load *l)
{
    pthread_mutex_lock(&x->mu);
    list_push_back(&x->loads, &l->link);
    pthread_cond_signal(&x->has_work);
    pthread_mutex_unlock(&x->mu);
}

const uint8_t *mfs_chunks_keep(struct mfs_chunks *x, const struct mfs_chunk_rec *rec,
                               size_t first, const uint8_t *part, size_t len_bytes)
{
    const uint8_t *whole = first == 0 && len_bytes == rec->len_bytes
                               ? part
                               : mfs_gather_add(x->gather, rec, first, part, len_bytes);
    struct keeping *k = whole ? malloc(sizeof *k + rec->len_bytes) : NULL;
    if (!k)
        return whole;
    *k = (struct keeping){ .name = rec->name, .len_bytes = rec->len_bytes };
    memcpy(k->bytes, whole, rec->len_bytes);
    pthread_mutex_lock(&x->mu);
    bool has_room = x->keep_count < MFS_CHUNKS_WAITING_MAX;
    if (has_room) {
        x->keep_count++;
        list_push_back(&x->keeps, &k->link);
        pthread_cond_signal(&x->has_work);
    } else {
        x->stats.left_out++;
    }
    pthread_mutex_unlock(&x->mu);
    if (!has_room)
        free(k);
    return whole;
}

/* What t has becomes the view; t starts anew. */
static struct bytes hand_out(struct tags *t, struct tags *told)
{
    struct tags spare = *told;
    spare.count = 0;
    *told = *t;
    *t = spare;
    return (struct bytes){ told->bytes, (uint32_t)(told->count * MFS_CHUNK_TAG_BYTES) };
}

void mfs_chunks_tags(struct mfs_chunks *x, struct bytes *have, struct bytes *gone)
{
    pthread_mutex_lock(&x->mu);
    *have = hand_out(&x->have, &x->told[0]);
    *gone = hand_out(&x->gone, &x->told[1]);
    pthread_mutex_unlock(&x->mu);
}

void mfs_chunks_stats(struct mfs_chunks *x, struct mfs_chunks_stats *out)
{
    pthread_mutex_lock(&x->mu);
    *out = x->stats;
    pthread_mutex_unlock(&x->mu);
}

void mfs_chunks_why_off(struct mfs_chunks *x, char *text, size_t size_bytes)
{
    pthread_mutex_lock(&x->mu);
    snprintf(text, size_bytes, "%s", x->why_off.text);
    pthread_mutex_unlock(&x->mu);
}
