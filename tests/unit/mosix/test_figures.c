/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_figures.c: texts of /proc and what is made of them: load, classes, what is told. */
#include "mosix-core/mosixd/answer.h"
#include "mosix-core/mosixd/figures.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>

static const char stat_text[] = "cpu  100 20 30 800 40 5 5 10 7 0\n"
                                "cpu0 50 10 15 400 20 2 3 5 3 0\n"
                                "cpu1 50 10 15 400 20 3 2 5 4 0\n"
                                "intr 12345 0 0 0\nctxt 99\nprocs_running 4\nprocs_blocked 1\n";

TEST(stat)
{
    struct mx_cpu_sums s;
    assert_ok(mx_stat_parse(stat_text, &s));
    assert_int_equal(s.busy, 170);
    assert_int_equal(s.all, 1010);
    assert_int_equal(s.running, 4);
    assert_int_equal(s.cores, 2);
    assert_error(mx_stat_parse("", &s), EPROTO);
    assert_error(mx_stat_parse("cpu 1 2 3\nprocs_running 1\n", &s), EPROTO);
    assert_error(mx_stat_parse("cpu 1 2 3 4\nprocs_running x\n", &s), EPROTO);
    assert_error(mx_stat_parse("cpu 1 2 3 4\nprocs_running 1\n", &s), EPROTO);
    for (size_t cut = 0; cut < 60; cut++) { /* however it is cut it is refused, or is read */
        char text[sizeof stat_text];
        memcpy(text, stat_text, sizeof text);
        text[cut] = 0;
        assert_error(mx_stat_parse(text, &s), EPROTO);
    }
}

TEST(memory)
{
    struct mx_memory m;
    assert_ok(
        mx_meminfo_parse("MemTotal:  2048000 kB\nMemFree: 1 kB\nMemAvailable: 1024000 kB\n"
                         "SwapTotal: 512000 kB\nSwapFree:  900000 kB\n",
                         &m));
    assert_int_equal(m.total_kb, 2048000);
    assert_int_equal(m.available_kb, 1024000);
    assert_int_equal(m.swap_free_kb, 512000); /* never more than there is */
    assert_error(mx_meminfo_parse("MemTotal: 5 kB\n", &m), EPROTO);
}

TEST(pressure)
{
    struct mx_psi p;
    unsigned centi;
    assert_ok(mx_pressure_parse("some avg10=12.34 avg60=1.00 avg300=0.00 total=1\n"
                                "full avg10=0.05 avg60=0.00 avg300=0.00 total=1\n",
                                &p));
    assert_int_equal(p.some_centi, 1234);
    assert_int_equal(p.full_centi, 5);
    assert_ok(mx_pressure_parse("some avg10=100.00 avg60=1.00\n", &p));
    assert_false(p.has_full);
    assert_error(mx_pressure_parse("some avg10=1\n", &p), EPROTO);
    assert_error(mx_pressure_parse("", &p), EPROTO);
    assert_ok(mx_loadavg_parse("1.25 0.18 0.12 2/80 11206\n", &centi));
    assert_int_equal(centi, 125);
    assert_error(mx_loadavg_parse("x", &centi), EPROTO);
    static const unsigned classes[][2] = {
        { 0, 0 },    { 99, 0 },   { 100, 1 },  { 999, 2 },
        { 1000, 3 }, { 2000, 4 }, { 7999, 6 }, { 10000, 7 }
    };
    for (unsigned i = 0; i < ARRAY_LEN(classes); i++)
        assert_int_equal(mx_psi_class(classes[i][0]), classes[i][1]);
}

