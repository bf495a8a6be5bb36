/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layout_list.c: a line for each node; the wider the screen, the more columns.
 * Must not know: terminals. */
#include "gossip/monitor/core/paint.h"

#include <string.h>

enum {
    VALUE_COLS = 7,
    BAR_COLS_LEAST = 10,
    BAR_COLS_MOST = 60,
    NAME_COLS_MOST = 24,
    ROWS_FOR_HEAD = 4
};

enum column {
    COL_NUMBER,
    COL_MARK,
    COL_NAME,
    COL_STATE,
    COL_BAR,
    COL_LOAD,
    COL_RAW,
    COL_MEMORY,
    COL_SWAP,
    COL_GUESTS,
    COL_FROZEN,
    COL_IDLE,
    COL_SPEED,
    COL_PRESSURE,
    COL_AGE,
    COL_SINCE,
    COL_CLUSTER,
    COL_ADDRESS,
    COL_KERNEL,
    COLUMNS
};

typedef void (*words_fn)(struct text *out, const struct mon_node *n);

static void load_words(struct text *out, const struct mon_node *n)
{
    mon_shown_text(out, n->figures[MON_load_centi], MON_SHOW_LOAD);
}

static void raw_words(struct text *out, const struct mon_node *n)
{
    mon_shown_text(out, n->figures[MON_load_raw_centi], MON_SHOW_RAW_LOAD);
}

static void memory_words(struct text *out, const struct mon_node *n)
{
    text_size(out, mon_shown_value(n, MON_SHOW_RAW_MEMORY));
    text_put(out, "/");
    text_size(out, n->figures[MON_memory_mb]);
}

static void swap_words(struct text *out, const struct mon_node *n)
{
    if (n->figures[MON_swap_mb] == 0)
        text_put(out, "none");
    else
        mon_shown_text(out, n->figures[MON_swap_used_pct], MON_SHOW_SWAP);
}

static void number_or_none(struct text *out, int64_t figure, int64_t most)
{
    if (figure < 0)
        text_put(out, "-");
    else
        text_int(out, figure < most ? figure : most);
}

static void guests_words(struct text *out, const struct mon_node *n)
{
    number_or_none(out, n->figures[MON_guests], 999);
    if (n->is_blocked) {
        text_put(out, " shut");
    } else if (n->figures[MON_guests_max] >= 0) {
        text_put(out, "/");
        number_or_none(out, n->figures[MON_guests_max], 999);
    }
}

static void frozen_words(struct text *out, const struct mon_node *n)
{
    number_or_none(out, n->figures[MON_frozen], 9999);
    if (!n->is_self && n->figures[MON_frozen] == 1)
        text_put(out, "+");
}

static void idle_words(struct text *out, const struct mon_node *n)
{
    number_or_none(out, n->figures[MON_idle_cores], 9999);
    text_put(out, "/");
    number_or_none(out, n->figures[MON_cores], 9999);
}

static void speed_words(struct text *out, const struct mon_node *n)
{
    number_or_none(out, n->figures[MON_speed], 999999);
}

static void pressure_words(struct text *out, const struct mon_node *n)
{
    mon_shown_text(out, n->figures[MON_psi_memory_pct], MON_SHOW_SWAP);
}

static void age_words(struct text *out, const struct mon_node *n)
{
    text_age(out, n->figures[MON_age_ms]);
    text_put(out, mon_is_stale(n) ? "!" : " ");
}

static void since_words(struct text *out, const struct mon_node *n)
{
    text_age(out, n->figures[MON_since_ms]);
}

static void address_words(struct text *out, const struct mon_node *n)
{
    text_put(out, n->address);
}

static void kernel_words(struct text *out, const struct mon_node *n)
{
    text_put(out, n->kernel[0] ? n->kernel : "-");
}

/* order: which columns are given up first, from the greatest; 0 never. hidden_by: the figure
 * that the bar shows anyway. */
