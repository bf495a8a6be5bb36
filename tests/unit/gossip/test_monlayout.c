/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_monlayout.c: screens of mon: what is on them at several sizes, with one node and with
 * thousands; whatever the table, the size and the keys, all cells are drawn and nothing beside
 * them; states are told by words and marks. */
#include "gossip/monitor/core/layout.h"
#include "tests/lib/unit.h"
#include "tests/unit/gossip/monitor_fixture.h"

enum { GUARD = 0xbeef, BIG = 10000 };

static struct mon_cell *cells;
static char *words; /* the screen as text: one character a cell, '\n' after each row; what is
                       not ASCII is '*' */

/* Draws it and checks what holds for all screens. */
static void draw(unsigned rows, unsigned cols, struct mon_view *v, const struct mon_table *t,
                 const struct mon_source *from)
{
    size_t count = (size_t)rows * cols;
    free(cells);
    free(words);
    cells = malloc((count + 1) * sizeof *cells);
    words = malloc(count + rows + 1);
    uint32_t *order = malloc((t->count + 1) * sizeof *order);
    memset(cells, 0, count * sizeof *cells);
    cells[count].glyph = GUARD;
    const struct mon_source well = { NULL, 300 };
    const struct mon_screen s = { rows, cols, cells };
    mon_layout(&s, v, t, order, mon_view_choose(v, t, order), from ? from : &well);
    assert_int_equal(cells[count].glyph, GUARD);
    char *at = words;
    for (size_t i = 0; i < count; i++) {
        assert_true(cells[i].glyph >= ' ' && cells[i].style < MON_STYLES);
        if (v->is_ascii)
            assert_true(cells[i].glyph < 127);
        *at++ = cells[i].glyph < 127 ? (char)cells[i].glyph : '*';
        if (i % cols == cols - 1)
            *at++ = '\n';
    }
    *at = 0;
    assert_true(v->page >= 1);
    free(order);
}

static const char *row_of(unsigned row, unsigned cols)
{
    static char line[MON_COLS_MAX + 1];
    memcpy(line, words + (size_t)row * (cols + 1), cols);
    line[cols] = 0;
    for (size_t end = cols; end && line[end - 1] == ' ';)
        line[--end] = 0;
    return line;
}

TEST(list_80_24)
{
    struct mon_table t = table_of(40, 1);
    struct mon_view v;
    mon_view_init(&v);
    v.is_ascii = true;
    t.nodes[2].state = MON_SUSPECT;
    t.nodes[3].state = MON_DEAD;
    t.nodes[3].figures[MON_since_ms] = 300000;
    t.nodes[4].state = MON_LEFT;
    t.nodes[5].state = MON_NEVER;
    t.nodes[6].is_revoked = true;
    t.nodes[7].figures[MON_age_ms] = 61000;
    draw(24, 80, &v, &t, NULL);
    assert_has(words, "36 alive 1 SUSPECT 1 DEAD 1 left 1 unknown");
    assert_has(row_of(1, 80), "NO NODE STATE   0");
    assert_has(row_of(1, 80), "USED/MEM");
    assert_has(row_of(2, 80), " 1 n1   alive   ....");
    assert_has(row_of(2, 80), "0.0s");
    assert_has(row_of(4, 80), "SUSPECT #####");
    assert_has(row_of(5, 80), "DEAD    no answer for 5m");
    assert_has(row_of(6, 80), "left    has left");
    assert_has(row_of(7, 80), "unknown nothing was heard of it");
    assert_has(row_of(8, 80), "REVOKED");
    assert_has(row_of(9, 80), "61s!"); /* old, and said so without colour */
    assert_has(row_of(22, 80), "148 cores");
    assert_has(row_of(23, 80), "mosixd's answer of 0.3s ago  1-20 of 40");
    assert_has(row_of(23, 80), "h help  q quit");
    mon_view_key(&v, &t, NULL, MON_KEY_END);
    draw(24, 80, &v, &t, NULL);
    assert_has(row_of(21, 80), "40 n40");
    free(t.nodes);
}

