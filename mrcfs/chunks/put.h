/* SPDX-License-Identifier: GPL-2.0-or-later */
/* put.h: writes of which the other side has parts already: what a put says, and which of the contents that
 * passed by lately are in what is written. Must not know: files, sockets, how names are computed.
 * Source: docs/chunks.md, "Back". */
#ifndef MRCFS_CHUNKS_PUT_H
#define MRCFS_CHUNKS_PUT_H

#include "mrcfs/chunks/chunk.h"

enum {
    MFS_PUT_PARTS_MAX = 20, /* of one write of MFS_DATA_MAX: eight chunks, and what is between */
    MFS_PUT_PART_BYTES = 4 + 8 + 8 + MFS_CHUNK_NAME_BYTES,
    MFS_SEEN_MAX = 8192, /* chunks that are remembered: 1 GiB of contents, 0.5 MiB of memory */
    MFS_SEEN_WAYS = 8,
    MFS_SEEN_FROM = 4096, /* shorter ones are not worth it */
};

/* A part of a write, in order. fh 0: its bytes are in the body; else the chunk of that name, which was at offset of
 * the open file fh. */
struct mfs_put_part {
    uint32_t len_bytes;
    uint64_t fh, offset;
    struct mfs_chunk_name name;
};

void mfs_put_part_put(struct wr *w, const struct mfs_put_part *x);
/* Returns 0, or -EPROTO: too short, a length or an offset out of bounds. */
MUST int mfs_put_part_get(struct rd *r, struct mfs_put_part *x);

/* Are these the parts of a put with a body of so many bytes, of max_bytes at most in all? Returns how many there
 * are, with the bytes of all and of those that are named; or -EPROTO. */
MUST int mfs_put_check(struct bytes parts, size_t body_bytes, size_t max_bytes, size_t *total,
                       size_t *named);

/* ---- small writes ---- */

/* A write, or the rest of one, of len_bytes at offset, where a run of small ones ends at run_end (UINT64_MAX: there is none): how
 * much of it goes which way. A run begins where a chunk does and ends with it, so that it can be named. */
enum mfs_put_way { MFS_PUT_SEND, MFS_PUT_JOIN, MFS_PUT_BEGIN };
struct mfs_put_piece {
    enum mfs_put_way way;
    size_t len_bytes; /* not 0 if len_bytes was not */
};
struct mfs_put_piece mfs_put_piece_of(uint64_t run_end, uint64_t offset, size_t len_bytes);

/* ---- what was seen ---- */

/* Where a chunk was seen. */
struct mfs_seen_chunk {
    uint64_t sample; /* of its contents; 0: nothing is there */
    uint64_t node, index;
    uint32_t len_bytes;
    struct mfs_chunk_name name;
};

/* Zeroed: nothing was. Each sample has MFS_SEEN_WAYS slots; the one that was seen longest ago makes room. */
struct mfs_seen_table {
    struct mfs_seen_chunk slots[MFS_SEEN_MAX / MFS_SEEN_WAYS][MFS_SEEN_WAYS];
};

/* A number by a few of the bytes, never 0: the same for the same contents, probably another one for others. len_bytes at least MFS_SEEN_FROM. */
uint64_t mfs_seen_sample(const uint8_t *ptr, size_t len_bytes);
void mfs_seen_add(struct mfs_seen_table *t, const struct mfs_seen_chunk *x);
/* Of so many bytes with that sample; NULL: none. */
const struct mfs_seen_chunk *mfs_seen_find(const struct mfs_seen_table *t, uint64_t sample,
                                     size_t len_bytes);

#endif
