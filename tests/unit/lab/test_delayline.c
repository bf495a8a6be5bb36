/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_delayline.c: one direction of a link, in virtual time. */
#include "tests/lib/unit.h"

#include "examples/lab/delayline.h"

#include <string.h>

#define MS 1000000ull
#define S  1000000000ull

enum { RING = 1024, MEM = 1 << 20, WANT = 4096 };

static struct dl_packet ring[RING];
static uint8_t mem[MEM];
static struct dl line;

static int start(void **state)
{
    (void)state;
    dl_init(&line, ring, RING, mem, MEM);
    return 0;
}

static void set(struct dl_settings s, uint64_t now_ns)
{
    dl_set(&line, &s, now_ns);
}

/* A packet whose bytes are all `mark`. */
static bool put(uint64_t now_ns, uint32_t len, uint8_t mark)
{
    uint8_t *room = dl_room(&line, WANT);
    if (room == NULL) {
        dl_full(&line, len, 1);
        return false;
    }
    memset(room, mark, len);
    return dl_put(&line, now_ns, len, len, 1);
}

/* The mark of the packet that is due, which is taken out; -1: none. */
static int get(uint64_t now_ns, uint32_t len)
{
    uint32_t got = 0;
    const uint8_t *p = dl_due(&line, now_ns, &got);
    if (p == NULL)
        return -1;
    assert_int_equal(got, len);
    for (uint32_t i = 1; i < got; i++)
        assert_int_equal(p[i], p[0]);
    int mark = p[0];
    dl_pop(&line);
    return mark;
}

static void test_nothing_set(void **state)
{
    (void)state;
    assert_true(dl_next_ns(&line) == DL_FOR_EVER);
    assert_int_equal(get(5 * S, 10), -1);
    assert_true(put(5 * S, 10, 7));
    assert_int_equal(get(5 * S, 10), 7);
    assert_int_equal(get(5 * S, 10), -1);
}

static void test_delay_is_exact_with_many_in_flight(void **state)
{
    (void)state;
    set((struct dl_settings){ .delay_ns = 40 * MS }, 0);
    for (uint64_t i = 0; i < 40; i++)
        assert_true(put(i * MS, 100, (uint8_t)i));
    for (uint64_t i = 0; i < 40; i++) {
        assert_true(dl_next_ns(&line) == (i + 40) * MS);
        assert_int_equal(get((i + 40) * MS - 1, 100), -1);
        assert_int_equal(get((i + 40) * MS, 100), (int)i);
    }
}

static void test_rate(void **state)
{
    (void)state;
    set((struct dl_settings){ .rate_bps = 8000000, .delay_ns = 10 * MS },
        0); /* 1 byte per µs */
    for (int i = 0; i < 5; i++)
        assert_true(put(0, 1000, (uint8_t)i));
    for (uint64_t i = 0; i < 5; i++)
        assert_true(dl_next_ns(&line) == 10 * MS + (i + 1) * MS &&
                    get(dl_next_ns(&line), 1000) == (int)i);
    /* After a pause the sender starts at once, and has saved nothing up. */
    assert_true(put(S, 1000, 1));
    assert_true(put(S, 1000, 2));
    assert_int_equal(get(S + 11 * MS, 1000), 1);
    assert_true(dl_next_ns(&line) == S + 12 * MS);
}

/* Offered twice the rate for ten seconds: what comes out is the rate within a tenth of a per
 * cent. */
static void test_rate_over_time(void **state)
{
    (void)state;
    uint64_t now = 0, out = 0;
    set((struct dl_settings){ .rate_bps = 100000000, .queue_bytes = 200000 }, 0);
    while (now < 10 * S) {
        (void)put(now, 1514, 1);
        now += 60560; /* 1514 bytes at 200 Mbit/s */
        while (get(now, 1514) == 1)
            out += 1514;
    }
    assert_in_range(out * 8 / 10, 99900000, 100100000);
    assert_true(line.counts.overflow > 0);
    assert_int_equal(line.counts.packets,
                     line.counts.out_packets + line.counts.overflow + (line.end - line.first));
}

