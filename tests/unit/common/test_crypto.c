/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_crypto.c: vectors of FIPS 180; files are hashed whole, wherever their offset is. */
#include "tests/lib/unit.h"

#include "common/sys/crypto.h"
#include "common/sys/fd.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *hex(const uint8_t *raw)
{
    static char text[2 * CRYPTO_SHA256_BYTES + 1];
    for (int i = 0; i < CRYPTO_SHA256_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", raw[i]);
    return text;
}

TEST(sha256)
{
    uint8_t out[CRYPTO_SHA256_BYTES];
    crypto_sha256(out, "abc", 3);
    assert_string_equal(hex(out),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256(out, "", 0);
    assert_string_equal(hex(out),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(sha256_of_a_file)
{
    uint8_t out[CRYPTO_SHA256_BYTES], want[CRYPTO_SHA256_BYTES];
    static char many[200000];
    memset(many, 'x', sizeof many);
    AUTO_FD fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(fd_write_full(fd, many, sizeof many));
    uint64_t len = 0;
    assert_ok(crypto_sha256_file(fd, out, &len));
    assert_int_equal(len, sizeof many);
    crypto_sha256(want, many, sizeof many);
    assert_memory_equal(out, want, sizeof want);
    assert_error(crypto_sha256_file(-1, out, &len), EBADF);
}

TEST(random_bytes_differ)
{
    uint8_t a[32], b[32];
    assert_ok(crypto_random(a, sizeof a));
    assert_ok(crypto_random(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
}

UNIT_MAIN(cmocka_unit_test(sha256), cmocka_unit_test(sha256_of_a_file),
          cmocka_unit_test(random_bytes_differ))
