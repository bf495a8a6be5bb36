/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dentries.c: a hash table of names, and directories in the order of their last use.
 * Must not know: FUSE, the connection, time. No I/O. */
#include "mrcfs/client/dentries.h"
#include "mrcfs/ops.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FIRST_BUCKETS = 1024 };

static uint32_t hash_of(const struct mfs_known *dir, struct bytes name)
{
    uint64_t x = dir->number * UINT64_C(0x9E3779B97F4A7C15) ^ name.len;
    for (uint32_t i = 0; i < name.len; i++)
        x = (x ^ name.ptr[i]) * UINT64_C(0x100000001B3);
    return (uint32_t)(x ^ x >> 32);
}

static struct link *buckets_new(size_t count)
{
    struct link *b = calloc(count, sizeof *b);
    for (size_t i = 0; b && i < count; i++)
        list_init(&b[i]);
    return b;
}

int mfs_dentries_init(struct mfs_dentries *t, struct mfs_known_table *nodes)
{
    *t = (struct mfs_dentries){ .nodes = nodes,
                                .buckets = buckets_new(FIRST_BUCKETS),
                                .bucket_count = FIRST_BUCKETS,
                                .max = MFS_DENTRIES_MAX };
    list_init(&t->dirs);
    return t->buckets ? 0 : -ENOMEM;
}

static struct mfs_dentry *dentry_of(struct link *by_name)
{
    return LIST_ENTRY(by_name, struct mfs_dentry, by_name);
}

void mfs_dentries_fini(struct mfs_dentries *t)
{
    for (size_t i = 0; t->buckets && i < t->bucket_count; i++) {
        LIST_EACH(&t->buckets[i], it, nx)
        free(dentry_of(it));
    }
    free(t->buckets);
    *t = (struct mfs_dentries){ 0 };
}

/* Doubles the table; without memory it stays as it is and only gets slower. */
static void grow(struct mfs_dentries *t)
{
    size_t count = t->bucket_count * 2;
    struct link *bigger = buckets_new(count);
    if (!bigger)
        return;
    for (size_t i = 0; i < t->bucket_count; i++) {
        LIST_EACH(&t->buckets[i], it, nx)
        {
            list_remove(it);
            list_push_back(&bigger[dentry_of(it)->hash & (count - 1)], it);
        }
    }
    free(t->buckets);
    t->buckets = bigger;
    t->bucket_count = count;
}

static struct mfs_dentry *find(const struct mfs_dentries *t, const struct mfs_known *dir,
                               struct bytes name, uint32_t hash)
{
    if (!t->buckets)
        return NULL;
    LIST_EACH(&t->buckets[hash & (t->bucket_count - 1)], it, nx)
    {
        struct mfs_dentry *d = dentry_of(it);
        if (d->hash == hash && d->dir == dir && d->len == name.len &&
            !memcmp(d->name, name.ptr, name.len))
            return d;
    }
    return NULL;
}

const struct mfs_dentry *mfs_dentry_of(const struct mfs_dentries *t, const struct mfs_known *node)
{
    for (size_t i = 0; i < t->bucket_count; i++) {
        LIST_EACH(&t->buckets[i], it, nx)
        if (dentry_of(it)->node == node)
            return dentry_of(it);
    }
    return NULL;
}

const struct mfs_dentry *mfs_dentry_find(const struct mfs_dentries *t,
                                         const struct mfs_known *dir, struct bytes name)
{
    return find(t, dir, name, hash_of(dir, name));
}

static void unname(struct mfs_dentries *t, struct mfs_known *node)
{
    if (node)
        node->names--;
    mfs_known_drop_unused(t->nodes, node);
}

static void drop(struct mfs_dentries *t, struct mfs_dentry *d)
{
    struct mfs_known *dir = d->dir, *node = d->node;
    list_remove(&d->by_name);
    list_remove(&d->in_dir);
    if (node && node != dir && node->names == 1 && t->on_nameless)
        t->on_nameless(t->ctx, dir, (struct bytes){ d->name, d->len }, node);
    free(d);
    t->count--;
    if (list_is_empty(&dir->dentries))
        list_remove(&dir->with_dentries);
    if (node != dir) /* "." of a broken file system: its own name keeps nothing */
        unname(t, node);
}

/* The directory that was not used for longest loses its names; it may become unknown. */
static void drop_oldest(struct mfs_dentries *t, const struct mfs_known *but)
{
    LIST_EACH(&t->dirs, it, nx)
    {
        struct mfs_known *dir = LIST_ENTRY(it, struct mfs_known, with_dentries);
        if (dir != but) {
            dir->is_shed = true;
            mfs_dentries_drop(t, dir);
            return;
        }
    }
}

