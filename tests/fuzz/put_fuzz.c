/* SPDX-License-Identifier: GPL-2.0-or-later */
/* put_fuzz.c: any bytes as the parts of a put. The first two are the body's length in units of 64, the next
 * the largest whole in units of 4096. What passes the check can be taken apart within body and whole, and comes back as
 * it was. */
#include "mrcfs/chunks/put.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    struct rd r = rd_of(ptr, len_bytes);
    uint16_t body;
    uint8_t max;
    size_t total, named, body_left, left, named_left, count = 0;
    uint8_t again[MFS_PUT_PARTS_MAX * MFS_PUT_PART_BYTES];
    struct wr w = wr_of(again, sizeof again);
    if (get_u16(&r, &body) < 0 || get_u8(&r, &max) < 0)
        return 0;
    struct bytes parts = { r.at, (uint32_t)rd_left(&r) };
    body_left = body * (size_t)64;
    int rc = mfs_put_check(parts, body_left, max * (size_t)4096, &total, &named);
    if (rc < 0)
        return 0;
    if (total > max * (size_t)4096 || named > total)
        abort();
    left = total;
    named_left = named;
    for (struct mfs_put_part x; rd_left(&r); count++) {
        if (mfs_put_part_get(&r, &x) < 0 || !x.len_bytes || x.len_bytes > left)
            abort();
        size_t *from = x.fh ? &named_left : &body_left;
        if (x.len_bytes > *from || (x.fh && x.offset > (uint64_t)INT64_MAX - x.len_bytes))
            abort();
        *from -= x.len_bytes;
        left -= x.len_bytes;
        mfs_put_part_put(&w, &x);
    }
    if (left || body_left || named_left || count != (size_t)rc || w.is_full ||
        wr_len(&w) != parts.len || memcmp(again, parts.ptr, parts.len) != 0)
        abort();
    return 0;
}
