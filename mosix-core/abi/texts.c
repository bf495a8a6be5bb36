/* SPDX-License-Identifier: GPL-2.0-or-later */
/* texts.c: arrays of texts. Must not know: what they are for. */
#include "mosix-core/abi/texts.h"

#include "mosix-core/abi/marshal.h"

#include <errno.h>
#include <string.h>

enum { PIECE = 4096 };

/* By pieces that end with pages, so that nothing behind its NUL is touched. */
static int put_one(struct wr *w, const struct mx_call_memory *m, uint64_t at)
{
    struct wr length = *w;
    put_u32(w, 0);
    uint8_t *start = w->at;
    for (;;) {
        size_t piece = PIECE - at % PIECE;
        if ((size_t)(w->end - w->at) < piece)
            piece = (size_t)(w->end - w->at);
        if (piece == 0)
            return -E2BIG;
        if (m->read(m->ctx, at, w->at, piece) < 0)
            return -EFAULT;
        const uint8_t *nul = memchr(w->at, 0, piece);
        w->at += nul ? (size_t)(nul - w->at) : piece;
        at += piece;
        if (nul)
            break;
    }
    put_u32(&length, (uint32_t)(w->at - start));
    return 0;
}

int mx_texts_put(struct wr *w, const struct mx_call_memory *m, uint64_t address)
{
    struct wr head = *w;
    put_u32(w, 0);
    for (uint32_t count = 0;; count++) {
        uint8_t raw[8] = { 0 };
        uint64_t at = 0;
        struct rd r = rd_of(raw, sizeof raw);
        if (w->is_full)
            return -E2BIG;
        if (m->read(m->ctx, address + 8 * (uint64_t)count, raw, sizeof raw) < 0 ||
            get_u64(&r, &at) < 0)
            return -EFAULT;
        if (!at) {
            put_u32(&head, count);
            return 0;
        }
        int rc = put_one(w, m, at);
        if (rc < 0)
            return rc;
    }
}

int64_t mx_texts_take(struct bytes in, uint8_t *arena, uint32_t room_bytes, uint64_t base)
{
    struct rd r = rd_of(in.ptr, in.len);
    uint32_t count;
    if (get_u32(&r, &count) < 0 || count > rd_left(&r) / 4 || count + 1 > room_bytes / 8)
        return -EPROTO;
    uint32_t used = (count + 1) * 8;
    struct wr pointers = wr_of(arena, used);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes text;
        if (get_bytes(&r, &text) < 0 || text.len + UINT64_C(1) > room_bytes - used ||
            (text.len && memchr(text.ptr, 0, text.len)))
            return -EPROTO;
        put_u64(&pointers, base + used);
        memcpy(arena + used, text.ptr, text.len);
        arena[used + text.len] = 0;
        used += text.len + 1;
    }
    put_u64(&pointers, 0);
    return rd_left(&r) ? -EPROTO : (int64_t)used;
}
