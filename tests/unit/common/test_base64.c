/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_base64.c: RFC 4648's own vectors, and what must be refused. */
#include "tests/lib/unit.h"

#include "common/base/base64.h"

static const struct {
    const char *plain, *text;
} vectors[] = { { "", "" },
                { "f", "Zg==" },
                { "fo", "Zm8=" },
                { "foo", "Zm9v" },
                { "foob", "Zm9vYg==" },
                { "fooba", "Zm9vYmE=" },
                { "foobar", "Zm9vYmFy" } };

TEST(vectors_both_ways)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        char text[32];
        uint8_t raw[32];
        size_t len = strlen(vectors[i].plain);
        assert_int_equal(base64_encode(text, sizeof text, vectors[i].plain, len),
                         strlen(vectors[i].text));
        assert_string_equal(text, vectors[i].text);
        assert_int_equal(base64_decode(raw, sizeof raw, text, strlen(text)), len);
        assert_memory_equal(raw, vectors[i].plain, len);
    }
}

TEST(every_byte_survives)
{
    uint8_t in[256], out[256];
    char text[BASE64_SIZE(256)];
    for (int i = 0; i < 256; i++)
        in[i] = (uint8_t)i;
    for (size_t len = 0; len <= 256; len++) {
        int n = base64_encode(text, sizeof text, in, len);
        assert_int_equal(base64_decode(out, sizeof out, text, (size_t)n), len);
        assert_memory_equal(in, out, len);
    }
}

TEST(padding_may_miss_and_lines_may_end)
{
    uint8_t raw[8];
    assert_int_equal(base64_decode(raw, sizeof raw, "Zm9v\r\nYg", 8), 4);
    assert_memory_equal(raw, "foob", 4);
}

TEST(limits_are_kept)
{
    char text[8];
    uint8_t raw[3];
    assert_error(base64_encode(text, 4, "foo", 3), ENOSPC); /* no room for the NUL */
    assert_int_equal(base64_encode(text, 5, "foo", 3), 4);
    assert_error(base64_decode(raw, 2, "Zm9v", 4), ENOSPC);
    assert_error(base64_decode(raw, 3, "Zm-v", 4), EPROTO);
}

UNIT_MAIN(cmocka_unit_test(vectors_both_ways), cmocka_unit_test(every_byte_survives),
          cmocka_unit_test(padding_may_miss_and_lines_may_end),
          cmocka_unit_test(limits_are_kept))
