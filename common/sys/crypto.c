/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crypto.c: hashes, random bytes and sealed streams by libsodium and the kernel.
 * Must not know: what is hashed. */
#include "common/sys/crypto.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

_Static_assert(CRYPTO_SHA256_BYTES == crypto_hash_sha256_BYTES, "length of SHA-256");

int crypto_sha256_file(int fd, uint8_t out[CRYPTO_SHA256_BYTES], uint64_t *len_bytes)
{
    static const size_t chunk = 64 << 10;
    uint8_t piece[64 << 10];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    uint64_t done = 0;
    for (;;) {
        ssize_t n = pread(fd, piece, chunk, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        crypto_hash_sha256_update(&state, piece, (unsigned long long)n);
        done += (uint64_t)n;
    }
    crypto_hash_sha256_final(&state, out);
    *len_bytes = done;
    return 0;
}

void crypto_sha256(uint8_t out[CRYPTO_SHA256_BYTES], const void *ptr, size_t len_bytes)
{
    crypto_hash_sha256(out, ptr, len_bytes);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Chooses the processor's fastest way; without it the slowest is taken. */
static void init_library(void)
{
    int rc = sodium_init();
    (void)rc; /* then it is slow */
}

void crypto_blake2b(uint8_t out[CRYPTO_BLAKE2B_BYTES], const void *ptr, size_t len_bytes)
{
    pthread_once(&once, init_library);
    crypto_generichash(out, CRYPTO_BLAKE2B_BYTES, ptr, len_bytes, NULL, 0);
}

int crypto_random(void *ptr, size_t len_bytes)
{
    size_t done = 0;
    while (done < len_bytes) {
        ssize_t n = getrandom((uint8_t *)ptr + done, len_bytes - done, 0);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* ---- two parties that share a key ---- */

_Static_assert(CRYPTO_HEADER_BYTES == crypto_secretstream_xchacha20poly1305_HEADERBYTES,
               "header");
_Static_assert(CRYPTO_SEAL_EXTRA_BYTES == crypto_secretstream_xchacha20poly1305_ABYTES,
               "extra");
_Static_assert(CRYPTO_KEY_BYTES == crypto_secretstream_xchacha20poly1305_KEYBYTES, "key");
_Static_assert(sizeof(struct crypto_stream) ==
                   sizeof(crypto_secretstream_xchacha20poly1305_state),
               "state");

static crypto_secretstream_xchacha20poly1305_state *state_of(struct crypto_stream *s)
{
    return (crypto_secretstream_xchacha20poly1305_state *)s; /* the same bytes */
}

int crypto_exchange_new(struct crypto_exchange *x)
{
    pthread_once(&once, init_library);
    int rc = crypto_random(x->secret, sizeof x->secret);
    return rc < 0 ? rc : crypto_scalarmult_base(x->public, x->secret) < 0 ? -EIO : 0;
}

int crypto_exchange_keys(struct crypto_exchange *x, const uint8_t shared[CRYPTO_KEY_BYTES],
                         const uint8_t theirs[CRYPTO_PUBLIC_BYTES], bool is_first,
                         uint8_t sending[CRYPTO_KEY_BYTES], uint8_t receiving[CRYPTO_KEY_BYTES])
{
    uint8_t point[crypto_scalarmult_BYTES], both[2 * CRYPTO_KEY_BYTES];
    crypto_generichash_state h;
    int rc = crypto_scalarmult(point, x->secret, theirs) < 0 ? -EPROTO : 0;
    crypto_generichash_init(&h, shared, CRYPTO_KEY_BYTES, sizeof both);
    crypto_generichash_update(&h, point, sizeof point);
    crypto_generichash_update(&h, is_first ? x->public : theirs, CRYPTO_PUBLIC_BYTES);
    crypto_generichash_update(&h, is_first ? theirs : x->public, CRYPTO_PUBLIC_BYTES);
    crypto_generichash_final(&h, both, sizeof both);
    memcpy(sending, both + (is_first ? 0 : CRYPTO_KEY_BYTES), CRYPTO_KEY_BYTES);
    memcpy(receiving, both + (is_first ? CRYPTO_KEY_BYTES : 0), CRYPTO_KEY_BYTES);
    crypto_wipe(point, sizeof point);
    crypto_wipe(both, sizeof both);
    crypto_wipe(&h, sizeof h);
    crypto_wipe(x->secret, sizeof x->secret);
    return rc;
}

void crypto_seal_start(struct crypto_stream *s, const uint8_t key[CRYPTO_KEY_BYTES],
                       uint8_t header[CRYPTO_HEADER_BYTES])
{
    crypto_secretstream_xchacha20poly1305_init_push(state_of(s), header, key);
}

void crypto_seal(struct crypto_stream *s, uint8_t *sealed, const void *ptr, size_t len_bytes,
                 bool is_last)
{
    crypto_secretstream_xchacha20poly1305_push(
        state_of(s), sealed, NULL, ptr, len_bytes, NULL, 0,
        is_last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0);
}

int crypto_open_start(struct crypto_stream *s, const uint8_t key[CRYPTO_KEY_BYTES],
                      const uint8_t header[CRYPTO_HEADER_BYTES])
{
    pthread_once(&once, init_library);
    return crypto_secretstream_xchacha20poly1305_init_pull(state_of(s), header, key) < 0
               ? -EPROTO
               : 0;
}

int crypto_open(struct crypto_stream *s, void *ptr, const uint8_t *sealed, size_t sealed_bytes,
                bool *is_last)
{
    unsigned char tag;
    if (sealed_bytes < CRYPTO_SEAL_EXTRA_BYTES)
        return -EPROTO;
    if (crypto_secretstream_xchacha20poly1305_pull(state_of(s), ptr, NULL, &tag, sealed,
                                                   sealed_bytes, NULL, 0) < 0)
        return -EPROTO;
    *is_last = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    return 0;
}

void crypto_wipe(void *ptr, size_t len_bytes)
{
    sodium_memzero(ptr, len_bytes);
}
