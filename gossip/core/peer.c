/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peer.c: rings of nodes.
 * Must not know: datagrams, what moves a node from state to state. */
#include "gossip/core/peer.h"

enum { TRIES = 8 };

int gsp_ring_next(struct gsp_list *ring, struct gsp_peer *peers, struct rng *rng)
{
    while (ring->count) {
        if (ring->next >= ring->count)
            ring->next = 0;
        uint32_t other = ring->next + rng_below(rng, ring->count - ring->next);
        uint16_t node = ring->at[other];
        ring->at[other] = ring->at[ring->next];
        ring->at[ring->next] = node;
        if (gsp_is_member(&peers[node])) {
            ring->next++;
            return node;
        }
        peers[node].is_in_ring = false;
        gsp_list_drop(ring, ring->next);
    }
    return -1;
}

int gsp_ring_any(const struct gsp_list *ring, const struct gsp_peer *peers, struct rng *rng,
                 int but, int but_too)
{
    for (unsigned i = 0; ring->count && i < TRIES; i++) {
        int node = ring->at[rng_below(rng, ring->count)];
        if (node != but && node != but_too && gsp_is_member(&peers[node]))
            return node;
    }
    return -1;
}
