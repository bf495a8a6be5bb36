/* SPDX-License-Identifier: GPL-2.0-or-later */
/* put.c: see put.h.
 * Must not know: files, sockets, how names are computed. */
#include "mrcfs/chunks/put.h"

#include <errno.h>
#include <string.h>

enum { WORDS = 32 }; /* that a sample looks at */

void mfs_put_part_put(struct wr *w, const struct mfs_put_part *x)
{
    put_u32(w, x->len_bytes);
    put_u64(w, x->fh);
    put_u64(w, x->offset);
    put_raw(w, x->name.bytes, sizeof x->name.bytes);
}

int mfs_put_part_get(struct rd *r, struct mfs_put_part *x)
{
    int rc;
    if (rd_left(r) < MFS_PUT_PART_BYTES)
        return -EPROTO;
    if ((rc = get_u32(r, &x->len_bytes)) < 0 || (rc = get_u64(r, &x->fh)) < 0 ||
        (rc = get_u64(r, &x->offset)) < 0)
        return rc;
    memcpy(x->name.bytes, r->at, sizeof x->name.bytes);
    r->at += sizeof x->name.bytes;
    bool is_right = x->len_bytes && (!x->fh || (x->len_bytes <= MFS_CHUNK_BYTES &&
                                                x->offset <= INT64_MAX - MFS_CHUNK_BYTES));
    return is_right ? 0 : -EPROTO;
}

int mfs_put_check(struct bytes parts, size_t body_bytes, size_t max_bytes, size_t *total,
                  size_t *named)
{
    struct rd r = rd_of(parts.ptr, parts.len);
    size_t sent = 0, count = 0;
    *total = *named = 0;
    for (; rd_left(&r); count++) {
        struct mfs_put_part x;
        if (count == MFS_PUT_PARTS_MAX || mfs_put_part_get(&r, &x) < 0 ||
            x.len_bytes > max_bytes - *total)
            return -EPROTO;
        *total += x.len_bytes;
        *(x.fh ? named : &sent) += x.len_bytes;
    }
    return count && sent == body_bytes ? (int)count : -EPROTO;
}

struct mfs_put_piece mfs_put_piece_of(uint64_t run_end, uint64_t offset, size_t len_bytes)
{
    uint64_t in_chunk = offset % MFS_CHUNK_BYTES;
    size_t room = MFS_CHUNK_BYTES - (size_t)in_chunk,
           first = len_bytes < room ? len_bytes : room;
    if (in_chunk)
        return (struct mfs_put_piece){ offset == run_end ? MFS_PUT_JOIN : MFS_PUT_SEND, first };
    if (len_bytes < MFS_CHUNK_BYTES)
        return (struct mfs_put_piece){ MFS_PUT_BEGIN, len_bytes };
    return (struct mfs_put_piece){ MFS_PUT_SEND, len_bytes - len_bytes % MFS_CHUNK_BYTES };
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

uint64_t mfs_seen_sample(const uint8_t *ptr, size_t len_bytes)
{
    uint64_t h = len_bytes, word;
    size_t step = len_bytes / WORDS;
    for (size_t i = 0; i < WORDS; i++) {
        memcpy(&word, ptr + i * step + (i * 40 & 63), sizeof word);
        h = mix(h, word);
    }
    memcpy(&word, ptr + len_bytes - sizeof word, sizeof word);
    h = mix(h, word);
    return h ? h : 1;
}

static size_t row_of(uint64_t sample)
{
    return (size_t)(sample >> 32) % (MFS_SEEN_MAX / MFS_SEEN_WAYS);
}

void mfs_seen_add(struct mfs_seen_table *t, const struct mfs_seen_chunk *x)
{
    struct mfs_seen_chunk *row = t->slots[row_of(x->sample)];
    size_t i = 0;
    while (i < MFS_SEEN_WAYS - 1 && row[i].sample && row[i].sample != x->sample)
        i++;
    memmove(row + 1, row, i * sizeof *row); /* the newest is first */
    row[0] = *x;
}

const struct mfs_seen_chunk *mfs_seen_find(const struct mfs_seen_table *t, uint64_t sample,
                                           size_t len_bytes)
{
    const struct mfs_seen_chunk *row = t->slots[row_of(sample)];
    for (size_t i = 0; i < MFS_SEEN_WAYS; i++)
        if (row[i].sample == sample)
            return row[i].len_bytes == len_bytes ? &row[i] : NULL;
    return NULL;
}
