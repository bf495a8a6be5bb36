/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe.c: with whom we exchange, and what follows when no answer comes.
 * Must not know: how long suspicions last, what is in a window.
 * Source: docs/gossip.md, "Timers". */
#include "gossip/core/parts.h"

enum { ASK_FIRST = 2, ASK_LAST = 4, ASK_NODES = 2 };

/* ---- whom ---- */

/* One of the dead and those that have left, or -1. */
static int any_gone(struct gsp *g)
{
    while (g->gone.count) {
        uint32_t place = rng_below(&g->rng, g->gone.count);
        uint16_t node = g->gone.at[place];
        struct gsp_peer *p = &g->peers[node];
        if (p->state == GSP_DEAD || p->state == GSP_LEFT)
            return node;
        p->is_in_gone = false;
        gsp_list_drop(&g->gone, place);
    }
    return -1;
}

/* Who is nearly alone in its cluster looks outside more often, so that claims get across. */
static uint32_t outside_one_in(const struct gsp *g)
{
    return g->ring.count + 1 < GSP_OUTSIDE_ONE_IN ? g->ring.count + 1 : GSP_OUTSIDE_ONE_IN;
}

static int next_member(struct gsp *g)
{
    bool is_outside = g->others.count && g->turn % outside_one_in(g) == 0;
    int node = gsp_ring_next(is_outside ? &g->others : &g->ring, g->peers, &g->rng);
    return node >= 0 ? node
                     : gsp_ring_next(is_outside ? &g->ring : &g->others, g->peers, &g->rng);
}

int gsp_any_member(struct gsp *g, int but, int but_too)
{
    bool is_outside = g->others.count && rng_below(&g->rng, outside_one_in(g)) == 0;
    const struct gsp_list *first = is_outside ? &g->others : &g->ring;
    const struct gsp_list *then = is_outside ? &g->ring : &g->others;
    int node = gsp_ring_any(first, g->peers, &g->rng, but, but_too);
    return node >= 0 ? node : gsp_ring_any(then, g->peers, &g->rng, but, but_too);
}

static void send_exchange(struct gsp *g, uint16_t to, uint32_t sequence)
{
    struct gsp_out out;
    gsp_out_begin(g, &out, to, GSP_EXCHANGE, sequence, GSP_STATES);
    gsp_out_window(g, &out);
    gsp_out_end(g, &out);
}

/* What lies so far back that the clock's range would end is kept from seeming to be new. */
static void clamp(const struct gsp *g, struct gsp_peer *p)
{
    if (p->has_entry && g->now - p->born_ms > GSP_LONG_MS)
        p->born_ms = g->now - GSP_LONG_MS;
    if (g->now - p->since_ms > GSP_LONG_MS)
        p->since_ms = g->now - GSP_LONG_MS;
}

static void check_some(struct gsp *g)
{
    for (unsigned i = 0; i < GSP_CHECKS_PER_PERIOD && g->check_count; i++)
        gsp_send_claims(g, g->checks[--g->check_count], GSP_PING, ++g->sequence, GSP_STATES);
}

void gsp_check_later(struct gsp *g, uint16_t node)
{
    for (unsigned i = 0; i < g->check_count; i++)
        if (g->checks[i] == node)
            return;
    if (g->check_count < GSP_CHECKS_MAX)
        g->checks[g->check_count++] = node;
}

void gsp_exchange_run(struct gsp *g)
{
    if (!gsp_is_due(g->now, g->exchange_ms))
        return;
    g->exchange_ms += g->o.period_ms;
    if (gsp_is_due(g->now, g->exchange_ms))
        g->exchange_ms = g->now + g->o.period_ms;
    check_some(g);
    g->turn++;
    int node = g->turn % GSP_GONE_ONE_IN == GSP_GONE_ONE_IN / 2 ? any_gone(g) : -1;
    bool is_gone = node >= 0;
    if (!is_gone)
        node = next_member(g);
    if (node < 0)
        node = any_gone(g);
    if (node < 0)
        return;
    clamp(g, &g->peers[node]);
    uint32_t sequence = ++g->sequence;
    send_exchange(g, (uint16_t)node, sequence);
    if (!gsp_is_member(&g->peers[node]) || g->probe_count == GSP_PROBES_MAX)
        return;
    uint32_t patience = 1u + g->health;
    g->probes[g->probe_count++] =
        (struct gsp_probe){ .sequence = sequence,
                            .target = (uint16_t)node,
                            .next_ms = g->now + GSP_PROBE_STEP_MS * patience,
                            .end_ms = g->now + GSP_PROBE_END_MS * patience };
}

