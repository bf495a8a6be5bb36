/* SPDX-License-Identifier: GPL-2.0-or-later */
/* members.c: who is there: what claims, datagrams and the passing of time make of a node's
 * state. Must not know: how datagrams are written, whom we exchange with.
 * Source: docs/gossip.md, "Rules". */
#include "gossip/core/parts.h"

#include <string.h>

enum { REFUTATIONS_AHEAD = 1 << 16, AGAIN_MS = 1000 };

/* ---- states ---- */

static void enlist(struct gsp *g, uint16_t node, struct gsp_peer *p)
{
    if (gsp_is_member(p) && !p->is_in_ring) {
        gsp_list_add(p->cluster == g->o.cluster ? &g->ring : &g->others, node);
        p->is_in_ring = true;
    } else if ((p->state == GSP_DEAD || p->state == GSP_LEFT) && !p->is_in_gone) {
        gsp_list_add(&g->gone, node);
        p->is_in_gone = true;
    }
    if (p->state == GSP_SUSPECT && !p->is_in_suspects) {
        gsp_list_add(&g->suspects, node);
        p->is_in_suspects = true;
    }
}

static void change(struct gsp *g, uint16_t node, unsigned state, uint64_t incarnation)
{
    struct gsp_peer *p = &g->peers[node];
    struct gsp_change c = { .node = node,
                            .was = p->state,
                            .state = (uint8_t)state,
                            .accuser_count = p->accuser_count,
                            .incarnation = incarnation,
                            .is_new_life = gsp_life(p->incarnation) &&
                                           gsp_life(incarnation) != gsp_life(p->incarnation) };
    g->members -= gsp_is_member(p);
    p->state = (uint8_t)state;
    p->incarnation = incarnation;
    p->since_ms = g->now;
    p->accuser_count = p->gasps = p->asks = 0;
    g->members += gsp_is_member(p);
    enlist(g, node, p);
    if (state != GSP_DEAD)
        gsp_spread_moot(&g->spread, node, incarnation);
    if (c.was != state || c.is_new_life)
        g->o.tell(g->o.ctx, &c);
}

void gsp_clear(struct gsp *g, uint16_t node)
{
    if (g->peers[node].state == GSP_SUSPECT)
        change(g, node, GSP_ALIVE, g->peers[node].incarnation);
}

void gsp_know(struct gsp *g, uint16_t node, uint8_t cluster, uint64_t incarnation)
{
    struct gsp_peer *p = &g->peers[node];
    if (node == g->o.self || p->state != GSP_UNKNOWN)
        return;
    p->cluster = cluster;
    change(g, node, GSP_ALIVE, incarnation ? incarnation : 1);
}

/* Lives are seconds of the calendar: nobody was started years after us. */
bool gsp_is_life_believed(const struct gsp *g, uint64_t incarnation)
{
    return gsp_life(incarnation) < (uint64_t)g->first_life + GSP_LIFE_AHEAD;
}

/* ---- ourselves ---- */

static void announce(struct gsp *g, bool is_described_too)
{
    if (is_described_too && g->peers[g->o.self].descriptor_number)
        gsp_claim_own(g, GSP_CLAIM_DESCRIBE, g->o.self, g->incarnation);
    gsp_claim_own(g, GSP_CLAIM_ALIVE, g->o.self, g->incarnation);
}

/* Somebody has another idea of us: what we say from now on must be newer than known. */
static void refute(struct gsp *g, uint64_t known)
{
    if (g->is_leaving || known < g->incarnation || !gsp_is_life_believed(g, known))
        return;
    if (gsp_life(known) == gsp_life(g->incarnation) && (uint32_t)known != UINT32_MAX)
        g->incarnation = known + 1;
    else
        g->incarnation = ((uint64_t)gsp_life(known) + 1) << 32 | 1;
    g->peers[g->o.self].incarnation = g->incarnation;
    g->counts.refuted++;
    announce(g, false);
}