/* clang-format off */
static const struct {
    const char *head;
    uint8_t cols, order;
    int8_t hidden_by;
    bool is_left;
    words_fn words;
} columns[COLUMNS] = {
    [COL_NUMBER] =   { "NO",         0,  0, -1,                  false, NULL },
    [COL_MARK] =     { "",           1,  0, -1,                  true,  NULL },
    [COL_NAME] =     { "NODE",       0,  0, -1,                  true,  NULL },
    [COL_STATE] =    { "STATE",      7,  1, -1,                  true,  NULL },
    [COL_BAR] =      { "",           0,  0, -1,                  true,  NULL },
    [COL_LOAD] =     { "LOAD",       6,  3, MON_SHOW_LOAD,       false, load_words },
    [COL_RAW] =      { "RAW",        6,  9, MON_SHOW_RAW_LOAD,   false, raw_words },
    [COL_MEMORY] =   { "USED/MEM",   11, 4, MON_SHOW_RAW_MEMORY, false, memory_words },
    [COL_SWAP] =     { "SWAP",       4,  6, MON_SHOW_SWAP,       false, swap_words },
    [COL_GUESTS] =   { "GUESTS",     8,  5, -1,                  false, guests_words },
    [COL_FROZEN] =   { "FROZ",       5,  7, MON_SHOW_FROZEN,     false, frozen_words },
    [COL_IDLE] =     { "IDLE",       7,  8, -1,                  false, idle_words },
    [COL_SPEED] =    { "SPEED",      6,  10, MON_SHOW_SPEED,     false, speed_words },
    [COL_PRESSURE] = { "WAITS",      5,  11, -1,                 false, pressure_words },
    [COL_AGE] =      { "AGE ",       5,  2, -1,                  false, age_words },
    [COL_SINCE] =    { "SINCE",      5,  12, -1,                 false, since_words },
    [COL_CLUSTER] =  { "CLUSTER",    12, 13, -1,                 true,  NULL },
    [COL_ADDRESS] =  { "ADDRESS",    15, 14, -1,                 true,  address_words },
    [COL_KERNEL] =   { "KERNEL",     18, 15, -1,                 true,  kernel_words },
};
/* clang-format on */

struct plan {
    bool has[COLUMNS];
    unsigned cols[COLUMNS];
    unsigned bar; /* without its value */
    int64_t scale;
};

static unsigned digits_of(uint32_t n)
{
    unsigned digits = 1;
    while (n /= 10)
        digits++;
    return digits;
}

/* How wide it is with a blank between columns. */
static unsigned width_of(const struct plan *p)
{
    unsigned width = VALUE_COLS + 1;
    for (unsigned i = 0; i < COLUMNS; i++)
        if (p->has[i] && i != COL_BAR)
            width += p->cols[i] + 1;
    return width;
}

static void make_plan(const struct mon_canvas *c, struct plan *p)
{
    unsigned name = 4, number = 2, most_order = 0, cols = c->screen->cols;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct mon_node *n = &c->table->nodes[c->order[i]];
        unsigned len = (unsigned)strlen(n->name);
        name = len > name ? len : name;
        number = digits_of(n->number) > number ? digits_of(n->number) : number;
    }
    unsigned name_most = cols < 60 ? 8 : cols < 120 ? 14 : NAME_COLS_MOST;
    *p =
        (struct plan){ .scale = mon_shown_scale(c->view->shown, c->table, c->order, c->count) };
    for (unsigned i = 0; i < COLUMNS; i++) {
        p->has[i] = columns[i].hidden_by != (int)c->view->shown;
        p->cols[i] = columns[i].cols;
        most_order = columns[i].order > most_order ? columns[i].order : most_order;
    }
    p->has[COL_CLUSTER] =
        c->table->cluster_count > 1 && mon_view_cluster(c->view, c->table) == MON_ALL_CLUSTERS;
    p->cols[COL_NUMBER] = number;
    p->cols[COL_NAME] = name < name_most ? name : name_most;
    for (; most_order && width_of(p) + BAR_COLS_LEAST > cols; most_order--)
        for (unsigned i = 0; i < COLUMNS; i++)
            if (columns[i].order == most_order)
                p->has[i] = false;
    p->has[COL_MARK] = !p->has[COL_STATE];
    unsigned used = width_of(p);
    p->bar = used < cols ? cols - used : 0;
    p->bar = p->bar < BAR_COLS_MOST ? p->bar : BAR_COLS_MOST;
    p->cols[COL_BAR] = p->bar + VALUE_COLS;
}

static void draw_head(const struct mon_canvas *c, const struct plan *p, unsigned row)
{
    unsigned col = 0;
    for (unsigned i = 0; i < COLUMNS; i++) {
        if (!p->has[i])
            continue;
        if (i == COL_BAR) {
            char words[40];
            struct text t = text_of(words, sizeof words);
            text_put(&t, "0");
            paint_words(c->screen, row, col, p->bar, words, MON_HEAD);
            t = text_of(words, sizeof words);
            mon_shown_text(&t, p->scale, c->view->shown);
            paint_right(c->screen, row, col, p->bar, words, MON_HEAD);
        } else if (columns[i].is_left) {
            paint_words(c->screen, row, col, p->cols[i], columns[i].head, MON_HEAD);
        } else {
            paint_right(c->screen, row, col, p->cols[i], columns[i].head, MON_HEAD);
        }
        col += p->cols[i] + 1;
    }
}

