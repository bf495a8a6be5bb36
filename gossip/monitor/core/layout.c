/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layout.c: a screen: its first and last lines, totals, and between them one of the layouts.
 * Must not know: terminals. */
#include "gossip/monitor/core/layout.h"

#include "gossip/monitor/core/paint.h"

#include <string.h>

/* From 200 nodes on a map says more than a list that has to be scrolled; below so many rows
 * there is no room for totals. */
enum { MAP_FROM_NODES = 200, ROWS_FOR_TOTALS = 8 };

static void put_count(struct text *t, uint32_t count, const char *words)
{
    if (!count)
        return;
    text_put(t, " ");
    text_int(t, count);
    text_put(t, " ");
    text_put(t, words);
}

/* What has no room as a whole is taken back. */
static void keep_if_it_fits(struct text *t, size_t *kept, unsigned cols)
{
    if (t->len_bytes > cols || t->is_cut) {
        t->len_bytes = *kept;
        t->ptr[*kept] = 0;
    }
    *kept = t->len_bytes;
}

static void draw_title(const struct mon_canvas *c, const struct mon_totals *sums)
{
    char left_words[160], right_words[120];
    struct text left = text_of(left_words, sizeof left_words),
                right = text_of(right_words, sizeof right_words);
    const struct mon_table *t = c->table;
    const struct mon_screen *s = c->screen;
    int cluster = mon_view_cluster(c->view, t);
    size_t kept = 0;
    text_int(&right, sums->nodes);
    text_put(&right, sums->nodes == 1 ? " node:" : " nodes:");
    put_count(&right, sums->states[MON_ALIVE], "alive");
    put_count(&right, sums->states[MON_SUSPECT], "SUSPECT");
    put_count(&right, sums->states[MON_DEAD], "DEAD");
    put_count(&right, sums->states[MON_LEFT], "left");
    put_count(&right, sums->states[MON_NEVER], "unknown");
    text_put(&right, " ");
    /* who is dead is more than how it is drawn */
    unsigned room = s->cols > right.len_bytes ? s->cols - (unsigned)right.len_bytes : s->cols;
    text_put(&left, " mon  ");
    if (cluster != MON_ALL_CLUSTERS) {
        text_put(&left, t->clusters[cluster].name);
        text_put(&left, " (");
        text_int(&left, cluster + 1);
        text_put(&left, " of ");
        text_int(&left, (int64_t)t->cluster_count);
        text_put(&left, ")");
    } else if (t->cluster_count == 1) {
        text_put(&left, t->clusters[0].name);
    } else if (t->cluster_count) {
        text_int(&left, (int64_t)t->cluster_count);
        text_put(&left, " clusters");
    }
    keep_if_it_fits(&left, &kept, room - 1);
    text_put(&left, t->cluster_count ? "  " : "");
    text_put(&left, mon_shown_names[c->view->shown]);
    text_put(&left, c->view->is_log ? " (log)" : "");
    keep_if_it_fits(&left, &kept, room - 1);
    if (c->view->sort != MON_BY_NUMBER) {
        text_put(&left, "  by ");
        text_put(&left, mon_sort_names[c->view->sort]);
    }
    keep_if_it_fits(&left, &kept, room - 1);
    if (c->view->find[0]) {
        text_put(&left, "  /");
        text_put(&left, c->view->find);
    }
    paint_row(s, 0, MON_TITLE);
    paint_words(s, 0, 0, room - 1, left_words, MON_TITLE);
    if (room < s->cols)
        paint_right(s, 0, room, s->cols - room, right_words, MON_TITLE);
}

