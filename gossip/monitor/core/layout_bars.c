/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layout_bars.c: bars that stand side by side, one for each node, as the original's.
 * Must not know: terminals. */
#include "gossip/monitor/core/paint.h"

#include <string.h>

enum { AXIS_COLS = 7, WIDE_MOST = 8 };

struct plan {
    unsigned pitch, breadth, number_rows,
        digits;         /* columns of a node with and without blanks; rows of its number */
    unsigned top, foot; /* rows of bars: from top down to foot, including it */
    int64_t scale;
};

static unsigned digits_of(uint32_t n)
{
    unsigned digits = 1;
    while (n /= 10)
        digits++;
    return digits;
}

static void make_plan(const struct mon_canvas *c, struct plan *p)
{
    unsigned digits = 1, cols = c->screen->cols > AXIS_COLS ? c->screen->cols - AXIS_COLS : 0,
             rows = c->end - c->first;
    enum mon_numbers numbers = c->view->numbers;
    for (uint32_t i = 0; i < c->count; i++) {
        unsigned n = digits_of(c->table->nodes[c->order[i]].number);
        digits = n > digits ? n : digits;
    }
    if (numbers == MON_NUMBERS_AUTO)
        numbers = (uint64_t)c->count * (digits + 1) <= cols ? MON_NUMBERS_WIDE
                  : (uint64_t)c->count * 2 <= cols          ? MON_NUMBERS_UPRIGHT
                                                            : MON_NUMBERS_TIGHT;
    if (numbers == MON_NUMBERS_WIDE) {
        unsigned room = c->count ? cols / c->count : 0;
        p->pitch = room > WIDE_MOST ? WIDE_MOST : room > digits + 1 ? room : digits + 1;
    } else {
        p->pitch = numbers == MON_NUMBERS_UPRIGHT ? 2 : 1;
    }
    p->breadth = p->pitch > 1 ? p->pitch - 1 : 1;
    p->digits = digits;
    p->number_rows = numbers == MON_NUMBERS_WIDE ? 1 : digits;
    if (p->number_rows + 3 > rows) /* too low for upright numbers: bars are more */
        p->number_rows = rows > 3;
    p->top = c->first;
    p->foot = c->end - 1 - p->number_rows - (rows > 2); /* a row of marks */
    p->scale = mon_shown_scale(c->view->shown, c->table, c->order, c->count);
}

static void draw_axis(const struct mon_canvas *c, const struct plan *p)
{
    unsigned height = p->foot - p->top + 1, step = height > 12 ? 5 : 3;
    for (unsigned i = 0; i < height; i++) {
        unsigned row = p->foot - i;
        paint_cell(c->screen, row, AXIS_COLS - 1, c->view->is_ascii ? '|' : 0x2502, MON_DIM);
        if (i + 1 != height && (i % step != 0 || i + step > height))
            continue;
        if (c->view->is_log && i && i + 1 != height)
            continue; /* where the scale is not straight only its ends are named */
        char words[16];
        struct text t = text_of(words, sizeof words);
        mon_shown_text(&t, i + 1 == height ? p->scale : p->scale * (int64_t)i / (int64_t)height,
                       c->view->shown);
        paint_right(c->screen, row, 0, AXIS_COLS - 1, words, MON_DIM);
    }
}

static void draw_number(const struct mon_canvas *c, const struct plan *p,
                        const struct mon_node *n, unsigned col, enum mon_style style)
{
    char words[16];
    struct text t = text_of(words, sizeof words);
    text_int(&t, n->number);
    if (!p->number_rows)
        return;
    if (p->number_rows == 1 && p->breadth >= p->digits) {
        paint_words(c->screen, c->end - 1, col, p->breadth, words, style);
        return;
    }
    for (size_t i = 0; i < t.len_bytes && i < p->number_rows;
         i++) { /* the last digits, ending at the same row */
        unsigned skipped =
            t.len_bytes > p->number_rows ? (unsigned)t.len_bytes - p->number_rows : 0;
        unsigned shown = (unsigned)t.len_bytes - skipped;
        if (i < shown)
            paint_cell(c->screen, c->end - shown + (unsigned)i, col,
                       (unsigned char)words[skipped + i], style);
    }
}

/* Upwards from the foot, in the place of a bar; cut where there is no room. */
static void draw_upright(const struct mon_canvas *c, const struct plan *p, const char *words,
                         unsigned col, enum mon_style style)
{
    size_t len = strlen(words);
    unsigned height = p->foot - p->top + 1;
    for (size_t i = 0; i < len && i < height; i++)
        paint_cell(c->screen, p->foot - (unsigned)(len < height ? len - 1 - i : height - 1 - i),
                   col, (unsigned char)words[i], style);
}

static void draw_node(const struct mon_canvas *c, const struct plan *p,
                      const struct mon_node *n, unsigned col)
{
    enum mon_shown shown = c->view->shown;
    int64_t value = mon_shown_value(n, shown);
    enum mon_style state_style;
    const char *state = mon_state_words(n, &state_style);
    if (value >= 0) {
        const struct paint_bar b = { .row = p->foot,
                                     .col = col,
                                     .width = p->foot - p->top + 1,
                                     .value = value,
                                     .whole = mon_shown_whole(n, shown),
                                     .scale = p->scale,
                                     .style = mon_is_stale(n)
                                                  ? MON_DIM
                                                  : mon_shown_style(value, p->scale, shown),
                                     .is_log = c->view->is_log,
                                     .is_ascii = c->view->is_ascii };
        paint_standing_bar(c->screen, &b, p->breadth);
    } else {
        draw_upright(c, p, mon_is_there(n) ? "no figures" : state, col, state_style);
    }
    /* below it: S, suspect; old; guests */
    char mark = n->state == MON_SUSPECT      ? 'S'
                : !mon_is_there(n)           ? '!'
                : mon_is_stale(n)            ? 'o'
                : n->figures[MON_guests] > 0 ? 'G'
                                             : ' ';
    if (c->end - c->first > 2)
        paint_cell(c->screen, p->foot + 1, col, (unsigned char)mark,
                   mark == 'G' || mark == 'o' ? MON_PLAIN : state_style);
    draw_number(c, p, n, col, n->is_self ? MON_HEAD : mon_is_there(n) ? MON_PLAIN : MON_DIM);
}

void mon_layout_bars(struct mon_canvas *c)
{
    struct plan p;
    struct mon_view *v = c->view;
    make_plan(c, &p);
    draw_axis(c, &p);
    v->page =
        c->screen->cols > AXIS_COLS + p.pitch ? (c->screen->cols - AXIS_COLS) / p.pitch : 1;
    v->line = 1;
    if (v->first + v->page > c->count)
        v->first = c->count > v->page ? c->count - v->page : 0;
    for (uint32_t i = 0; i < v->page && v->first + i < c->count; i++)
        draw_node(c, &p, &c->table->nodes[c->order[v->first + i]], AXIS_COLS + i * p.pitch);
}
