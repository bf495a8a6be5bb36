/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics.c: tables as OpenMetrics text.
 * Must not know: who reads it. No processes and no users are in it: what has a label must be
 * few. */
#include "gossip/monitor/core/metrics.h"

#include <string.h>

enum kind { KIND_ONE, KIND_CENTI, KIND_MILLI, KIND_MEBI };

static const struct {
    const char *metric, *help;
    uint8_t kind;
} figures[MON_FIGURES] = {
#define FIGURE(name, metric, kind, help) { metric, help, KIND_##kind },
#include "gossip/monitor/core/figures.def"
#undef FIGURE
};

static const struct {
    const char *metric, *label, *help;
} counters[] = {
#define COUNTER(name, metric, label, help) { metric, label, help },
#include "gossip/monitor/core/counters.def"
#undef COUNTER
};

static void begin(struct text *out, const char *prefix, const char *name, const char *type,
                  const char *help)
{
    text_put(out, "# TYPE mosix_");
    text_put(out, prefix);
    text_put(out, name);
    text_put(out, type);
    /* a unit is the end of the name, and is said */
    static const char *const units[] = { "seconds", "bytes", "ratio" };
    for (unsigned i = 0; i < sizeof units / sizeof *units; i++) {
        size_t len = strlen(name), unit = strlen(units[i]);
        if (len > unit && name[len - unit - 1] == '_' &&
            strcmp(name + len - unit, units[i]) == 0) {
            text_put(out, "\n# UNIT mosix_");
            text_put(out, prefix);
            text_put(out, name);
            text_put(out, " ");
            text_put(out, units[i]);
        }
    }
    text_put(out, "\n# HELP mosix_");
    text_put(out, prefix);
    text_put(out, name);
    text_put(out, " ");
    text_put(out, help);
    text_put(out, ".\n");
}

static void one(struct text *out, const char *name, const char *type, const char *help,
                int64_t value)
{
    if (value < 0)
        return;
    begin(out, "", name, type, help);
    text_put(out, "mosix_");
    text_put(out, name);
    text_put(out, strcmp(type, " counter") == 0 ? "_total " : " ");
    text_int(out, value);
    text_put(out, "\n");
}

/* A node's labels are the same in each of its lines: where they are in the text already they
 * are taken from. */
static void node_labels(struct text *out, const struct mon_table *t, size_t i,
                        struct mon_label *labels)
{
    const struct mon_node *n = &t->nodes[i];
    struct mon_label *l = &labels[i];
    if (l->len_bytes) {
        text_put_n(out, out->ptr + l->at, l->len_bytes);
        return;
    }
    l->at = out->len_bytes;
    text_put(out, "{node=\"");
    text_int(out, n->number);
    text_put(out, "\",name=\"");
    text_label(out, n->name);
    text_put(out, "\",cluster=\"");
    text_label(out, t->clusters[n->cluster].name);
    text_put(out, "\"");
    l->len_bytes = out->is_cut ? 0 : out->len_bytes - l->at;
}

static void value_of(struct text *out, int64_t figure, enum kind kind)
{
    switch (kind) {
    case KIND_ONE: text_int(out, figure); return;
    case KIND_CENTI: text_fixed(out, figure, 2); return;
    case KIND_MILLI: text_fixed(out, figure, 3); return;
    case KIND_MEBI: text_int(out, figure < INT64_MAX >> 20 ? figure << 20 : INT64_MAX); return;
    }
}

static void put_figures(struct text *out, const struct mon_table *t, struct mon_label *labels)
{
    for (unsigned f = 0; f < MON_FIGURES; f++) {
        if (!figures[f].metric)
            continue;
        char head[64];
        struct text h = text_of(head, sizeof head);
        text_put(&h, "mosix_node_");
        text_put(&h, figures[f].metric);
        begin(out, "node_", figures[f].metric, " gauge", figures[f].help);
        for (size_t i = 0; i < t->count; i++) {
            const struct mon_node *n = &t->nodes[i];
            if (n->figures[f] < 0)
                continue;
            text_put_n(out, head, h.len_bytes);
            node_labels(out, t, i, labels);
            text_put_n(out, "} ", 2);
            value_of(out, n->figures[f], (enum kind)figures[f].kind);
            text_put_n(out, "\n", 1);
        }
    }
}

