/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_space.c: how long an answer about the file system's room is good, and what own
 * changes do to it. */
#include "tests/lib/unit.h"

#include "mrcfs/client/space.h"

static const struct mfs_statfs_rep rep = {
    .bsize = 4096, .frsize = 1024, .blocks = 100, .bfree = 50, .bavail = 40
};

static void test_age(void **state)
{
    (void)state;
    struct mfs_space x = { 0 };
    struct mfs_space_use use = { 7, 1000 };
    assert_false(mfs_space_is_good(&x, &use, 5000));
    assert_true(mfs_space_is_due_ahead(&x, &use, 5000)); /* the first directory */
    mfs_space_ask(&x, &use, 5000);
    assert_false(mfs_space_is_due(&x, &use, 5001)); /* one is on the way */
    assert_true(mfs_space_will_be_good(&x, &use, 5100));
    assert_false(mfs_space_will_be_good(&x, &use, 5000 + MFS_SPACE_KEPT_MS));
    mfs_space_take(&x, &rep);
    assert_false(mfs_space_will_be_good(&x, &use, 5100));
    /* Good from the asking on, and asked for anew by its use in the second half. */
    assert_true(mfs_space_is_good(&x, &use, 5000 + MFS_SPACE_KEPT_MS - 1));
    assert_false(mfs_space_is_due(&x, &use, 5000 + MFS_SPACE_KEPT_MS / 2 - 1));
    assert_true(mfs_space_is_due(&x, &use, 5000 + MFS_SPACE_KEPT_MS / 2));
    assert_false(mfs_space_is_good(&x, &use, 5000 + MFS_SPACE_KEPT_MS));
    /* Ahead only if somebody wanted the last one. */
    assert_false(mfs_space_is_due_ahead(&x, &use, 9000));
    x.is_used = true;
    assert_true(mfs_space_is_due_ahead(&x, &use, 9000));
    /* In vain: what was known stays. */
    mfs_space_ask(&x, &use, 5400);
    mfs_space_take(&x, NULL);
    assert_true(mfs_space_is_good(&x, &use, 5500));
    assert_false(mfs_space_is_good(&x, &use, 5000 + MFS_SPACE_KEPT_MS));
}

static void test_own_changes(void **state)
{
    (void)state;
    struct mfs_space x = { 0 };
    struct mfs_space_use use = { 7, 1000 };
    mfs_space_ask(&x, &use, 5000);
    mfs_space_take(&x, &rep);
    assert_int_equal(mfs_space_of(&x, &use).bfree, 50);
    use.written_bytes += 1025;
    assert_true(mfs_space_is_good(&x, &use, 5010));
    assert_int_equal(mfs_space_of(&x, &use).bfree, 48);
    assert_int_equal(mfs_space_of(&x, &use).bavail, 38);
    use.written_bytes += 1 << 20;
    assert_int_equal(mfs_space_of(&x, &use).bfree, 0);
    assert_int_equal(mfs_space_of(&x, &use).bavail, 0);
    /* What is on the way does not know of them. */
    mfs_space_ask(&x, &use, 5020);
    use.written_bytes++;
    assert_false(mfs_space_will_be_good(&x, &use, 5030));
    mfs_space_take(&x, &rep);
    assert_int_equal(mfs_space_of(&x, &use).bfree, 49);
    /* A name that went may have freed something. */
    use.change_count++;
    assert_false(mfs_space_is_good(&x, &use, 5040));
    assert_true(mfs_space_is_due(&x, &use, 5040));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_age),
                                        cmocka_unit_test(test_own_changes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
