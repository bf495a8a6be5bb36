/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gsp.c: one event in; what is due; datagrams taken apart and given to the parts.
 * Must not know: sockets, clocks, keys. */
#include "gossip/core/parts.h"

#include <errno.h>
#include <string.h>

enum { BOARD_SLACK_MS = 500 }; /* by so much an age may be too small, because of the way */

static size_t described_bytes(const struct gsp_opts *o)
{
    return (sizeof(struct gsp_described) + o->descriptor_max + 7) / 8 * 8 * o->ids;
}

static size_t list_bytes(const struct gsp_opts *o)
{
    return (o->ids * sizeof(uint16_t) + 7) / 8 * 8;
}

size_t gsp_memory_bytes(const struct gsp_opts *o)
{
    return o->ids * sizeof(struct gsp_peer) + 4 * list_bytes(o) + described_bytes(o);
}

int gsp_init(struct gsp *g, const struct gsp_opts *o, void *memory)
{
    if (o->ids == 0 || o->ids > GSP_NODES_MAX || o->self >= o->ids || !o->life ||
        o->descriptor_max > GSP_DESCRIPTOR_MAX || o->window < 2 || o->window > GSP_WINDOW_MAX ||
        !o->period_ms || o->now_ms < 0)
        return -EINVAL;
    memset(g, 0, sizeof *g);
    g->o = *o;
    g->rng = rng_of(o->seed);
    g->now_ms64 = o->now_ms;
    g->now = (uint32_t)o->now_ms;
    g->first_life = o->life;
    g->incarnation = (uint64_t)o->life << 32 | 1;
    g->sequence = (uint32_t)rng_u64(&g->rng);
    uint8_t *at = memory;
    g->peers = (struct gsp_peer *)(void *)at;
    at += o->ids * sizeof(struct gsp_peer);
    g->described = at;
    at += described_bytes(o);
    struct gsp_list *lists[] = { &g->ring, &g->others, &g->gone, &g->suspects };
    for (unsigned i = 0; i < ARRAY_LEN(lists); i++, at += list_bytes(o))
        lists[i]->at = (uint16_t *)(void *)at;
    struct gsp_peer *self = &g->peers[o->self];
    self->state = GSP_ALIVE;
    self->cluster = o->cluster;
    self->incarnation = g->incarnation;
    self->since_ms = g->now;
    g->members = 1;
    gsp_board_init(&g->board, g->peers, o->cluster, o->window);
    g->exchange_ms = g->now + rng_below(&g->rng, o->period_ms);
    g->news_ms = g->now;
    g->sync_ms = g->now + GSP_SYNC_SOON_MS + rng_below(&g->rng, GSP_SYNC_MS);
    if (!o->is_quiet) {
        gsp_sync_soon(g);
        gsp_claim_own(g, GSP_CLAIM_ALIVE, o->self, g->incarnation);
    }
    g->wake_ms = g->now;
    return 0;
}

/* ---- what came ---- */

static void take_entries(struct gsp *g, struct rd *r, unsigned count, uint32_t waited_ms)
{
    struct gsp_item items[GSP_WINDOW_MAX];
    unsigned known = 0;
    for (unsigned i = 0; i < count; i++) {
        struct gsp_entry e;
        if (gsp_entry_get(r, &e) < 0)
            return;
        if (e.node >= g->o.ids || e.node == g->o.self)
            continue;
        __builtin_prefetch(&g->peers[e.node], 1);
        items[known++] = (struct gsp_item){ .born_ms = g->now - waited_ms - e.age_ms,
                                            .version = e.version,
                                            .node = e.node,
                                            .facts = e.facts };
    }
    unsigned described = 0;
    for (unsigned i = 0; i < known; i++)
        if (g->peers[items[i].node].state != GSP_UNKNOWN)
            items[described++] = items[i];
    unsigned kept = gsp_board_merge(&g->board, items, described);
    for (unsigned i = 0; i < kept; i++) {
        const struct gsp_peer *p = &g->peers[items[i].node];
        if (p->state == GSP_ALIVE || !gsp_is_newer(p->born_ms, p->since_ms + BOARD_SLACK_MS))
            continue;
        if (p->state == GSP_SUSPECT)
            gsp_clear(g, items[i].node);
        else
            gsp_check_later(g, items[i].node);
    }
}

static void take_claims(struct gsp *g, struct rd *r, const struct gsp_header *h)
{
    bool is_answer = h->type == GSP_ANSWER;
    for (unsigned i = 0; i < h->claim_count; i++) {
        struct gsp_claim c;
        if (gsp_claim_get(r, &c) < 0)
            return;
        gsp_take_claim(g, h->from, &c, is_answer);
    }
}

