/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shown.h: a figure as bars show it: its value, the end of its scale, its words.
 * Must not know: screens. */
#ifndef GOSSIP_MONITOR_CORE_SHOWN_H
#define GOSSIP_MONITOR_CORE_SHOWN_H

#include "gossip/monitor/core/layout.h"
#include "gossip/monitor/core/text.h"

enum {
    MON_STALE_MS = 60000
}; /* older figures are marked: twice what the worst of 1,000 nodes is on average */

extern const char *const mon_shown_names[MON_SHOWN];

/* MON_UNKNOWN, also of a node that isn't there. */
int64_t mon_shown_value(const struct mon_node *n, enum mon_shown shown);
/* What the value is a part of and is drawn behind it: memory of the node; 0: nothing. */
int64_t mon_shown_whole(const struct mon_node *n, enum mon_shown shown);
/* The end of a scale on which all have room: a round number. */
int64_t mon_shown_scale(enum mon_shown shown, const struct mon_table *t, const uint32_t *order,
                        size_t count);
/* At most 6 characters. */
void mon_shown_text(struct text *out, int64_t value, enum mon_shown shown);
enum mon_style mon_shown_style(int64_t value, int64_t scale, enum mon_shown shown);
/* Which part of a bar of so many steps is full, 0 to steps; something is never nothing. */
unsigned mon_shown_steps(int64_t value, int64_t scale, unsigned steps, bool is_log);

bool mon_is_there(const struct mon_node *n); /* alive or suspect */
bool mon_is_stale(const struct mon_node *n);
/* "alive", "SUSPECT", "DEAD", "REVOKED", "left", "unknown" */
const char *mon_state_words(const struct mon_node *n, enum mon_style *style);

#endif
