/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_pack_policy.c: when compressing pays, on simulated wires with simulated contents. */
#include "tests/lib/unit.h"

#include "mrcfs/pack/policy.h"

enum { MESSAGE = 128 << 10 };

/* A sender that always has a message, a wire with a queue in front, in simulated time. */
struct world {
    struct mfs_pack_policy p;
    uint64_t wire_rate, pack_rate; /* bytes a second; unpacking is twice as fast as packing */
    double now_us, wire_free_us;
    unsigned packed, plain, samples;
};

static struct world world_of(enum mfs_pack_mode mode, uint64_t wire_rate, uint64_t pack_rate)
{
    struct world w = { .wire_rate = wire_rate, .pack_rate = pack_rate };
    mfs_pack_init(&w.p, mode);
    return w;
}

static void pack(struct world *w, size_t bytes)
{
    double us = (double)bytes * 1e6 / (double)w->pack_rate;
    w->now_us += us;
    mfs_pack_took(&w->p, bytes, (uint64_t)(us * 1000));
}

/* One message that packing would make permille/1000 as long. */
static void message(struct world *w, unsigned permille)
{
    enum { QUEUE_US = 20000 };
    size_t out = MESSAGE;
    bool is_packed = false;
    if (mfs_pack_wants(&w->p, MESSAGE)) {
        w->samples++;
        pack(w, MFS_PACK_SAMPLE);
        is_packed = mfs_pack_judge(&w->p, MFS_PACK_SAMPLE, MFS_PACK_SAMPLE * permille / 1000);
    }
    if (is_packed) {
        pack(w, MESSAGE);
        out = (size_t)MESSAGE * permille / 1000;
    }
    w->packed += is_packed;
    w->plain += !is_packed;
    double began = w->wire_free_us > w->now_us ? w->wire_free_us : w->now_us;
    w->wire_free_us = began + (double)out * 1e6 / (double)w->wire_rate;
    mfs_pack_sent(&w->p, out, (uint64_t)began, (uint64_t)w->wire_free_us);
    if (w->wire_free_us > w->now_us + QUEUE_US)
        w->now_us = w->wire_free_us - QUEUE_US;
}

static void run(struct world *w, unsigned messages, unsigned permille)
{
    w->packed = w->plain = w->samples = 0;
    for (unsigned i = 0; i < messages; i++)
        message(w, permille);
}

TEST(slow_wires_get_packed_messages)
{
    const uint64_t rates[] = { 100000, 1250000, 12500000, 50000000 };
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct world w = world_of(MFS_PACK_AUTO, rates[i], 400000000);
        run(&w, 500, 400);
        assert_true(w.packed >= 495);
    }
}

TEST(fast_wires_do_not_once_they_are_known)
{
    struct world w = world_of(MFS_PACK_AUTO, 2000000000, 400000000);
    run(&w, 20000, 400);
    run(&w, 20000, 400);
    assert_true(w.packed < 400);
    assert_true(w.samples < 1500); /* and hardly look */
}

TEST(what_hardly_shrinks_needs_a_slower_wire)
{
    struct world w = world_of(MFS_PACK_AUTO, 100000000, 400000000);
    run(&w, 1000, 300);
    assert_true(w.packed > 900);
    w = world_of(MFS_PACK_AUTO, 100000000, 400000000);
    run(&w, 1000, 900);
    run(&w, 1000, 900);
    assert_true(w.packed < 50);
}

TEST(random_contents_cost_few_samples)
{
    struct world w = world_of(MFS_PACK_AUTO, 1250000, 400000000);
    run(&w, 1000, 1004);
    assert_int_equal(w.packed, 0);
    assert_true(w.samples < 40);
}

TEST(contents_that_change_are_noticed)
{
    struct world w = world_of(MFS_PACK_AUTO, 1250000, 400000000);
    run(&w, 1000, 1004);
    run(&w, 2 * MFS_PACK_SKIPS_MAX, 300);
    assert_true(w.packed >= MFS_PACK_SKIPS_MAX);
    run(&w, 100, 300);
    assert_int_equal(w.packed, 100);
}

TEST(files_in_turn_are_judged_each)
{
    struct world w = world_of(MFS_PACK_AUTO, 1250000, 400000000);
    for (unsigned i = 0; i < 500; i++)
        message(&w, i % 2 ? 300 : 1004);
    assert_int_equal(w.packed, 250);
}

TEST(wires_that_become_slow_are_noticed)
{
    struct world w = world_of(MFS_PACK_AUTO, 2000000000, 400000000);
    run(&w, 40000, 400);
    w.wire_rate = 5000000;
    run(&w, 200, 400);
    run(&w, 200, 400);
    assert_true(w.packed >= 190);
}

TEST(the_time_is_never_much_worse_than_the_better_of_both)
{
    enum { LEARNING_US = 600000 }; /* once, at the beginning */
    for (uint64_t rate = 1000000; rate <= 4000000000u; rate *= 2) {
        for (unsigned permille = 100; permille <= 1000; permille += 300) {
            double took[3];
            const enum mfs_pack_mode modes[] = { MFS_PACK_AUTO, MFS_PACK_NO, MFS_PACK_YES };
            for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
                struct world w = world_of(modes[i], rate, 400000000);
                run(&w, 8000, permille);
                took[i] = w.now_us;
            }
            double best = took[1] < took[2] ? took[1] : took[2];
            if (took[0] > 1.5 * best + LEARNING_US)
                fail_msg("%llu B/s, %u/1000: %.0f us, but %.0f without and %.0f with",
                         (unsigned long long)rate, permille, took[0], took[1], took[2]);
        }
    }
}

TEST(idle_times_say_nothing_of_the_wire)
{
    struct mfs_pack_policy p;
    mfs_pack_init(&p, MFS_PACK_AUTO);
    uint64_t first = p.wire_rate;
    for (uint64_t t = 1000000; t < 50000000; t += 1000000)
        mfs_pack_sent(&p, 1000, t, t + 10);
    assert_int_equal(p.wire_rate, first);
}

TEST(no_and_yes_are_obeyed)
{
    struct world w = world_of(MFS_PACK_NO, 100000, 400000000);
    run(&w, 100, 100);
    assert_int_equal(w.samples, 0);
    w = world_of(MFS_PACK_YES, 4000000000u, 400000000);
    run(&w, 100, 900);
    assert_int_equal(w.packed, 100);
    run(&w, 100, 990);
    assert_int_equal(w.packed, 0); /* hardly shorter is not worth the other side's time */
    assert_false(mfs_pack_wants(&w.p, MFS_PACK_FROM - 1));
}

UNIT_MAIN(cmocka_unit_test(slow_wires_get_packed_messages),
          cmocka_unit_test(fast_wires_do_not_once_they_are_known),
          cmocka_unit_test(what_hardly_shrinks_needs_a_slower_wire),
          cmocka_unit_test(random_contents_cost_few_samples),
          cmocka_unit_test(contents_that_change_are_noticed),
          cmocka_unit_test(files_in_turn_are_judged_each),
          cmocka_unit_test(wires_that_become_slow_are_noticed),
          cmocka_unit_test(the_time_is_never_much_worse_than_the_better_of_both),
          cmocka_unit_test(idle_times_say_nothing_of_the_wire),
          cmocka_unit_test(no_and_yes_are_obeyed))
