/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_buf.c: the byte queue. */
#include "tests/lib/unit.h"

#include "common/sys/buf.h"

TEST(first_in_first_out)
{
    struct buf b;
    buf_init(&b, 100);
    assert_ok(buf_append(&b, "abc", 3));
    assert_ok(buf_append(&b, "def", 3));
    assert_ok(buf_append(&b, NULL, 0));
    assert_int_equal(buf_len(&b), 6);
    assert_int_equal(buf_room(&b), 94);
    assert_memory_equal(buf_at(&b), "abcdef", 6);
    buf_consume(&b, 4);
    assert_memory_equal(buf_at(&b), "ef", 2);
    buf_consume(&b, 2);
    assert_int_equal(buf_len(&b), 0);
    buf_fini(&b);
    buf_fini(&b); /* the zero value is accepted */
}

TEST(maximum_is_hard)
{
    struct buf b;
    uint8_t *spot;
    buf_init(&b, 10);
    assert_ok(buf_append(&b, "0123456789", 10));
    assert_error(buf_append(&b, "x", 1), ENOSPC);
    assert_error(buf_reserve(&b, (size_t)-1, &spot), ENOSPC);
    buf_consume(&b, 3);
    assert_error(buf_append(&b, "abcd", 4), ENOSPC);
    assert_ok(buf_append(&b, "abc", 3));
    assert_memory_equal(buf_at(&b), "3456789abc", 10);
    buf_fini(&b);
}

/* Random appends and consumes against a plain model. */
TEST(like_a_model)
{
    enum { MAX = 20000 };
    static uint8_t model[MAX];
    size_t len = 0;
    struct buf b;
    uint32_t seed = 1;
    uint8_t next = 0;
    buf_init(&b, MAX);
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1664525 + 1013904223;
        size_t amount = (seed >> 8) % 3000;
        if (seed >> 31) {
            uint8_t *spot;
            int rc = buf_reserve(&b, amount, &spot);
            if (amount > MAX - len) {
                assert_error(rc, ENOSPC);
                continue;
            }
            assert_ok(rc);
            for (size_t i = 0; i < amount; i++)
                spot[i] = model[len + i] = next++;
            buf_commit(&b, amount);
            len += amount;
        } else {
            amount = amount < len ? amount : len;
            buf_consume(&b, amount);
            memmove(model, model + amount, len - amount);
            len -= amount;
        }
        assert_int_equal(buf_len(&b), len);
        if (len)
            assert_memory_equal(buf_at(&b), model, len);
        assert_true(b.size <= 4 * MAX);
    }
    buf_fini(&b);
}

UNIT_MAIN(cmocka_unit_test(first_in_first_out), cmocka_unit_test(maximum_is_hard),
          cmocka_unit_test(like_a_model))
