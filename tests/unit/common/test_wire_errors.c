/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_wire_errors.c: error numbers on the wire. */
#include "tests/lib/unit.h"

#include "common/base/wire_errors.h"

static const struct {
    uint32_t wire;
    int value;
} table[] = {
#define WERR(number, name) { number, name },
#include "common/base/wire_errors.def"
#undef WERR
};

TEST(both_ways)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_int_equal(wire_error_from(-table[i].value), table[i].wire);
        assert_int_equal(wire_error_to(table[i].wire), -table[i].value);
    }
}

TEST(each_once)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_true(table[i].wire > 0);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(table[i].wire, table[j].wire);
            assert_int_not_equal(table[i].value, table[j].value);
        }
    }
}

/* Numbers are for ever: these are in released messages. */
TEST(stable)
{
    assert_int_equal(wire_error_from(-ENOENT), 2);
    assert_int_equal(wire_error_from(-EIO), 4);
    assert_int_equal(wire_error_from(-ENOSPC), 24);
    assert_int_equal(wire_error_from(-ESTALE), 39);
}

TEST(outside_the_table)
{
    assert_int_equal(wire_error_from(0), 0);
    assert_int_equal(wire_error_from(5), 0);
    assert_int_equal(wire_error_to(0), 0);
    assert_int_equal(wire_error_from(-EUCLEAN), wire_error_from(-EIO));
    assert_int_equal(wire_error_to(0xffffffff), -EIO);
}

UNIT_MAIN(cmocka_unit_test(both_ways), cmocka_unit_test(each_once), cmocka_unit_test(stable),
          cmocka_unit_test(outside_the_table))
