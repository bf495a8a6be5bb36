/* SPDX-License-Identifier: GPL-2.0-or-later */
/* api.c: tables as JSON for the page and for programs.
 * Must not know: HTTP. */
#include "gossip/monitor/core/api.h"

#include <string.h>

static const char *const figure_names[MON_FIGURES] = {
#define FIGURE(name, metric, kind, help) #name,
#include "gossip/monitor/core/figures.def"
#undef FIGURE
};

static void head(struct text *out, const char *kind)
{
    text_put(out, "{\"schema\":\"mosweb/1\",\"kind\":\"");
    text_put(out, kind);
    text_put(out, "\"");
}

static void field(struct text *out, const char *name)
{
    text_put(out, ",\"");
    text_put(out, name);
    text_put(out, "\":");
}

static void number(struct text *out, const char *name, int64_t figure)
{
    field(out, name);
    if (figure < 0)
        text_put(out, "null");
    else
        text_int(out, figure);
}

static void words(struct text *out, const char *name, const char *value)
{
    field(out, name);
    if (value && *value)
        text_json(out, value);
    else
        text_put(out, "null");
}

static void truth(struct text *out, const char *name, bool value)
{
    field(out, name);
    text_put(out, value ? "true" : "false");
}

static void sums_of(struct text *out, const struct mon_table *t, int cluster)
{
    struct mon_totals s;
    mon_totals(t, cluster, &s);
    text_put(out, "\"nodes\":");
    text_int(out, s.nodes);
    for (unsigned i = 0; i < MON_STATES; i++)
        number(out, mon_state_names[i], s.states[i]);
    number(out, "cores", s.cores);
    number(out, "load_centi", s.load_centi);
    number(out, "load_raw_centi", s.load_raw_centi);
    number(out, "memory_mb", s.memory_mb);
    number(out, "memory_free_mb", s.memory_free_mb);
    number(out, "swap_mb", s.swap_mb);
    number(out, "swap_used_mb", s.swap_used_mb);
    number(out, "guests", s.guests);
    number(out, "frozen", s.frozen);
    number(out, "oldest_ms", s.oldest_ms);
}

void mon_api_overview(const struct mon_table *t, const struct mon_overview *o, struct text *out)
{
    head(out, "overview");
    number(out, "sequence", (int64_t)o->sequence);
    number(out, "time_s", t->time_s);
    number(out, "self", t->self);
    words(out, "mode", t->is_static ? "static" : "gossip");
    truth(out, "is_answered", !o->words);
    words(out, "words", o->words);
    number(out, "answer_age_ms", o->answer_age_ms);
    words(out, "config_error", o->config_error);
    field(out, "all");
    text_put(out, "{");
    sums_of(out, t, MON_ALL_CLUSTERS);
    text_put(out, "}");
    field(out, "clusters");
    text_put(out, "[");
    for (size_t i = 0; i < t->cluster_count; i++) {
        text_put(out, i ? ",{" : "{");
        sums_of(out, t, (int)i);
        number(out, "number", t->clusters[i].number);
        words(out, "name", t->clusters[i].name);
        truth(out, "is_own", t->clusters[i].is_own);
        text_put(out, "}");
    }
    text_put(out, "]}\n");
}

size_t mon_api_overview_room(const struct mon_table *t)
{
    return 4096 + t->cluster_count * 1024;
}

static void put_node(struct text *out, const struct mon_table *t, const struct mon_node *n)
{
    text_put(out, "{\"number\":");
    text_int(out, n->number);
    words(out, "name", n->name);
    words(out, "address", n->address);
    number(out, "cluster", t->clusters[n->cluster].number);
    words(out, "cluster_name", t->clusters[n->cluster].name);
    words(out, "state", mon_state_names[n->state]);
    truth(out, "is_self", n->is_self);
    truth(out, "is_revoked", n->is_revoked);
    truth(out, "is_blocked", n->is_blocked);
    for (unsigned i = 0; i < MON_FIGURES; i++)
        number(out, figure_names[i], n->figures[i]);
    words(out, "kernel", n->kernel);
    words(out, "version", n->version);
    text_put(out, "}");
}