static bool is_announcing(const struct gsp *g)
{
    for (unsigned i = 0; i < g->spread.count; i++)
        if (g->spread.rumours[i].subject == g->o.self)
            return true;
    return false;
}

void gsp_take_view(struct gsp *g, const struct gsp_header *h)
{
    if (h->your_version && gsp_is_newer(h->your_version, g->version)) {
        g->version_ahead += h->your_version - g->version + 1;
        g->version = h->your_version + 1;
    }
    if (h->your_state == GSP_UNKNOWN) {
        if (!is_announcing(g) && !g->is_leaving)
            announce(g, true);
        return;
    }
    if (h->your_incarnation > g->incarnation ||
        (h->your_state != GSP_ALIVE && h->your_incarnation == g->incarnation))
        refute(g, h->your_incarnation);
}

/* ---- the others ---- */

unsigned gsp_heard(struct gsp *g, const struct gsp_header *h)
{
    struct gsp_peer *p = &g->peers[h->from];
    unsigned was = p->state;
    if (was == GSP_UNKNOWN)
        return was;
    if (h->incarnation > p->incarnation) {
        if (!gsp_is_life_believed(g, h->incarnation))
            return was;
        if (was == GSP_DEAD)
            gsp_sync_soon(g); /* others of its side may be back too */
        change(g, h->from, GSP_ALIVE, h->incarnation);
    } else if (h->incarnation == p->incarnation) {
        gsp_clear(g, h->from);
        if (p->state == GSP_ALIVE)
            p->since_ms = g->now;
    }
    return was;
}

static bool is_signed(struct gsp *g, const struct gsp_claim *c)
{
    bool is_right = g->o.verify(g->o.ctx, c);
    g->counts.wrong += !is_right;
    return is_right;
}

static void take_alive(struct gsp *g, const struct gsp_claim *c)
{
    const struct gsp_peer *p = &g->peers[c->subject];
    if (c->subject == g->o.self) {
        if (c->incarnation > g->incarnation && is_signed(g, c))
            refute(g, c->incarnation); /* of a life that our disk has forgotten */
        return;
    }
    if (p->state == GSP_UNKNOWN || c->incarnation <= p->incarnation ||
        !gsp_is_life_believed(g, c->incarnation) || !is_signed(g, c))
        return;
    change(g, c->subject, GSP_ALIVE, c->incarnation);
    gsp_spread_add(&g->spread, c);
    gsp_spread_soon(g);
}

static void take_leave(struct gsp *g, const struct gsp_claim *c)
{
    const struct gsp_peer *p = &g->peers[c->subject];
    if (c->subject == g->o.self) {
        if (c->incarnation >= g->incarnation && !g->is_leaving && is_signed(g, c))
            refute(g, c->incarnation);
        return;
    }
    if (p->state == GSP_UNKNOWN || p->state == GSP_LEFT || c->incarnation < p->incarnation ||
        !gsp_is_life_believed(g, c->incarnation) || !is_signed(g, c))
        return;
    change(g, c->subject, GSP_LEFT, c->incarnation);
    gsp_spread_add(&g->spread, c);
    gsp_spread_soon(g);
}

static void take_descriptor(struct gsp *g, const struct gsp_claim *c)
{
    struct gsp_peer *p = &g->peers[c->subject];
    if (c->subject == g->o.self || c->descriptor_bytes > g->o.descriptor_max ||
        (p->state != GSP_UNKNOWN && c->number <= p->descriptor_number) ||
        !gsp_is_life_believed(g, c->incarnation) || !is_signed(g, c))
        return;
    struct gsp_described *d = gsp_described_of(g, c->subject);
    d->incarnation = c->incarnation;
    d->len_bytes = c->descriptor_bytes;
    memcpy(d->bytes, c->descriptor, c->descriptor_bytes);
    memcpy(d->signature, c->signature, sizeof d->signature);
    p->descriptor_number = c->number;
    if (p->state == GSP_UNKNOWN) {
        p->cluster = (uint8_t)c->number;
        change(g, c->subject, GSP_ALIVE, c->incarnation);
    }
    gsp_spread_add(&g->spread, c);
    gsp_spread_soon(g);
}

