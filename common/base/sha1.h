/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sha1.h: HMAC-SHA-1, which hashed known_hosts entries are made of; for nothing else, as SHA-1
 * is broken. Must not know: files. Source: FIPS 180-4, RFC 2104. */
#ifndef COMMON_BASE_SHA1_H
#define COMMON_BASE_SHA1_H

#include <stddef.h>
#include <stdint.h>

enum { SHA1_LEN_BYTES = 20 };

void sha1(uint8_t out[SHA1_LEN_BYTES], const void *ptr, size_t len_bytes);

/* key_len_bytes is at most 64; a longer key is hashed by the caller. */
void sha1_hmac(uint8_t out[SHA1_LEN_BYTES], const void *key, size_t key_len_bytes,
               const void *ptr, size_t len_bytes);

#endif
