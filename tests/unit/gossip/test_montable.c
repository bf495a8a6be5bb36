/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_montable.c: texts of bounded length, sums and orders of nodes, and mosixd's answers:
 * good, cut, hostile. */
#include "gossip/monitor/core/text.h"
#include "gossip/monitor/decode.h"
#include "tests/lib/unit.h"
#include "tests/unit/gossip/monitor_fixture.h"

static const char *age(int64_t ms)
{
    static char words[32];
    struct text t = text_of(words, sizeof words);
    text_age(&t, ms);
    return words;
}

static const char *size(int64_t mb)
{
    static char words[32];
    struct text t = text_of(words, sizeof words);
    text_size(&t, mb);
    return words;
}

TEST(texts)
{
    char words[12];
    struct text t = text_of(words, sizeof words);
    text_fixed(&t, -1234567, 3);
    assert_string_equal(words, "-1234.567");
    text_put(&t, "more");
    assert_true(t.is_cut);
    text_put(&t, "x"); /* nothing after what was cut */
    assert_string_equal(words, "-1234.567");
    t = text_of(words, 0);
    text_int(&t, 1);
    assert_true(t.is_cut);
    t = text_of(words, sizeof words);
    text_json(&t, "a\"\\<");
    assert_true(t.is_cut);
    char longer[40];
    t = text_of(longer, sizeof longer);
    text_json(&t, "a\"\\<\n");
    assert_string_equal(longer, "\"a\\\"\\\\\\u003c\\u000a\"");
    t = text_of(longer, sizeof longer);
    text_int(&t, INT64_MIN);
    assert_string_equal(longer, "-9223372036854775808");
    t = text_of(longer, sizeof longer);
    text_label(&t, "a\"b\\c\nd");
    assert_string_equal(longer, "a\\\"b\\\\c\\nd");
}

TEST(for_people)
{
    assert_string_equal(age(MON_UNKNOWN), "-");
    assert_string_equal(age(0), "0.0s");
    assert_string_equal(age(9949), "9.9s");
    assert_string_equal(age(9950), "9s");
    assert_string_equal(age(99999), "99s");
    assert_string_equal(age(100000), "1m");
    assert_string_equal(age(INT64_MAX), "999d");
    assert_string_equal(size(MON_UNKNOWN), "-");
    assert_string_equal(size(0), "0M");
    assert_string_equal(size(999), "999M");
    assert_string_equal(size(7936), "7.7G");
    assert_string_equal(size(131072), "128G");
    assert_string_equal(size(3 << 20), "3.0T");
    for (int64_t mb = 1; mb < INT64_MAX / 3; mb *= 3)
        assert_true(strlen(size(mb)) <= 5 && strlen(age(mb)) <= 4);
    assert_true(strlen(size(INT64_MAX)) <= 6);
}

TEST(sums)
{
    struct mon_table t = table_of(10, 2);
    struct mon_totals s;
    t.nodes[1].state = MON_DEAD; /* its figures count no more */
    t.nodes[2].figures[MON_load_centi] = MON_UNKNOWN;
    t.nodes[3].figures[MON_cores] = 12;
    t.nodes[4].figures[MON_age_ms] = 7000;
    mon_totals(&t, MON_ALL_CLUSTERS, &s);
    assert_int_equal(s.nodes, 10);
    assert_int_equal(s.states[MON_DEAD], 1);
    assert_int_equal(s.cores, 8 * 4 + 12);
    assert_int_equal(s.oldest_ms, 7000);
    /* loads 0 . . 150x3 200 0 50 100 150 200 (of 4 cores each): 10 in 4 cores' worth */
    assert_int_equal(s.load_centi, (0 + 450 + 200 + 0 + 50 + 100 + 150 + 200) / 10);
    mon_totals(&t, 1, &s);
    assert_int_equal(s.nodes, 5);
    mon_count_states(&t);
    assert_int_equal(t.clusters[0].states[MON_DEAD], 1);
    assert_int_equal(t.clusters[0].states[MON_ALIVE], 4);
    free(t.nodes);
}

