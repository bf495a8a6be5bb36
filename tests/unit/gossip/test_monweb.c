/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_monweb.c: what mosweb is made of, without HTTP: which hosts a request may be for,
 * histories with gaps, JSON and metrics of any table in the room that they say they need. */
#include "common/sys/jsonread.h"
#include "gossip/monitor/core/api.h"
#include "gossip/monitor/core/history.h"
#include "gossip/monitor/core/host.h"
#include "gossip/monitor/core/metrics.h"
#include "tests/lib/unit.h"
#include "tests/unit/gossip/monitor_fixture.h"

TEST(hosts)
{
    static const char *const names[] = { "mon.example", NULL };
    static const char *const ours[] = { "localhost",    "LOCALHOST:7723", "localhost.",
                                        "127.0.0.1:80", "10.1.2.3",       "[::1]:7723",
                                        "[fe80::1]",    "mon.example",    "Mon.Example.:443" };
    static const char *const theirs[] = { "",
                                          "evil.example",
                                          "localhost.evil.example",
                                          "127.0.0.1.evil.example",
                                          "1.2.3",
                                          "::1",
                                          "[::1",
                                          "[]",
                                          "[evil.example]",
                                          "localhost:x",
                                          "localhost:99999",
                                          "1.2.3.4:",
                                          "1234.0.0.1",
                                          "1.2.3.4.5",
                                          "mon.example.evil",
                                          "notmon.example",
                                          ":80",
                                          "a@127.0.0.1" };
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (!mon_host_is_ours(ours[i], names))
            fail_msg("%s is not ours", ours[i]);
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
        if (mon_host_is_ours(theirs[i], names))
            fail_msg("%s is ours", theirs[i]);
    assert_false(mon_host_is_ours(NULL, names));
    assert_false(mon_host_is_ours("mon.example", NULL));
    char longer[400];
    memset(longer, '1', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_false(mon_host_is_ours(longer, names));
}

TEST(places_to_listen_at)
{
    static const struct {
        const char *words, *host;
        unsigned port;
    } good[] = { { "127.0.0.1", "127.0.0.1", 7723 },
                 { "0.0.0.0:80", "0.0.0.0", 80 },
                 { "[::1]:9", "::1", 9 },
                 { "[::]", "::", 7723 },
                 { "::1", "::1", 7723 },
                 { ":8080", "127.0.0.1", 8080 },
                 { "localhost:0", "localhost", 0 } };
    static const char *const bad[] = {
        "", "x:", "x:y", "x:70000", "x:99999999999999999999", "[::1", "[::1]x", "[]:1", "x:-1"
    };
    char host[MON_HOST_MAX + 1];
    uint16_t port;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_ok(mon_host_parse(good[i].words, host, &port));
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_error(mon_host_parse(bad[i], host, &port), EINVAL);
}

/* ---- histories ---- */

static char words[64 << 10];

static const char *past_of(const struct mon_history *h, int64_t cluster, uint32_t seconds)
{
    struct text t = text_of(words, sizeof words);
    mon_history_json(h, cluster, seconds, &t);
    assert_false(t.is_cut);
    return words;
}

TEST(history_has_gaps)
{
    struct mon_history *h = calloc(1, sizeof *h);
    struct mon_table t = table_of(4, 1);
    for (size_t i = 0; i < t.count; i++)
        t.nodes[i].figures[MON_load_centi] = 100;
    mon_history_add(h, &t, 1000);
    mon_history_add(h, &t, 1005); /* no new point yet */
    mon_history_add(h, &t, 1010);
    mon_history_add(h, NULL, 1020); /* no answer */
    mon_history_add(h, &t, 1050);   /* and not even asked at 1030 and 1040 */
    assert_has(past_of(h, MON_ALL_CLUSTERS, 3600),
               "\"load_centi\":[100,100,null,null,null,100]");
    assert_has(words, "\"alive\":[4,4,null,null,null,4]");
    assert_has(past_of(h, 0, 20), "\"load_centi\":[null,100]"); /* the cluster with number 0 */
    assert_has(past_of(h, 77, 20), "\"load_centi\":[]");
    mon_history_add(h, &t, 1000000000); /* an age later there is nothing but now */
    assert_has(past_of(h, MON_ALL_CLUSTERS, 60),
               "\"load_centi\":[null,null,null,null,null,100]");
    free(t.nodes);
    free(h);
}

TEST(history_is_bounded)
{
    struct mon_history *h = calloc(1, sizeof *h);
    struct mon_table t = table_of(100, 50); /* more clusters than have one */
    for (int64_t s = 0; s < 9 * 3600; s += 10) {
        t.nodes[0].figures[MON_load_centi] = s / 10 % 7 * 100;
        mon_history_add(h, &t, 5000 + s);
    }
    struct json_value *v;
    (void)past_of(h, MON_ALL_CLUSTERS, 24 * 3600);
    assert_ok(jval_read(words, strlen(words), &v, NULL));
    assert_int_equal(jval_count(jval_in(v, "load_centi")),
                     360); /* 2160 points, six and six averaged */
    jval_drop(v);
    assert_has(past_of(h, 310, 60), "\"alive\":[2,2,2,2,2,2]");
    assert_has(past_of(h, 320, 60), "\"alive\":[]");
    free(t.nodes);
    free(h);
}

TEST(history_of_nodes)
{
    struct mon_history *h = calloc(1, sizeof *h);
    struct mon_table t = table_of(3, 1);
    struct text out = text_of(words, sizeof words);
    h->nodes = malloc(4 * sizeof *h->nodes);
    h->node_room = 4;
    mon_history_clear_nodes(h, 0, 4);
    mon_history_add(h, &t, 600);
    t.nodes[1].state = MON_DEAD;
    mon_history_add(h, &t, 660);
    mon_history_node_json(h, 2, &out);
    assert_has(words, "\"load_centi\":[50,null]");
    out = text_of(words, sizeof words);
    mon_history_node_json(h, 3, &out);
    assert_has(words, "\"load_centi\":[100,100]");
    out = text_of(words, sizeof words);
    mon_history_node_json(h, 4000000000u, &out);
    assert_has(words, "\"load_centi\":[]");
    free(h->nodes);
    free(t.nodes);
    free(h);
}

/* ---- answers ---- */

/* In exactly the room that is asked for, and JSON. */
static struct json_value *made(char *ptr, const struct text *t)
{
    struct json_value *v;
    assert_false(t->is_cut);
    assert_ok(jval_read(ptr, t->len_bytes, &v, NULL));
    assert_string_equal(jval_words(jval_in(v, "schema")), "mosweb/1");
    free(ptr);
    return v;
}

static void all_answers_of(const struct mon_table *table)
{
    uint32_t *order = malloc((table->count + 1) * sizeof *order);
    const struct mon_choice c = { MON_ALL_CLUSTERS, MON_BY_LOAD, true, NULL };
    const struct mon_overview o = { 7, "no \"mosixd\"", 12, "map:3: no" };
    size_t room = mon_api_overview_room(table);
    char *ptr = malloc(room);
    struct text t = text_of(ptr, room);
    mon_api_overview(table, &o, &t);
    struct json_value *v = made(ptr, &t);
    assert_int_equal(jval_count(jval_in(v, "clusters")), table->cluster_count);
    jval_drop(v);
    t = text_of(ptr = malloc(MON_API_NODES_ROOM), MON_API_NODES_ROOM);
    mon_api_nodes(table, &c, order, 0, SIZE_MAX, &t);
    v = made(ptr, &t);
    assert_int_equal(jval_count(jval_in(v, "nodes")),
                     table->count < MON_PAGE_NODES_MAX ? table->count : MON_PAGE_NODES_MAX);
    jval_drop(v);
    room = mon_api_map_room(table);
    t = text_of(ptr = malloc(room), room);
    mon_api_map(table, &c, MON_SHOW_MEMORY, order, &t);
    v = made(ptr, &t);
    assert_int_equal(strlen(jval_words(jval_in(v, "cells"))), table->count);
    jval_drop(v);
    room = mon_metrics_room(table);
    int64_t counters[32];
    for (size_t i = 0; i < ARRAY_LEN(counters); i++)
        counters[i] = INT64_MAX;
    const struct mon_metrics m = { true, 5, counters, 3, 4, 5, 6, 7 };
    t = text_of(ptr = malloc(room), room);
    struct mon_label *labels = malloc(table->count * sizeof *labels);
    memset(labels, 0x55, table->count * sizeof *labels);
    mon_metrics(table, &m, labels, &t);
    free(labels);
    assert_false(t.is_cut);
    assert_string_equal(ptr + t.len_bytes - 6, "# EOF\n");
    free(ptr);
    free(order);
}

TEST(answers_have_room)
{
    struct mon_table none = { 0 };
    all_answers_of(&none);
    for (unsigned round = 0; round < 8; round++) {
        struct mon_table t =
            table_of(round * 97 + 1, round % 2 ? 1 : (round * 97 + 1 < 50 ? 1 : 50));
        table_shake(&t, round);
        for (size_t i = 0; i < t.cluster_count; i++)
            memset(t.clusters[i].name, round % 3 ? '"' : '<',
                   MON_NAME_MAX); /* each takes two characters, or six */
        for (size_t i = 0; i < t.count; i++) {
            memset(t.nodes[i].name, round % 3 ? '\\' : '&', MON_NAME_MAX);
            memset(t.nodes[i].address, '<', sizeof t.nodes[i].address - 1);
            memset(t.nodes[i].kernel, '>', sizeof t.nodes[i].kernel - 1);
            memset(t.nodes[i].version, '"', sizeof t.nodes[i].version - 1);
            for (unsigned f = 0; f < MON_FIGURES; f++)
                t.nodes[i].figures[f] = 999999999999;
        }
        all_answers_of(&t);
        free(t.nodes);
    }
}

TEST(processes_have_room)
{
    struct mon_processes p = { calloc(100, sizeof *p.list), 100, true };
    for (size_t i = 0; i < p.count; i++) {
        memset(p.list[i].command, '<', sizeof p.list[i].command - 1);
        memset(p.list[i].where_name, '<', sizeof p.list[i].where_name - 1);
        memset(p.list[i].phase, '<', sizeof p.list[i].phase - 1);
        memset(p.list[i].why, '<', sizeof p.list[i].why - 1);
        p.list[i].pid = p.list[i].job = p.list[i].uid = p.list[i].moves = p.list[i].other_pid =
            INT64_MAX;
    }
    size_t room = mon_api_processes_room(&p);
    char *ptr = malloc(room);
    struct text t = text_of(ptr, room);
    mon_api_processes(&p, &t);
    struct json_value *v = made(ptr, &t);
    assert_int_equal(jval_count(jval_in(v, "processes")), 100);
    jval_drop(v);
    free(p.list);
}

UNIT_MAIN(cmocka_unit_test(hosts), cmocka_unit_test(places_to_listen_at),
          cmocka_unit_test(history_has_gaps), cmocka_unit_test(history_is_bounded),
          cmocka_unit_test(history_of_nodes), cmocka_unit_test(answers_have_room),
          cmocka_unit_test(processes_have_room))
