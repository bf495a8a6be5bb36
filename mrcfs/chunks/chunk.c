/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chunk.c: see chunk.h.
 * Must not know: files, sockets, how names are computed. */
#include "mrcfs/chunks/chunk.h"

#include <errno.h>
#include <string.h>

void mfs_chunk_rec_put(struct wr *w, const struct mfs_chunk_rec *x)
{
    put_u8(w, x->flags);
    put_u32(w, x->len_bytes);
    put_raw(w, x->name.bytes, sizeof x->name.bytes);
}

int mfs_chunk_rec_get(struct rd *r, struct mfs_chunk_rec *x)
{
    if (rd_left(r) < MFS_CHUNK_REC_BYTES)
        return -EPROTO;
    int rc = get_u8(r, &x->flags);
    if (rc == 0)
        rc = get_u32(r, &x->len_bytes);
    if (rc < 0)
        return rc;
    memcpy(x->name.bytes, r->at, sizeof x->name.bytes);
    r->at += sizeof x->name.bytes;
    bool is_known = x->flags & MFS_CHUNK_KNOWN;
    if (x->flags & ~(MFS_CHUNK_NAMED | MFS_CHUNK_KNOWN | MFS_CHUNK_AHEAD) ||
        (is_known && !(x->flags & MFS_CHUNK_NAMED)) ||
        (x->flags & MFS_CHUNK_AHEAD && !is_known) || !x->len_bytes ||
        x->len_bytes > MFS_CHUNK_BYTES)
        return -EPROTO;
    return 0;
}

uint32_t mfs_chunk_tag(const struct mfs_chunk_name *name)
{
    const uint8_t *b = name->bytes;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

size_t mfs_chunk_part(uint64_t index, size_t len_bytes, uint64_t offset, size_t size,
                      size_t *first)
{
    uint64_t start = index * MFS_CHUNK_BYTES, end = start + len_bytes;
    uint64_t from = offset > start ? offset : start;
    uint64_t to = offset + size < end ? offset + size : end;
    *first = from < end ? (size_t)(from - start) : len_bytes;
    return to > from ? (size_t)(to - from) : 0;
}

int mfs_chunk_answer_check(struct rd r, uint64_t offset, size_t size, size_t *total)
{
    uint64_t index = offset / MFS_CHUNK_BYTES;
    uint16_t count;
    size_t sent = 0, stands_for = 0, first;
    bool is_over = false, was_ahead = false;
    if (offset > INT64_MAX || get_u16(&r, &count) < 0)
        return -EPROTO;
    for (unsigned i = 0; i < count; i++, index++) {
        struct mfs_chunk_rec x;
        if (is_over || mfs_chunk_rec_get(&r, &x) < 0)
            return -EPROTO;
        bool is_ahead = x.flags & MFS_CHUNK_AHEAD;
        size_t part = mfs_chunk_part(index, x.len_bytes, offset, size, &first);
        if (is_ahead ? part != 0 || !i : !part || was_ahead)
            return -EPROTO;
        was_ahead = is_ahead;
        is_over = x.len_bytes < MFS_CHUNK_BYTES;
        stands_for += part;
        sent += x.flags & MFS_CHUNK_KNOWN ? 0 : part;
    }
    if (sent != rd_left(&r) || stands_for > size)
        return -EPROTO;
    *total = stands_for;
    return 0;
}
