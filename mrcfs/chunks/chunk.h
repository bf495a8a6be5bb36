/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chunk.h: pieces of files that are named by their contents: sizes, names, records on the wire.
 * Must not know: files, sockets, how names are computed. Source: docs/chunks.md. */
#ifndef MRCFS_CHUNKS_CHUNK_H
#define MRCFS_CHUNKS_CHUNK_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MFS_CHUNK_BYTES =
        128 << 10,             /* from a multiple of it in the file; the last may be shorter */
    MFS_CHUNK_NAME_BYTES = 32, /* BLAKE2b of the contents */
    MFS_CHUNK_TAG_BYTES = 4,   /* the first bytes of a name: what is said of what is there */
    MFS_CHUNK_REC_BYTES = 1 + 4 + MFS_CHUNK_NAME_BYTES,
    MFS_CHUNKS_AHEAD_MAX = 64, /* names that an answer may have beyond what was asked for */
};

struct mfs_chunk_name {
    uint8_t bytes[MFS_CHUNK_NAME_BYTES];
};

enum {
    MFS_CHUNK_NAMED = 1 << 0, /* name is the contents' */
    MFS_CHUNK_KNOWN = 1 << 1, /* … and the client should have it: not in the answer */
    MFS_CHUNK_AHEAD = 1 << 2, /* beyond what was asked for; KNOWN, too */
};

/* One chunk in an answer; len_bytes: of the whole chunk, shorter than MFS_CHUNK_BYTES at the
 * file's end. */
struct mfs_chunk_rec {
    uint8_t flags;
    uint32_t len_bytes;
    struct mfs_chunk_name name;
};

void mfs_chunk_rec_put(struct wr *w, const struct mfs_chunk_rec *x);
/* Returns 0, or -EPROTO: too short, flags that contradict each other, a length out of bounds.
 */
MUST int mfs_chunk_rec_get(struct rd *r, struct mfs_chunk_rec *x);

uint32_t mfs_chunk_tag(const struct mfs_chunk_name *name);

/* The part of chunk number `index` that [offset, offset + size) covers: from *first in the
 * chunk, returns how many bytes, given that the chunk has len_bytes. */
size_t mfs_chunk_part(uint64_t index, size_t len_bytes, uint64_t offset, size_t size,
                      size_t *first);

/* Is this the body of an answer to a fetch of [offset, offset + size) as it has to be: records
 * that follow each other and touch the range, then some ahead, nothing after the file's end,
 * and exactly the bytes that are not known? Returns 0 with how many bytes of the range it
 * stands for, at most size; or -EPROTO. */
MUST int mfs_chunk_answer_check(struct rd r, uint64_t offset, size_t size, size_t *total);

#endif
