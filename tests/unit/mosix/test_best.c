/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_best.c: where one more process would find the least load. */
#include "tests/lib/unit.h"

#include "mosix-core/mosixd/best.h"

static const struct mx_candidate idle = { 0, 10000, 4, 1000, 0, false };

TEST(loads)
{
    struct mx_candidate c[3] = { idle, idle, idle };
    c[0].load_centi = 100;
    c[1].load_centi = 40;
    c[2].load_centi = 60;
    assert_int_equal(mx_best(c, 3, 0, 7), 1);
    c[1].speed = 5000; /* 40 + 50 against 60 + 25 */
    assert_int_equal(mx_best(c, 3, 0, 7), 2);
    c[2].coming = 1; /* 60 + 50 against 100 + 25 and 40 + 50 */
    assert_int_equal(mx_best(c, 3, 0, 7), 1);
    c[1].coming = 2;
    c[2].coming = 3;
    assert_int_equal(mx_best(c, 3, 0, 7), 0);
    assert_int_equal(mx_best(c, 0, 0, 7), -1);
}

TEST(memory)
{
    struct mx_candidate c[2] = { idle, idle };
    c[0].free_mb = 500;
    c[1].load_centi = 300;
    assert_int_equal(mx_best(c, 2, 500, 0), 0);
    assert_int_equal(mx_best(c, 2, 501, 0), 1);
    assert_int_equal(mx_best(c, 2, 1001, 0), -1);
    assert_int_equal(mx_best(c, 2, UINT64_MAX, 0), -1);
    c[0].coming = 1; /* which is taken to need as much */
    assert_int_equal(mx_best(c, 2, 251, 0), 1);
    assert_int_equal(mx_best(c, 2, 250, 0), 0);
}

TEST(equal_ones)
{
    struct mx_candidate c[4] = { idle, idle, idle, idle };
    unsigned chosen[4] = { 0 };
    c[2].load_centi = MX_BEST_NEAR_CENTI + 1;
    for (uint32_t chance = 0; chance < 300; chance++)
        chosen[mx_best(c, 4, 0, chance)]++;
    assert_int_equal(chosen[0], 100);
    assert_int_equal(chosen[1], 100);
    assert_int_equal(chosen[2], 0);
    assert_int_equal(chosen[3], 100);
    c[3].is_here = true; /* a move costs, too */
    c[3].load_centi = MX_BEST_NEAR_CENTI;
    assert_int_equal(mx_best(c, 4, 0, 1), 3);
}

UNIT_MAIN(cmocka_unit_test(loads), cmocka_unit_test(memory), cmocka_unit_test(equal_ones))