TEST(list_200_60_has_more_columns)
{
    struct mon_table t = table_of(40, 2);
    struct mon_view v;
    mon_view_init(&v);
    draw(60, 200, &v, &t, NULL);
    assert_has(row_of(0, 200), "2 clusters");
    const char *head = row_of(1, 200);
    assert_has(head, "RAW");
    assert_has(head, "SPEED");
    assert_has(head, "IDLE");
    assert_has(head, "CLUSTER");
    assert_has(head, "ADDRESS");
    assert_has(row_of(2, 200), "10.0.0.0");
    assert_has(row_of(41, 200), "40 n40");
    mon_view_key(&v, &t, NULL, 'c');
    mon_view_key(&v, &t, NULL, 'c');
    draw(60, 200, &v, &t, NULL);
    assert_has(row_of(0, 200), "c1 (2 of 2)");
    assert_has(row_of(2, 200), "21 n21");
    free(t.nodes);
}

TEST(list_20_5_still_tells_who_is_suspect)
{
    struct mon_table t = table_of(3, 1);
    struct mon_view v;
    mon_view_init(&v);
    v.is_ascii = true;
    t.nodes[1].state = MON_SUSPECT;
    t.nodes[2].state = MON_DEAD;
    draw(5, 20, &v, &t, NULL);
    assert_has(row_of(2, 20), " 2 S n2");
    assert_has(row_of(3, 20), " 3 ! n3");
    free(t.nodes);
}

TEST(bars)
{
    struct mon_table t = table_of(12, 1);
    struct mon_view v;
    mon_view_init(&v);
    v.is_ascii = true;
    mon_view_key(&v, &t, NULL, '2');
    t.nodes[1].state = MON_SUSPECT;
    t.nodes[2].state = MON_DEAD;
    t.nodes[3].figures[MON_guests] = 0;
    draw(24, 80, &v, &t, NULL);
    assert_has(row_of(1, 80), "2.00|"); /* the end of the scale */
    assert_string_equal(
        row_of(21, 80),
        "       1     2     3     4     5     6     7     8     9     10    11    12");
    assert_has(
        row_of(20, 80),
        "       G     S     !           G     G"); /* guests, suspect, dead, none, guests */
    for (unsigned i = 0; i < 4;
         i++) /* upright, in the place of the bar, which is 6 columns a node */
        assert_int_equal(row_of(16 + i, 80)[7 + 2 * 6], "DEAD"[i]);
    assert_int_equal(row_of(19, 80)[7 + 4 * 6], '#');
    mon_view_key(&v, &t, NULL, 'v');
    draw(24, 80, &v, &t, NULL);
    assert_string_equal(row_of(20, 80), "                         1 1 1");
    assert_string_equal(row_of(21, 80), "       1 2 3 4 5 6 7 8 9 0 1 2");
    mon_view_key(&v, &t, NULL, 'm');
    draw(24, 80, &v, &t, NULL);
    assert_has(row_of(1, 80), "100%|+");
    free(t.nodes);
}

TEST(map_of_ten_thousand)
{
    struct mon_table t = table_of(BIG, 3);
    struct mon_view v;
    mon_view_init(&v);
    t.nodes[1].state = MON_SUSPECT;
    t.nodes[2].state = MON_DEAD;
    t.nodes[3].state = MON_LEFT;
    t.nodes[4].state = MON_NEVER;
    draw(24, 80, &v, &t, NULL);
    assert_has(row_of(0, 80), "10000 nodes: 9996 alive");
    assert_has(row_of(1, 80), "      1 0S!-?02579 02579");
    assert_has(row_of(21, 80), "0 to 9: load by speed from 0 to 2.00");
    uint32_t page = v.page;
    mon_view_key(&v, &t, NULL, MON_KEY_PAGE_DOWN);
    draw(24, 80, &v, &t, NULL);
    assert_int_equal(v.first, page);
    mon_view_key(&v, &t, NULL, MON_KEY_END);
    draw(24, 80, &v, &t, NULL);
    assert_true(v.first + v.page >= BIG && v.first < BIG);
    draw(60, 200, &v, &t, NULL);
    free(t.nodes);
}

