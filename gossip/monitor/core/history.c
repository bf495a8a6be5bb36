/* SPDX-License-Identifier: GPL-2.0-or-later */
/* history.c: what clusters and nodes were like in the last hours.
 * Must not know: clocks, who asks. */
#include "gossip/monitor/core/history.h"

#include <string.h>

static const struct mon_point gap = { .load_centi = MON_UNKNOWN,
                                      .memory_used_pct = MON_UNKNOWN };

static void put(struct mon_series *s, struct mon_point p)
{
    s->points[s->count++ % MON_POINTS_MAX] = p;
}

static struct mon_point point_of(const struct mon_table *t, int cluster)
{
    struct mon_totals sums;
    mon_totals(t, cluster, &sums);
    uint32_t alive = sums.states[MON_ALIVE] + sums.states[MON_SUSPECT];
    struct mon_point p = {
        .load_centi = sums.load_centi < INT32_MAX ? (int32_t)sums.load_centi : INT32_MAX,
        .memory_used_pct = MON_UNKNOWN,
        .alive = (uint16_t)(alive < UINT16_MAX ? alive : UINT16_MAX),
        .guests = (uint32_t)(sums.guests < UINT32_MAX ? sums.guests : UINT32_MAX)
    };
    if (sums.memory_mb > 0 && sums.memory_free_mb <= sums.memory_mb)
        p.memory_used_pct = (int16_t)((double)(sums.memory_mb - sums.memory_free_mb) * 100 /
                                          (double)sums.memory_mb +
                                      0.5);
    return p;
}

/* The series of a cluster; a free one if it has none, filled with gaps to be as long as that of
 * all; NULL: no more. */
static struct mon_series *series_of(struct mon_history *h, uint32_t number)
{
    struct mon_series *unused = NULL;
    for (unsigned i = 0; i < MON_HISTORY_CLUSTERS_MAX; i++) {
        struct mon_series *s = &h->clusters[i];
        if (s->is_used && s->cluster == number)
            return s;
        if (!s->is_used && !unused)
            unused = s;
    }
    if (!unused)
        return NULL;
    unused->is_used = true;
    unused->cluster = number;
    unused->count = h->all.count;
    for (unsigned i = 0; i < MON_POINTS_MAX; i++)
        unused->points[i] = gap;
    return unused;
}

/* A gap in all of them. */
static void put_gap(struct mon_history *h)
{
    put(&h->all, gap);
    for (unsigned i = 0; i < MON_HISTORY_CLUSTERS_MAX; i++)
        if (h->clusters[i].is_used)
            put(&h->clusters[i], gap);
}

static void add_clusters(struct mon_history *h, const struct mon_table *t, int64_t period)
{
    if (h->period && period <= h->period)
        return;
    int64_t missed = h->period ? period - h->period - 1 : 0;
    for (int64_t i = 0; i < missed && i < MON_POINTS_MAX; i++)
        put_gap(h);
    for (size_t i = 0; t && i < t->cluster_count; i++)
        (void)series_of(
            h,
            t->clusters[i].number); /* before the next points, so that all stay of one length */
    put_gap(h);
    h->period = period;
    if (!t)
        return;
    h->all.points[(h->all.count - 1) % MON_POINTS_MAX] = point_of(t, MON_ALL_CLUSTERS);
    for (size_t i = 0; i < t->cluster_count; i++) {
        struct mon_series *s = series_of(h, t->clusters[i].number);
        if (s)
            s->points[(s->count - 1) % MON_POINTS_MAX] = point_of(t, (int)i);
    }
}

void mon_history_clear_nodes(struct mon_history *h, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        for (unsigned j = 0; j < MON_NODE_POINTS_MAX; j++)
            h->nodes[i].points[j] = (struct mon_node_point){ MON_UNKNOWN, MON_UNKNOWN };
}

static void put_node_gap(struct mon_history *h)
{
    for (uint32_t i = 0; i < h->node_room; i++)
        h->nodes[i].points[h->node_count % MON_NODE_POINTS_MAX] =
            (struct mon_node_point){ MON_UNKNOWN, MON_UNKNOWN };
    h->node_count++;
}

static int16_t small(int64_t figure)
{
    return (int16_t)(figure < INT16_MAX ? figure : INT16_MAX);
}

static void add_nodes(struct mon_history *h, const struct mon_table *t, int64_t period)
{
    if (h->node_period && period <= h->node_period)
        return;
    int64_t missed = h->node_period ? period - h->node_period - 1 : 0;
    for (int64_t i = 0; i < missed && i < MON_NODE_POINTS_MAX; i++)
        put_node_gap(h);
    put_node_gap(h);
    h->node_period = period;
    for (size_t i = 0; t && i < t->count; i++) {
        const struct mon_node *n = &t->nodes[i];
        if (n->number < h->node_room && (n->state == MON_ALIVE || n->state == MON_SUSPECT))
            h->nodes[n->number].points[(h->node_count - 1) % MON_NODE_POINTS_MAX] =
                (struct mon_node_point){ small(n->figures[MON_load_centi]),
                                         small(mon_memory_used_pct(n)) };
    }
}

