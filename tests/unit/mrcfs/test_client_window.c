/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_window.c: how far ahead files are asked for: who reads in order gets all of it,
 * each byte once; who reads here and there gets nothing ahead; the bounds hold. */
#include "tests/lib/unit.h"

#include "mrcfs/client/window.h"

enum { KIB = 1024, STEP = MFS_READ_STEP_BYTES };

static void test_in_order(void **state)
{
    (void)state;
    enum { SIZE = 10000000, READ = 128 * KIB };
    struct mfs_window w = { 0 };
    uint64_t asked_to = 0, requests = 0, limit = 2 << 20;
    for (uint64_t at = 0; at < SIZE; at += READ) {
        struct mfs_range ask;
        assert_int_equal(mfs_window_judge(&w, at), at > 0 ? MFS_READ_NEXT : MFS_READ_ANEW);
        mfs_window_read(&w, at, READ, SIZE, limit, &ask);
        if (!at)
            asked_to = READ; /* the first one is asked for as it is */
        if (ask.first == ask.end)
            continue;
        assert_int_equal(ask.first, asked_to); /* nothing twice, nothing left out */
        assert_true(ask.end % STEP == 0);
        assert_true(ask.end <= at + READ + limit + STEP);
        /* Never more in vain than four times what was read. */
        assert_true(ask.end <= at + READ + 4 * (at + READ));
        for (bool is_first = true; ask.first < ask.end; is_first = false, requests++) {
            size_t piece = mfs_window_piece(&ask, is_first);
            assert_true(piece > 0 && piece <= ask.end - ask.first);
            assert_true(piece < MFS_READ_PIECE_MAX + STEP);
            ask.first += piece;
        }
        asked_to = ask.end;
    }
    assert_true(asked_to >= SIZE && asked_to < SIZE + STEP);
    assert_true(requests < SIZE / READ); /* fewer than the kernel makes */
}

/* Small reads that go on begin to be asked ahead after a while; the kernel's own window grows
 * so.
 */
static void test_small_at_first(void **state)
{
    (void)state;
    struct mfs_window w = { 0 };
    struct mfs_range ask;
    uint64_t at = 0;
    static const size_t sizes[] = { 16 * KIB, 32 * KIB };
    for (size_t i = 0; i < ARRAY_LEN(sizes); at += sizes[i++]) {
        mfs_window_read(&w, at, sizes[i], 1 << 30, 1 << 20, &ask);
        assert_true(ask.first == ask.end);
    }
    mfs_window_read(&w, at, 64 * KIB, 1 << 30, 1 << 20, &ask);
    assert_int_equal(ask.first, at + 64 * KIB);
    assert_true(ask.end > ask.first);
}

static void test_here_and_there(void **state)
{
    (void)state;
    struct mfs_window w = { 0 };
    struct mfs_range ask;
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t at = i * 7919 % 4096 * 256 * KIB;
        mfs_window_read(&w, at, 64 * KIB, 1 << 30, 8 << 20, &ask);
        assert_true(ask.first == ask.end);
        /* Two in a row are no run yet. */
        mfs_window_read(&w, at + 64 * KIB + 4096, 4096, 1 << 30, 8 << 20, &ask);
        assert_true(ask.first == ask.end);
    }
    /* The head of a file: a page or some. */
    mfs_window_read(&w, 0, 64 * KIB, 1 << 30, 8 << 20, &ask);
    assert_true(ask.first == ask.end);
    /* Beyond the end, and numbers that overflow. */
    mfs_window_read(&w, 1 << 20, 128 * KIB, 1000, 8 << 20, &ask);
    assert_true(ask.first == ask.end);
    mfs_window_read(&w, UINT64_MAX - 10, 128 * KIB, UINT64_MAX, 8 << 20, &ask);
    assert_true(ask.first == ask.end);
}