void mon_api_nodes(const struct mon_table *t, const struct mon_choice *c, uint32_t *order,
                   size_t first, size_t wanted, struct text *out)
{
    size_t count = mon_choose(t, c, order);
    wanted = wanted < MON_PAGE_NODES_MAX ? wanted : MON_PAGE_NODES_MAX;
    first = first < count ? first : count;
    size_t end = count - first < wanted ? count : first + wanted;
    head(out, "nodes");
    number(out, "chosen", (int64_t)count);
    number(out, "first", (int64_t)first);
    number(out, "scale_load_centi", mon_shown_scale(MON_SHOW_LOAD, t, order, count));
    field(out, "nodes");
    text_put(out, "[");
    for (size_t i = first; i < end; i++) {
        text_put(out, i > first ? "," : "");
        put_node(out, t, &t->nodes[order[i]]);
    }
    text_put(out, "]}\n");
}

/* As in mon's map. */
static char mark_of(const struct mon_node *n, enum mon_shown shown, int64_t scale)
{
    static const char marks[MON_STATES + 1] = " S!-?";
    int64_t value = mon_shown_value(n, shown);
    if (n->state != MON_ALIVE)
        return marks[n->state];
    if (value < 0)
        return '?';
    if (mon_is_stale(n))
        return 'o';
    int64_t step = scale > 0 ? (int64_t)((double)value * 10 / (double)scale) : 0;
    return (char)('0' + (step < 10 ? step : 9));
}

void mon_api_map(const struct mon_table *t, const struct mon_choice *c, enum mon_shown shown,
                 uint32_t *order, struct text *out)
{
    size_t count = mon_choose(t, c, order);
    int64_t scale = mon_shown_scale(shown, t, order, count);
    head(out, "map");
    number(out, "chosen", (int64_t)count);
    number(out, "scale", scale);
    field(out, "cells");
    text_put(out, "\"");
    for (size_t i = 0; i < count; i++) {
        char mark = mark_of(&t->nodes[order[i]], shown, scale);
        text_put_n(out, &mark, 1);
    }
    text_put(out, "\",\"runs\":[");
    for (size_t i = 0, run; i < count; i += run) {
        uint32_t from = t->nodes[order[i]].number;
        for (run = 1; i + run < count && t->nodes[order[i + run]].number == from + run; run++)
            ;
        text_put(out, i ? ",[" : "[");
        text_int(out, from);
        text_put(out, ",");
        text_int(out, (int64_t)run);
        text_put(out, "]");
    }
    text_put(out, "]}\n");
}

size_t mon_api_map_room(const struct mon_table *t)
{
    return 4096 + t->count * 24;
}

void mon_api_processes(const struct mon_processes *p, struct text *out)
{
    head(out, "processes");
    truth(out, "is_cut", p->is_cut);
    field(out, "processes");
    text_put(out, "[");
    for (size_t i = 0; i < p->count; i++) {
        const struct mon_process *q = &p->list[i];
        text_put(out, i ? ",{\"is_guest\":" : "{\"is_guest\":");
        text_put(out, q->is_guest ? "true" : "false");
        number(out, "pid", q->pid);
        number(out, "uid", q->uid);
        number(out, "job", q->job);
        number(out, "moves", q->moves);
        number(out, "home_pid", q->other_pid);
        words(out, "command", q->command);
        words(out, "where", q->where_name);
        words(out, "phase", q->phase);
        words(out, "why", q->why);
        text_put(out, "}");
    }
    text_put(out, "]}\n");
}

size_t mon_api_processes_room(const struct mon_processes *p)
{
    /* texts of 250 characters, each of which may take six */
    return 4096 + p->count * 2048;
}
