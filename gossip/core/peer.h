/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peer.h: what is known of one node, and lists of nodes: rings that are visited in shuffled
 * order, and lists by state. Must not know: datagrams, what moves a node from state to state.
 */
#ifndef GOSSIP_CORE_PEER_H
#define GOSSIP_CORE_PEER_H

#include "common/base/rng.h"
#include "gossip/core/messages.h"

enum { GSP_ACCUSERS_MAX = 4 };

/* One for each number below opts.ids; small, because a table of 10,000 is in each node. */
struct gsp_peer {
    uint64_t incarnation;
    uint32_t version, born_ms; /* of its entry; born by our clock */
    struct gsp_facts facts;
    uint32_t since_ms; /* SUSPECT, DEAD, LEFT: since when; ALIVE: when last heard of */
    uint32_t descriptor_number;
    uint16_t accusers[GSP_ACCUSERS_MAX];
    uint8_t state, cluster, accuser_count;
    uint8_t gasps; /* pings of the last gasp that were sent */
    bool has_entry : 1;
    bool is_marked : 1; /* during a merge */
    bool is_in_ring : 1, is_in_gone : 1, is_in_suspects : 1;
    uint8_t asks : 3; /* how often others were asked whether it is dead for them */
};

static inline bool gsp_is_member(const struct gsp_peer *p)
{
    return p->state == GSP_ALIVE || p->state == GSP_SUSPECT;
}

/* Numbers of nodes in memory of the caller's, room for every node. Who is no longer to be in it
 * is taken out when it is met. */
struct gsp_list {
    uint16_t *at;
    uint32_t count, next; /* next: of a ring: the place that is visited next */
};

static inline void gsp_list_add(struct gsp_list *l, uint16_t node)
{
    l->at[l->count++] = node;
}

static inline void gsp_list_drop(struct gsp_list *l, uint32_t place)
{
    l->at[place] = l->at[--l->count];
}

/* The next member of the ring, or -1. Each is met once in a turn of the ring, in an order that
 * is another in each turn. */
int gsp_ring_next(struct gsp_list *ring, struct gsp_peer *peers, struct rng *rng);
/* Any member but the two, or -1 if a few tries met none. */
int gsp_ring_any(const struct gsp_list *ring, const struct gsp_peer *peers, struct rng *rng,
                 int but, int but_too);

#endif
