/* SPDX-License-Identifier: GPL-2.0-or-later */
/* set.h: which chunks the other side is taken to have, by their tags.
 * Must not know: why. A tag may stand for several names: who is taken to have a chunk and has
 * not, says so. */
#ifndef MRCFS_CHUNKS_SET_H
#define MRCFS_CHUNKS_SET_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MFS_CHUNK_SET_MAX = 48 * 1024, /* tags; the largest cache has a third of that */
    MFS_CHUNK_SET_SLOTS = 64 * 1024,
};

/* 0 is a slot without a tag: tag 0 is never in the set. */
struct mfs_chunk_set {
    uint32_t count;
    uint32_t slots[MFS_CHUNK_SET_SLOTS];
};

/* False: the set is full. */
bool mfs_chunk_set_add(struct mfs_chunk_set *s, uint32_t tag);
void mfs_chunk_set_remove(struct mfs_chunk_set *s, uint32_t tag);
bool mfs_chunk_set_has(const struct mfs_chunk_set *s, uint32_t tag);

#endif
