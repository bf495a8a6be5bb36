/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gather.h: chunks that come in parts, until they are whole.
 * Must not know: where parts come from. Memory is the caller's. */
#ifndef MRCFS_CHUNKS_GATHER_H
#define MRCFS_CHUNKS_GATHER_H

#include "mrcfs/chunks/chunk.h"

enum {
    MFS_GATHER_MAX = 16, /* chunks that are not whole: 2 MiB */
    MFS_GATHER_PAGE = 4 << 10,
};

/* Zeroed: nothing is there. */
struct mfs_gather {
    uint64_t tick;
    struct {
        struct mfs_chunk_name name;
        uint32_t len_bytes;
        uint32_t pages; /* a bit for each that is there */
        uint64_t used;  /* 0: the slot is free */
    } slots[MFS_GATHER_MAX];
    uint8_t bytes[MFS_GATHER_MAX][MFS_CHUNK_BYTES];
};

/* A part of the chunk, from `first` in it. Returns the whole chunk's bytes when this was the
 * last that was missing (to be used before the next call), or NULL. The chunk that got a part
 * longest ago makes room. */
const uint8_t *mfs_gather_add(struct mfs_gather *g, const struct mfs_chunk_rec *x, size_t first,
                              const uint8_t *part, size_t len_bytes);

#endif
