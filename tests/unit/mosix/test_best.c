/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_best.c: where one more process would find the least load. */
#include "tests/lib/unit.h"

#include "mosix-core/mosixd/best.h"

static const struct mx_candidate idle = { .speed = 10000, .cores = 4, .free_mb = 1000 };

TEST(loads)
{
    struct mx_candidate c[3] = { idle, idle, idle };
    c[0].load_centi = 300;
    c[1].load_centi = 40; /* of four cores one is left */
    c[2].load_centi = 200;
    assert_int_equal(mx_best(c, 3, 0, 7), 1);
    c[1].speed = 2500; /* a whole core of a quarter, a third of one, and half of one */
    assert_int_equal(mx_best_cost_us(&c[1]), 4000000);
    assert_int_equal(mx_best(c, 3, 0, 7), 2);
    c[2].coming = 8; /* 17 on four cores, against 13 */
    assert_int_equal(mx_best(c, 3, 0, 7), 0);
    c[0].coming = 12;
    assert_int_equal(mx_best(c, 3, 0, 7), 1);
    assert_int_equal(mx_best(c, 0, 0, 7), -1);
}

/* A core for oneself is as good as many. */
TEST(cores)
{
    struct mx_candidate c[2] = { idle, idle };
    c[0].cores = 64;
    c[0].speed = 9000;
    c[1].cores = 1;
    assert_int_equal(mx_best(c, 2, 0, 0), 1);
    c[1].load_centi = 30; /* now it would have to share it */
    assert_int_equal(mx_best(c, 2, 0, 0), 0);
}

TEST(partners)
{
    struct mx_candidate c[2] = { idle, idle };
    c[0].load_centi = 500;
    c[1].is_partner = true;
    assert_int_equal(mx_best(c, 2, 0, 0), 0);
    c[0].free_mb = 10;
    assert_int_equal(mx_best(c, 2, 11, 0), 1);
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
    c[2].speed = 9500 - 100; /* costs more than 5 % more */
    for (uint32_t chance = 0; chance < 300; chance++)
        chosen[mx_best(c, 4, 0, chance)]++;
    assert_int_equal(chosen[0], 100);
    assert_int_equal(chosen[1], 100);
    assert_int_equal(chosen[2], 0);
    assert_int_equal(chosen[3], 100);
    c[3].is_here = true; /* a move costs, too */
    c[3].speed = 9600;
    assert_int_equal(mx_best(c, 4, 0, 1), 3);
}

UNIT_MAIN(cmocka_unit_test(loads), cmocka_unit_test(cores), cmocka_unit_test(partners),
          cmocka_unit_test(memory), cmocka_unit_test(equal_ones))
