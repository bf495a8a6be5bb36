/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_parts.c: windows of the board, rings, rumours, times of a suspicion. */
#include "gossip/core/board.h"
#include "gossip/core/spread.h"
#include "gossip/core/suspect.h"
#include "tests/lib/unit.h"

enum { NODES = 200, CLUSTERS = 2 };

static struct gsp_peer peers[NODES];

static void reset(void)
{
    memset(peers, 0, sizeof peers);
    for (unsigned i = 0; i < NODES; i++) {
        peers[i].state = GSP_ALIVE;
        peers[i].cluster = (uint8_t)(i % CLUSTERS);
    }
}

/* top(w) of all that was ever merged, by looking at the whole table. */
static void check_against_table(const struct gsp_board *b, const struct gsp_window *w,
                                bool is_own)
{
    for (unsigned i = 0; i < NODES; i++) {
        const struct gsp_peer *p = &peers[i];
        bool is_in = false;
        for (unsigned k = 0; k < w->count; k++)
            if (w->items[k].node == i) {
                assert_false(is_in);
                assert_int_equal(w->items[k].version, p->version);
                is_in = true;
            }
        if (!p->has_entry || (p->cluster == b->cluster) != is_own || is_in)
            continue;
        assert_int_equal(w->count, w->max); /* who is not in it is older than all that are */
        assert_false(gsp_is_newer(p->born_ms, w->items[w->count - 1].born_ms));
    }
}

TEST(windows_are_the_freshest_of_all)
{
    struct gsp_board b;
    struct rng rng = rng_of(3);
    reset();
    gsp_board_init(&b, peers, 1, 8);
    for (uint32_t round = 1; round < 2000; round++) {
        struct gsp_item items[GSP_WINDOW_MAX];
        unsigned count = rng_below(&rng, 20);
        for (unsigned i = 0; i < count; i++) {
            /* The clock's range ends within the test; a version belongs to one birth. */
            uint32_t age = rng_below(&rng, 60), born = 0xffffff00u + round - age;
            items[i] = (struct gsp_item){ .node = (uint16_t)rng_below(&rng, NODES),
                                          .born_ms = born,
                                          .version = born };
        }
        unsigned kept = gsp_board_merge(&b, items, count);
        assert_true(kept <= count);
        check_against_table(&b, &b.own, true);
        check_against_table(&b, &b.others, false);
    }
    const struct gsp_item *out[GSP_WINDOW_MAX];
    assert_int_equal(gsp_board_pick(&b, 7, out), 7);
    unsigned own = 0;
    for (unsigned i = 0; i < 7; i++)
        own += out[i]->cluster == 1;
    assert_int_equal(own, 4);
}

TEST(an_older_entry_changes_nothing)
{
    struct gsp_board b;
    reset();
    gsp_board_init(&b, peers, 0, 8);
    struct gsp_item item = { .node = 4, .born_ms = 100, .version = 10, .facts = { .load = 1 } };
    struct gsp_item again = item;
    assert_int_equal(gsp_board_merge(&b, &item, 1), 1);
    again.facts.load = 2;
    assert_int_equal(gsp_board_merge(&b, &again, 1), 0);
    again.version = 9;
    again.born_ms = 200;
    assert_int_equal(gsp_board_merge(&b, &again, 1), 0);
    assert_int_equal(peers[4].facts.load, 1);
    assert_int_equal(peers[4].born_ms, 100);
}

TEST(a_ring_meets_each_member_once_in_a_turn)
{
    uint16_t at[NODES];
    struct gsp_list ring = { .at = at };
    struct rng rng = rng_of(1);
    reset();
    for (uint16_t i = 0; i < NODES; i++) {
        gsp_list_add(&ring, i);
        peers[i].is_in_ring = true;
    }
    uint16_t before[NODES] = { 0 };
    for (unsigned turn = 0; turn < 5; turn++) {
        unsigned met[NODES] = { 0 }, same = 0;
        unsigned members = NODES - turn;
        for (unsigned i = 0; i < members; i++) {
            int node = gsp_ring_next(&ring, peers, &rng);
            assert_true(node >= 0);
            assert_int_equal(met[node]++, 0);
            same += turn && before[i] == node;
            before[i] = (uint16_t)node;
        }
        assert_true(same < NODES / 4);
        peers[turn].state = GSP_DEAD; /* taken out when it is met */
    }
    for (unsigned i = 0; i < NODES; i++)
        peers[i].state = GSP_DEAD;
    assert_int_equal(gsp_ring_next(&ring, peers, &rng), -1);
    assert_int_equal(ring.count, 0);
    assert_false(peers[NODES - 1].is_in_ring);
}

static struct gsp_claim claim(unsigned kind, unsigned subject, unsigned by,
                              uint64_t incarnation)
{
    static const uint8_t signature[GSP_SIGNATURE_BYTES];
    return (struct gsp_claim){ .kind = (uint8_t)kind,
                               .subject = (uint16_t)subject,
                               .by = (uint16_t)by,
                               .incarnation = incarnation,
                               .signature = signature };
}

static void add(struct gsp_spread *s, unsigned kind, unsigned subject, unsigned by,
                uint64_t incarnation)
{
    struct gsp_claim c = claim(kind, subject, by, incarnation);
    gsp_spread_add(s, &c);
}

