/* SPDX-License-Identifier: GPL-2.0-or-later */
/* print.h: all nodes as plain text on standard output.
 * Must not know: terminals. */
#ifndef GOSSIP_MONITOR_PRINT_H
#define GOSSIP_MONITOR_PRINT_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "gossip/monitor/core/view.h"

/* The list of layout_list.c, $COLUMNS wide (default 100), of as many lines as there are nodes;
 * from node start on unless it is 0 or not there. Returns 0, or -errno with words. */
MUST int print_table(const struct mon_table *t, struct mon_view *v, uint32_t start,
                     struct err *e);
/* The bytes, and a newline if they don't end with one. */
MUST int print_raw(const char *ptr, size_t len_bytes, struct err *e);

/* The cluster with this name or number. */
bool print_find_cluster(const struct mon_table *t, const char *name, int *number);

#endif