TEST(orders)
{
    struct mon_table t = table_of(100, 1);
    uint32_t order[100];
    struct mon_choice c = { MON_ALL_CLUSTERS, MON_BY_NUMBER, true, NULL };
    assert_int_equal(mon_choose(&t, &c, order), 100);
    assert_int_equal(order[99], 99);
    snprintf(t.nodes[0].name, sizeof t.nodes[0].name, "n100");
    snprintf(t.nodes[99].name, sizeof t.nodes[99].name, "n1");
    c.sort = MON_BY_NAME;
    assert_int_equal(mon_choose(&t, &c, order), 100);
    assert_int_equal(order[0], 99);
    assert_int_equal(order[1], 1); /* n2 is before n10 */
    assert_int_equal(order[99], 0);
    c.sort = MON_BY_LOAD;
    assert_int_equal(mon_choose(&t, &c, order), 100);
    assert_int_equal(order[0], 4);
    assert_int_equal(order[99], 95);
    t.nodes[7].state = MON_SUSPECT;
    t.nodes[8].state = MON_DEAD;
    c.sort = MON_BY_STATE;
    assert_int_equal(mon_choose(&t, &c, order), 100);
    assert_int_equal(order[0], 7);
    assert_int_equal(order[1], 8);
    c.with_dead = false;
    assert_int_equal(mon_choose(&t, &c, order), 99);
    c.find = "N9";
    assert_int_equal(mon_choose(&t, &c, order),
                     10); /* 90 to 98 (the dead is 9), and what was 99 is n1: n91 to n99, n90 */
    c.find = "10.0.0.5";
    assert_int_equal(mon_choose(&t, &c, order), 11);
    c.find = "nothing";
    assert_int_equal(mon_choose(&t, &c, order), 0);
    free(t.nodes);
}

/* Whatever the figures, each order is one. */
TEST(orders_of_anything)
{
    struct mon_table t = table_of(500, 1);
    uint32_t *order = malloc(500 * sizeof *order);
    for (unsigned sort = 0; sort < MON_SORTS; sort++) {
        bool is_there[500] = { false };
        const struct mon_choice c = { MON_ALL_CLUSTERS, (enum mon_sort)sort, true, NULL };
        table_shake(&t, sort + 1);
        assert_int_equal(mon_choose(&t, &c, order), 500);
        for (unsigned i = 0; i < 500; i++) {
            assert_false(is_there[order[i]]);
            is_there[order[i]] = true;
            if (i && sort == MON_BY_GUESTS)
                assert_true(t.nodes[order[i - 1]].figures[MON_guests] >=
                            t.nodes[order[i]].figures[MON_guests]);
        }
    }
    free(order);
    free(t.nodes);
}

/* ---- answers ---- */

#define HEAD                                                                                   \
    "{\"schema\":\"mosix/"                                                                     \
    "1\",\"kind\":\"status\",\"time_s\":1796000000,\"self\":1,\"mode\":\"gossip\",\"is_"       \
    "whole\":true,"

static int decode(const char *answer, struct mon_table *t, struct err *e)
{
    return mon_decode_status(answer, strlen(answer), t, e);
}