/* ---- no answer ---- */

static void ask_others(struct gsp *g, struct gsp_probe *p)
{
    int first = -1;
    for (unsigned i = 0; i < ASK_NODES; i++) {
        int node = gsp_any_member(g, p->target, first);
        if (node < 0)
            return;
        gsp_send_node(g, (uint16_t)node, GSP_ASK, p->sequence, p->target);
        p->asked++;
        first = node;
    }
}

static void give_up(struct gsp *g, const struct gsp_probe *p)
{
    if (!p->silent && g->members > GSP_FEW) {
        g->health = gsp_health_worse(g->health); /* nobody could be reached: it is us */
        return;
    }
    if (gsp_accuse(g, p->target, g->peers[p->target].incarnation, g->o.self, NULL))
        gsp_claim_own(g, GSP_CLAIM_ACCUSE, p->target, g->peers[p->target].incarnation);
}

/* False: it is over. */
static bool probe_run(struct gsp *g, struct gsp_probe *p)
{
    if (gsp_is_due(g->now, p->end_ms)) {
        give_up(g, p);
        return false;
    }
    if (!gsp_is_due(g->now, p->next_ms))
        return true;
    if (!gsp_is_member(&g->peers[p->target]))
        return false;
    p->pings++;
    gsp_send_claims(g, p->target, GSP_PING, p->sequence, GSP_STATES);
    if (p->pings >= ASK_FIRST && p->pings <= ASK_LAST)
        ask_others(g, p);
    p->next_ms = g->now + GSP_PROBE_STEP_MS * (1u + g->health);
    if (p->pings == GSP_PROBE_PINGS || gsp_is_newer(p->next_ms, p->end_ms))
        p->next_ms = p->end_ms;
    return true;
}

void gsp_probes_run(struct gsp *g)
{
    for (unsigned i = g->probe_count; i-- > 0;)
        if (!probe_run(g, &g->probes[i]))
            g->probes[i] = g->probes[--g->probe_count];
    for (unsigned i = g->relay_count; i-- > 0;) {
        struct gsp_relay r = g->relays[i];
        if (!gsp_is_due(g->now, r.end_ms))
            continue;
        g->relays[i] = g->relays[--g->relay_count];
        gsp_send_node(g, r.asker, GSP_SILENT, r.their_sequence, r.target);
    }
}

uint32_t gsp_probes_next(const struct gsp *g, uint32_t until)
{
    for (unsigned i = 0; i < g->probe_count; i++)
        if (gsp_is_newer(until, g->probes[i].next_ms))
            until = g->probes[i].next_ms;
    for (unsigned i = 0; i < g->relay_count; i++)
        if (gsp_is_newer(until, g->relays[i].end_ms))
            until = g->relays[i].end_ms;
    return until;
}

/* ---- answers ---- */

void gsp_probes_heard(struct gsp *g, uint16_t node)
{
    for (unsigned i = g->probe_count; i-- > 0;) {
        if (g->probes[i].target != node)
            continue;
        if (!g->probes[i].pings)
            g->health = gsp_health_better(g->health);
        g->probes[i] = g->probes[--g->probe_count];
    }
    for (unsigned i = g->relay_count; i-- > 0;) {
        struct gsp_relay r = g->relays[i];
        if (r.target != node)
            continue;
        g->relays[i] = g->relays[--g->relay_count];
        gsp_send_node(g, r.asker, GSP_TOLD, r.their_sequence, node);
    }
}

void gsp_probe_told(struct gsp *g, const struct gsp_header *h, uint16_t node, bool is_alive)
{
    for (unsigned i = g->probe_count; i-- > 0;) {
        struct gsp_probe *p = &g->probes[i];
        if (p->sequence != h->sequence || p->target != node)
            continue;
        if (is_alive)
            g->probes[i] = g->probes[--g->probe_count];
        else
            p->silent++;
        return;
    }
}

void gsp_relay_asked(struct gsp *g, const struct gsp_header *h, uint16_t node)
{
    if (node >= g->o.ids || node == g->o.self || g->peers[node].state == GSP_UNKNOWN ||
        g->relay_count == GSP_RELAYS_MAX)
        return;
    g->relays[g->relay_count++] = (struct gsp_relay){ .their_sequence = h->sequence,
                                                      .end_ms = g->now + GSP_RELAY_END_MS,
                                                      .target = node,
                                                      .asker = h->from };
    gsp_send_claims(g, node, GSP_PING, ++g->sequence, GSP_STATES);
}
