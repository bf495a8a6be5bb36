/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crypto.h: hashes, random bytes, and sealed streams; its source is the only file that knows
 * libsodium. Must not know: what is hashed. */
#ifndef COMMON_SYS_CRYPTO_H
#define COMMON_SYS_CRYPTO_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CRYPTO_SHA256_BYTES = 32 };

/* Hashes a whole open file from its start, without moving its offset.
 * Returns 0 and its length in *len_bytes, or -errno. */
MUST int crypto_sha256_file(int fd, uint8_t out[CRYPTO_SHA256_BYTES], uint64_t *len_bytes);

void crypto_sha256(uint8_t out[CRYPTO_SHA256_BYTES], const void *ptr, size_t len_bytes);

enum { CRYPTO_BLAKE2B_BYTES = 32 };
/* Faster than SHA-256, for much data. */
void crypto_blake2b(uint8_t out[CRYPTO_BLAKE2B_BYTES], const void *ptr, size_t len_bytes);

/* Bytes that nobody can guess. Returns 0 or -errno. */
MUST int crypto_random(void *ptr, size_t len_bytes);

/* ---- two parties that share a key, over a stream that anybody can read and change ---- */

enum {
    CRYPTO_KEY_BYTES = 32,
    CRYPTO_PUBLIC_BYTES = 32,
    CRYPTO_HEADER_BYTES = 24,     /* comes before the first sealed piece */
    CRYPTO_SEAL_EXTRA_BYTES = 17, /* by which a sealed piece is longer */
};

/* Made anew for each connection. Returns 0 or -errno. */
struct crypto_exchange {
    uint8_t public[CRYPTO_PUBLIC_BYTES], secret[32];
};
MUST int crypto_exchange_new(struct crypto_exchange *x);

/* Keys to send and to receive with, which only who has shared and took part in this very
 * exchange can know. theirs: their public part; is_first: of the two, the one who spoke first.
 * The secret part is wiped. Returns 0; -EPROTO for a public part that nobody makes by chance.
 */
MUST int crypto_exchange_keys(struct crypto_exchange *x, const uint8_t shared[CRYPTO_KEY_BYTES],
                              const uint8_t theirs[CRYPTO_PUBLIC_BYTES], bool is_first,
                              uint8_t sending[CRYPTO_KEY_BYTES],
                              uint8_t receiving[CRYPTO_KEY_BYTES]);

/* One direction: pieces in their order; none can be left out, repeated, changed or made up, and
 * the last says that it is. */
struct crypto_stream {
    uint8_t state[52];
};
void crypto_seal_start(struct crypto_stream *s, const uint8_t key[CRYPTO_KEY_BYTES],
                       uint8_t header[CRYPTO_HEADER_BYTES]);
/* sealed: room for len_bytes + CRYPTO_SEAL_EXTRA_BYTES. */
void crypto_seal(struct crypto_stream *s, uint8_t *sealed, const void *ptr, size_t len_bytes,
                 bool is_last);
/* Returns 0; -EPROTO. */
MUST int crypto_open_start(struct crypto_stream *s, const uint8_t key[CRYPTO_KEY_BYTES],
                           const uint8_t header[CRYPTO_HEADER_BYTES]);
/* ptr: room for sealed_bytes - CRYPTO_SEAL_EXTRA_BYTES. Returns 0; -EPROTO when it is not the
 * next piece of who has the key. */
MUST int crypto_open(struct crypto_stream *s, void *ptr, const uint8_t *sealed,
                     size_t sealed_bytes, bool *is_last);

void crypto_wipe(void *ptr, size_t len_bytes);

#endif