static void put_states(struct text *out, const struct mon_table *t, struct mon_label *labels)
{
    begin(out, "", "node_state", " stateset",
          "Which state the node is in, as this node sees it");
    for (size_t i = 0; i < t->count; i++)
        for (unsigned s = 0; s < MON_STATES; s++) {
            text_put(out, "mosix_node_state");
            node_labels(out, t, i, labels);
            text_put(out, ",mosix_node_state=\"");
            text_put(out, mon_state_names[s]);
            text_put(out, t->nodes[i].state == s ? "\"} 1\n" : "\"} 0\n");
        }
    begin(out, "", "cluster_nodes", " gauge", "Nodes of a cluster in a state");
    for (size_t i = 0; i < t->cluster_count; i++)
        for (unsigned s = 0; s < MON_STATES; s++) {
            text_put(out, "mosix_cluster_nodes{cluster=\"");
            text_label(out, t->clusters[i].name);
            text_put(out, "\",number=\""); /* two clusters may have one name */
            text_int(out, t->clusters[i].number);
            text_put(out, "\",state=\"");
            text_put(out, mon_state_names[s]);
            text_put(out, "\"} ");
            text_int(out, t->clusters[i].states[s]);
            text_put(out, "\n");
        }
}

static void put_ages(struct text *out, const struct mon_table *t)
{
    static const struct {
        int64_t ms;
        const char *words;
    } ends[] = { { 500, "0.5" },    { 1000, "1.0" },   { 2500, "2.5" },  { 5000, "5.0" },
                 { 10000, "10.0" }, { 30000, "30.0" }, { 60000, "60.0" } };
    int64_t counts[sizeof ends / sizeof *ends] = { 0 }, count = 0, sum_ms = 0;
    for (size_t i = 0; i < t->count; i++) {
        int64_t age = t->nodes[i].figures[MON_age_ms];
        if (age < 0 || (t->nodes[i].state != MON_ALIVE && t->nodes[i].state != MON_SUSPECT))
            continue;
        count++;
        sum_ms += age;
        for (unsigned e = 0; e < sizeof ends / sizeof *ends; e++)
            counts[e] += age <= ends[e].ms;
    }
    begin(out, "", "board_entry_age_seconds", " gaugehistogram",
          "How old the figures of living nodes are");
    for (unsigned e = 0; e < sizeof ends / sizeof *ends; e++) {
        text_put(out, "mosix_board_entry_age_seconds_bucket{le=\"");
        text_put(out, ends[e].words);
        text_put(out, "\"} ");
        text_int(out, counts[e]);
        text_put(out, "\n");
    }
    text_put(out, "mosix_board_entry_age_seconds_bucket{le=\"+Inf\"} ");
    text_int(out, count);
    text_put(out, "\nmosix_board_entry_age_seconds_gcount ");
    text_int(out, count);
    text_put(out, "\nmosix_board_entry_age_seconds_gsum ");
    text_fixed(out, sum_ms, 3);
    text_put(out, "\n");
}

static void put_counters(struct text *out, const int64_t *values)
{
    for (unsigned i = 0; values && i < sizeof counters / sizeof *counters; i++) {
        if (i == 0 || strcmp(counters[i].metric, counters[i - 1].metric) != 0)
            begin(out, "gossip_", counters[i].metric, " counter", counters[i].help);
        if (values[i] < 0)
            continue;
        text_put(out, "mosix_gossip_");
        text_put(out, counters[i].metric);
        text_put(out, "_total");
        if (counters[i].label) {
            text_put(out, "{");
            text_put(out, counters[i].label);
            text_put(out, "}");
        }
        text_put(out, " ");
        text_int(out, values[i]);
        text_put(out, "\n");
    }
}

void mon_metrics(const struct mon_table *t, const struct mon_metrics *m,
                 struct mon_label *labels, struct text *out)
{
    memset(labels, 0, t->count * sizeof *labels);
    one(out, "up", " gauge", "Whether mosixd of this node has answered the last time",
        m->is_answered);
    if (m->answer_age_ms >= 0) {
        begin(out, "", "answer_age_seconds", " gauge", "How old mosixd's answer is");
        text_put(out, "mosix_answer_age_seconds ");
        text_fixed(out, m->answer_age_ms, 3);
        text_put(out, "\n");
    }
    put_figures(out, t, labels);
    put_states(out, t, labels);
    put_ages(out, t);
    put_counters(out, m->counters);
    one(out, "local_jobs", " gauge",
        "Processes that mosrun has started on this node, wherever they run", m->jobs);
    one(out, "local_guests", " gauge", "Processes of other nodes that run on this node",
        m->guests);
    one(out, "web_requests", " counter", "Requests that mosweb has answered",
        (int64_t)m->requests);
    one(out, "web_refused_requests", " counter", "Requests that mosweb has refused",
        (int64_t)m->refused);
    one(out, "web_streams", " gauge", "Pages that follow events now", (int64_t)m->streams);
    text_put(out, "# EOF\n");
}

size_t mon_metrics_room(const struct mon_table *t)
{
    /* a line has a metric's name, three labels, in which each character may be escaped, and a
     * number */
    size_t room = (64 << 10) + t->cluster_count * MON_STATES * 256;
    for (size_t i = 0; i < t->count; i++)
        room += (MON_FIGURES + MON_STATES) *
                (120 + 2 * (strlen(t->nodes[i].name) +
                            strlen(t->clusters[t->nodes[i].cluster].name)));
    return room;
}
