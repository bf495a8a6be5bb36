/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire.c: little-endian coding of integers and byte strings.
 * Must not know: frames, operations, sockets. */
#include "common/base/wire.h"

#include <errno.h>
#include <string.h>

struct rd rd_of(const void *ptr, size_t len_bytes)
{
    const uint8_t *p = ptr;
    return (struct rd){ p, p ? p + len_bytes : p };
}

struct wr wr_of(void *ptr, size_t len_bytes)
{
    uint8_t *p = ptr;
    return (struct wr){ p, p, p + len_bytes, false };
}

size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->at);
}

size_t wr_len(const struct wr *w)
{
    return (size_t)(w->at - w->start);
}

static int get_le(struct rd *r, unsigned size, uint64_t *v)
{
    if (rd_left(r) < size)
        return -EPROTO;
    uint64_t x = 0;
    for (unsigned i = 0; i < size; i++)
        x |= (uint64_t)r->at[i] << (8 * i);
    r->at += size;
    *v = x;
    return 0;
}

static void put_le(struct wr *w, unsigned size, uint64_t v)
{
    if (w->is_full || (size_t)(w->end - w->at) < size) {
        w->is_full = true;
        return;
    }
    for (unsigned i = 0; i < size; i++)
        w->at[i] = (uint8_t)(v >> (8 * i));
    w->at += size;
}

#define INTEGER(name, type, size)                                                              \
    int get_##name(struct rd *r, type *v)                                                      \
    {                                                                                          \
        uint64_t x;                                                                            \
        int rc = get_le(r, size, &x);                                                          \
        if (rc < 0)                                                                            \
            return rc;                                                                         \
        *v = (type)x;                                                                          \
        return 0;                                                                              \
    }                                                                                          \
    void put_##name(struct wr *w, type v)                                                      \
    {                                                                                          \
        put_le(w, size, (uint64_t)v);                                                          \
    }
INTEGER(u8, uint8_t, 1)
INTEGER(u16, uint16_t, 2)
INTEGER(u32, uint32_t, 4)
INTEGER(u64, uint64_t, 8)
INTEGER(i32, int32_t, 4)
INTEGER(i64, int64_t, 8)
#undef INTEGER

int get_bytes(struct rd *r, struct bytes *v)
{
    struct rd probe = *r;
    uint32_t len;
    int rc = get_u32(&probe, &len);
    if (rc < 0)
        return rc;
    if (rd_left(&probe) < len)
        return -EPROTO;
    *v = (struct bytes){ probe.at, len };
    r->at = probe.at + len;
    return 0;
}

void put_raw(struct wr *w, const void *ptr, size_t len_bytes)
{
    if (w->is_full || (size_t)(w->end - w->at) < len_bytes) {
        w->is_full = true;
        return;
    }
    if (len_bytes)
        memcpy(w->at, ptr, len_bytes);
    w->at += len_bytes;
}

void put_bytes(struct wr *w, struct bytes v)
{
    put_u32(w, v.len);
    put_raw(w, v.ptr, v.len);
}

struct bytes bytes_of(const char *text)
{
    return (struct bytes){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

int bytes_to_text(struct bytes v, char *text, size_t size_bytes)
{
    if (v.len >= size_bytes)
        return -ENAMETOOLONG;
    if (v.len && memchr(v.ptr, 0, v.len))
        return -EPROTO;
    if (v.len)
        memcpy(text, v.ptr, v.len);
    text[v.len] = 0;
    return 0;
}
