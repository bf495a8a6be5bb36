/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layout_map.c: a character for each node, for thousands: how full it is, in ten steps, or what
 * is wrong with it. Must not know: terminals. */
#include "gossip/monitor/core/paint.h"

enum { LABEL_COLS = 8, GROUP = 10, ROWS_FOR_LEGEND = 4 };

static unsigned place_of(unsigned i) /* a blank after each ten */
{
    return LABEL_COLS + i + i / GROUP;
}

static void draw_legend(const struct mon_canvas *c, unsigned row, int64_t scale)
{
    char words[160];
    struct text t = text_of(words, sizeof words);
    text_put(&t, " 0 to 9: ");
    text_put(&t, mon_shown_names[c->view->shown]);
    text_put(&t, " from 0 to ");
    mon_shown_text(&t, scale, c->view->shown);
    text_put(&t, "; S suspect, ! dead, - left, ? unknown, o old");
    paint_words(c->screen, row, 0, c->screen->cols, words, MON_HEAD);
}

static void draw_node(const struct mon_canvas *c, const struct mon_node *n, unsigned row,
                      unsigned col, int64_t scale)
{
    static const char marks[MON_STATES + 1] = " S!-?";
    enum mon_shown shown = c->view->shown;
    int64_t value = mon_shown_value(n, shown);
    enum mon_style style;
    (void)mon_state_words(n, &style);
    if (n->state != MON_ALIVE) {
        paint_cell(c->screen, row, col, (unsigned char)marks[n->state], style);
        return;
    }
    if (value < 0) {
        paint_cell(c->screen, row, col, '?', MON_DIM);
        return;
    }
    unsigned step = c->view->is_log ? mon_shown_steps(value, scale, GROUP, true)
                                    : (unsigned)((double)value * GROUP / (double)scale);
    step = step < GROUP ? step : GROUP - 1;
    paint_cell(c->screen, row, col, mon_is_stale(n) ? 'o' : (uint16_t)('0' + step),
               mon_is_stale(n) ? MON_DIM : mon_shown_style(value, scale, shown));
}

void mon_layout_map(struct mon_canvas *c)
{
    struct mon_view *v = c->view;
    unsigned end = c->end, cols = c->screen->cols;
    int64_t scale = mon_shown_scale(v->shown, c->table, c->order, c->count);
    if (end - c->first >= ROWS_FOR_LEGEND)
        draw_legend(c, --end, scale);
    unsigned line = 1;
    while (place_of(line) < cols)
        line++;
    if (line > GROUP)
        line -= line % GROUP;
    unsigned rows = end - c->first;
    v->line = line;
    v->page = line * rows;
    uint32_t lines = (c->count + line - 1) / line;
    if (v->first + v->page >= c->count)
        v->first = lines > rows ? (lines - rows) * line : 0;
    v->first -= v->first % line;
    for (unsigned row = 0; row < rows; row++) {
        uint32_t first = v->first + row * line;
        if (first >= c->count)
            return;
        char words[16];
        struct text t = text_of(words, sizeof words);
        text_int(&t, c->table->nodes[c->order[first]].number);
        paint_right(c->screen, c->first + row, 0, LABEL_COLS - 1, words, MON_DIM);
        for (unsigned i = 0; i < line && first + i < c->count; i++)
            draw_node(c, &c->table->nodes[c->order[first + i]], c->first + row, place_of(i),
                      scale);
    }
}
