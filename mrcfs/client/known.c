/* SPDX-License-Identifier: GPL-2.0-or-later */
/* known.c: what one session knows of the nodes that its kernel knows.
 * Must not know: FUSE, the connection. No I/O. */
#include "mrcfs/client/known.h"

#include "mrcfs/client/content.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 256 };

static struct link *buckets_new(size_t count)
{
    struct link *b = calloc(count, sizeof *b);
    for (size_t i = 0; b && i < count; i++)
        list_init(&b[i]);
    return b;
}

static struct link *bucket_of(const struct mfs_known_table *t, uint64_t number)
{
    /* Numbers are handed out in turn: the multiplication spreads those of one directory. */
    uint64_t mixed = number * UINT64_C(0x9E3779B97F4A7C15);
    return &t->buckets[(mixed >> 32) & (t->bucket_count - 1)];
}

int mfs_known_table_init(struct mfs_known_table *t)
{
    *t = (struct mfs_known_table){ .buckets = buckets_new(FIRST_BUCKETS) };
    if (!t->buckets)
        return -ENOMEM;
    t->bucket_count = FIRST_BUCKETS;
    list_init(&t->unused);
    return 0;
}

void mfs_known_table_fini(struct mfs_known_table *t)
{
    for (size_t i = 0; i < t->bucket_count; i++) {
        LIST_EACH(&t->buckets[i], it, nx)
        {
            struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, link);
            free(n->target);
            if (n->content)
                mfs_content_fini(n->content);
            free(n->content);
            free(n);
        }
    }
    free(t->buckets);
    *t = (struct mfs_known_table){ 0 };
}

/* Doubles the table; without memory it stays as it is and only gets slower. */
static void grow(struct mfs_known_table *t)
{
    struct mfs_known_table bigger = { .buckets = buckets_new(t->bucket_count * 2),
                                      .bucket_count = t->bucket_count * 2 };
    if (!bigger.buckets)
        return;
    for (size_t i = 0; i < t->bucket_count; i++) {
        LIST_EACH(&t->buckets[i], it, nx)
        {
            struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, link);
            list_remove(it);
            list_push_back(bucket_of(&bigger, n->number), it);
        }
    }
    free(t->buckets);
    t->buckets = bigger.buckets;
    t->bucket_count = bigger.bucket_count;
}

struct mfs_known *mfs_known_find(const struct mfs_known_table *t, uint64_t number)
{
    if (!t->bucket_count) /* its session has ended */
        return NULL;
    LIST_EACH(bucket_of(t, number), it, nx)
    {
        struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, link);
        if (n->number == number)
            return n;
    }
    return NULL;
}

struct mfs_known *mfs_known_enter(struct mfs_known_table *t, uint64_t number)
{
    struct mfs_known *n = mfs_known_find(t, number);
    if (!n) {
        n = calloc(1, sizeof *n);
        if (!n)
            return NULL;
        if (t->count >= t->bucket_count)
            grow(t);
        n->number = number;
        list_init(&n->waiting);
        list_init(&n->reopen_waiting);
        list_init(&n->dentries);
        list_push_back(bucket_of(t, number), &n->link);
        t->count++;
    }
    n->server_count++;
    return n;
}

struct mfs_known *mfs_known_look_up(struct mfs_known_table *t, uint64_t number)
{
    struct mfs_known *n = mfs_known_enter(t, number);
    if (n)
        n->nlookup++;
    return n;
}

void mfs_known_drop_unused(struct mfs_known_table *t, struct mfs_known *n)
{
    if (!n || n->nlookup || n->names || n->is_going || !t->buckets)
        return;
    if (!link_is_in(&n->unused))
        list_push_back(&t->unused, &n->unused);
    if (t->is_freeing)
        return; /* on_unused has called: it is done when that is */
    t->is_freeing = true;
    while (!list_is_empty(&t->unused)) {
        n = LIST_ENTRY(t->unused.next, struct mfs_known, unused);
        list_remove(&n->unused);
        if (n->nlookup || n->names)
            continue;
        n->is_going = true;
        if (t->on_unused)
            t->on_unused(t->ctx, n);
        list_remove(&n->link);
        list_remove(&n->again);
        list_remove(&n->unused);
        free(n->target);
        free(n);
        t->count--;
    }
    t->is_freeing = false;
}

void mfs_known_forget(struct mfs_known_table *t, uint64_t number, uint64_t nlookup)
{
    struct mfs_known *n = mfs_known_find(t, number);
    if (!n)
        return;
    n->nlookup -= nlookup < n->nlookup ? nlookup : n->nlookup;
    mfs_known_drop_unused(t, n);
}

bool mfs_known_may_keep_pages(struct mfs_known *n, const struct mfs_attr *a)
{
    bool is_same = n->has_stamp && n->mtime_sec == a->mtime_sec &&
                   n->mtime_nsec == a->mtime_nsec && n->ctime_sec == a->ctime_sec &&
                   n->ctime_nsec == a->ctime_nsec && n->size == a->size;
    if (is_same)
        return true;
    n->has_stamp = !(a->flags & MFS_ATTR_RECENT);
    n->mtime_sec = a->mtime_sec;
    n->mtime_nsec = a->mtime_nsec;
    n->ctime_sec = a->ctime_sec;
    n->ctime_nsec = a->ctime_nsec;
    n->size = a->size;
    return false;
}
