/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics.h: tables as OpenMetrics text.
 * Must not know: who reads it. Source: the OpenMetrics specification 1.0 (text format). */
#ifndef GOSSIP_MONITOR_CORE_METRICS_H
#define GOSSIP_MONITOR_CORE_METRICS_H

#include "gossip/monitor/core/table.h"
#include "gossip/monitor/core/text.h"

/* What is known besides the table; counters in the order of counters.def, NULL: not known. */
struct mon_metrics {
    bool is_answered; /* by mosixd, the last time */
    int64_t answer_age_ms;
    const int64_t *counters;
    int64_t jobs, guests;                /* of this node; MON_UNKNOWN */
    uint64_t requests, refused, streams; /* of the web server */
};

/* Where a node's labels are in the text. */
struct mon_label {
    size_t at, len_bytes; /* 0: nowhere yet */
};

/* All metrics, up to "# EOF". labels: one for each node of the table, whatever is in it. */
void mon_metrics(const struct mon_table *t, const struct mon_metrics *m,
                 struct mon_label *labels, struct text *out);

/* Bytes that are enough for a table. */
size_t mon_metrics_room(const struct mon_table *t);

#endif
