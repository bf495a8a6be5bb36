/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_sha1.c: vectors of FIPS 180 and RFC 2202. */
#include "tests/lib/unit.h"

#include "common/base/sha1.h"

#include <stdio.h>

static const char *hex(const uint8_t *raw)
{
    static char text[2 * SHA1_LEN_BYTES + 1];
    for (int i = 0; i < SHA1_LEN_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", raw[i]);
    return text;
}

TEST(plain)
{
    static char many[1000000];
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    uint8_t out[SHA1_LEN_BYTES];
    sha1(out, "abc", 3);
    assert_string_equal(hex(out), "a9993e364706816aba3e25717850c26c9cd0d89d");
    sha1(out, "", 0);
    assert_string_equal(hex(out), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    sha1(out, two, strlen(two));
    assert_string_equal(hex(out), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    memset(many, 'a', sizeof many);
    sha1(out, many, sizeof many);
    assert_string_equal(hex(out), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST(hmac)
{
    uint8_t key[20], out[SHA1_LEN_BYTES];
    memset(key, 0x0b, sizeof key);
    sha1_hmac(out, key, sizeof key, "Hi There", 8);
    assert_string_equal(hex(out), "b617318655057264e28bc0b6fb378c8ef146be00");
    const char *want = "what do ya want for nothing?";
    sha1_hmac(out, "Jefe", 4, want, strlen(want));
    assert_string_equal(hex(out), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

UNIT_MAIN(cmocka_unit_test(plain), cmocka_unit_test(hmac))