TEST(list_of_ten_thousand_scrolls)
{
    struct mon_table t = table_of(BIG, 1);
    uint32_t *order = malloc(BIG * sizeof *order);
    struct mon_view v;
    mon_view_init(&v);
    mon_view_key(&v, &t, order, '1');
    draw(24, 80, &v, &t, NULL);
    assert_int_equal(v.page, 20);
    for (const char *c = "+7777"; *c; c++)
        mon_view_key(&v, &t, order, (unsigned char)*c);
    draw(24, 80, &v, &t, NULL);
    assert_has(row_of(23, 80), "begin at node: 7777_");
    assert_int_equal(mon_view_choose(&v, &t, order), BIG);
    mon_view_key(&v, &t, order, MON_KEY_ENTER);
    draw(24, 80, &v, &t, NULL);
    assert_has(row_of(2, 80), " 7777 n7777");
    for (const char *c = "/N99"; *c; c++)
        mon_view_key(&v, &t, order, (unsigned char)*c);
    mon_view_key(&v, &t, order, MON_KEY_ENTER);
    draw(24, 80, &v, &t, NULL);
    assert_has(row_of(0, 80), "/N99");
    assert_has(row_of(2, 80), "99 n99"); /* letters of either size */
    assert_int_equal(v.chosen, 111);
    free(order);
    free(t.nodes);
}

TEST(without_a_daemon)
{
    struct mon_table t = { 0 };
    struct mon_view v;
    const struct mon_source never = { "no mosixd runs on this node (/run/mosix/control)",
                                      MON_UNKNOWN },
                            gone = { "mosixd died while it answered", 12000 };
    mon_view_init(&v);
    draw(24, 80, &v, &t, &never);
    assert_has(row_of(1, 80), "no nodes");
    assert_has(row_of(23, 80), "no mosixd runs on this node (/run/mosix/control)");
    t = table_of(3, 1);
    draw(24, 80, &v, &t, &gone);
    assert_has(row_of(23, 80), "mosixd died while it answered; this is 12s old");
    assert_has(row_of(2, 80), "n1"); /* what was known stays */
    free(t.nodes);
}

TEST(help_is_scrolled_and_left)
{
    struct mon_table t = table_of(3, 1);
    struct mon_view v;
    mon_view_init(&v);
    mon_view_key(&v, &t, NULL, 'h');
    draw(30, 80, &v, &t, NULL);
    assert_has(words, "load by speed: 1 is one program");
    assert_has(words, "q         quit");
    draw(5, 40, &v, &t, NULL);
    mon_view_key(&v, &t, NULL, MON_KEY_END);
    draw(5, 40, &v, &t, NULL);
    assert_has(row_of(3, 40), "q         quit");
    assert_int_equal(mon_view_key(&v, &t, NULL, 'h'), MON_GO_ON);
    assert_false(v.is_help);
    assert_int_equal(mon_view_key(&v, &t, NULL, 'q'), MON_QUIT);
    free(t.nodes);
}

/* Any table, any keys, any size; draw() says what must hold. */
TEST(anything)
{
    static const unsigned sizes[][2] = { { 24, 80 }, { 5, 20 },   { 1, 1 },  { 2, 3 },
                                         { 3, 200 }, { 60, 1 },   { 0, 80 }, { 24, 0 },
                                         { 7, 9 },   { 60, 200 }, { 4, 12 } };
    struct rng r = rng_of(4711);
    for (unsigned round = 0; round < 60; round++) {
        size_t count = round % 5 == 4 ? 3000 : rng_below(&r, 60);
        struct mon_table t =
            table_of(count, count ? 1 + rng_below(&r, count < 5 ? (uint32_t)count : 5) : 0);
        uint32_t *order = malloc((count + 1) * sizeof *order);
        struct mon_view v;
        if (round)
            table_shake(&t, round);
        mon_view_init(&v);
        v.is_ascii = round % 2;
        for (unsigned i = 0; i < 60; i++) {
            unsigned key =
                rng_below(&r, 3) ? ' ' + rng_below(&r, 95) : MON_KEY_UP + rng_below(&r, 11);
            v.chosen = (uint32_t)mon_view_choose(&v, &t, order);
            mon_view_key(&v, &t, order, key);
            const unsigned *size = sizes[rng_below(&r, ARRAY_LEN(sizes))];
            draw(size[0], size[1], &v, &t, NULL);
        }
        free(order);
        free(t.nodes);
    }
}

UNIT_MAIN(cmocka_unit_test(list_80_24), cmocka_unit_test(list_200_60_has_more_columns),
          cmocka_unit_test(list_20_5_still_tells_who_is_suspect), cmocka_unit_test(bars),
          cmocka_unit_test(map_of_ten_thousand), cmocka_unit_test(list_of_ten_thousand_scrolls),
          cmocka_unit_test(without_a_daemon), cmocka_unit_test(help_is_scrolled_and_left),
          cmocka_unit_test(anything))