static void test_skip_and_cut(void **state)
{
    (void)state;
    struct mfs_window w = { 0 };
    struct mfs_range ask;
    mfs_window_read(&w, 0, 128 * KIB, 1 << 30, 4 << 20, &ask);
    uint64_t end = ask.end;
    assert_true(end > 256 * KIB);
    /* Some of what was asked for is skipped: it goes on from there. */
    assert_int_equal(mfs_window_judge(&w, 192 * KIB), MFS_READ_NEXT);
    mfs_window_read(&w, 192 * KIB, 64 * KIB, 1 << 30, 4 << 20, &ask);
    assert_true(ask.first == ask.end || ask.first == end);
    /* What was given up is asked for anew. */
    mfs_window_cut(&w, 384 * KIB);
    mfs_window_read(&w, 256 * KIB, 64 * KIB, 1 << 30, 4 << 20, &ask);
    assert_int_equal(ask.first, 384 * KIB);
    /* No room: nothing. */
    mfs_window_read(&w, 320 * KIB, 64 * KIB, 1 << 30, 0, &ask);
    assert_true(ask.first == ask.end);
}

/* A page that the kernel reads again does not end a run; a reader that goes elsewhere does. */
static void test_stray(void **state)
{
    (void)state;
    struct mfs_window w = { 0 };
    struct mfs_range ask;
    mfs_window_read(&w, 0, 128 * KIB, 1 << 30, 4 << 20, &ask);
    uint64_t end = ask.end;
    mfs_window_read(&w, 128 * KIB, 128 * KIB, 1 << 30, 4 << 20, &ask);
    assert_int_equal(ask.first, end);
    end = ask.end;
    assert_int_equal(mfs_window_judge(&w, 4096), MFS_READ_STRAY);
    mfs_window_read(&w, 4096, 4096, 1 << 30, 4 << 20, &ask);
    assert_true(ask.first == ask.end);
    assert_int_equal(mfs_window_judge(&w, 256 * KIB), MFS_READ_NEXT);
    mfs_window_read(&w, 256 * KIB, 128 * KIB, 1 << 30, 4 << 20, &ask);
    assert_int_equal(ask.first, end);
    /* Two that follow each other elsewhere. */
    mfs_window_read(&w, 64 << 20, 64 * KIB, 1 << 30, 4 << 20, &ask);
    assert_int_equal(mfs_window_judge(&w, (64 << 20) + 64 * KIB), MFS_READ_ANEW);
    mfs_window_read(&w, (64 << 20) + 64 * KIB, 64 * KIB, 1 << 30, 4 << 20, &ask);
    assert_true(ask.first == ask.end);
    mfs_window_read(&w, (64 << 20) + 128 * KIB, 64 * KIB, 1 << 30, 4 << 20, &ask);
    assert_int_equal(ask.first, (64 << 20) + 192 * KIB);
}

/* Small files that are read here and there are asked for whole; the more reads, the larger ones; the next time, later. */
static void test_whole(void **state)
{
    (void)state;
    struct mfs_window w = { 0 };
    struct mfs_rate none = { 0 }, slow = { .bytes_per_s = 100000, .least_us = 80000 };
    struct mfs_range ask;
    /* The head is read, and what follows it. */
    assert_false(mfs_window_wants_whole(&w, &none, 0, 300 * KIB));
    mfs_window_read(&w, 0, 16 * KIB, 300 * KIB, 1 << 20, &ask);
    assert_false(mfs_window_wants_whole(&w, &none, 16 * KIB, 300 * KIB));
    mfs_window_read(&w, 16 * KIB, 16 * KIB, 300 * KIB, 1 << 20, &ask);
    assert_false(
        mfs_window_wants_whole(&(struct mfs_window){ 0 }, &slow, 64 * KIB, 300 * KIB));
    assert_true(mfs_window_wants_whole(&w, &none, 128 * KIB, 300 * KIB));
    /* Once more: two reads, then four. */
    for (int needed = 2; needed <= 4; needed *= 2)
        for (int i = 1; i <= needed; i++)
            assert_true(mfs_window_wants_whole(&w, &none, 0, MFS_READ_WHOLE_BYTES) ==
                        (i == needed));
    /* Larger ones, up to the bound. */
    for (uint64_t n = 1; n <= MFS_READ_WHOLE_MAX / MFS_READ_WHOLE_BYTES; n++) {
        w = (struct mfs_window){ 0 };
        unsigned reads = 1;
        while (!mfs_window_wants_whole(&w, &none, 4096, n * MFS_READ_WHOLE_BYTES))
            assert_true(++reads < 100);
        assert_int_equal(reads, n);
    }
    w = (struct mfs_window){ 0 };
    for (int i = 0; i < 1000; i++) {
        assert_false(mfs_window_wants_whole(&w, &none, 4096, MFS_READ_WHOLE_MAX + 1));
        assert_false(mfs_window_wants_whole(&w, &none, 4096, UINT64_MAX));
        assert_false(mfs_window_wants_whole(&w, &none, 4096, 0));
    }
}

