/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_messages.c: orders, reports and words as bytes, cut at every place, changed, and out of
 * range. */
#include "mosix-core/plan/messages.h"
#include "tests/lib/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct mx_message some(unsigned number)
{
    struct mx_message m;
    memset(&m, 0, sizeof m);
    m.number = number;
    if (number == MX_MESSAGE_order)
        m.order = (struct mx_order){ 7, 2, MX_WANT_COPY, 123456789012 };
    else if (number == MX_MESSAGE_report)
        m.report = (struct mx_report){ 9, 7, 2, MX_IS_COPYING, MX_WHY_SLOW, 55, 4, 17 };
    else
        m.words.signal = number == MX_MESSAGE_words ? 11 : 0,
        snprintf(m.words.text, sizeof m.words.text, "process 12 has threads");
    return m;
}

static size_t put(uint8_t bytes[MX_MESSAGE_MAX], const struct mx_message *m)
{
    struct wr w = wr_of(bytes, MX_MESSAGE_MAX);
    mx_plan_put(&w, m);
    assert_false(w.is_full);
    return wr_len(&w);
}

static void round_trip(void **state)
{
    (void)state;
    for (unsigned number = MX_MESSAGE_order; number <= MX_MESSAGE_leave; number++) {
        struct mx_message m = some(number), back;
        uint8_t bytes[MX_MESSAGE_MAX];
        memset(&back, 0, sizeof back);
        size_t len = put(bytes, &m);
        struct rd r = rd_of(bytes, len);
        assert_int_equal(mx_plan_get(&r, &back), 1);
        assert_int_equal(rd_left(&r), 0);
        assert_memory_equal(&m, &back, sizeof m);
    }
}

static void cut_and_long(void **state)
{
    (void)state;
    for (unsigned number = MX_MESSAGE_order; number <= MX_MESSAGE_leave; number++) {
        struct mx_message m = some(number), back;
        uint8_t bytes[MX_MESSAGE_MAX];
        size_t len = put(bytes, &m);
        for (size_t cut = 0; cut < len; cut++) {
            struct rd r = rd_of(bytes, cut);
            assert_int_equal(mx_plan_get(&r, &back), 0);
            assert_int_equal(rd_left(&r), cut);
        }
        for (int by = -1; by <= 1; by += 2) { /* a length that is not the fields' */
            uint8_t other[MX_MESSAGE_MAX] = { 0 };
            memcpy(other, bytes, len);
            other[0] = (uint8_t)(other[0] + by);
            struct rd r = rd_of(other, len + 1);
            assert_int_equal(mx_plan_get(&r, &back), -EPROTO);
        }
    }
}

static void out_of_range(void **state)
{
    (void)state;
    struct mx_message m = some(MX_MESSAGE_order), back;
    uint8_t bytes[MX_MESSAGE_MAX];
    size_t len;
    m.order.want = MX_WANTS;
    len = put(bytes, &m);
    struct rd r = rd_of(bytes, len);
    assert_int_equal(mx_plan_get(&r, &back), -EPROTO);
    m = some(MX_MESSAGE_report);
    m.report.is = MX_STATES;
    len = put(bytes, &m);
    r = rd_of(bytes, len);
    assert_int_equal(mx_plan_get(&r, &back), -EPROTO);
    m = some(MX_MESSAGE_report);
    m.report.stamp_ms = 0; /* an order that echoes it would mean "none" */
    len = put(bytes, &m);
    r = rd_of(bytes, len);
    assert_int_equal(mx_plan_get(&r, &back), -EPROTO);
    uint8_t huge[3] = { 0xff, 0xff, MX_MESSAGE_order };
    r = rd_of(huge, sizeof huge);
    assert_int_equal(mx_plan_get(&r, &back), -EPROTO);
}

static void newer(void **state)
{
    (void)state;
    struct mx_message m = some(MX_MESSAGE_order), back;
    uint8_t bytes[MX_MESSAGE_MAX] = { 2, 0, 200, 'x', 'y' };
    struct wr w = wr_of(bytes + 5, sizeof bytes - 5);
    mx_plan_put(&w, &m);
    struct rd r = rd_of(bytes, 5 + wr_len(&w));
    assert_int_equal(mx_plan_get(&r, &back), 1);
    assert_int_equal(back.number, 0);
    assert_int_equal(mx_plan_get(&r, &back), 1);
    assert_int_equal(back.number, MX_MESSAGE_order);
}

static void words_on_terminals(void **state)
{
    (void)state;
    struct mx_message m = some(MX_MESSAGE_words), back;
    uint8_t bytes[MX_MESSAGE_MAX];
    snprintf(m.words.text, sizeof m.words.text, "a\033[2Jb\nc\377");
    struct rd r = rd_of(bytes, put(bytes, &m));
    assert_int_equal(mx_plan_get(&r, &back), 1);
    assert_string_equal(back.words.text, "a [2Jb c ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),         cmocka_unit_test(cut_and_long),
        cmocka_unit_test(out_of_range),       cmocka_unit_test(newer),
        cmocka_unit_test(words_on_terminals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