static void test_queue_is_bounded(void **state)
{
    (void)state;
    set((struct dl_settings){ .rate_bps = 8000, .queue_bytes = 2500 }, 0);
    assert_true(put(0, 1000, 1)); /* the sender has it, and has sent none of it yet */
    assert_true(put(0, 1000, 2));
    assert_false(put(0, 1000, 3)); /* 3,000 would wait */
    assert_true(put(0, 500, 4));
    assert_int_equal(line.counts.overflow, 1);
    assert_true(put(S, 900, 5)); /* a second later 1,000 are gone */
    assert_int_equal(get(S, 1000), 1);
    assert_int_equal(get(2 * S, 1000), 2);
    assert_int_equal(get(10 * S, 500), 4);
    assert_int_equal(get(10 * S, 900), 5);
}

static void test_queue_chosen(void **state)
{
    (void)state;
    /* 100 Mbit/s and 40 ms: 500,000 bytes on the line one way; 10 ms are 125,000. */
    struct dl_settings s = { .rate_bps = 100000000, .delay_ns = 40 * MS };
    assert_int_equal(dl_queue_bytes(&s), 2 * 500000 + 125000);
    s = (struct dl_settings){ .rate_bps = 1000000, .delay_ns = 0 };
    assert_int_equal(dl_queue_bytes(&s), 65536);
    s.queue_bytes = 12;
    assert_int_equal(dl_queue_bytes(&s), 12);
}

static uint32_t lost_of(uint64_t seed, uint32_t ppm, uint32_t n, uint64_t *pattern)
{
    start(NULL);
    dl_seed(&line, seed);
    set((struct dl_settings){ .loss_ppm = ppm }, 0);
    *pattern = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool is_in = put(0, 10, 1);
        if (i < 64)
            *pattern |= (uint64_t)!is_in << i;
        if (is_in)
            assert_int_equal(get(0, 10), 1);
    }
    assert_int_equal(line.counts.packets, n);
    assert_int_equal(line.counts.out_packets + line.counts.lost, n);
    return (uint32_t)line.counts.lost;
}

static void test_loss(void **state)
{
    (void)state;
    uint64_t a, b, c;
    for (uint64_t seed = 0; seed < 20; seed++) /* mean 2,000, deviation 44: five of them */
        assert_in_range(lost_of(seed, 10000, 200000, &a), 1780, 2220);
    assert_int_equal(lost_of(1, 0, 1000, &a), 0);
    assert_int_equal(lost_of(1, 1000000, 1000, &a), 1000);
    lost_of(7, 300000, 64, &a);
    lost_of(7, 300000, 64, &b);
    lost_of(8, 300000, 64, &c);
    assert_true(a == b);
    assert_true(a != c);
}

static void test_cut(void **state)
{
    (void)state;
    set((struct dl_settings){ .delay_ns = 5 * MS }, 0);
    assert_true(put(0, 10, 1));
    dl_cut(&line, 100 * MS);
    assert_false(put(99 * MS, 10, 2));
    assert_true(put(100 * MS, 10, 3));
    assert_int_equal(get(S, 10), 1); /* was under way already */
    assert_int_equal(get(S, 10), 3);
    assert_int_equal(line.counts.cut, 1);
    dl_cut(&line, DL_FOR_EVER);
    assert_false(put(1000000 * S, 10, 4));
    dl_cut(&line, 0);
    assert_true(put(1000000 * S, 10, 5));
}

/* A shorter delay lets nothing overtake; a longer one doesn't hold what is on the line. */
static void test_delay_changes(void **state)
{
    (void)state;
    set((struct dl_settings){ .delay_ns = 100 * MS }, 0);
    assert_true(put(0, 10, 1));
    set((struct dl_settings){ .delay_ns = 1 * MS }, 10 * MS);
    assert_true(put(10 * MS, 10, 2));
    assert_int_equal(get(99 * MS, 10), -1);
    assert_int_equal(get(100 * MS, 10), 1);
    assert_int_equal(get(100 * MS, 10), 2);
    assert_true(put(200 * MS, 10, 3));
    set((struct dl_settings){ .delay_ns = 50 * MS }, 200 * MS + 1);
    assert_int_equal(get(201 * MS, 10), 3);
}