/* A link of 12.5 MB/s, 80 ms: what is measured is what it holds, however much is asked for. */
static void test_rate(void **state)
{
    (void)state;
    enum { PIECE = 256 * KIB, RATE = 12500000, WAY_US = 80000 };
    struct mfs_rate r = { 0 };
    struct mfs_rate_sample sent[64];
    assert_int_equal(mfs_rate_window(&r), MFS_READ_WINDOW_MIN);
    uint64_t now = 1000000, free_at = now;
    size_t in_flight = 0, first = 0;
    uint64_t due[64];
    for (int i = 0; i < 1000; i++) {
        while (in_flight * PIECE < mfs_rate_window(&r)) {
            size_t at = (first + in_flight++) % 64;
            mfs_rate_sent(&r, &sent[at], now);
            uint64_t begins = now + WAY_US > free_at ? now + WAY_US : free_at;
            free_at = due[at] = begins + (uint64_t)PIECE * 1000000 / RATE;
        }
        now = due[first];
        mfs_rate_came(&r, &sent[first], PIECE, now);
        first = (first + 1) % 64;
        in_flight--;
    }
    uint64_t holds = (uint64_t)RATE * WAY_US / 1000000;
    assert_true(mfs_rate_window(&r) > holds);
    assert_true(mfs_rate_window(&r) < 2 * holds);
    /* The bound, and times that make no sense. */
    mfs_rate_sent(&r, &sent[0], now);
    mfs_rate_came(&r, &sent[0], SIZE_MAX / 2, now);
    assert_true(mfs_rate_window(&r) <= MFS_READ_WINDOW_MAX);
    mfs_rate_came(&r, &(struct mfs_rate_sample){ now + 5, 0 }, 1 << 30, now);
    assert_true(mfs_rate_window(&r) <= MFS_READ_WINDOW_MAX);
    assert_true(mfs_rate_window(&r) >= MFS_READ_WINDOW_MIN);
}

/* While a connection finds out how fast it is, contents take longer than the way is long. */
static void test_echo(void **state)
{
    (void)state;
    enum { PIECE = 512 * KIB, RATE = 12500000, WAY_US = 80000, SLOW_US = 300000 };
    struct mfs_rate r = { 0 };
    struct mfs_rate_sample sent;
    uint64_t now = 0;
    for (int i = 0; i < 100; i++) {
        mfs_rate_sent(&r, &sent, now);
        r.delivered_bytes +=
            (uint64_t)RATE * SLOW_US / 1000000 - PIECE; /* what came meanwhile */
        mfs_rate_came(&r, &sent, PIECE, now += SLOW_US);
    }
    uint64_t holds = (uint64_t)RATE * WAY_US / 1000000;
    assert_true(mfs_rate_window(&r) > 3 * holds);
    mfs_rate_echo(&r, 0); /* no time is none */
    mfs_rate_echo(&r, 2 * SLOW_US);
    assert_true(mfs_rate_window(&r) > 3 * holds);
    mfs_rate_echo(&r, WAY_US);
    assert_true(mfs_rate_window(&r) < 2 * holds);
    assert_true(mfs_rate_window(&r) > holds + PIECE / 2); /* one is not whole yet */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),       cmocka_unit_test(test_small_at_first),
        cmocka_unit_test(test_here_and_there), cmocka_unit_test(test_skip_and_cut),
        cmocka_unit_test(test_stray),          cmocka_unit_test(test_rate),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
