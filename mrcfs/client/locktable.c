/* SPDX-License-Identifier: GPL-2.0-or-later */
/* locktable.c: the advisory locks on one file.
 * Must not know: nodes, the connection, FUSE.
 * Invariant: one owner's record locks don't overlap, and those of one type don't touch; locks
 * of two owners that overlap are shared. */
#include "mrcfs/client/locktable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mfs_locktable_fini(struct mfs_locktable *t)
{
    free(t->at);
    *t = (struct mfs_locktable){ 0 };
}

static bool overlap(const struct mfs_lock_rec *a, const struct mfs_lock_rec *b)
{
    return a->start <= b->end && b->start <= a->end;
}

/* Do they overlap, or follow one another? */
static bool touch(const struct mfs_lock_rec *a, const struct mfs_lock_rec *b)
{
    return overlap(a, b) || (a->end != UINT64_MAX && a->end + 1 == b->start) ||
           (b->end != UINT64_MAX && b->end + 1 == a->start);
}

static bool is_in_the_way(const struct mfs_lock_rec *held, const struct mfs_lock_rec *want)
{
    return held->is_flock == want->is_flock && held->owner != want->owner &&
           (held->type == MFS_LOCK_WR || want->type == MFS_LOCK_WR) && overlap(held, want);
}

const struct mfs_lock_rec *mfs_locktable_test(const struct mfs_locktable *t,
                                              const struct mfs_lock_rec *want)
{
    for (size_t i = 0; i < t->count; i++)
        if (is_in_the_way(&t->at[i], want))
            return &t->at[i];
    return NULL;
}

/* Room for so many more. */
static int reserve(struct mfs_locktable *t, size_t more)
{
    if (t->count + more <= t->size)
        return 0;
    size_t size = t->size ? 2 * t->size : 8;
    size = size < t->count + more ? t->count + more : size;
    struct mfs_lock_rec *at = realloc(t->at, size * sizeof *at);
    if (!at)
        return -ENOLCK;
    t->at = at;
    t->size = size;
    return 0;
}

static void insert(struct mfs_locktable *t, size_t i, const struct mfs_lock_rec *l)
{
    memmove(&t->at[i + 1], &t->at[i], (t->count - i) * sizeof *t->at);
    t->at[i] = *l;
    t->count++;
}

static void take_out(struct mfs_locktable *t, size_t i)
{
    memmove(&t->at[i], &t->at[i + 1], (t->count - i - 1) * sizeof *t->at);
    t->count--;
}

static bool is_of(const struct mfs_lock_rec *held, const struct mfs_lock_rec *want)
{
    return held->is_flock == want->is_flock && held->owner == want->owner;
}

/* ---- flock ---- */

static int set_flock(struct mfs_locktable *t, const struct mfs_lock_rec *want)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!is_of(&t->at[i], want))
            continue;
        if (t->at[i].type == want->type)
            return 0;
        take_out(t, i);
        break;
    }
    if (want->type == MFS_LOCK_UN)
        return 0;
    if (mfs_locktable_test(t, want))
        return -EAGAIN;
    if (t->count >= MFS_LOCKTABLE_MAX || reserve(t, 1) < 0)
        return -ENOLCK;
    t->at[t->count++] = *want;
    return 0;
}

/* ---- record locks ---- */

/* How many there are more after want was set: -n to 2. */
static int growth(const struct mfs_locktable *t, const struct mfs_lock_rec *want)
{
    int more = want->type != MFS_LOCK_UN;
    for (size_t i = 0; i < t->count; i++) {
        const struct mfs_lock_rec *h = &t->at[i];
        if (!is_of(h, want))
            continue;
        if (h->type == want->type)
            more -= touch(h, want);
        else if (overlap(h, want))
            more += (h->start < want->start) + (h->end > want->end) - 1;
    }
    return more;
}

/* Where the owner's locks begin; the end of all record locks for a new one. */
static size_t place_of(const struct mfs_locktable *t, const struct mfs_lock_rec *want)
{
    size_t i = 0;
    while (i < t->count && !t->at[i].is_flock && t->at[i].owner != want->owner)
        i++;
    return i;
}

static int set_record(struct mfs_locktable *t, const struct mfs_lock_rec *want)
{
    if (want->type != MFS_LOCK_UN && mfs_locktable_test(t, want))
        return -EAGAIN;
    int more = growth(t, want);
    if ((more > 0 && t->count + (size_t)more > MFS_LOCKTABLE_MAX) || reserve(t, 2) < 0)
        return -ENOLCK;
    size_t i = place_of(t, want);
    struct mfs_lock_rec new = *want;
    while (i < t->count && is_of(&t->at[i], want)) {
        struct mfs_lock_rec *h = &t->at[i];
        bool is_joined = h->type == new.type &&touch(h, &new);
        if (is_joined || (overlap(h, &new) && h->start >= new.start && h->end <= new.end)) {
            if (is_joined) {
                new.start = h->start < new.start ? h->start : new.start;
                new.end = h->end > new.end ? h->end : new.end;
            }
            take_out(t, i);
        } else if (h->start > new.end) {
            break;
        } else if (overlap(h, &new) && h->start < new.start && h->end > new.end) {
            struct mfs_lock_rec tail = *h;
            tail.start = new.end + 1;
            h->end = new.start - 1;
            insert(t, ++i, &tail);
            break;
        } else if (overlap(h, &new) && h->start < new.start) {
            h->end = new.start - 1;
            i++;
        } else if (overlap(h, &new)) {
            h->start = new.end + 1;
            break;
        } else {
            i++;
        }
    }
    if (new.type != MFS_LOCK_UN)
        insert(t, i, &new);
    return 0;
}

int mfs_locktable_set(struct mfs_locktable *t, const struct mfs_lock_rec *want)
{
    return want->is_flock ? set_flock(t, want) : set_record(t, want);
}

/* ---- ends ---- */

void mfs_locktable_drop_owner(struct mfs_locktable *t, uint64_t owner)
{
    size_t left = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->at[i].is_flock || t->at[i].owner != owner)
            t->at[left++] = t->at[i];
    t->count = left;
}

void mfs_locktable_drop_file(struct mfs_locktable *t, uint64_t fh)
{
    size_t left = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->at[i].fh != fh)
            t->at[left++] = t->at[i];
    t->count = left;
}
