/* SPDX-License-Identifier: GPL-2.0-or-later */
/* view.h: what of the table somebody looks at, and what keys make of that.
 * Must not know: terminals, how it is drawn. */
#ifndef GOSSIP_MONITOR_CORE_VIEW_H
#define GOSSIP_MONITOR_CORE_VIEW_H

#include "gossip/monitor/core/table.h"

enum { MON_TYPED_MAX = 24 };

enum mon_shown {
    MON_SHOW_LOAD,
    MON_SHOW_RAW_LOAD,
    MON_SHOW_MEMORY,
    MON_SHOW_RAW_MEMORY,
    MON_SHOW_SWAP,
    MON_SHOW_GUESTS,
    MON_SHOW_FROZEN,
    MON_SHOW_SPEED,
    MON_SHOW_UTIL,
    MON_SHOWN
};

enum mon_layout { MON_AUTO, MON_LIST, MON_BARS, MON_MAP, MON_LAYOUTS };
enum mon_numbers { MON_NUMBERS_AUTO, MON_NUMBERS_WIDE, MON_NUMBERS_UPRIGHT, MON_NUMBERS_TIGHT };
enum mon_typing { MON_TYPES_NOTHING, MON_TYPES_NUMBER, MON_TYPES_FIND };

/* Keys that are no letters. */
enum {
    MON_KEY_UP = 0x1000,
    MON_KEY_DOWN,
    MON_KEY_LEFT,
    MON_KEY_RIGHT,
    MON_KEY_PAGE_UP,
    MON_KEY_PAGE_DOWN,
    MON_KEY_HOME,
    MON_KEY_END,
    MON_KEY_ENTER,
    MON_KEY_ESCAPE,
    MON_KEY_ERASE
};

enum mon_answer { MON_GO_ON, MON_ASK_NOW, MON_QUIT };

struct mon_view {
    enum mon_shown shown;
    enum mon_layout layout;
    enum mon_numbers numbers;
    enum mon_sort sort;
    enum mon_typing typing;
    int cluster; /* a number of a cluster (which stays when the table changes), or
                    MON_ALL_CLUSTERS */
    bool hides_dead, hides_totals, is_log, is_help;
    bool is_ascii;  /* no glyphs but ASCII's */
    uint32_t first; /* of the chosen nodes, at the top or left */
    uint32_t help_first;
    char typed[MON_TYPED_MAX + 1], find[MON_TYPED_MAX + 1];
    /* what the last layout found, for scrolling */
    uint32_t chosen, page, line; /* nodes chosen, on a page, in a line of it */
    uint32_t help_page;
};

void mon_view_init(struct mon_view *v);

/* order: of the last mon_view_choose on the same table. */
enum mon_answer mon_view_key(struct mon_view *v, const struct mon_table *t,
                             const uint32_t *order, unsigned key);

/* Makes the node with this number the first that is shown, if it is among the chosen. */
void mon_view_begin_at(struct mon_view *v, const struct mon_table *t, const uint32_t *order,
                       size_t count, uint32_t number);

/* mon_choose with the view's choice; order has room for t->count. Returns how many. */
size_t mon_view_choose(const struct mon_view *v, const struct mon_table *t, uint32_t *order);

/* The place of the view's cluster in the table; MON_ALL_CLUSTERS also if it is gone. */
int mon_view_cluster(const struct mon_view *v, const struct mon_table *t);

#endif
