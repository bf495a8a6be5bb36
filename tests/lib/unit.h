/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit.h: cmocka and our own checks, for unit tests.
 * Must not know: what is tested.
 * A test file has functions TEST(name) { … } and one UNIT_MAIN(name, name, …) at its end.
 * cmocka's macros fail, skip, mock and expect_* are taken: do not use these names. */
#ifndef TESTS_LIB_UNIT_H
#define TESTS_LIB_UNIT_H

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/attr.h"

#include <errno.h>
#include <string.h>

#define TEST(name) static void name(void **state UNUSED)

/* A result that should be 0 or a count; prints errno's words if not. */
#define assert_ok(call)                                                                        \
    do {                                                                                       \
        long long unit_rc_ = (call);                                                           \
        if (unit_rc_ < 0)                                                                      \
            fail_msg("%s: %s", #call, strerror((int)-unit_rc_));                               \
    } while (0)

/* A result that should be -expected_errno. */
#define assert_error(call, expected_errno)                                                     \
    do {                                                                                       \
        long long unit_rc_ = (call);                                                           \
        if (unit_rc_ != -(expected_errno))                                                     \
            fail_msg("%s: %lld, not -%s", #call, unit_rc_, #expected_errno);                   \
    } while (0)

/* text contains part. */
#define assert_has(text, part)                                                                 \
    do {                                                                                       \
        if (!strstr((text), (part)))                                                           \
            fail_msg("'%s' is not in '%s'", (part), (text));                                   \
    } while (0)

#define UNIT_MAIN(...)                                                                         \
    int main(void)                                                                             \
    {                                                                                          \
        const struct CMUnitTest tests[] = { __VA_ARGS__ };                                     \
        return cmocka_run_group_tests(tests, NULL, NULL);                                      \
    }

#endif
