/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_linkspec.c: the words of "lab link", and what the relay reads in a packet. */
#include "tests/lib/unit.h"

#include "examples/lab/linkspec.h"
#include "examples/lab/packet.h"

#include <errno.h>
#include <string.h>

static void test_words(void **state)
{
    (void)state;
    static const char *const words[] = { "delay=40ms", "rate=100mbit", "queue=2k", "loss=0.1%",
                                         "cut=5s",     "seed=7",       "one-way" };
    struct linkspec s = { 0 };
    struct dl_settings d = { .delay_ns = 1, .rate_bps = 2 };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_int_equal(linkspec_add(&s, words[i], NULL), 0);
    assert_true(s.settings.delay_ns == 40000000);
    assert_true(s.settings.rate_bps == 100000000);
    assert_true(s.settings.queue_bytes == 2048);
    assert_int_equal(s.settings.loss_ppm, 1000);
    assert_true(s.cut_ns == 5000000000);
    assert_true(s.seed == 7);
    assert_true(s.is_one_way);
    linkspec_apply(&s, &d);
    assert_memory_equal(&d, &s.settings, sizeof(d));
}

static void test_unnamed_stays(void **state)
{
    (void)state;
    struct linkspec s = { 0 };
    struct dl_settings d = { .delay_ns = 1, .rate_bps = 2, .queue_bytes = 3, .loss_ppm = 4 };
    assert_int_equal(linkspec_add(&s, "loss=0", NULL), 0);
    linkspec_apply(&s, &d);
    assert_true(d.delay_ns == 1 && d.rate_bps == 2 && d.queue_bytes == 3 && d.loss_ppm == 0);
}

static void test_values(void **state)
{
    (void)state;
    struct linkspec s = { 0 };
    assert_int_equal(linkspec_add(&s, "delay=1.5ms", NULL), 0);
    assert_true(s.settings.delay_ns == 1500000);
    assert_int_equal(linkspec_add(&s, "delay=250us", NULL), 0);
    assert_true(s.settings.delay_ns == 250000);
    assert_int_equal(linkspec_add(&s, "rate=10MBps", NULL), 0); /* bytes, as in tc */
    assert_true(s.settings.rate_bps == 80000000);
    assert_int_equal(linkspec_add(&s, "rate=2.5Gbit", NULL), 0);
    assert_true(s.settings.rate_bps == 2500000000);
    assert_int_equal(linkspec_add(&s, "loss=100%", NULL), 0);
    assert_int_equal(s.settings.loss_ppm, 1000000);
    assert_int_equal(linkspec_add(&s, "cut=inf", NULL), 0);
    assert_true(s.cut_ns == DL_FOR_EVER);
    assert_int_equal(linkspec_add(&s, "cut=0", NULL), 0);
    assert_true(s.cut_ns == 0);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const words[] = { "delay",
                                         "delay=",
                                         "delay=5",
                                         "delay=-1ms",
                                         "delay=2min",
                                         "delay=1mbit",
                                         "rate=100",
                                         "rate=2000gbit",
                                         "rate=mbit",
                                         "loss=101%",
                                         "loss=0.1",
                                         "queue=1x",
                                         "cut=forever",
                                         "cut=5",
                                         "seed=x",
                                         "seed=-1",
                                         "seed=99999999999999999999",
                                         "colour=red",
                                         "",
                                         "delays=1ms",
                                         "delay=infms",
                                         "delay=nan",
                                         "delay=1e400s",
                                         "one-ways" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct linkspec s = { 0 };
        struct err e = { "" };
        assert_int_equal(linkspec_add(&s, words[i], &e), -EINVAL);
        assert_true(e.text[0] != '\0');
        assert_int_equal(s.given, 0);
    }
}

/* An IPv4 TCP packet of 20 + 32 bytes of headers. */
static void tcp_packet(uint8_t *p)
{
    memset(p, 0, 64);
    p[0] = 0x45;
    p[9] = 6;
    p[20 + 12] = 8 << 4;
}

static void test_packet(void **state)
{
    (void)state;
    uint8_t p[64];
    struct packet_facts f;
    tcp_packet(p);
    packet_look(p, 52, 0, &f); /* a bare acknowledgement */
    assert_true(f.line_bytes == 66 && f.segments == 1 && f.payload_bytes == 0);
    packet_look(p, 1500, 0, &f);
    assert_true(f.line_bytes == 1514 && f.segments == 1 && f.payload_bytes == 1448);
    /* Ten full segments and one byte, not cut yet: what they are once cut. */
    packet_look(p, 52 + 14481, 1448, &f);
    assert_true(f.segments == 11 && f.payload_bytes == 14481 &&
                f.line_bytes == 10 * 1514 + 66 + 1);
    p[9] = 17;
    packet_look(p, 20 + 8 + 5, 0, &f);
    assert_true(f.payload_bytes == 13 && f.segments == 1);
    memset(p, 0, sizeof(p));
    p[0] = 0x60;
    p[6] = 6;
    p[40 + 12] = 5 << 4;
    packet_look(p, 61, 0, &f);
    assert_true(f.payload_bytes == 1 && f.line_bytes == 75);
}

static void test_malformed_packet(void **state)
{
    (void)state;
    uint8_t p[64];
    struct packet_facts f;
    for (size_t len = 0; len < sizeof(p); len++) {
        for (int first = 0; first < 256; first++) {
            tcp_packet(p);
            p[0] = (uint8_t)first;
            p[32] = 0xf0;
            packet_look(p, len, 1, &f);
            assert_true(f.payload_bytes <= len && f.segments >= 1 && f.line_bytes >= len + 14);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),  cmocka_unit_test(test_unnamed_stays),
        cmocka_unit_test(test_values), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_packet), cmocka_unit_test(test_malformed_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
