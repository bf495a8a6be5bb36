/* SPDX-License-Identifier: GPL-2.0-or-later */
/* buf.h: a byte queue on the heap with a hard maximum: append at the tail, consume at the head.
 * Must not know: what the bytes mean. */
#ifndef COMMON_SYS_BUF_H
#define COMMON_SYS_BUF_H

#include "common/base/attr.h"

#include <stddef.h>
#include <stdint.h>

/* The queued bytes are [ptr + head, ptr + tail). max_bytes bounds tail - head. */
struct buf {
    uint8_t *ptr;
    size_t head;
    size_t tail;
    size_t size;
    size_t max_bytes;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);
size_t buf_len(const struct buf *b);
size_t buf_room(const struct buf *b); /* bytes that still fit under the maximum */
const uint8_t *buf_at(const struct buf *b);

/* Makes *spot point to len_bytes of writable room behind the tail, to be taken into the queue
 * by buf_commit. Returns 0, -ENOSPC over the maximum, -ENOMEM. */
MUST int buf_reserve(struct buf *b, size_t len_bytes, uint8_t **spot);
void buf_commit(struct buf *b, size_t len_bytes);
MUST int buf_append(struct buf *b, const void *ptr, size_t len_bytes);
void buf_consume(struct buf *b, size_t len_bytes);

#endif
