/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sync.c: finding what claims have missed: digests, lists of what differs, wishes.
 * Must not know: what changes a node's state; hearsay only causes pings and wishes. */
#include "gossip/core/parts.h"

static unsigned class_of(const struct gsp_peer *p)
{
    return p->state == GSP_SUSPECT ? GSP_ALIVE : p->state;
}

static uint64_t mix(uint64_t x)
{
    struct rng r = rng_of(x);
    return rng_u64(&r);
}

static void digest(const struct gsp *g, uint64_t hashes[GSP_BUCKETS])
{
    for (unsigned i = 0; i < GSP_BUCKETS; i++)
        hashes[i] = 0;
    for (uint32_t node = 0; node < g->o.ids; node++) {
        const struct gsp_peer *p = &g->peers[node];
        if (p->state == GSP_UNKNOWN)
            continue;
        uint64_t fixed = (uint64_t)p->descriptor_number << 24 | node << 8 | class_of(p);
        hashes[node % GSP_BUCKETS] ^= mix(fixed ^ mix(p->incarnation));
    }
}

void gsp_sync_soon(struct gsp *g)
{
    uint32_t soon = g->now + GSP_SYNC_SOON_MS;
    g->sync_soon = GSP_SYNC_SOON_TIMES;
    if (gsp_is_newer(g->sync_ms, soon))
        g->sync_ms = soon;
}

static uint32_t period(const struct gsp *g)
{
    uint32_t times = 1;
    while (g->members >> (5 + times))
        times++;
    return GSP_SYNC_MS * times;
}

void gsp_sync_run(struct gsp *g)
{
    if (!gsp_is_due(g->now, g->sync_ms))
        return;
    g->sync_ms = g->now + (g->sync_soon ? GSP_SYNC_SOON_MS : period(g));
    g->sync_soon -= g->sync_soon > 0;
    /* Half of them to other clusters: claims that were lost between clusters have no better
     * way. */
    int node = -1;
    if (rng_below(&g->rng, 2))
        node = gsp_ring_any(&g->others, g->peers, &g->rng, -1, -1);
    if (node < 0)
        node = gsp_any_member(g, -1, -1);
    if (node < 0)
        return;
    uint64_t hashes[GSP_BUCKETS];
    struct gsp_out out;
    digest(g, hashes);
    gsp_out_begin(g, &out, (uint16_t)node, GSP_DIGEST, ++g->sequence, GSP_STATES);
    for (unsigned i = 0; i < GSP_BUCKETS; i++)
        put_u64(&out.w, hashes[i]);
    gsp_out_end(g, &out);
}

/* A list that is being written, and how many more may follow. */
struct lists {
    struct gsp_out out;
    unsigned left;
};

static bool list_add(struct gsp *g, struct lists *l, uint16_t to, uint16_t node)
{
    const struct gsp_peer *p = &g->peers[node];
    if (l->out.h.entry_count == GSP_RECORDS_MAX) {
        gsp_out_end(g, &l->out);
        if (--l->left == 0)
            return false;
        gsp_out_begin(g, &l->out, to, GSP_LIST, 0, GSP_STATES);
    }
    gsp_record_put(&l->out.w,
                   &(struct gsp_record){ .node = node,
                                         .state = p->state,
                                         .incarnation = p->incarnation,
                                         .descriptor_number = p->descriptor_number });
    l->out.h.entry_count = (uint8_t)(l->out.h.entry_count + 1);
    return true;
}

void gsp_sync_ask(struct gsp *g, uint16_t to, uint16_t node)
{
    struct lists l = { .left = 1 };
    gsp_out_begin(g, &l.out, to, GSP_LIST, ++g->sequence, GSP_STATES);
    (void)list_add(g, &l, to, node);
    gsp_out_end(g, &l.out);
}

/* From a bucket at random on, so that what does not fit has its turn another time. */
void gsp_sync_digest(struct gsp *g, uint16_t from, struct rd r)
{
    uint64_t ours[GSP_BUCKETS], theirs[GSP_BUCKETS];
    digest(g, ours);
    for (unsigned i = 0; i < GSP_BUCKETS; i++)
        if (get_u64(&r, &theirs[i]) < 0)
            return;
    struct lists l = { .left = GSP_LISTS_MAX };
    unsigned first = rng_below(&g->rng, GSP_BUCKETS);
    gsp_out_begin(g, &l.out, from, GSP_LIST, 0, GSP_STATES);
    for (unsigned i = 0; i < GSP_BUCKETS; i++) {
        unsigned bucket = (first + i) % GSP_BUCKETS;
        if (ours[bucket] == theirs[bucket])
            continue;
        for (uint32_t node = bucket; node < g->o.ids; node += GSP_BUCKETS)
            if (g->peers[node].state != GSP_UNKNOWN && !list_add(g, &l, from, (uint16_t)node))
                return;
    }
    if (l.out.h.entry_count)
        gsp_out_end(g, &l.out);
}

