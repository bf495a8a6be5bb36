/* SPDX-License-Identifier: GPL-2.0-or-later */
/* held.c: which ranges of which files a lock owner holds.
 * Must not know: the kernel's locks, threads.
 * Invariant: ranges of one file do not overlap. */
#include "mrcfs/server/held.h"

#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stdlib.h>

static bool is_same_file(const struct mfs_held *a, const struct mfs_held *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

static bool overlaps(const struct mfs_held *a, const struct mfs_held *b)
{
    return is_same_file(a, b) && a->start <= b->end && b->start <= a->end;
}

static void add(struct mfs_held **list, const struct mfs_held *what)
{
    struct mfs_held *h = malloc(sizeof *h);
    if (!h)
        return;
    *h = *what;
    h->next = *list;
    *list = h;
}

/* Ranges that become one. */
static bool joins(const struct mfs_held *a, const struct mfs_held *b)
{
    return is_same_file(a, b) && a->type == b->type && a->pid == b->pid &&
           (overlaps(a, b) || (a->end != UINT64_MAX && a->end + 1 == b->start) ||
            (b->end != UINT64_MAX && b->end + 1 == a->start));
}

void mfs_held_set(struct mfs_held **list, const struct mfs_held *what)
{
    struct mfs_held new = *what, tail;
    bool has_tail = false;
    unsigned count = 0;
    for (struct mfs_held **at = list, *h; (h = *at);) {
        bool is_gone = false;
        if (new.type != MFS_LOCK_UN && joins(h, &new)) {
            new.start = h->start < new.start ? h->start : new.start;
            new.end = h->end > new.end ? h->end : new.end;
            is_gone = true;
        } else if (overlaps(h, &new)) {
            if (h->start < new.start && h->end > new.end) {
                tail = *h; /* split in two */
                tail.start = new.end + 1;
                h->end = new.start - 1;
                has_tail = true;
            } else if (h->start < new.start) {
                h->end = new.start - 1;
            } else if (h->end > new.end) {
                h->start = new.end + 1;
            } else {
                is_gone = true;
            }
        }
        if (is_gone) {
            *at = h->next;
            free(h);
        } else {
            at = &h->next;
            count++;
        }
    }
    if (has_tail && count < MFS_HELD_MAX)
        add(list, &tail);
    if (new.type != MFS_LOCK_UN && count < MFS_HELD_MAX)
        add(list, &new);
}

void mfs_held_drop_file(struct mfs_held **list, uint64_t dev, uint64_t ino)
{
    struct mfs_held all = { .dev = dev, .ino = ino, .end = UINT64_MAX, .type = MFS_LOCK_UN };
    mfs_held_set(list, &all);
}

const struct mfs_held *mfs_held_find(const struct mfs_held *list, const struct mfs_held *what)
{
    for (const struct mfs_held *h = list; h; h = h->next)
        if (overlaps(h, what))
            return h;
    return NULL;
}

void mfs_held_free(struct mfs_held **list)
{
    while (*list) {
        struct mfs_held *h = *list;
        *list = h->next;
        free(h);
    }
}
