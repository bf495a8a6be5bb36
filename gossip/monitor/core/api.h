/* SPDX-License-Identifier: GPL-2.0-or-later */
/* api.h: tables as JSON for the page and for programs ("mosweb/1", docs/monitors.md).
 * Must not know: HTTP. */
#ifndef GOSSIP_MONITOR_CORE_API_H
#define GOSSIP_MONITOR_CORE_API_H

#include "gossip/monitor/core/shown.h"
#include "gossip/monitor/core/table.h"
#include "gossip/monitor/core/text.h"

enum { MON_PAGE_NODES_MAX = 500 /* nodes of one answer */ };

struct mon_overview {
    uint64_t sequence; /* one more for each */
    const char *words; /* why mosixd does not answer; NULL: it does */
    int64_t answer_age_ms;
    const char *config_error; /* empty: none */
};

/* Clusters with their sums, and of all. */
void mon_api_overview(const struct mon_table *t, const struct mon_overview *o,
                      struct text *out);
size_t mon_api_overview_room(const struct mon_table *t);

/* From place first of the chosen on, at most wanted and MON_PAGE_NODES_MAX. order: of room for
 * t->count. */
void mon_api_nodes(const struct mon_table *t, const struct mon_choice *c, uint32_t *order,
                   size_t first, size_t wanted, struct text *out);
enum { MON_API_NODES_ROOM = 4096 + MON_PAGE_NODES_MAX * 2304 };

/* A character for each of the chosen: 0 to 9 how full it is, S ! - ? o as in mon's map; and
 * their numbers as runs. */
void mon_api_map(const struct mon_table *t, const struct mon_choice *c, enum mon_shown shown,
                 uint32_t *order, struct text *out);
size_t mon_api_map_room(const struct mon_table *t);

void mon_api_processes(const struct mon_processes *p, struct text *out);
size_t mon_api_processes_room(const struct mon_processes *p);

#endif
