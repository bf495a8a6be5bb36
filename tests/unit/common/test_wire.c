/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_wire.c: little-endian coding. */
#include "tests/lib/unit.h"

#include "common/base/wire.h"

TEST(bytes_on_the_wire)
{
    uint8_t space[64];
    struct wr w = wr_of(space, sizeof space);
    put_u8(&w, 0x01);
    put_u16(&w, 0x0203);
    put_u32(&w, 0x04050607);
    put_u64(&w, 0x08090a0b0c0d0e0f);
    put_i32(&w, -2);
    put_i64(&w, -3);
    put_bytes(&w, bytes_of("ab"));
    put_raw(&w, "cd", 2);
    static const uint8_t expected[] = { 1,    3,    2,    7,    6,    5,    4,    0x0f, 0x0e,
                                        0x0d, 0x0c, 0x0b, 0x0a, 9,    8,    0xfe, 0xff, 0xff,
                                        0xff, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        2,    0,    0,    0,    'a',  'b',  'c',  'd' };
    assert_false(w.is_full);
    assert_int_equal(wr_len(&w), sizeof expected);
    assert_memory_equal(space, expected, sizeof expected);
}

TEST(there_and_back)
{
    uint8_t space[64];
    struct wr w = wr_of(space, sizeof space);
    put_u8(&w, UINT8_MAX);
    put_u16(&w, UINT16_MAX);
    put_u32(&w, UINT32_MAX);
    put_u64(&w, UINT64_MAX);
    put_i32(&w, INT32_MIN);
    put_i64(&w, INT64_MIN);
    put_bytes(&w, (struct bytes){ NULL, 0 });
    struct rd r = rd_of(space, wr_len(&w));
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    int32_t i32;
    int64_t i64;
    struct bytes b;
    assert_ok(get_u8(&r, &u8));
    assert_ok(get_u16(&r, &u16));
    assert_ok(get_u32(&r, &u32));
    assert_ok(get_u64(&r, &u64));
    assert_ok(get_i32(&r, &i32));
    assert_ok(get_i64(&r, &i64));
    assert_ok(get_bytes(&r, &b));
    assert_int_equal(u8, UINT8_MAX);
    assert_int_equal(u16, UINT16_MAX);
    assert_true(u32 == UINT32_MAX && u64 == UINT64_MAX && i32 == INT32_MIN && i64 == INT64_MIN);
    assert_int_equal(b.len, 0);
    assert_int_equal(rd_left(&r), 0);
}

TEST(short_input_consumes_nothing)
{
    static const uint8_t input[] = { 1, 2, 3 };
    struct rd r = rd_of(input, sizeof input);
    uint32_t u32 = 77;
    uint64_t u64;
    struct bytes b = { NULL, 99 };
    assert_error(get_u32(&r, &u32), EPROTO);
    assert_error(get_u64(&r, &u64), EPROTO);
    assert_error(get_bytes(&r, &b), EPROTO);
    assert_int_equal(u32, 77);
    assert_int_equal(b.len, 99);
    assert_int_equal(rd_left(&r), 3);
    r = rd_of(NULL, 0);
    assert_error(get_u32(&r, &u32), EPROTO);
}

TEST(lying_lengths)
{
    static const uint8_t lies[][6] = { { 3, 0, 0, 0, 'a', 'b' },
                                       { 0xff, 0xff, 0xff, 0xff, 'a', 'b' },
                                       { 0, 0, 0, 0x80, 'a', 'b' } };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        struct rd r = rd_of(lies[i], sizeof lies[i]);
        struct bytes b;
        assert_error(get_bytes(&r, &b), EPROTO);
        assert_int_equal(rd_left(&r), 6);
    }
    struct rd r = rd_of("\2\0\0\0ab", 6);
    struct bytes b;
    assert_ok(get_bytes(&r, &b));
    assert_int_equal(b.len, 2);
    assert_memory_equal(b.ptr, "ab", 2);
}

TEST(full_writer_stays_full)
{
    for (size_t room = 0; room < 8; room++) {
        uint8_t space[9];
        memset(space, 0xee, sizeof space);
        struct wr w = wr_of(space, room);
        put_u64(&w, 0);
        assert_true(w.is_full);
        put_u8(&w, 1); /* would fit, but the message is spoilt */
        put_raw(&w, "x", 1);
        assert_int_equal(wr_len(&w), 0);
        for (size_t i = 0; i < sizeof space; i++)
            assert_int_equal(space[i], 0xee);
    }
}

TEST(texts)
{
    char text[4];
    assert_ok(bytes_to_text(bytes_of("abc"), text, sizeof text));
    assert_string_equal(text, "abc");
    assert_error(bytes_to_text(bytes_of("abcd"), text, sizeof text), ENAMETOOLONG);
    assert_error(bytes_to_text((struct bytes){ (const uint8_t *)"a\0b", 3 }, text, sizeof text),
                 EPROTO);
    assert_ok(bytes_to_text((struct bytes){ NULL, 0 }, text, sizeof text));
    assert_string_equal(text, "");
}

UNIT_MAIN(cmocka_unit_test(bytes_on_the_wire), cmocka_unit_test(there_and_back),
          cmocka_unit_test(short_input_consumes_nothing), cmocka_unit_test(lying_lengths),
          cmocka_unit_test(full_writer_stays_full), cmocka_unit_test(texts))