void mon_history_add(struct mon_history *h, const struct mon_table *t, int64_t now_s)
{
    add_clusters(h, t, now_s / MON_PERIOD_S);
    add_nodes(h, t, now_s / MON_NODE_PERIOD_S);
}

/* ---- answers ---- */

/* Sums of neighbours that become one point. */
struct blend {
    int64_t load, memory, alive, guests;
    unsigned loads, memories, points;
};

static void put_number(struct text *out, bool is_known, int64_t number)
{
    if (is_known)
        text_int(out, number);
    else
        text_put(out, "null");
}

static void blend_in(struct blend *b, const struct mon_point *p)
{
    if (p->load_centi < 0)
        return;
    b->load += p->load_centi;
    b->loads++;
    b->alive += p->alive;
    b->guests += p->guests;
    if (p->memory_used_pct >= 0) {
        b->memory += p->memory_used_pct;
        b->memories++;
    }
}

/* Which field: one pass for each, so that the text is written in order. */
static void put_field(const struct mon_series *s, uint64_t first, unsigned step, char field,
                      struct text *out)
{
    bool is_first = true;
    text_put(out, "[");
    for (uint64_t i = first; i < s->count; i += step) {
        struct blend b = { 0 };
        for (uint64_t j = i; j < i + step && j < s->count; j++)
            blend_in(&b, &s->points[j % MON_POINTS_MAX]);
        text_put(out, is_first ? "" : ",");
        is_first = false;
        int64_t n = b.loads ? b.loads : 1;
        if (field == 'l')
            put_number(out, b.loads, b.load / n);
        else if (field == 'm')
            put_number(out, b.memories, b.memory / (b.memories ? (int64_t)b.memories : 1));
        else if (field == 'a')
            put_number(out, b.loads, (b.alive + n / 2) / n);
        else
            put_number(out, b.loads, b.guests / n);
    }
    text_put(out, "]");
}

void mon_history_json(const struct mon_history *h, int64_t cluster, uint32_t seconds_back,
                      struct text *out)
{
    const struct mon_series *s = cluster == MON_ALL_CLUSTERS ? &h->all : NULL;
    static const struct mon_series none;
    for (unsigned i = 0; !s && i < MON_HISTORY_CLUSTERS_MAX; i++)
        if (h->clusters[i].is_used && h->clusters[i].cluster == cluster)
            s = &h->clusters[i];
    s = s ? s : &none;
    uint64_t wanted = seconds_back / MON_PERIOD_S,
             have = s->count < MON_POINTS_MAX ? s->count : MON_POINTS_MAX;
    wanted = wanted < have ? wanted : have;
    unsigned step =
        (unsigned)((wanted + MON_ANSWERED_POINTS_MAX - 1) / MON_ANSWERED_POINTS_MAX);
    step = step ? step : 1;
    text_put(out, "{\"schema\":\"mosweb/1\",\"kind\":\"history\",\"period_s\":");
    text_int(out, (int64_t)step * MON_PERIOD_S);
    text_put(out, ",\"load_centi\":");
    put_field(s, s->count - wanted, step, 'l', out);
    text_put(out, ",\"memory_used_pct\":");
    put_field(s, s->count - wanted, step, 'm', out);
    text_put(out, ",\"alive\":");
    put_field(s, s->count - wanted, step, 'a', out);
    text_put(out, ",\"guests\":");
    put_field(s, s->count - wanted, step, 'g', out);
    text_put(out, "}\n");
}

void mon_history_node_json(const struct mon_history *h, uint32_t number, struct text *out)
{
    uint64_t have = number >= h->node_room                ? 0
                    : h->node_count < MON_NODE_POINTS_MAX ? h->node_count
                                                          : MON_NODE_POINTS_MAX;
    text_put(out, "{\"schema\":\"mosweb/1\",\"kind\":\"history\",\"period_s\":");
    text_int(out, MON_NODE_PERIOD_S);
    for (unsigned field = 0; field < 2; field++) {
        text_put(out, field ? ",\"memory_used_pct\":[" : ",\"load_centi\":[");
        for (uint64_t i = h->node_count - have; i < h->node_count; i++) {
            const struct mon_node_point *p = &h->nodes[number].points[i % MON_NODE_POINTS_MAX];
            int16_t figure = field ? p->memory_used_pct : p->load_centi;
            text_put(out, i == h->node_count - have ? "" : ",");
            put_number(out, figure >= 0, figure);
        }
        text_put(out, "]");
    }
    text_put(out, "}\n");
}