enum { NOTHING, WANTED, OURS_IS_NEWER };

/* What to do about a line of theirs. */
static int take_record(struct gsp *g, uint16_t from, const struct gsp_record *v)
{
    const struct gsp_peer *p = &g->peers[v->node];
    bool is_gone = v->state == GSP_DEAD || v->state == GSP_LEFT;
    bool is_gone_here = p->state == GSP_DEAD || p->state == GSP_LEFT;
    if (v->state == GSP_UNKNOWN)
        return NOTHING;
    if (v->node == g->o.self)
        return v->descriptor_number < p->descriptor_number ? OURS_IS_NEWER : NOTHING;
    if (p->state == GSP_UNKNOWN || v->descriptor_number > p->descriptor_number)
        return WANTED;
    if (v->incarnation > p->incarnation ||
        (v->incarnation == p->incarnation && is_gone != is_gone_here))
        gsp_check_later(g, v->node);
    if (v->incarnation > p->incarnation && !is_gone && gsp_is_life_believed(g, v->incarnation))
        gsp_doubt(g, v->node);
    if (is_gone && !is_gone_here)
        (void)gsp_accuse(g, v->node, v->incarnation, from, NULL);
    bool is_behind = v->incarnation == p->incarnation && v->state == GSP_SUSPECT &&
                     p->state == GSP_DEAD; /* our word is an accuser that it lacks */
    return is_behind || v->descriptor_number < p->descriptor_number ||
                   v->incarnation < p->incarnation
               ? OURS_IS_NEWER
               : NOTHING;
}

void gsp_sync_list(struct gsp *g, uint16_t from, struct rd r, unsigned count)
{
    struct gsp_out out;
    struct lists newer = { .left = 1 };
    bool is_full = false, is_useful = false;
    gsp_out_begin(g, &out, from, GSP_WANT, ++g->sequence, GSP_STATES);
    gsp_out_begin(g, &newer.out, from, GSP_LIST, 0, GSP_STATES);
    for (unsigned i = 0; i < count; i++) {
        struct gsp_record v;
        if (gsp_record_get(&r, &v) < 0)
            return;
        if (v.node >= g->o.ids)
            continue;
        int what = take_record(g, from, &v);
        is_useful |= what == WANTED;
        if (what == WANTED && out.h.entry_count < GSP_WANTS_MAX) {
            put_u16(&out.w, v.node);
            out.h.entry_count = (uint8_t)(out.h.entry_count + 1);
        }
        if (what == OURS_IS_NEWER && !is_full)
            is_full = !list_add(g, &newer, from, v.node);
    }
    if (is_useful || g->check_count)
        gsp_sync_soon(g);
    if (out.h.entry_count)
        gsp_out_end(g, &out);
    if (newer.out.h.entry_count && !is_full)
        gsp_out_end(g, &newer.out);
}

void gsp_sync_want(struct gsp *g, uint16_t from, struct rd r, unsigned count)
{
    struct gsp_out out;
    unsigned left = GSP_LISTS_MAX;
    gsp_out_begin(g, &out, from, GSP_ANSWER, 0, GSP_STATES);
    for (unsigned i = 0; i < count; i++) {
        uint16_t node;
        if (get_u16(&r, &node) < 0)
            return;
        if (node >= g->o.ids || !g->peers[node].descriptor_number)
            continue;
        const struct gsp_described *d = gsp_described_of(g, node);
        struct gsp_claim c = { .kind = GSP_CLAIM_DESCRIBE,
                               .subject = node,
                               .by = node,
                               .incarnation = d->incarnation,
                               .number = g->peers[node].descriptor_number,
                               .descriptor = d->bytes,
                               .descriptor_bytes = d->len_bytes,
                               .signature = d->signature };
        struct wr before = out.w;
        gsp_claim_put(&out.w, &c);
        if (out.w.is_full || out.h.claim_count == GSP_DATAGRAM_CLAIMS_MAX) {
            out.w = before;
            gsp_out_end(g, &out);
            if (--left == 0)
                return;
            gsp_out_begin(g, &out, from, GSP_ANSWER, 0, GSP_STATES);
            gsp_claim_put(&out.w, &c);
        }
        out.h.claim_count++;
    }
    if (out.h.claim_count)
        gsp_out_end(g, &out);
}