/* In the place of the bar of a node without figures: why there is none. */
static void draw_reason(const struct mon_canvas *c, const struct plan *p,
                        const struct mon_node *n, unsigned row, unsigned col)
{
    char words[48];
    struct text t = text_of(words, sizeof words);
    text_put(&t, n->is_revoked           ? "its certificate is revoked"
                 : n->state == MON_LEFT  ? "has left"
                 : n->state == MON_DEAD  ? "no answer"
                 : n->state == MON_NEVER ? "nothing was heard of it"
                                         : "no figures yet");
    if (n->figures[MON_since_ms] >= 0 && (n->state == MON_LEFT || n->state == MON_DEAD)) {
        text_put(&t, n->state == MON_LEFT ? ", " : " for ");
        text_age(&t, n->figures[MON_since_ms]);
        text_put(&t, n->state == MON_LEFT ? " ago" : "");
    }
    paint_words(c->screen, row, col, p->cols[COL_BAR], words, MON_DIM);
}

static void draw_bar(const struct mon_canvas *c, const struct plan *p, const struct mon_node *n,
                     unsigned row, unsigned col)
{
    enum mon_shown shown = c->view->shown;
    int64_t value = mon_shown_value(n, shown);
    char words[16];
    struct text t = text_of(words, sizeof words);
    if (value < 0) {
        draw_reason(c, p, n, row, col);
        return;
    }
    const struct paint_bar b = { .row = row,
                                 .col = col,
                                 .width = p->bar,
                                 .value = value,
                                 .whole = mon_shown_whole(n, shown),
                                 .scale = p->scale,
                                 .style = mon_is_stale(n)
                                              ? MON_DIM
                                              : mon_shown_style(value, p->scale, shown),
                                 .is_log = c->view->is_log,
                                 .is_ascii = c->view->is_ascii };
    paint_bar(c->screen, &b);
    mon_shown_text(&t, value, shown);
    paint_right(c->screen, row, col + p->bar, VALUE_COLS, words,
                mon_is_stale(n) ? MON_DIM : MON_PLAIN);
}

static void draw_node(const struct mon_canvas *c, const struct plan *p,
                      const struct mon_node *n, unsigned row)
{
    static const char marks[MON_STATES + 1] = " S!-?";
    enum mon_style state_style, style;
    const char *state = mon_state_words(n, &state_style);
    unsigned col = 0;
    style = mon_is_there(n) && !mon_is_stale(n) ? MON_PLAIN : MON_DIM;
    for (unsigned i = 0; i < COLUMNS; i++) {
        char words[MON_NAME_MAX + 24];
        struct text t = text_of(words, sizeof words);
        if (!p->has[i])
            continue;
        if (i == COL_BAR) {
            draw_bar(c, p, n, row, col);
        } else if (i == COL_STATE) {
            paint_words(c->screen, row, col, p->cols[i], state, state_style);
        } else if (i == COL_MARK) {
            paint_cell(c->screen, row, col, (uint16_t)marks[n->state], state_style);
        } else if (i == COL_NUMBER) {
            text_int(&t, n->number);
            paint_right(c->screen, row, col, p->cols[i], words, style);
        } else if (i == COL_NAME) {
            text_put(&t, n->name);
            if (t.len_bytes > p->cols[i]) /* what has been cut is seen to be cut */
                words[p->cols[i] - 1] = '~';
            paint_words(c->screen, row, col, p->cols[i], words, n->is_self ? MON_HEAD : style);
        } else if (i == COL_CLUSTER) {
            paint_words(c->screen, row, col, p->cols[i], c->table->clusters[n->cluster].name,
                        style);
        } else if (mon_is_there(n) || i == COL_ADDRESS || i == COL_SINCE || i == COL_AGE) {
            columns[i].words(&t, n);
            if (columns[i].is_left)
                paint_words(c->screen, row, col, p->cols[i], words, style);
            else
                paint_right(c->screen, row, col, p->cols[i], words, style);
        }
        col += p->cols[i] + 1;
    }
}

void mon_layout_list(struct mon_canvas *c)
{
    struct plan p;
    struct mon_view *v = c->view;
    unsigned row = c->first;
    make_plan(c, &p);
    if (c->end - c->first >= ROWS_FOR_HEAD)
        draw_head(c, &p, row++);
    v->page = c->end - row;
    v->line = 1;
    if (v->first + v->page > c->count)
        v->first = c->count > v->page ? c->count - v->page : 0;
    for (uint32_t i = v->first; i < c->count && row < c->end; i++)
        draw_node(c, &p, &c->table->nodes[c->order[i]], row++);
}
