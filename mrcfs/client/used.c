/* SPDX-License-Identifier: GPL-2.0-or-later */
/* used.c: notes what the kernel asks for, and writes it as a profile.
 * Must not know: FUSE, where profiles are kept. */
#include "mrcfs/client/warm.h"

#include "common/base/list.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/session.h"
#include "mrcfs/profile/profile.h"

#include <stdlib.h>
#include <sys/stat.h>

/* So many names of one directory are worth its list. */
enum { LIST_FROM = 4 };

void mfs_used(const struct mfs_session *s, struct mfs_known *n, uint8_t flags)
{
    struct mfs_client *c = s->client;
    if (!n)
        return;
    if (n->used_at < c->use_start) {
        n->used = 0;
        n->used_at = ++c->use_count;
    }
    n->used |= flags;
}

static bool was_used(const struct mfs_known *n, uint32_t since)
{
    return n && n->used_at >= since;
}

static size_t used_names(const struct mfs_known *dir, uint32_t since)
{
    size_t count = 0;
    LIST_EACH(&dir->dentries, it, nx)
    count += was_used(LIST_ENTRY(it, struct mfs_dentry, in_dir)->node, since);
    return count;
}

/* Files that were opened, by when. */
struct opens {
    size_t count;
    uint32_t *at;
};

static int by_time(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void find_opens(const struct mfs_session *s, uint32_t since, struct opens *o)
{
    o->at = calloc(s->nodes.count + 1, sizeof *o->at);
    for (size_t i = 0; o->at && i < s->nodes.bucket_count; i++) {
        LIST_EACH(&s->nodes.buckets[i], it, nx)
        {
            const struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, link);
            if (was_used(n, since) && n->used & MFS_PROFILE_OPEN)
                o->at[o->count++] = n->used_at;
        }
    }
    if (o->count)
        qsort(o->at, o->count, sizeof *o->at, by_time);
    if (o->count > MFS_PROFILE_OPENS_MAX)
        o->count = MFS_PROFILE_OPENS_MAX;
}

/* What a profile says of n. */
static struct mfs_profile_entry entry_of(const struct mfs_known *n, uint32_t since,
                                         const struct opens *o)
{
    struct mfs_profile_entry e = { .flags = n->used & MFS_PROFILE_LINK };
    const uint32_t *turn = o->count && n->used & MFS_PROFILE_OPEN
                               ? bsearch(&n->used_at, o->at, o->count, sizeof *o->at, by_time)
                               : NULL;
    if (turn) {
        e.flags |= MFS_PROFILE_OPEN;
        e.turn = (uint16_t)(turn - o->at);
    }
    bool is_list = n->used & (MFS_PROFILE_LIST | MFS_USED_ABSENT);
    if (n->list_over < MFS_LIST_AHEAD_BYTES && (is_list || used_names(n, since) >= LIST_FROM))
        e.flags |= MFS_PROFILE_LIST;
    return e;
}

/* A directory whose names are to be written. */
struct place {
    const struct mfs_known *dir;
    uint16_t number;
    bool is_listed; /* its names come by its list, or as the job reads it, if it is too long for
                       one */
};

static struct place place_of(const struct mfs_known *dir, size_t number,
                             const struct mfs_profile_entry *e)
{
    return (struct place){ dir, (uint16_t)number, (e->flags | dir->used) & MFS_PROFILE_LIST };
}

/* The used names of at, with those that are directories at the queue's end. False: there is no
 * room for more. */
static bool put_names(const struct mfs_session *s, const struct place *at, uint32_t since,
                      const struct opens *o, struct wr *w, size_t *count, struct place *queue,
                      size_t *end)
{
    LIST_EACH(&at->dir->dentries, it, nx)
    {
        const struct mfs_dentry *d = LIST_ENTRY(it, struct mfs_dentry, in_dir);
        if (!was_used(d->node, since) || d->node->number == s->root)
            continue;
        struct mfs_profile_entry e = entry_of(d->node, since, o);
        bool is_dir = S_ISDIR(d->node->attr.mode);
        if (!is_dir && !e.flags && at->is_listed)
            continue; /* it comes with the list */
        e.parent = at->number;
        e.name = (struct bytes){ d->name, d->len };
        if (is_dir && *count < MFS_PROFILE_ENTRIES_MAX)
            queue[(*end)++] = place_of(d->node, *count, &e);
        if (!mfs_profile_put(w, count, &e))
            return false;
    }
    return true;
}

void mfs_used_put(const struct mfs_session *s, uint32_t since, struct wr *w, size_t *count)
{
    struct opens o = { 0 };
    struct place *queue = calloc(MFS_PROFILE_ENTRIES_MAX, sizeof *queue);
    size_t first = 0, end = 0, number = *count;
    const struct mfs_known *root = mfs_known_find(&s->nodes, s->root);
    find_opens(s, since, &o);
    if (queue && root) {
        struct mfs_profile_entry e = entry_of(root, since, &o);
        e.parent = MFS_PROFILE_ROOT;
        e.name = bytes_of(s->client->exports[s->export_number].path);
        if (mfs_profile_put(w, count, &e))
            queue[end++] = place_of(root, number, &e);
    }
    while (first < end && put_names(s, &queue[first], since, &o, w, count, queue, &end))
        first++;
    free(queue);
    free(o.at);
}