TEST(load)
{
    struct mx_cpu_sums a = { .busy = 1000, .all = 4000, .running = 1, .cores = 2 };
    struct mx_cpu_sums b = { .busy = 1150, .all = 4200, .running = 1, .cores = 2 };
    assert_int_equal(mx_runnable_centi(&a, &b), 150);
    b.running = 5; /* three more than cores */
    assert_int_equal(mx_runnable_centi(&a, &b), 450);
    b.all = 4000; /* no time has passed, or sums that went back */
    assert_int_equal(mx_runnable_centi(&a, &b), 0);
    /* Own: rises slowly, falls at once. Told: the other way. */
    struct mx_load l = { .is_begun = false };
    mx_load_step(&l, 0);
    mx_load_step(&l, 800);
    assert_int_equal(l.own, 300);
    assert_int_equal(l.told, 800);
    for (unsigned i = 0; i < 20; i++)
        mx_load_step(&l, 800);
    assert_int_equal(l.own, 800);
    mx_load_step(&l, 0);
    assert_int_equal(l.own, 0);
    assert_int_equal(l.told, 700);
    for (unsigned i = 0; i < 60; i++)
        mx_load_step(&l, 0);
    assert_int_equal(l.told, 0);
    assert_int_equal(mx_load_normal(100, 20000), 50);
    assert_int_equal(mx_load_raw(50, 20000), 100);
    assert_int_equal(mx_load_normal(100, 0), 0);
}

TEST(told)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        struct mx_flags f = mx_flags_get((uint8_t)byte);
        assert_int_equal(mx_flags_put(&f), byte);
    }
    uint8_t bytes[160];
    struct wr w = wr_of(bytes, sizeof bytes);
    struct mx_about back, a = { .cores = 4,
                                .speed = 12345,
                                .memory_mb = 8000,
                                .swap_mb = 7,
                                .cpu_level = 3,
                                .guests_max = 9,
                                .kernel = "6.1\n",
                                .version = "0.1",
                                .cpu = 77 };
    mx_about_put(&w, &a);
    struct rd r = rd_of(bytes, wr_len(&w));
    assert_ok(mx_about_get(&r, &back));
    assert_int_equal(back.cpu, 77);
    r = rd_of(bytes, wr_len(&w) - 8); /* of who does not tell it */
    assert_ok(mx_about_get(&r, &back));
    assert_int_equal(back.cpu, 0);
    assert_int_equal(back.speed, 12345);
    assert_int_equal(back.guests_max, 9);
    assert_string_equal(back.kernel, "6.1?");
    for (size_t cut = 0; cut < wr_len(&w); cut++) {
        r = rd_of(bytes, cut);
        if (cut != wr_len(&w) - 8)
            assert_error(mx_about_get(&r, &back), EPROTO);
    }
    /* The longest texts leave it shorter than there is room for. */
    memset(a.kernel, 'x', MX_ABOUT_TEXT_MAX);
    memset(a.version, 'y', MX_ABOUT_TEXT_MAX);
    w = wr_of(bytes, 240 - 116);
    mx_about_put(&w, &a);
    assert_false(w.is_full);
}

TEST(answers)
{
    struct mx_answer a = { .max_bytes = 8192 };
    mx_answer_open(&a, NULL, '{');
    mx_answer_text(&a, "text", "a\"b\\c\nd\xff");
    mx_answer_text(&a, "none", NULL);
    mx_answer_open(&a, "list", '[');
    mx_answer_number(&a, NULL, -5);
    mx_answer_bool(&a, NULL, true);
    mx_answer_maybe(&a, NULL, false, 7);
    mx_answer_open(&a, NULL, '{');
    mx_answer_close(&a, '}');
    mx_answer_close(&a, ']');
    mx_answer_maybe(&a, "some", true, 7);
    mx_answer_close(&a, '}');
    static const char want[] =
        "{\"text\":\"a\\\"b\\\\c?d?\",\"none\":null,\"list\":[-5,true,null,{}],\"some\":7}";
    assert_int_equal(a.len_bytes, sizeof want - 1);
    assert_memory_equal(a.ptr, want, sizeof want - 1);
    for (unsigned i = 0; i < 2000; i++)
        mx_answer_number(&a, "n", i);
    assert_true(a.is_full && a.len_bytes <= 8192);
    free(a.ptr);
}

UNIT_MAIN(cmocka_unit_test(stat), cmocka_unit_test(memory), cmocka_unit_test(pressure),
          cmocka_unit_test(load), cmocka_unit_test(told),
          cmocka_unit_test(answers))
