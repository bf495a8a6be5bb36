/* SPDX-License-Identifier: GPL-2.0-or-later */
/* buf.c: a bounded byte queue on the heap.
 * Must not know: what the bytes mean.
 * Invariant: head <= tail <= size, tail - head <= max_bytes. */
#include "common/sys/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){ .max_bytes = max_bytes };
}

void buf_fini(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){ 0 };
}

size_t buf_len(const struct buf *b)
{
    return b->tail - b->head;
}

size_t buf_room(const struct buf *b)
{
    return b->max_bytes - buf_len(b);
}

const uint8_t *buf_at(const struct buf *b)
{
    return b->ptr ? b->ptr + b->head : NULL;
}

int buf_reserve(struct buf *b, size_t len_bytes, uint8_t **spot)
{
    if (len_bytes > buf_room(b))
        return -ENOSPC;
    size_t used = buf_len(b);
    if (b->size - b->tail < len_bytes) {
        /* Moving costs a copy of what is queued: only when that is at most half of the room. */
        if (b->size >= used + len_bytes && used <= b->size / 2) {
            memmove(b->ptr, b->ptr + b->head, used);
        } else {
            size_t size = b->size ? b->size * 2 : 4096;
            while (size < used + len_bytes)
                size *= 2;
            uint8_t *p = malloc(size);
            if (!p)
                return -ENOMEM;
            if (used)
                memcpy(p, b->ptr + b->head, used);
            free(b->ptr);
            b->ptr = p;
            b->size = size;
        }
        b->head = 0;
        b->tail = used;
    }
    *spot = b->ptr + b->tail;
    return 0;
}

void buf_commit(struct buf *b, size_t len_bytes)
{
    b->tail += len_bytes;
}

int buf_append(struct buf *b, const void *ptr, size_t len_bytes)
{
    uint8_t *spot;
    int rc = buf_reserve(b, len_bytes, &spot);
    if (rc < 0)
        return rc;
    if (len_bytes)
        memcpy(spot, ptr, len_bytes);
    buf_commit(b, len_bytes);
    return 0;
}

void buf_consume(struct buf *b, size_t len_bytes)
{
    b->head += len_bytes;
    if (b->head == b->tail)
        b->head = b->tail = 0;
}