void mfs_dentry_set(struct mfs_dentries *t, struct mfs_known *dir, struct bytes name,
                    struct mfs_known *node)
{
    uint32_t hash = hash_of(dir, name);
    struct mfs_dentry *d = find(t, dir, name, hash);
    if (!d) {
        if (!t->buckets || node == dir)
            return;
        if (node)
            node->names++; /* it must not go with the oldest */
        if (t->count >= t->max)
            drop_oldest(t, dir);
        if (node)
            node->names--;
        d = malloc(sizeof *d + name.len);
        if (!d) {
            mfs_known_drop_unused(t->nodes, node);
            return;
        }
        *d = (struct mfs_dentry){ .dir = dir, .node = node, .hash = hash, .len = name.len };
        memcpy(d->name, name.ptr, name.len);
        if (t->count >= t->bucket_count)
            grow(t);
        list_push_back(&t->buckets[hash & (t->bucket_count - 1)], &d->by_name);
        list_push_back(&dir->dentries, &d->in_dir);
        t->count++;
        if (node)
            node->names++;
    } else if (d->node != node) {
        struct mfs_known *before = d->node;
        d->node = node;
        if (node)
            node->names++;
        unname(t, before);
    }
    list_remove(&dir->with_dentries);
    list_push_back(&t->dirs, &dir->with_dentries);
}

void mfs_dentries_touch(struct mfs_dentries *t, struct mfs_known *dir)
{
    if (!link_is_in(&dir->with_dentries) || t->dirs.prev == &dir->with_dentries)
        return;
    list_remove(&dir->with_dentries);
    list_push_back(&t->dirs, &dir->with_dentries);
}

void mfs_dentry_drop(struct mfs_dentries *t, struct mfs_known *dir, struct bytes name)
{
    struct mfs_dentry *d = find(t, dir, name, hash_of(dir, name));
    mfs_listing_drop(dir);
    dir->is_complete = false;
    if (d)
        drop(t, d);
}

void mfs_dentries_drop(struct mfs_dentries *t, struct mfs_known *dir)
{
    mfs_listing_drop(dir);
    dir->is_complete = false;
    dir->names++; /* it stays until the last name is gone */
    while (!list_is_empty(&dir->dentries))
        drop(t, LIST_ENTRY(dir->dentries.next, struct mfs_dentry, in_dir));
    dir->names--;
    mfs_known_drop_unused(t->nodes, dir);
}

/* ---- listings ---- */

void mfs_listing_done(struct mfs_listing *l)
{
    if (l && --l->users == 0)
        free(l);
}

void mfs_listing_drop(struct mfs_known *dir)
{
    mfs_listing_done(dir->listing);
    dir->listing = NULL;
}

struct mfs_listing *mfs_listing_new(struct bytes bytes)
{
    struct mfs_listing *l = malloc(sizeof *l + bytes.len);
    if (!l)
        return NULL;
    l->users = 1;
    l->len = bytes.len;
    if (bytes.len)
        memcpy(l->bytes, bytes.ptr, bytes.len);
    return l;
}

void mfs_listing_set(struct mfs_known *dir, struct bytes bytes)
{
    mfs_listing_drop(dir);
    struct mfs_listing *l = mfs_listing_new(bytes);
    if (!l)
        return;
    dir->listing = l;
    dir->is_complete = true;
    dir->is_shed = false;
}

static bool put_name(struct wr *w, struct bytes name, const struct mfs_known *n, uint64_t *cookie)
{
    if (!n->attr.ino || !n->attr.mode)
        return false;
    mfs_dirent_put(w, &(struct mfs_dirent){ .next_cookie = ++*cookie,
                                            .name = name,
                                            .type = IFTODT(n->attr.mode),
                                            .ino = n->shown_ino ? n->shown_ino : n->attr.ino });
    return !w->is_full;
}

bool mfs_dentries_list(const struct mfs_known *dir, const struct mfs_known *parent, struct wr *w)
{
    uint64_t cookie = 0;
    if (!put_name(w, bytes_of("."), dir, &cookie) || !put_name(w, bytes_of(".."), parent, &cookie))
        return false;
    LIST_EACH(&dir->dentries, it, nx)
    {
        const struct mfs_dentry *d = LIST_ENTRY(it, struct mfs_dentry, in_dir);
        if (!d->node)
            continue;
        if (cookie > 2 || !put_name(w, (struct bytes){ d->name, d->len }, d->node, &cookie))
            return false;
    }
    return true;
}

struct mfs_listing *mfs_listing_use(struct mfs_known *dir)
{
    if (dir->listing)
        dir->listing->users++;
    return dir->listing;
}