TEST(status)
{
    struct mon_table t;
    struct err e = { "" };
    assert_ok(
        decode(HEAD "\"new\":[1],\"clusters\":[{\"number\":3,\"name\":\"main\",\"is_own\":true,"
                    "\"alive\":99}],\"nodes\":[{\"number\":1,\"name\":\"ant\",\"address\":"
                    "\"10.0.0.1\",\"cluster\":3,\"is_self\":true,\"state\":\"alive\",\"load_"
                    "centi\":53,\"guests\":null,\"memory_mb\":-1,\"speed\":\"x\",\"cores\":1e3,"
                    "\"swap_used_pct\":250},{\"number\":2,\"name\":\"b\\u00e9\\u001b["
                    "2J\\ud83d\\ude00e\",\"cluster\":9,\"state\":\"sleepy\"}]}\n",
               &t, &e));
    assert_int_equal(t.count, 2);
    assert_int_equal(t.cluster_count, 2); /* one that was not listed was made */
    assert_int_equal(t.clusters[0].states[MON_ALIVE], 1);
    assert_int_equal(t.nodes[0].figures[MON_load_centi], 53);
    assert_int_equal(t.nodes[0].figures[MON_guests], MON_UNKNOWN);
    assert_int_equal(t.nodes[0].figures[MON_memory_mb], MON_UNKNOWN);
    assert_int_equal(t.nodes[0].figures[MON_speed], MON_UNKNOWN);
    assert_int_equal(t.nodes[0].figures[MON_cores], MON_UNKNOWN);
    assert_int_equal(t.nodes[0].figures[MON_swap_used_pct], 100);
    assert_string_equal(t.nodes[1].name,
                        "b??[2J?e"); /* no control characters come near a terminal */
    assert_int_equal(t.nodes[1].state, MON_NEVER);
    mon_table_fini(&t);
}

