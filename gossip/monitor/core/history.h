/* SPDX-License-Identifier: GPL-2.0-or-later */
/* history.h: what clusters and nodes were like in the last hours, in memory of fixed size.
 * Must not know: clocks, who asks. A time without an answer is a gap, not a line through it. */
#ifndef GOSSIP_MONITOR_CORE_HISTORY_H
#define GOSSIP_MONITOR_CORE_HISTORY_H

#include "gossip/monitor/core/table.h"
#include "gossip/monitor/core/text.h"

enum {
    MON_PERIOD_S = 10,             /* between two points of a cluster */
    MON_POINTS_MAX = 2160,         /* six hours */
    MON_NODE_PERIOD_S = 60,        /* of a node */
    MON_NODE_POINTS_MAX = 180,     /* three hours */
    MON_HISTORY_CLUSTERS_MAX = 32, /* clusters that have a history besides that of all */
    MON_ANSWERED_POINTS_MAX = 400  /* points of an answer: neighbours are averaged */
};

struct mon_point {
    int32_t load_centi; /* MON_UNKNOWN: a gap */
    int16_t memory_used_pct;
    uint16_t alive;
    uint32_t guests;
};

/* count: points that were ever added; the series of all clusters have the same. */
struct mon_series {
    bool is_used;
    uint32_t cluster; /* its number */
    uint64_t count;
    struct mon_point points[MON_POINTS_MAX];
};

struct mon_node_point {
    int16_t load_centi, memory_used_pct; /* MON_UNKNOWN */
};

struct mon_node_series {
    struct mon_node_point points[MON_NODE_POINTS_MAX];
};

struct mon_history {
    struct mon_series all, clusters[MON_HISTORY_CLUSTERS_MAX];
    int64_t period;                /* the last that there is a point of; 0: none yet */
    struct mon_node_series *nodes; /* the caller's, by number; who makes more room fills it by
                                      mon_history_clear_nodes */
    uint32_t node_room;            /* numbers that there is room for */
    uint64_t node_count;
    int64_t node_period;
};

void mon_history_clear_nodes(struct mon_history *h, uint32_t first, uint32_t end);

/* For each answer; it makes a point when the time of the last is over. t NULL: there was no
 * answer, which makes a gap, and so do times without either. now_s never goes back. */
void mon_history_add(struct mon_history *h, const struct mon_table *t, int64_t now_s);

/* Objects in JSON, lists of figures whose last is of now, null for gaps: the last seconds_back,
 * of all clusters (MON_ALL_CLUSTERS) or that with this number; of a node. */
void mon_history_json(const struct mon_history *h, int64_t cluster, uint32_t seconds_back,
                      struct text *out);
void mon_history_node_json(const struct mon_history *h, uint32_t number, struct text *out);

#endif