static void take_body(struct gsp *g, const struct gsp_header *h, struct rd r, unsigned was)
{
    uint16_t node = 0;
    switch ((enum gsp_type)h->type) {
    case GSP_PING: gsp_send_claims(g, h->from, GSP_ACK, h->sequence, was); break;
    case GSP_ASK:
    case GSP_TOLD:
    case GSP_SILENT:
        if (get_u16(&r, &node) < 0)
            return;
        if (h->type == GSP_ASK)
            gsp_relay_asked(g, h, node);
        else
            gsp_probe_told(g, h, node, h->type == GSP_TOLD);
        break;
    case GSP_DIGEST: gsp_sync_digest(g, h->from, r); break;
    case GSP_LIST: gsp_sync_list(g, h->from, r, h->entry_count); break;
    case GSP_WANT: gsp_sync_want(g, h->from, r, h->entry_count); break;
    case GSP_NEWS:
        /* It is taken for dead and does not know: a ping says so. */
        if (was == GSP_DEAD || was == GSP_LEFT)
            gsp_send_claims(g, h->from, GSP_PING, ++g->sequence, was);
        break;
    case GSP_EXCHANGE:
    case GSP_WINDOW:
    case GSP_ACK:
    case GSP_ANSWER: break;
    }
}

static int receive(struct gsp *g, const struct gsp_event *e)
{
    struct gsp_header h;
    int rc = gsp_datagram_check(e->ptr, e->len_bytes);
    if (rc < 0)
        return rc;
    struct rd r = rd_of(e->ptr, e->len_bytes);
    rc = gsp_header_get(&r, &h);
    if (rc < 0 || h.to != g->o.self || h.from == g->o.self || h.from >= g->o.ids)
        return -EPROTO;
    if (g->is_gone)
        return 0;
    /* Entries come before claims, but a newcomer's descriptor must be there first. */
    struct rd entries = r;
    if (h.type == GSP_EXCHANGE || h.type == GSP_WINDOW)
        r.at += h.entry_count * GSP_ENTRY_BYTES;
    take_claims(g, &r, &h);
    gsp_take_view(g, &h);
    unsigned was = gsp_heard(g, &h);
    gsp_probes_heard(g, h.from);
    /* The answer is our window as it was: what just came from there need not go back. */
    if (h.type == GSP_EXCHANGE) {
        struct gsp_out out;
        gsp_out_begin(g, &out, h.from, GSP_WINDOW, h.sequence, was);
        gsp_out_window(g, &out);
        gsp_out_end(g, &out);
    }
    if (h.type == GSP_EXCHANGE || h.type == GSP_WINDOW)
        take_entries(g, &entries, h.entry_count, e->waited_ms);
    take_body(g, &h, r, was);
    return 0;
}

/* ---- what is due ---- */

static void news_run(struct gsp *g)
{
    if (!g->spread.hot || !gsp_is_due(g->now, g->news_ms))
        return;
    for (unsigned i = 0; i < GSP_NEWS_NODES && g->spread.hot; i++) {
        int node = gsp_any_member(g, -1, -1);
        if (node < 0)
            break;
        gsp_send_claims(g, (uint16_t)node, GSP_NEWS, 0, GSP_STATES);
        g->counts.news++;
    }
    g->news_ms = g->now + GSP_NEWS_MS;
}

/* We stood still for so long: what seemed to be their silence was ours. */
static void wake_up(struct gsp *g)
{
    uint32_t pause_ms = g->now - g->wake_ms;
    if (!gsp_is_due(g->now, g->wake_ms + GSP_LATE_MS))
        return;
    g->probe_count = g->relay_count = 0;
    gsp_suspects_shift(g, pause_ms);
    g->suspects_ms += pause_ms;
    g->health = gsp_health_worse(g->health);
}

static void set_wake(struct gsp *g)
{
    uint32_t at = g->exchange_ms;
    if (gsp_is_newer(at, g->sync_ms))
        at = g->sync_ms;
    if (g->suspects.count && gsp_is_newer(at, g->suspects_ms))
        at = g->suspects_ms;
    if (g->spread.hot && gsp_is_newer(at, g->news_ms))
        at = g->news_ms;
    if (g->is_leaving && gsp_is_newer(at, g->leave_ms))
        at = g->leave_ms;
    at = gsp_probes_next(g, at);
    g->wake_ms = g->is_gone ? g->now + GSP_LONG_MS : at;
}

