/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire.h: little-endian coding of integers and byte strings in memory that the caller owns.
 * Must not know: frames, operations, sockets.
 * Readers compare every length with what is left before using it; views point into the input
 * and live as long. */
#ifndef COMMON_BASE_WIRE_H
#define COMMON_BASE_WIRE_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed run of bytes; not NUL-terminated. */
struct bytes {
    const uint8_t *ptr;
    uint32_t len;
};

/* Types that a .def field may name as F(kind, field). */
typedef uint8_t wire_u8;
typedef uint16_t wire_u16;
typedef uint32_t wire_u32;
typedef uint64_t wire_u64;
typedef int32_t wire_i32;
typedef int64_t wire_i64;
typedef struct bytes wire_bytes; /* on the wire: u32 length, bytes */

struct rd {
    const uint8_t *at;
    const uint8_t *end;
};

/* Writer into fixed memory. A put that does not fit sets is_full and writes nothing from then
 * on. */
struct wr {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool is_full;
};

struct rd rd_of(const void *ptr, size_t len_bytes);
struct wr wr_of(void *ptr, size_t len_bytes);
size_t rd_left(const struct rd *r);
size_t wr_len(const struct wr *w);

/* Each returns 0, or -EPROTO (nothing consumed) when the input is too short. */
MUST int get_u8(struct rd *r, uint8_t *v);
MUST int get_u16(struct rd *r, uint16_t *v);
MUST int get_u32(struct rd *r, uint32_t *v);
MUST int get_u64(struct rd *r, uint64_t *v);
MUST int get_i32(struct rd *r, int32_t *v);
MUST int get_i64(struct rd *r, int64_t *v);
MUST int get_bytes(struct rd *r, struct bytes *v);

void put_u8(struct wr *w, uint8_t v);
void put_u16(struct wr *w, uint16_t v);
void put_u32(struct wr *w, uint32_t v);
void put_u64(struct wr *w, uint64_t v);
void put_i32(struct wr *w, int32_t v);
void put_i64(struct wr *w, int64_t v);
void put_bytes(struct wr *w, struct bytes v);
void put_raw(struct wr *w, const void *ptr, size_t len_bytes); /* no length in front */

/* View of a C string, without its NUL. */
struct bytes bytes_of(const char *text);

/* Copies v as a C string. Returns 0, -ENAMETOOLONG when it does not fit, -EPROTO when it holds
 * a NUL. */
MUST int bytes_to_text(struct bytes v, char *text, size_t size_bytes);

#endif
