/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_activity.c: the file in which a job tells what it does. */
#include "tests/lib/unit.h"

#include "mrc/activity.h"

static const struct activity some = { .kind = ACTIVITY_JOB,
                                      .state = ACTIVITY_RUNNING,
                                      .pid = 12,
                                      .there_pid = 34,
                                      .began_ms = 1ull << 40,
                                      .files_unsent = 77,
                                      .host = "ann@big",
                                      .command = "make \033[2J",
                                      .view = "0123456789abcdef",
                                      .file = "/home/ann/x" };

TEST(there_and_back)
{
    uint8_t space[ACTIVITY_BYTES];
    struct activity a;
    size_t len = activity_put(&some, 5, space);
    assert_ok(activity_get((struct bytes){ space, (uint32_t)len }, &a));
    assert_int_equal(a.there_pid, 34);
    assert_true(a.began_ms == some.began_ms);
    assert_int_equal(a.files_unsent, 77);
    assert_string_equal(a.host, "ann@big");
    assert_string_equal(a.command, "make ?[2J");
    assert_string_equal(a.view, some.view);
    assert_string_equal(a.file, "/home/ann/x");
    /* What an older, longer state has left behind it is not looked at. */
    assert_ok(activity_get((struct bytes){ space, ACTIVITY_BYTES }, &a));
}

TEST(the_longest_fits)
{
    uint8_t space[ACTIVITY_BYTES];
    struct activity a = some;
    memset(a.host, 'h', sizeof a.host - 1);
    memset(a.command, 'c', sizeof a.command - 1);
    memset(a.view, 'v', sizeof a.view - 1);
    memset(a.file, 'f', sizeof a.file - 1);
    size_t len = activity_put(&a, 6, space);
    assert_true(len < sizeof space);
    assert_ok(activity_get((struct bytes){ space, (uint32_t)len }, &a));
    assert_int_equal(strlen(a.file), sizeof a.file - 1);
}

TEST(half_written_and_without_sense)
{
    uint8_t space[ACTIVITY_BYTES];
    struct activity a;
    size_t len = activity_put(&some, 7, space);
    for (uint32_t part = 0; part < len; part++)
        assert_error(activity_get((struct bytes){ space, part }, &a), EPROTO);
    space[len - 1] ^= 1; /* the turn at the end is another one's */
    assert_error(activity_get((struct bytes){ space, (uint32_t)len }, &a), EAGAIN);
    space[0] ^= 1; /* another version */
    assert_error(activity_get((struct bytes){ space, (uint32_t)len }, &a), EPROTO);
}

TEST(sizes)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } table[] = { { 0, "0 B" },           { 999, "999 B" },           { 1000, "1.0 kB" },
                  { 999940, "999.9 kB" }, { 999960, "1.0 MB" },       { 12345678, "12.3 MB" },
                  { UINT64_MAX, "18.4 EB" } };
    char text[16];
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        activity_size_text(table[i].bytes, text);
        assert_string_equal(text, table[i].text);
    }
}

UNIT_MAIN(cmocka_unit_test(there_and_back), cmocka_unit_test(the_longest_fits),
          cmocka_unit_test(half_written_and_without_sense), cmocka_unit_test(sizes))
