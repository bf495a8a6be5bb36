/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keys.h: identities (Ed25519), what two of them share, and sealed datagrams
 * (XChaCha20-Poly1305). Must not know: who the parties are, what is sealed.
 * Its source is, beside crypto.c, the only file that knows libsodium. */
#ifndef COMMON_SYS_KEYS_H
#define COMMON_SYS_KEYS_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KEYS_PUBLIC_BYTES = 32,
    KEYS_SECRET_BYTES = 64, /* of an identity; its end is the public part */
    KEYS_SIGNATURE_BYTES = 64,
    KEYS_SHARED_BYTES = 32, /* symmetric */
    KEYS_NONCE_BYTES = 24,
    KEYS_TAG_BYTES = 16, /* by which a sealed text is longer */
};

/* A new identity. Returns 0 or -errno. */
MUST int keys_new(uint8_t public[KEYS_PUBLIC_BYTES], uint8_t secret[KEYS_SECRET_BYTES]);

void keys_sign(uint8_t signature[KEYS_SIGNATURE_BYTES], const void *ptr, size_t len_bytes,
               const uint8_t secret[KEYS_SECRET_BYTES]);
bool keys_verify(const uint8_t signature[KEYS_SIGNATURE_BYTES], const void *ptr,
                 size_t len_bytes, const uint8_t public[KEYS_PUBLIC_BYTES]);

/* What only these two can compute, the same for both: X25519 of their keys, hashed with both
 * public parts. Returns 0; -EPROTO for a public part that is none. */
MUST int keys_shared(uint8_t out[KEYS_SHARED_BYTES], const uint8_t secret[KEYS_SECRET_BYTES],
                     const uint8_t public[KEYS_PUBLIC_BYTES]);

/* Another key out of a key, for a purpose: label is text, ptr more of it. BLAKE2b with key. */
void keys_derive(uint8_t out[KEYS_SHARED_BYTES], const uint8_t key[KEYS_SHARED_BYTES],
                 const char *label, const void *ptr, size_t len_bytes);

/* beside is proven but not hidden. sealed has room for len_bytes + KEYS_TAG_BYTES. No nonce is
 * used twice with a key. */
void keys_seal(uint8_t *sealed, const void *ptr, size_t len_bytes, const void *beside,
               size_t beside_bytes, const uint8_t nonce[KEYS_NONCE_BYTES],
               const uint8_t key[KEYS_SHARED_BYTES]);
/* ptr has room for sealed_bytes - KEYS_TAG_BYTES. Returns 0; -EBADMSG when it is not what was
 * sealed. */
MUST int keys_open(void *ptr, const uint8_t *sealed, size_t sealed_bytes, const void *beside,
                   size_t beside_bytes, const uint8_t nonce[KEYS_NONCE_BYTES],
                   const uint8_t key[KEYS_SHARED_BYTES]);

#endif