/* ---- suspicion ---- */

static uint32_t deadline(const struct gsp *g, const struct gsp_peer *p)
{
    return p->since_ms + gsp_suspect_ms(g->members, p->accuser_count);
}

/* If all accusers were there. */
static uint32_t first_deadline(const struct gsp *g, const struct gsp_peer *p)
{
    return p->since_ms + gsp_suspect_ms(g->members, GSP_ACCUSERS_MAX);
}

static void look_by(struct gsp *g, uint32_t at)
{
    if (gsp_is_newer(g->suspects_ms, at) || g->suspects.count == 1)
        g->suspects_ms = at;
}

static bool is_accuser(const struct gsp_peer *p, uint16_t node)
{
    for (unsigned i = 0; i < p->accuser_count; i++)
        if (p->accusers[i] == node)
            return true;
    return false;
}

bool gsp_accuse(struct gsp *g, uint16_t subject, uint64_t incarnation, uint16_t by,
                const struct gsp_claim *c)
{
    struct gsp_peer *p = &g->peers[subject];
    bool is_later = incarnation > p->incarnation;
    if (by == subject || incarnation < p->incarnation || p->state == GSP_UNKNOWN)
        return false;
    if (!is_later && (p->state == GSP_DEAD || p->state == GSP_LEFT || p->gasps ||
                      p->accuser_count == GSP_ACCUSERS_MAX || is_accuser(p, by)))
        return false;
    if (is_later && (!gsp_is_life_believed(g, incarnation) ||
                     (gsp_life(incarnation) == gsp_life(p->incarnation) &&
                      incarnation - p->incarnation > REFUTATIONS_AHEAD)))
        return false;
    if (c && !is_signed(g, c))
        return false;
    if (p->state != GSP_SUSPECT || is_later) {
        change(g, subject, GSP_SUSPECT, incarnation);
        g->counts.suspected++;
    }
    p->accusers[p->accuser_count++] = by;
    look_by(g, first_deadline(g, p));
    return true;
}

static void take_accusation(struct gsp *g, uint16_t who, const struct gsp_claim *c,
                            bool is_answer)
{
    const struct gsp_peer *p = &g->peers[c->subject];
    if (c->subject == g->o.self) {
        if (c->incarnation >= g->incarnation && !g->is_leaving && is_signed(g, c)) {
            g->health = gsp_health_worse(g->health);
            refute(g, c->incarnation);
        }
        return;
    }
    bool is_gone = p->state == GSP_DEAD || p->state == GSP_LEFT;
    if (is_gone && c->incarnation <= p->incarnation && c->by == who && !is_answer)
        gsp_accuse_to(g, who, c->subject); /* a latecomer finds its second accuser */
    else if (gsp_accuse(g, c->subject, c->incarnation, c->by, c)) {
        gsp_spread_add(&g->spread, c);
        gsp_spread_soon(g);
    }
}

void gsp_take_claim(struct gsp *g, uint16_t who, const struct gsp_claim *c, bool is_answer)
{
    if (c->subject >= g->o.ids || c->by >= g->o.ids)
        return;
    switch ((enum gsp_claim_kind)c->kind) {
    case GSP_CLAIM_ALIVE: take_alive(g, c); break;
    case GSP_CLAIM_LEAVE: take_leave(g, c); break;
    case GSP_CLAIM_ACCUSE: take_accusation(g, who, c, is_answer); break;
    case GSP_CLAIM_DESCRIBE: take_descriptor(g, c); break;
    }
}

/* Hearsay: the suspicion begins anew, and the ping that it causes tells the truth. */
void gsp_doubt(struct gsp *g, uint16_t node)
{
    struct gsp_peer *p = &g->peers[node];
    if (p->state != GSP_SUSPECT)
        return;
    p->since_ms = g->now;
    p->gasps = p->asks = 0;
    look_by(g, first_deadline(g, p));
}

