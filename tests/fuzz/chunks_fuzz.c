/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chunks_fuzz.c: any bytes as the answer to a fetch. The first eight are the range's offset (48
 * bits) and size (in units of 16). What passes the check can be taken apart without looking out
 * of bounds. */
#include "mrcfs/chunks/chunk.h"
#include "mrcfs/chunks/gather.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

enum { PARTS_MAX = (1 << 20) / MFS_CHUNK_BYTES + 2 };

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    static struct mfs_gather gather;
    struct rd r = rd_of(ptr, len_bytes);
    uint64_t range;
    uint16_t count;
    size_t total, done = 0, parts = 0;
    if (get_u64(&r, &range) < 0)
        return 0;
    uint64_t offset = range & 0xffffffffffffu;
    size_t size = (size_t)(range >> 48) * 16;
    if (mfs_chunk_answer_check(r, offset, size, &total) < 0)
        return 0;
    if (total > size || get_u16(&r, &count) < 0)
        abort();
    struct rd bytes = rd_of(r.at + count * (size_t)MFS_CHUNK_REC_BYTES, 0);
    bytes.end = r.end;
    for (uint64_t index = offset / MFS_CHUNK_BYTES; count; count--, index++) {
        struct mfs_chunk_rec x;
        if (mfs_chunk_rec_get(&r, &x) < 0)
            abort();
        size_t first, part = mfs_chunk_part(index, x.len_bytes, offset, size, &first);
        if (first > x.len_bytes || part > x.len_bytes - first)
            abort();
        parts += part != 0;
        done += part;
        if (x.flags & MFS_CHUNK_KNOWN)
            continue;
        if (part > rd_left(&bytes))
            abort();
        mfs_gather_add(&gather, &x, first, bytes.at, part);
        bytes.at += part;
    }
    if (done != total || rd_left(&bytes) || parts > PARTS_MAX)
        abort();
    return 0;
}
