/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_park.c: places in a park: what is added and removed at random against one that knows of
 * each page; growing where it is; no room; and what who reads a list of places does not
 * believe. */
#include "tests/lib/unit.h"

#include "common/base/wire.h"
#include "common/sys/fd.h"
#include "mosix-core/image/collect.h"
#include "mosix-core/image/park.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 5000, BLOCK = 2 << 20, TIMES = 4000 };
static const uint64_t base = 0x7f0000123000, from = MX_PARK_AT;

static uint64_t state = 1;
static uint32_t rnd(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static uint64_t place(const struct mx_park *p, uint64_t address)
{
    uint64_t end, at;
    return mx_park_find(p, address, address + PAGE, &end, &at) ? at : 0;
}

static void places_stay_and_are_nobody_elses(void **ctx UNUSED)
{
    static uint64_t known[PAGES];
    struct mx_park p = { .start = from, .end = from + MX_PARK_BYTES };
    unsigned added = 0;
    for (unsigned n = 0; n < TIMES; n++) {
        uint32_t first = rnd(PAGES), end = first + 1 + rnd(PAGES / 20);
        end = end < PAGES ? end : PAGES;
        bool is_free = rnd(2);
        for (uint32_t i = first; i < end; i++)
            is_free &= !known[i];
        if (is_free) {
            assert_int_equal(mx_park_add(&p, base + first * PAGE, base + end * PAGE), 0);
            added++;
        } else {
            assert_int_equal(mx_park_remove(&p, base + first * PAGE, base + end * PAGE), 0);
        }
        for (uint32_t i = 0; i < PAGES; i++) {
            uint64_t at = place(&p, base + i * PAGE);
            if (i >= first && i < end) {
                assert_true(is_free ? at != 0 : at == 0);
                known[i] = at;
            }
            assert_true(at == known[i]);
            assert_true(!at || (at >= p.start && at < p.start + p.used &&
                                at % BLOCK == (base + i * PAGE) % BLOCK));
        }
        for (uint32_t i = 1; i < p.count; i++)
            for (uint32_t k = 0; n % 100 == 0 && k < i; k++)
                assert_true(p.list[k].room_end <= p.list[i].at ||
                            p.list[i].room_end <= p.list[k].at);
    }
    assert_true(added > TIMES / 10);
    mx_park_fini(&p);
}

static void what_grows_stays_in_one_part(void **ctx UNUSED)
{
    struct mx_park p = { .start = from, .end = from + MX_PARK_BYTES };
    uint64_t end, at, len = 64 << 20;
    assert_int_equal(mx_park_add(&p, base, base + len), 0);
    assert_int_equal(mx_park_add(&p, base + len, base + len + len / 10), 0);
    assert_true(mx_park_find(&p, base, base + 2 * len, &end, &at));
    assert_true(end == base + len + len / 10 && p.count == 1);
    /* By more than there is room for. */
    assert_int_equal(mx_park_add(&p, end, end + len), 0);
    assert_int_equal(p.count, 2);
    mx_park_fini(&p);
}

static void without_room_it_has_none(void **ctx UNUSED)
{
    struct mx_park p = { .start = from, .end = from + 4 * BLOCK }, none = { 0 };
    assert_int_equal(mx_park_add(&p, base, base + 5 * BLOCK), 0);
    assert_int_equal(p.count, 0);
    assert_int_equal(mx_park_add(&p, base, base + BLOCK), 0);
    assert_int_equal(p.count, 1);
    assert_true(p.list[0].room_end <= p.end);
    assert_int_equal(mx_park_add(&p, base + 9 * BLOCK, base + 12 * BLOCK), 0);
    assert_int_equal(p.count, 1);
    assert_int_equal(mx_park_add(&none, base, base + PAGE), 0);
    assert_int_equal(none.count, 0);
    assert_true(place(&none, base) == 0);
    mx_park_fini(&p);
}

static int get(const uint64_t *numbers, uint32_t count, uint32_t said, struct mx_park *p)
{
    uint8_t bytes[256];
    struct wr w = wr_of(bytes, sizeof bytes);
    int pipe_ends[2];
    struct err e = { "" };
    put_u32(&w, said);
    for (uint32_t i = 0; i < count; i++)
        put_u64(&w, numbers[i]);
    assert_int_equal(fd_pipe(pipe_ends), 0);
    assert_int_equal(fd_write_full(pipe_ends[1], bytes, wr_len(&w)), 0);
    close(pipe_ends[1]);
    *p = (struct mx_park){ .start = from, .end = from + 16 * PAGE };
    int rc = mx_parked_get(pipe_ends[0], p, &e);
    close(pipe_ends[0]);
    return rc;
}

static void lists_that_make_no_sense_are_refused(void **ctx UNUSED)
{
    static const struct {
        uint64_t numbers[6];
        uint32_t count, said;
        int rc;
    } cases[] = {
        { { base, base + PAGE, from, base + PAGE, base + 2 * PAGE, from + PAGE }, 6, 2, 0 },
        { { 0 }, 0, 0, 0 },
        { { base, base + PAGE, from }, 3, 2, -EPROTO }, /* cut short */
        { { 0 }, 0, MX_PARK_PARTS_MAX + 1, -EPROTO },
        { { base, base, from }, 3, 1, -EPROTO },
        { { base + PAGE, base, from }, 3, 1, -EPROTO },
        { { base, base + PAGE, from - PAGE }, 3, 1, -EPROTO },
        { { base, base + PAGE, from + 16 * PAGE }, 3, 1, -EPROTO },
        { { base, base + 17 * PAGE, from }, 3, 1, -EPROTO },
        { { base, UINT64_MAX - PAGE + 1, from }, 3, 1, -EPROTO },
        { { base + 1, base + PAGE, from }, 3, 1, -EPROTO },
        { { base, base + PAGE, from, base, base + PAGE, from + PAGE }, 6, 2, -EPROTO },
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct mx_park p;
        int rc = get(cases[i].numbers, cases[i].count, cases[i].said, &p);
        if (rc != cases[i].rc)
            fprintf(stderr, "case %u\n", i);
        assert_int_equal(rc, cases[i].rc);
        mx_park_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_stay_and_are_nobody_elses),
        cmocka_unit_test(what_grows_stays_in_one_part),
        cmocka_unit_test(without_room_it_has_none),
        cmocka_unit_test(lists_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