TEST(rumours_are_told_a_bounded_number_of_times)
{
    static struct gsp_spread s;
    uint8_t places[GSP_DATAGRAM_CLAIMS_MAX];
    for (unsigned i = 0; i < 40; i++)
        add(&s, GSP_CLAIM_ALIVE, i, i, 1);
    unsigned told[40] = { 0 }, rounds = 0;
    for (unsigned count; (count = gsp_spread_pick(&s, 7, false, places)); rounds++) {
        assert_true(rounds < 1000);
        unsigned least = 99, most = 0;
        for (unsigned i = 0; i < count; i++)
            told[s.rumours[places[i]].subject]++;
        gsp_spread_told(&s, places, count, 9);
        for (unsigned i = 0; i < s.count; i++) {
            least = s.rumours[i].told < least ? s.rumours[i].told : least;
            most = s.rumours[i].told > most ? s.rumours[i].told : most;
        }
        assert_true(s.count == 0 || most <= least + 1); /* nobody is kept waiting */
    }
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(told[i], 9);
    assert_int_equal(s.hot, 0);
}

TEST(hot_rumours_only)
{
    static struct gsp_spread s;
    uint8_t places[GSP_DATAGRAM_CLAIMS_MAX];
    add(&s, GSP_CLAIM_ALIVE, 1, 1, 1);
    for (unsigned i = 0; i < GSP_HOT; i++) {
        assert_int_equal(s.hot, 1);
        assert_int_equal(gsp_spread_pick(&s, 7, true, places), 1);
        gsp_spread_told(&s, places, 1, 20);
    }
    assert_int_equal(s.hot, 0);
    assert_int_equal(gsp_spread_pick(&s, 7, true, places), 0);
    assert_int_equal(gsp_spread_pick(&s, 7, false, places), 1);
}

TEST(what_is_moot_is_dropped)
{
    static struct gsp_spread s;
    add(&s, GSP_CLAIM_ACCUSE, 1, 2, 5);
    add(&s, GSP_CLAIM_ACCUSE, 1, 3, 6);
    add(&s, GSP_CLAIM_ACCUSE, 1, 4, 7);
    add(&s, GSP_CLAIM_ALIVE, 1, 1, 6);
    add(&s, GSP_CLAIM_ALIVE, 9, 9, 1);
    add(&s, GSP_CLAIM_ALIVE, 9, 9, 2); /* instead of the one before */
    assert_int_equal(s.count, 5);
    gsp_spread_moot(&s, 1, 6);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.hot, 3);
    for (unsigned i = 0; i < 1000; i++)
        add(&s, GSP_CLAIM_ACCUSE, i, 2, 5);
    assert_int_equal(s.count, GSP_CLAIMS_MAX);
}

TEST(times_of_a_suspicion)
{
    assert_int_equal(gsp_log10_milli(1), 0);
    const struct {
        uint32_t n, milli;
    } logs[] = { { 2, 301 },     { 7, 845 },      { 10, 1000 },   { 128, 2107 },
                 { 1000, 3000 }, { 10000, 4000 }, { 65535, 4816 } };
    for (unsigned i = 0; i < ARRAY_LEN(logs); i++)
        assert_in_range(gsp_log10_milli(logs[i].n), logs[i].milli - 1, logs[i].milli + 1);
    assert_int_equal(gsp_suspect_ms(1000, 4), 3000);
    assert_int_equal(gsp_suspect_ms(1000, 1), 12000);
    assert_in_range(gsp_suspect_ms(10000, 4), 3998, 4002);
    assert_int_equal(gsp_suspect_ms(2, 1), 3000); /* nobody else could accuse */
    assert_int_equal(gsp_suspect_ms(4, 3), 3000);
    for (uint32_t n = 1; n < 5000; n += 7)
        for (unsigned accusers = 1; accusers < 6; accusers++) {
            assert_true(gsp_suspect_ms(n, accusers + 1) <= gsp_suspect_ms(n, accusers));
            assert_true(gsp_suspect_ms(n, accusers) >= GSP_SUSPECT_MIN_MS);
            assert_true(gsp_suspect_ms(n + 1, accusers) >= gsp_suspect_ms(n, accusers) ||
                        n < 5);
        }
    assert_int_equal(gsp_accusers_needed(3), 1);
    assert_int_equal(gsp_accusers_needed(4), 2);
    assert_int_equal(gsp_tellings(1000), 15);
    assert_int_equal(gsp_tellings(10000), 18);
    assert_int_equal(gsp_health_worse(GSP_HEALTH_MAX), GSP_HEALTH_MAX);
    assert_int_equal(gsp_health_better(0), 0);
}

UNIT_MAIN(cmocka_unit_test(windows_are_the_freshest_of_all),
          cmocka_unit_test(an_older_entry_changes_nothing),
          cmocka_unit_test(a_ring_meets_each_member_once_in_a_turn),
          cmocka_unit_test(rumours_are_told_a_bounded_number_of_times),
          cmocka_unit_test(hot_rumours_only), cmocka_unit_test(what_is_moot_is_dropped),
          cmocka_unit_test(times_of_a_suspicion))