int gsp_step(struct gsp *g, const struct gsp_event *e)
{
    int rc = 0;
    if (e->now_ms > g->now_ms64)
        g->now_ms64 = e->now_ms;
    g->now = (uint32_t)g->now_ms64;
    wake_up(g);
    switch (e->what) {
    case GSP_TICK: break;
    case GSP_RECV: rc = receive(g, e); break;
    case GSP_FACTS: g->facts = e->facts; break;
    case GSP_KNOW:
        if (e->node >= g->o.ids)
            return -EINVAL;
        gsp_know(g, e->node, e->cluster, e->incarnation);
        break;
    case GSP_TELL_OWN: {
        struct gsp_described *d = gsp_described_of(g, g->o.self);
        if (e->len_bytes > g->o.descriptor_max || (uint8_t)e->number != g->o.cluster ||
            e->number <= g->peers[g->o.self].descriptor_number)
            return -EINVAL;
        memcpy(d->bytes, e->ptr, e->len_bytes);
        d->len_bytes = (uint8_t)e->len_bytes;
        g->peers[g->o.self].descriptor_number = e->number;
        gsp_claim_own(g, GSP_CLAIM_DESCRIBE, g->o.self, g->incarnation);
        break;
    }
    case GSP_GO:
        if (g->is_leaving)
            break;
        g->is_leaving = true;
        g->leave_ms = g->now + GSP_LEAVE_MS;
        gsp_claim_own(g, GSP_CLAIM_LEAVE, g->o.self, g->incarnation);
        break;
    }
    if (g->is_leaving && gsp_is_due(g->now, g->leave_ms))
        g->is_gone = true;
    if (!g->is_gone) {
        gsp_probes_run(g);
        gsp_suspects_run(g);
        gsp_exchange_run(g);
        gsp_sync_run(g);
        news_run(g);
    }
    set_wake(g);
    return rc;
}

int64_t gsp_wake_ms(const struct gsp *g)
{
    return g->now_ms64 + (int32_t)(g->wake_ms - g->now);
}

uint32_t gsp_age_of(const struct gsp *g, uint16_t node)
{
    const struct gsp_peer *p = &g->peers[node];
    return p->has_entry ? g->now - p->born_ms : GSP_LONG_MS;
}

/* ---- invariants ---- */

static const char *check_window(const struct gsp *g, const struct gsp_window *w, bool is_own)
{
    for (unsigned i = 0; i < w->count; i++) {
        const struct gsp_item *item = &w->items[i];
        const struct gsp_peer *p = &g->peers[item->node];
        if ((p->cluster == g->o.cluster) != is_own)
            return "an entry is in the window of its cluster";
        if (p->version != item->version)
            return "a window has what the table has";
        if (i && gsp_is_newer(item->born_ms, w->items[i - 1].born_ms))
            return "a window is sorted";
    }
    return NULL;
}

static const char *check_list(const struct gsp *g, const struct gsp_list *l)
{
    return l->count > g->o.ids ? "a list has room for each node once" : NULL;
}

const char *gsp_check(const struct gsp *g)
{
    const char *wrong = check_window(g, &g->board.own, true);
    wrong = wrong ? wrong : check_window(g, &g->board.others, false);
    const struct gsp_list *lists[] = { &g->ring, &g->others, &g->gone, &g->suspects };
    for (unsigned i = 0; !wrong && i < ARRAY_LEN(lists); i++)
        wrong = check_list(g, lists[i]);
    if (wrong)
        return wrong;
    uint32_t members = 0;
    for (uint32_t node = 0; node < g->o.ids; node++) {
        const struct gsp_peer *p = &g->peers[node];
        members += gsp_is_member(p);
        if (node == g->o.self)
            continue;
        if (gsp_is_member(p) && !p->is_in_ring)
            return "a member is in a ring";
        if (p->state == GSP_SUSPECT && (!p->accuser_count || !p->is_in_suspects))
            return "a suspect has an accuser and is listed";
        if ((p->state == GSP_DEAD || p->state == GSP_LEFT) && !p->is_in_gone)
            return "a node that is gone is listed";
    }
    if (members != g->members)
        return "members are counted";
    if (g->peers[g->o.self].state != GSP_ALIVE)
        return "a node never takes itself for dead";
    unsigned hot = 0;
    for (unsigned i = 0; i < g->spread.count; i++)
        hot += g->spread.rumours[i].told < GSP_HOT;
    if (hot != g->spread.hot || g->spread.count > GSP_CLAIMS_MAX)
        return "hot rumours are counted";
    if (g->probe_count > GSP_PROBES_MAX || g->relay_count > GSP_RELAYS_MAX ||
        g->check_count > GSP_CHECKS_MAX)
        return "queues are bounded";
    return NULL;
}
