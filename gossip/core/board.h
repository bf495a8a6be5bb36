/* SPDX-License-Identifier: GPL-2.0-or-later */
/* board.h: the freshest entries of the board, and merging what others send of theirs.
 * Must not know: who is asked when, states of nodes.
 * Invariant: a window is sorted, youngest first, and holds the youngest that were ever merged:
 * top(w) after a merge = top(w) of (top(w) before and what came), so no table is searched.
 * Source: docs/gossip.md, "Formulae". */
#ifndef GOSSIP_CORE_BOARD_H
#define GOSSIP_CORE_BOARD_H

#include "gossip/core/peer.h"

struct gsp_item {
    uint32_t born_ms, version;
    uint16_t node;
    uint8_t cluster;
    struct gsp_facts facts;
};

struct gsp_window {
    unsigned count, max;
    struct gsp_item items[GSP_WINDOW_MAX];
};

struct gsp_board {
    struct gsp_peer *peers;
    uint8_t cluster;
    struct gsp_window own, others; /* nodes of our cluster, and of others */
};

void gsp_board_init(struct gsp_board *b, struct gsp_peer *peers, uint8_t cluster,
                    unsigned window);

/* Takes entries that came, at most GSP_WINDOW_MAX, of known nodes that are not ourselves. Keeps
 * those that are newer than what the table has, and moves these to the front of items; returns
 * how many. */
unsigned gsp_board_merge(struct gsp_board *b, struct gsp_item *items, unsigned count);

/* The window that is to be sent, without our own entry: at most room. Returns how many; each
 * points into the board. */
unsigned gsp_board_pick(const struct gsp_board *b, unsigned room,
                        const struct gsp_item *out[GSP_WINDOW_MAX]);

#endif
