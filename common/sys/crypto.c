/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crypto.c: hashes and random bytes by libsodium and the kernel.
 * Must not know: what is hashed. */
#include "common/sys/crypto.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
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
