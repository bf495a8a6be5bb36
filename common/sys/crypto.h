/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crypto.h: hashes and random bytes; its source is the only file that knows libsodium.
 * Must not know: what is hashed. */
#ifndef COMMON_SYS_CRYPTO_H
#define COMMON_SYS_CRYPTO_H

#include "common/base/attr.h"

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

#endif