TEST(no_status)
{
    static const struct {
        const char *answer;
        int error;
        const char *words;
    } bad[] = {
        { "", EPROTO, "without an answer" },
        { "error no map\x1b[2J\n", EREMOTEIO, "mosixd says: no map?[2J" },
        { "{}", EPROTO, "makes no sense" },
        { HEAD, EPROTO, "makes no sense" },
        { "{\"schema\":\"mosix/2\",\"kind\":\"status\"}", EPROTO, "another version" },
        { "{\"schema\":\"mosix/1\",\"kind\":\"local\"}", EPROTO, "another question" },
        { HEAD "\"nodes\":[{\"number\":-1,\"cluster\":0}]}", EPROTO, "makes no sense" },
        { HEAD "\"nodes\":[{\"number\":99999999,\"cluster\":0}]}", EPROTO, "makes no sense" },
        { HEAD "\"nodes\":[7]}", EPROTO, "makes no sense" },
        { HEAD "\"nodes\":[{\"number\":1,\"cluster\":0},]}", EPROTO, "makes no sense" },
        { HEAD "\"nodes\":[{\"number\":1,\"cluster\":0}{}]}", EPROTO, "makes no sense" },
        { HEAD "\"nodes\":[{\"number\":1,\"cluster\":0]}]}", EPROTO, "makes no sense" },
        { HEAD "\"nodes\":[{\"number\":1,\"cluster\":0,\"name\":\"}]}", EPROTO,
          "makes no sense" },
        { HEAD "\"nodes\":[{\"number\":1,\"cluster\":0}]} 7", EPROTO, "makes no sense" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct mon_table t;
        struct err e = { "" };
        assert_error(decode(bad[i].answer, &t, &e), bad[i].error);
        assert_has(e.text, bad[i].words);
    }
    struct mon_table t;
    struct err e = { "" };
    assert_ok(decode(HEAD "\"nodes\":null}", &t, &e)); /* nothing is a table of nothing */
    assert_int_equal(t.count, 0);
    mon_table_fini(&t);
}

/* Node by node it is what it is at once: brackets and quotes within texts end nothing, and
 * another list of that name, deeper, is another. */
TEST(a_little_at_a_time)
{
    static const char answer[] =
        HEAD "\"deeper\":{\"nodes\":[1]},\"x\":\"nodes\",\"clusters\":[] , \"nodes\" : [ "
             "{\"number\":1,\"cluster\":0,\"name\":\"]}\\\"},{\"} , "
             "{\"number\":2,\"cluster\":7,\"more\":[{\"nodes\":[]}],\"state\":\"alive\"} ,\n"
             "{\"number\":3,\"cluster\":7,\"state\":\"dead\"} ] , \"after\":[{}]}\n";
    struct mon_reading r;
    struct mon_table t;
    struct err e = { "" };
    assert_ok(mon_reading_begin(&r, answer, sizeof answer - 1, &e));
    assert_int_equal(mon_reading_go(&r, 1, &t, &e), 1);
    assert_int_equal(mon_reading_go(&r, 1, &t, &e), 1);
    assert_ok(mon_reading_go(&r, 1, &t, &e));
    assert_int_equal(t.count, 3);
    assert_string_equal(t.nodes[0].name, "]}\"},{");
    assert_int_equal(t.nodes[2].number, 3);
    assert_int_equal(t.self, 1);
    assert_int_equal(t.cluster_count, 2);
    assert_int_equal(t.clusters[1].states[MON_ALIVE], 1);
    mon_table_fini(&t);
    /* One that is let go of has nothing left. */
    assert_ok(mon_reading_begin(&r, answer, sizeof answer - 1, &e));
    assert_int_equal(mon_reading_go(&r, 2, &t, &e), 1);
    mon_reading_drop(&r);
    assert_null(r.table);
}

/* A text of empty lists would have a hundred times its memory. */
TEST(memory_of_an_answer_is_bounded)
{
    size_t len = 0, most = 6 << 20;
    char *answer = malloc(most + 64);
    struct mon_table t;
    struct err e = { "" };
    len += (size_t)snprintf(answer, 64 + most,
                            "{\"schema\":\"mosix/1\",\"kind\":\"status\",\"nodes\":[[]");
    while (len < most) {
        memcpy(answer + len, ",[]", 3);
        len += 3;
    }
    memcpy(answer + len, "]}", 3);
    assert_error(mon_decode_status(answer, len + 2, &t, &e), EPROTO);
    free(answer);
}

TEST(more_than_there_is_room_for)
{
    char *answer = malloc(4 << 20), *at = answer;
    struct mon_table t;
    struct err e = { "" };
    at += snprintf(at, 256, HEAD "\"clusters\":[");
    for (unsigned i = 0; i <= MON_CLUSTERS_MAX; i++)
        at += snprintf(at, 256, "%s{\"number\":%u,\"name\":\"c\"}", i ? "," : "", i);
    at += snprintf(at, 256, "]}");
    assert_error(decode(answer, &t, &e), ENOSPC);
    assert_has(e.text, "more nodes than can be shown");
    free(answer);
}

TEST(processes_and_local)
{
    struct mon_processes p;
    struct mon_local l;
    struct err e = { "" };
    static const char answer[] =
        "{\"schema\":\"mosix/"
        "1\",\"kind\":\"processes\",\"jobs\":[{\"pid\":4711,\"uid\":1000,\"job\":7,\"command\":"
        "\"sim<b>\",\"where\":2,\"where_name\":\"bee\","
        "\"phase\":\"settled\",\"moves\":1,\"why\":null}],\"guests\":[{\"pid\":812,\"home\":2,"
        "\"home_name\":\"bee\",\"home_pid\":3001,\"command\":\"render\"}]}";
    static const char local[] = "{\"schema\":\"mosix/"
                                "1\",\"kind\":\"local\",\"gossip\":{\"sent_bytes\":5,"
                                "\"forged\":0},\"config\":{\"error\":\"map:3: no\"}}";
    assert_ok(mon_decode_processes(answer, strlen(answer), &p, &e));
    assert_int_equal(p.count, 2);
    assert_string_equal(p.list[0].where_name, "bee");
    assert_true(p.list[1].is_guest && p.list[1].other_pid == 3001 &&
                p.list[1].job == MON_UNKNOWN);
    mon_processes_fini(&p);
    assert_ok(mon_decode_local(local, strlen(local), &l, &e));
    assert_int_equal(l.counters[MON_C_sent_bytes], 5);
    assert_int_equal(l.counters[MON_C_died], MON_UNKNOWN);
    assert_string_equal(l.config_error, "map:3: no");
}

UNIT_MAIN(cmocka_unit_test(texts), cmocka_unit_test(for_people), cmocka_unit_test(sums),
          cmocka_unit_test(orders), cmocka_unit_test(orders_of_anything),
          cmocka_unit_test(status), cmocka_unit_test(no_status),
          cmocka_unit_test(a_little_at_a_time),
          cmocka_unit_test(memory_of_an_answer_is_bounded),
          cmocka_unit_test(more_than_there_is_room_for), cmocka_unit_test(processes_and_local))
