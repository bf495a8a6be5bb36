/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_err.c: words of failures. */
#include "tests/lib/unit.h"

#include "common/base/err.h"

TEST(says_what_and_why)
{
    struct err e = { "" };
    errno = EAGAIN;
    assert_int_equal(err_set(&e, ENOENT, "open %s", "x"), -ENOENT);
    assert_string_equal(e.text, "open x: No such file or directory");
    assert_int_equal(errno, EAGAIN);
}

TEST(words_alone_are_eio)
{
    struct err e = { "" };
    assert_int_equal(err_set(&e, 0, "it is broken"), -EIO);
    assert_string_equal(e.text, "it is broken");
}

TEST(a_number_for_the_caller_only)
{
    struct err e = { "" };
    assert_int_equal(err_say(&e, ENOSPC, "more than %d", 7), -ENOSPC);
    assert_string_equal(e.text, "more than 7");
    assert_int_equal(err_say(NULL, EPERM, "x"), -EPERM);
}

TEST(context_goes_in_front)
{
    struct err e = { "" };
    int rc = err_set(&e, EPERM, "read");
    assert_int_equal(err_in(&e, rc, "image %d", 7), -EPERM);
    assert_string_equal(e.text, "image 7: read: Operation not permitted");
}

TEST(context_of_a_bare_number)
{
    struct err e = { "" };
    assert_int_equal(err_in(&e, -ENOSPC, "save"), -ENOSPC);
    assert_string_equal(e.text, "save: No space left on device");
}

TEST(nobody_listens)
{
    assert_int_equal(err_set(NULL, EPERM, "x"), -EPERM);
    assert_int_equal(err_in(NULL, -EPERM, "x"), -EPERM);
}

TEST(long_texts_are_cut)
{
    struct err e = { "" };
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(err_set(&e, EPERM, "%s", text), -EPERM);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_int_equal(err_in(&e, -EPERM, "%s", text), -EPERM);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    err_set(&e, EPERM, "%.240s", text);
    assert_int_equal(err_in(&e, -EPERM, "outer"), -EPERM);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_has(e.text, "outer: xxx");
}

UNIT_MAIN(cmocka_unit_test(says_what_and_why), cmocka_unit_test(words_alone_are_eio),
          cmocka_unit_test(a_number_for_the_caller_only),
          cmocka_unit_test(context_goes_in_front), cmocka_unit_test(context_of_a_bare_number),
          cmocka_unit_test(nobody_listens), cmocka_unit_test(long_texts_are_cut))
