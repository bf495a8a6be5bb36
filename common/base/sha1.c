/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sha1.c: SHA-1 over one or two pieces, and HMAC.
 * Must not know: files. */
#include "common/base/sha1.h"

#include <string.h>

enum { BLOCK = 64 };

struct state {
    uint32_t h[5];
    uint8_t block[BLOCK];
    size_t used;
    uint64_t total;
};

static uint32_t rotl(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static void mix(struct state *s)
{
    uint32_t w[80];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)s->block[i * 4] << 24 | (uint32_t)s->block[i * 4 + 1] << 16 |
               (uint32_t)s->block[i * 4 + 2] << 8 | s->block[i * 4 + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3], e = s->h[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        uint32_t t = rotl(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotl(b, 30);
        b = a;
        a = t;
    }
    s->h[0] += a;
    s->h[1] += b;
    s->h[2] += c;
    s->h[3] += d;
    s->h[4] += e;
}

static void begin(struct state *s)
{
    *s = (struct state){ .h = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 } };
}

static void add(struct state *s, const void *ptr, size_t len_bytes)
{
    const uint8_t *in = ptr;
    s->total += len_bytes;
    while (len_bytes--) {
        s->block[s->used++] = *in++;
        if (s->used == BLOCK) {
            mix(s);
            s->used = 0;
        }
    }
}

static void finish(struct state *s, uint8_t out[SHA1_LEN_BYTES])
{
    static const uint8_t pad[BLOCK] = { 0x80 };
    uint64_t bits = s->total * 8;
    add(s, pad, s->used < 56 ? 56 - s->used : 120 - s->used);
    uint8_t len[8];
    for (int i = 0; i < 8; i++)
        len[i] = (uint8_t)(bits >> (56 - 8 * i));
    add(s, len, sizeof len);
    for (int i = 0; i < SHA1_LEN_BYTES; i++)
        out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

void sha1(uint8_t out[SHA1_LEN_BYTES], const void *ptr, size_t len_bytes)
{
    struct state s;
    begin(&s);
    add(&s, ptr, len_bytes);
    finish(&s, out);
}

void sha1_hmac(uint8_t out[SHA1_LEN_BYTES], const void *key, size_t key_len_bytes,
               const void *ptr, size_t len_bytes)
{
    uint8_t inner[BLOCK] = { 0 };
    uint8_t outer[BLOCK];
    memcpy(inner, key, key_len_bytes < BLOCK ? key_len_bytes : BLOCK);
    for (int i = 0; i < BLOCK; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    struct state s;
    begin(&s);
    add(&s, inner, BLOCK);
    add(&s, ptr, len_bytes);
    finish(&s, out);
    begin(&s);
    add(&s, outer, BLOCK);
    add(&s, out, SHA1_LEN_BYTES);
    finish(&s, out);
}