/* Some others: have they heard what we have not? */
static void ask_some(struct gsp *g, uint16_t node)
{
    int first = -1;
    for (unsigned i = 0; i < GSP_GASP_ASKS; i++) {
        int other = gsp_any_member(g, node, first);
        if (other < 0)
            return;
        gsp_sync_ask(g, (uint16_t)other, node);
        first = other;
    }
}

static void gasp(struct gsp *g, uint16_t node, struct gsp_peer *p)
{
    p->gasps++;
    gsp_send_claims(g, node, GSP_PING, ++g->sequence, GSP_STATES);
    ask_some(g, node);
}

/* With all accusers this suspicion would be over: have others found them? Among many nodes a
 * few miss some accusations, and would wait for seconds. Returns when to look again. */
static uint32_t catch_up(struct gsp *g, uint16_t node, struct gsp_peer *p, uint32_t end)
{
    uint32_t first = first_deadline(g, p);
    if (p->asks < GSP_ASKS && gsp_is_due(g->now, first + p->asks * GSP_ASK_STEP_MS)) {
        p->asks = (p->asks + 1) & GSP_ASKS;
        ask_some(g, node);
    }
    uint32_t next = first + p->asks * GSP_ASK_STEP_MS;
    return p->asks < GSP_ASKS && gsp_is_newer(end, next) ? next : end;
}

/* One suspect: what is due now, and when to look again. */
static uint32_t suspect_run(struct gsp *g, uint16_t node, struct gsp_peer *p)
{
    uint32_t end = deadline(g, p);
    if (!gsp_is_due(g->now, end))
        return catch_up(g, node, p, end);
    if (p->accuser_count < gsp_accusers_needed(g->members)) {
        p->gasps = 0; /* it had begun when fewer were needed: there were fewer of us */
        if (is_accuser(p, g->o.self))
            gsp_claim_own(g, GSP_CLAIM_ACCUSE, node, p->incarnation);
        return g->now + AGAIN_MS;
    }
    if (p->gasps == 0)
        p->since_ms += g->now - end; /* the last gasp begins now */
    end = deadline(g, p);
    if (p->gasps < GSP_GASPS && gsp_is_due(g->now, end + p->gasps * GSP_GASP_STEP_MS))
        gasp(g, node, p);
    if (p->gasps < GSP_GASPS)
        return end + p->gasps * GSP_GASP_STEP_MS;
    if (!gsp_is_due(g->now, end + GSP_GASP_END_MS))
        return end + GSP_GASP_END_MS;
    g->counts.died++;
    uint8_t accusers = p->accuser_count;
    change(g, node, GSP_DEAD, p->incarnation);
    p->accuser_count = accusers; /* for people */
    return g->now + AGAIN_MS;
}

void gsp_suspects_run(struct gsp *g)
{
    if (!g->suspects.count || !gsp_is_due(g->now, g->suspects_ms))
        return;
    uint32_t next = g->now + GSP_LONG_MS;
    for (uint32_t i = g->suspects.count; i-- > 0;) {
        uint16_t node = g->suspects.at[i];
        struct gsp_peer *p = &g->peers[node];
        uint32_t at = next;
        if (p->state == GSP_SUSPECT)
            at = suspect_run(g, node, p);
        if (p->state != GSP_SUSPECT) {
            p->is_in_suspects = false;
            gsp_list_drop(&g->suspects, i);
        } else if (gsp_is_newer(next, at)) {
            next = at;
        }
    }
    g->suspects_ms = next;
}

void gsp_suspects_shift(struct gsp *g, uint32_t pause_ms)
{
    for (uint32_t i = 0; i < g->suspects.count; i++) {
        struct gsp_peer *p = &g->peers[g->suspects.at[i]];
        p->since_ms += pause_ms;
        p->gasps = p->asks = 0;
    }
}
