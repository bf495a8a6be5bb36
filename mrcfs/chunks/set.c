/* SPDX-License-Identifier: GPL-2.0-or-later */
/* set.c: open addressing; removing closes the gap, so that no search ends too early.
 * Must not know: what the tags are of. */
#include "mrcfs/chunks/set.h"

enum { MASK = MFS_CHUNK_SET_SLOTS - 1 };

static uint32_t home_of(uint32_t tag)
{
    return (tag * 2654435761u) >> 16 & MASK;
}

/* The slot that has the tag, or where it would go. */
static uint32_t slot_of(const struct mfs_chunk_set *s, uint32_t tag)
{
    uint32_t i = home_of(tag);
    while (s->slots[i] && s->slots[i] != tag)
        i = (i + 1) & MASK;
    return i;
}

bool mfs_chunk_set_add(struct mfs_chunk_set *s, uint32_t tag)
{
    uint32_t i = slot_of(s, tag);
    if (!tag || s->slots[i] == tag)
        return true;
    if (s->count == MFS_CHUNK_SET_MAX)
        return false;
    s->slots[i] = tag;
    s->count++;
    return true;
}

void mfs_chunk_set_remove(struct mfs_chunk_set *s, uint32_t tag)
{
    uint32_t gap = slot_of(s, tag);
    if (!tag || s->slots[gap] != tag)
        return;
    s->count--;
    s->slots[gap] = 0;
    for (uint32_t i = (gap + 1) & MASK; s->slots[i]; i = (i + 1) & MASK) {
        uint32_t home = home_of(s->slots[i]);
        if (((i - home) & MASK) < ((i - gap) & MASK))
            continue; /* it is behind the gap because it belongs there */
        s->slots[gap] = s->slots[i];
        s->slots[i] = 0;
        gap = i;
    }
}

bool mfs_chunk_set_has(const struct mfs_chunk_set *s, uint32_t tag)
{
    return tag && s->slots[slot_of(s, tag)] == tag;
}