static void draw_totals(const struct mon_canvas *c, unsigned row, const struct mon_totals *sums)
{
    char words[240];
    struct text t = text_of(words, sizeof words);
    size_t kept = 0;
    unsigned cols = c->screen->cols;
    text_put(&t, " ");
    text_int(&t, sums->cores);
    text_put(&t, " cores  load ");
    mon_shown_text(&t, sums->load_centi, MON_SHOW_LOAD);
    keep_if_it_fits(&t, &kept, cols);
    text_put(&t, "  mem ");
    text_size(&t, sums->memory_mb - sums->memory_free_mb);
    text_put(&t, "/");
    text_size(&t, sums->memory_mb);
    keep_if_it_fits(&t, &kept, cols);
    text_put(&t, "  ");
    text_int(&t, sums->guests);
    text_put(&t, sums->guests == 1 ? " guest" : " guests");
    keep_if_it_fits(&t, &kept, cols);
    if (sums->oldest_ms >= 0) {
        text_put(&t, "  oldest ");
        text_age(&t, sums->oldest_ms);
        keep_if_it_fits(&t, &kept, cols);
    }
    text_put(&t, "  swap ");
    text_size(&t, sums->swap_used_mb);
    text_put(&t, "/");
    text_size(&t, sums->swap_mb);
    keep_if_it_fits(&t, &kept, cols);
    text_put(&t, "  ");
    text_int(&t, sums->frozen);
    text_put(&t, " frozen");
    keep_if_it_fits(&t, &kept, cols);
    paint_row(c->screen, row, MON_PLAIN);
    paint_words(c->screen, row, 0, c->screen->cols, words, MON_HEAD);
}

static void draw_status(const struct mon_canvas *c, unsigned row, const struct mon_source *from)
{
    static const char keys[] = " h help  q quit ";
    char words[400];
    struct text t = text_of(words, sizeof words);
    const struct mon_view *v = c->view;
    const struct mon_screen *s = c->screen;
    enum mon_style style = MON_TITLE;
    text_put(&t, " ");
    if (v->typing) {
        text_put(&t, v->typing == MON_TYPES_NUMBER ? "begin at node: " : "only nodes with: ");
        text_put(&t, v->typed);
        text_put(&t, "_");
    } else if (from->words) {
        style = MON_BAD;
        text_put(&t, from->words);
        if (from->answer_age_ms >= 0) {
            text_put(&t, "; this is ");
            text_age(&t, from->answer_age_ms);
            text_put(&t, " old");
        }
    } else if (from->answer_age_ms < 0) {
        text_put(&t, "asking mosixd");
    } else {
        text_put(&t, "mosixd's answer of ");
        text_age(&t, from->answer_age_ms);
        text_put(&t, " ago");
        if (c->table->is_static)
            text_put(&t, "; it knows nothing of other nodes (no gossip)");
    }
    if (!v->is_help && c->count > v->page && v->page) {
        text_put(&t, "  ");
        text_int(&t, v->first + 1);
        text_put(&t, "-");
        text_int(&t, v->first + v->page < c->count ? v->first + v->page : c->count);
        text_put(&t, " of ");
        text_int(&t, c->count);
    }
    paint_row(s, row, style);
    unsigned used = paint_words(s, row, 0, s->cols, words, style);
    if (used + sizeof keys - 1 <= s->cols)
        paint_right(s, row, used, s->cols - used, keys, style);
}

static void draw_body(struct mon_canvas *c)
{
    struct mon_view *v = c->view;
    unsigned rows = c->end > c->first ? c->end - c->first : 0;
    enum mon_layout layout = v->layout != MON_AUTO       ? v->layout
                             : c->count > MAP_FROM_NODES ? MON_MAP
                                                         : MON_LIST;
    if (v->first >= c->count)
        v->first = c->count ? c->count - 1 : 0;
    if (!rows)
        return;
    if (v->is_help) {
        mon_layout_help(c);
        return;
    }
    if (!c->count) {
        paint_words(c->screen, c->first, 1, c->screen->cols,
                    c->table->count ? "no node is chosen" : "no nodes", MON_DIM);
        return;
    }
    if (layout == MON_BARS)
        mon_layout_bars(c);
    else if (layout == MON_MAP)
        mon_layout_map(c);
    else
        mon_layout_list(c);
}

void mon_layout(const struct mon_screen *s, struct mon_view *v, const struct mon_table *t,
                const uint32_t *order, size_t count, const struct mon_source *from)
{
    struct mon_canvas c = { s, v, t, order, (uint32_t)count, 0, s->rows };
    struct mon_totals sums;
    v->page = v->line = 1;
    v->chosen = c.count;
    paint_clear(s);
    if (!s->rows || !s->cols)
        return;
    mon_totals(t, mon_view_cluster(v, t), &sums);
    if (s->rows > 1) {
        draw_title(&c, &sums);
        c.first = 1;
        c.end = s->rows - 1;
    }
    if (s->rows >= ROWS_FOR_TOTALS && !v->hides_totals && sums.nodes)
        draw_totals(&c, --c.end, &sums);
    draw_body(&c);
    if (s->rows > 1)
        draw_status(&c, s->rows - 1, from);
}
