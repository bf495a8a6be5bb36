/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_content.c: all bytes of one file, against a plain array. */
#include "tests/lib/unit.h"

#include "mrcfs/client/content.h"

static struct bytes of(const char *text)
{
    return (struct bytes){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

static void assert_is(const struct mfs_content *c, uint64_t at, size_t size, const char *want)
{
    struct bytes got = mfs_content_read(c, at, size);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.ptr ? got.ptr : (const uint8_t *)"", want, got.len);
}

TEST(it_begins_empty_and_follows_writes)
{
    struct mfs_content c = { 0 };
    assert_is(&c, 0, 100, "");
    assert_ok(mfs_content_write(&c, 0, of("hello world")));
    assert_ok(mfs_content_write(&c, 6, of("there")));
    assert_is(&c, 0, 100, "hello there");
    assert_is(&c, 6, 2, "th");
    assert_is(&c, 11, 5, "");
    assert_is(&c, UINT64_MAX, 5, "");
    assert_ok(mfs_content_write(&c, 1000, of("")));
    assert_int_equal(c.size_bytes, 11);
    mfs_content_fini(&c);
    mfs_content_fini(&c);
}

TEST(what_is_left_out_and_what_was_cut_reads_as_zeros)
{
    struct mfs_content c = { 0 };
    assert_ok(mfs_content_write(&c, 0, of("abcdef")));
    assert_ok(mfs_content_cut(&c, 2));
    assert_ok(mfs_content_write(&c, 4, of("x")));
    struct bytes got = mfs_content_read(&c, 0, 100);
    assert_int_equal(got.len, 5);
    assert_memory_equal(got.ptr, "ab\0\0x", 5);
    assert_ok(mfs_content_cut(&c, 9000));
    got = mfs_content_read(&c, 5, 9000);
    assert_int_equal(got.len, 8995);
    for (size_t i = 0; i < got.len; i++)
        assert_int_equal(got.ptr[i], 0);
    mfs_content_fini(&c);
}

TEST(what_is_too_long_is_refused_and_changes_nothing)
{
    struct mfs_content c = { 0 };
    assert_ok(mfs_content_write(&c, 0, of("abc")));
    assert_error(mfs_content_write(&c, MFS_CONTENT_MAX - 1, of("xy")), EFBIG);
    assert_error(mfs_content_write(&c, UINT64_MAX - 1, of("xyz")), EFBIG);
    assert_error(mfs_content_cut(&c, (uint64_t)MFS_CONTENT_MAX + 1), EFBIG);
    assert_is(&c, 0, 10, "abc");
    assert_ok(mfs_content_write(&c, MFS_CONTENT_MAX - 1, of("x")));
    assert_int_equal(c.room_bytes, MFS_CONTENT_MAX);
    mfs_content_fini(&c);
}

/* The next of a fixed row of numbers, below n. */
static uint32_t below(uint64_t *seed, uint32_t n)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*seed >> 33) % n;
}

TEST(random_changes_are_those_of_an_array)
{
    enum { SIZE = 30000 };
    static uint8_t want[SIZE], piece[SIZE];
    struct mfs_content c = { 0 };
    size_t size = 0;
    uint64_t r = 11;
    for (int i = 0; i < 2000; i++) {
        size_t at = below(&r, SIZE), len = below(&r, (uint32_t)(SIZE - at));
        if (below(&r, 4)) {
            for (size_t j = 0; j < len; j++)
                piece[j] = (uint8_t)below(&r, 256);
            assert_ok(mfs_content_write(&c, at, (struct bytes){ piece, (uint32_t)len }));
            memcpy(want + at, piece, len);
            size = len && at + len > size ? at + len : size;
        } else {
            assert_ok(mfs_content_cut(&c, at));
            if (at < size)
                memset(want + at, 0, size - at);
            size = at;
        }
        struct bytes got = mfs_content_read(&c, 0, SIZE);
        assert_int_equal(got.len, size);
        if (size)
            assert_memory_equal(got.ptr, want, size);
    }
    mfs_content_fini(&c);
}

UNIT_MAIN(cmocka_unit_test(it_begins_empty_and_follows_writes),
          cmocka_unit_test(what_is_left_out_and_what_was_cut_reads_as_zeros),
          cmocka_unit_test(what_is_too_long_is_refused_and_changes_nothing),
          cmocka_unit_test(random_changes_are_those_of_an_array))
