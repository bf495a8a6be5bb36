/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keys.c: identities, what two of them share, sealed datagrams, by libsodium.
 * Must not know: who the parties are, what is sealed. */
#include "common/sys/keys.h"

#include "common/sys/crypto.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

_Static_assert(KEYS_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "public key");
_Static_assert(KEYS_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "secret key");
_Static_assert(KEYS_SIGNATURE_BYTES == crypto_sign_BYTES, "signature");
_Static_assert(KEYS_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(KEYS_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
_Static_assert(KEYS_SHARED_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");

/* Chooses the processor's fastest way; it may be called often. */
static int ready(void)
{
    return sodium_init() < 0 ? -EIO : 0;
}

int keys_new(uint8_t public[KEYS_PUBLIC_BYTES], uint8_t secret[KEYS_SECRET_BYTES])
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    int rc = ready();
    rc = rc < 0 ? rc : crypto_random(seed, sizeof seed);
    if (rc == 0)
        crypto_sign_seed_keypair(public, secret, seed);
    crypto_wipe(seed, sizeof seed);
    return rc;
}

void keys_sign(uint8_t signature[KEYS_SIGNATURE_BYTES], const void *ptr, size_t len_bytes,
               const uint8_t secret[KEYS_SECRET_BYTES])
{
    crypto_sign_detached(signature, NULL, ptr, len_bytes, secret);
}

bool keys_verify(const uint8_t signature[KEYS_SIGNATURE_BYTES], const void *ptr,
                 size_t len_bytes, const uint8_t public[KEYS_PUBLIC_BYTES])
{
    return crypto_sign_verify_detached(signature, ptr, len_bytes, public) == 0;
}

int keys_shared(uint8_t out[KEYS_SHARED_BYTES], const uint8_t secret[KEYS_SECRET_BYTES],
                const uint8_t public[KEYS_PUBLIC_BYTES])
{
    const uint8_t *own = secret + KEYS_SECRET_BYTES - KEYS_PUBLIC_BYTES;
    uint8_t scalar[crypto_scalarmult_SCALARBYTES], theirs[crypto_scalarmult_BYTES];
    uint8_t point[crypto_scalarmult_BYTES];
    bool is_first = memcmp(own, public, KEYS_PUBLIC_BYTES) < 0;
    crypto_generichash_state h;
    int rc = ready();
    if (rc == 0 && (crypto_sign_ed25519_pk_to_curve25519(theirs, public) < 0 ||
                    crypto_sign_ed25519_sk_to_curve25519(scalar, secret) < 0 ||
                    crypto_scalarmult(point, scalar, theirs) < 0))
        rc = -EPROTO;
    if (rc == 0) {
        crypto_generichash_init(&h, NULL, 0, KEYS_SHARED_BYTES);
        crypto_generichash_update(&h, point, sizeof point);
        crypto_generichash_update(&h, is_first ? own : public, KEYS_PUBLIC_BYTES);
        crypto_generichash_update(&h, is_first ? public : own, KEYS_PUBLIC_BYTES);
        crypto_generichash_final(&h, out, KEYS_SHARED_BYTES);
        crypto_wipe(&h, sizeof h);
    }
    crypto_wipe(scalar, sizeof scalar);
    crypto_wipe(point, sizeof point);
    return rc;
}

void keys_derive(uint8_t out[KEYS_SHARED_BYTES], const uint8_t key[KEYS_SHARED_BYTES],
                 const char *label, const void *ptr, size_t len_bytes)
{
    crypto_generichash_state h;
    crypto_generichash_init(&h, key, KEYS_SHARED_BYTES, KEYS_SHARED_BYTES);
    crypto_generichash_update(&h, (const uint8_t *)label, strlen(label) + 1);
    crypto_generichash_update(&h, ptr, len_bytes);
    crypto_generichash_final(&h, out, KEYS_SHARED_BYTES);
    crypto_wipe(&h, sizeof h);
}

void keys_seal(uint8_t *sealed, const void *ptr, size_t len_bytes, const void *beside,
               size_t beside_bytes, const uint8_t nonce[KEYS_NONCE_BYTES],
               const uint8_t key[KEYS_SHARED_BYTES])
{
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, ptr, len_bytes, beside,
                                               beside_bytes, NULL, nonce, key);
}

int keys_open(void *ptr, const uint8_t *sealed, size_t sealed_bytes, const void *beside,
              size_t beside_bytes, const uint8_t nonce[KEYS_NONCE_BYTES],
              const uint8_t key[KEYS_SHARED_BYTES])
{
    if (sealed_bytes < KEYS_TAG_BYTES ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(ptr, NULL, NULL, sealed, sealed_bytes,
                                                   beside, beside_bytes, nonce, key) < 0)
        return -EBADMSG;
    return 0;
}