/* A queue built up at a very low rate goes out at the new one. */
static void test_rate_changes(void **state)
{
    (void)state;
    set((struct dl_settings){ .rate_bps = 8, .queue_bytes = 100000 }, 0);
    for (int i = 0; i < 10; i++)
        assert_true(put(0, 1000, (uint8_t)i));
    set((struct dl_settings){ .rate_bps = 8000000 }, S);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(get(S + (i + 1) * MS, 1000), (int)i);
    assert_true(put(S + 20 * MS, 1000, 11));
    assert_int_equal(get(S + 21 * MS, 1000), 11);
    set((struct dl_settings){ .rate_bps = 8 }, 2 * S);
    assert_true(put(2 * S, 1000, 12));
    set((struct dl_settings){ .rate_bps = 0 }, 3 * S);
    assert_int_equal(get(3 * S, 1000), 12);
}

static void test_full(void **state)
{
    (void)state;
    set((struct dl_settings){ .delay_ns = S }, 0);
    int n = 0;
    while (put(0, 3000, (uint8_t)n))
        n++;
    assert_in_range(n, (MEM - WANT) / 3000 - 1, MEM / 3000);
    assert_int_equal(line.counts.full, 1);
    for (int i = 0; i < n; i++)
        assert_int_equal(get(S, 3000), (uint8_t)i);
    /* More small ones than the ring has room for. */
    for (n = 0; put(2 * S, 10, (uint8_t)n); n++)
        continue;
    assert_int_equal(n, RING);
    for (int i = 0; i < n; i++)
        assert_int_equal(get(3 * S, 10), (uint8_t)i);
}

/* The memory is used round and round, at times all of it, without a byte of one packet reaching
 * another. */
static void test_memory_wraps(void **state)
{
    (void)state;
    uint64_t random = 1, in = 0, out = 0;
    static uint32_t lens[RING * 2];
    set((struct dl_settings){ .delay_ns = 60 * MS }, 0);
    for (uint64_t now = 0; now < 100000 * MS / 10; now += MS / 10) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t len = 1 + (uint32_t)(random >> 33) % WANT;
        /* Now and then nothing comes for a while, so that the line runs empty. */
        if (in / 500 % 3 != 2 || random >> 60 != 0) {
            if (put(now, len, (uint8_t)in))
                lens[in++ % ARRAY_LEN(lens)] = len;
        }
        while (dl_next_ns(&line) <= now) {
            assert_int_equal(get(now, lens[out % ARRAY_LEN(lens)]), (uint8_t)out);
            out++;
        }
    }
    assert_true(out > 40000);
    assert_true(line.counts.full > 100);
    assert_true(line.counts.out_packets == out);
}

static void test_saturates(void **state)
{
    (void)state;
    set((struct dl_settings){ .rate_bps = 1,
                              .delay_ns = UINT64_MAX - 1,
                              .queue_bytes = UINT64_MAX },
        S);
    assert_true(put(S, 4000, 1));
    assert_true(put(S, 4000, 2));
    assert_int_equal(get(UINT64_MAX - 1, 4000), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nothing_set, start),
        cmocka_unit_test_setup(test_delay_is_exact_with_many_in_flight, start),
        cmocka_unit_test_setup(test_rate, start),
        cmocka_unit_test_setup(test_rate_over_time, start),
        cmocka_unit_test_setup(test_queue_is_bounded, start),
        cmocka_unit_test_setup(test_queue_chosen, start),
        cmocka_unit_test_setup(test_loss, start),
        cmocka_unit_test_setup(test_cut, start),
        cmocka_unit_test_setup(test_delay_changes, start),
        cmocka_unit_test_setup(test_rate_changes, start),
        cmocka_unit_test_setup(test_full, start),
        cmocka_unit_test_setup(test_memory_wraps, start),
        cmocka_unit_test_setup(test_saturates, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
