/* SPDX-License-Identifier: GPL-2.0-or-later */
/* send.c: writing datagrams.
 * Must not know: when they are sent. */
#include "gossip/core/parts.h"

#include <string.h>

struct gsp_described *gsp_described_of(const struct gsp *g, uint16_t node)
{
    size_t stride = (sizeof(struct gsp_described) + g->o.descriptor_max + 7) / 8 * 8;
    return (struct gsp_described *)(void *)(g->described + node * stride);
}

void gsp_out_begin(const struct gsp *g, struct gsp_out *out, uint16_t to, unsigned type,
                   uint32_t sequence, unsigned your_state)
{
    const struct gsp_peer *p = &g->peers[to];
    out->w = wr_of(out->bytes, sizeof out->bytes);
    out->w.at += GSP_HEADER_BYTES; /* written when the counts are known */
    out->h = (struct gsp_header){
        .type = (uint8_t)type,
        .your_state = (uint8_t)(your_state < GSP_STATES ? your_state : p->state),
        .from = g->o.self,
        .to = to,
        .sequence = sequence,
        .incarnation = g->incarnation,
        .your_incarnation = p->incarnation,
        .your_version = p->has_entry ? p->version : 0,
    };
}

void gsp_out_end(struct gsp *g, struct gsp_out *out)
{
    struct wr head = wr_of(out->bytes, GSP_HEADER_BYTES);
    size_t len = wr_len(&out->w);
    gsp_header_put(&head, &out->h);
    g->counts.datagrams++;
    g->counts.bytes += len + GSP_ENVELOPE_BYTES;
    g->o.send(g->o.ctx, out->h.to, out->bytes, len);
}

/* Our version follows the clock in steps of 10 ms, and never repeats what others have seen. */
static uint32_t next_version(struct gsp *g)
{
    uint32_t version = (uint32_t)(g->now_ms64 / 10) + g->version_ahead;
    if (gsp_is_newer(version, g->version))
        g->version = version;
    return g->version;
}

/* Claims first: they have what is left, so that news are never kept waiting by the board. */
void gsp_out_window(struct gsp *g, struct gsp_out *out)
{
    uint8_t claims[GSP_DATAGRAM_MAX];
    struct wr aside = wr_of(claims, GSP_DATAGRAM_MAX / 2);
    unsigned room = g->o.window;
    out->h.claim_count = (uint8_t)gsp_out_claims(g, &aside, false);
    size_t len = wr_len(&aside), left = GSP_DATAGRAM_MAX - GSP_HEADER_BYTES - len;
    if (room > left / GSP_ENTRY_BYTES)
        room = (unsigned)(left / GSP_ENTRY_BYTES);
    const struct gsp_item *items[GSP_WINDOW_MAX];
    unsigned count = gsp_board_pick(&g->board, room - 1, items);
    gsp_entry_put(&out->w, &(struct gsp_entry){ .node = g->o.self,
                                                .cluster = g->o.cluster,
                                                .version = next_version(g),
                                                .facts = g->facts });
    for (unsigned i = 0; i < count; i++)
        gsp_entry_put(&out->w, &(struct gsp_entry){ .node = items[i]->node,
                                                    .cluster = items[i]->cluster,
                                                    .age_ms = g->now - items[i]->born_ms,
                                                    .version = items[i]->version,
                                                    .facts = items[i]->facts });
    out->h.entry_count = (uint8_t)(count + 1);
    put_raw(&out->w, claims, len);
}

/* The claim that a rumour tells; false: a descriptor that is no longer the one. */
static bool claim_of(const struct gsp *g, const struct gsp_rumour *r, struct gsp_claim *c)
{
    *c = (struct gsp_claim){ .kind = r->kind,
                             .subject = r->subject,
                             .by = r->by,
                             .incarnation = r->incarnation,
                             .number = r->number,
                             .signature = r->signature };
    if (r->kind != GSP_CLAIM_DESCRIBE)
        return true;
    const struct gsp_described *d = gsp_described_of(g, r->subject);
    c->descriptor = d->bytes;
    c->descriptor_bytes = d->len_bytes;
    return g->peers[r->subject].descriptor_number == r->number;
}

unsigned gsp_out_claims(struct gsp *g, struct wr *w, bool is_hot_only)
{
    if (!g->spread.count)
        return 0;
    uint8_t places[GSP_DATAGRAM_CLAIMS_MAX], told[GSP_DATAGRAM_CLAIMS_MAX];
    unsigned count = gsp_spread_pick(&g->spread, GSP_DATAGRAM_CLAIMS_MAX, is_hot_only, places);
    unsigned written = 0, done = 0;
    for (unsigned i = 0; i < count; i++) {
        struct gsp_claim c;
        struct wr before = *w;
        if (claim_of(g, &g->spread.rumours[places[i]], &c)) {
            gsp_claim_put(w, &c);
            if (w->is_full) {
                *w = before;
                continue;
            }
            written++;
        }
        told[done++] = places[i];
    }
    g->counts.claims_told += written;
    gsp_spread_told(&g->spread, told, done, gsp_tellings(g->members));
    return written;
}

void gsp_send_claims(struct gsp *g, uint16_t to, unsigned type, uint32_t sequence,
                     unsigned your_state)
{
    struct gsp_out out;
    gsp_out_begin(g, &out, to, type, sequence, your_state);
    out.h.claim_count = (uint8_t)gsp_out_claims(g, &out.w, type == GSP_NEWS);
    gsp_out_end(g, &out);
}

void gsp_send_node(struct gsp *g, uint16_t to, unsigned type, uint32_t sequence, uint16_t node)
{
    struct gsp_out out;
    gsp_out_begin(g, &out, to, type, sequence, GSP_STATES);
    put_u16(&out.w, node);
    gsp_out_end(g, &out);
}

static struct gsp_claim own_claim(const struct gsp *g, unsigned kind, uint16_t subject,
                                  uint64_t incarnation)
{
    return (struct gsp_claim){
        .kind = (uint8_t)kind, .subject = subject, .by = g->o.self, .incarnation = incarnation
    };
}

void gsp_claim_own(struct gsp *g, unsigned kind, uint16_t subject, uint64_t incarnation)
{
    uint8_t signature[GSP_SIGNATURE_BYTES];
    struct gsp_claim c = own_claim(g, kind, subject, incarnation);
    c.signature = signature;
    if (kind == GSP_CLAIM_DESCRIBE) {
        struct gsp_described *d = gsp_described_of(g, subject);
        c.number = g->peers[subject].descriptor_number;
        c.descriptor = d->bytes;
        c.descriptor_bytes = d->len_bytes;
        d->incarnation = incarnation;
        g->o.sign(g->o.ctx, &c, d->signature);
        c.signature = d->signature;
    } else {
        g->o.sign(g->o.ctx, &c, signature);
    }
    gsp_spread_add(&g->spread, &c);
    gsp_spread_soon(g);
}

void gsp_accuse_to(struct gsp *g, uint16_t to, uint16_t subject)
{
    struct gsp_out out;
    uint8_t signature[GSP_SIGNATURE_BYTES];
    struct gsp_claim c = own_claim(g, GSP_CLAIM_ACCUSE, subject, g->peers[subject].incarnation);
    g->o.sign(g->o.ctx, &c, signature);
    c.signature = signature;
    gsp_out_begin(g, &out, to, GSP_ANSWER, 0, GSP_STATES);
    gsp_claim_put(&out.w, &c);
    out.h.claim_count = 1;
    gsp_out_end(g, &out);
}

void gsp_spread_soon(struct gsp *g)
{
    uint32_t soon = g->now + GSP_NEWS_MS;
    if (gsp_is_due(g->now, g->news_ms)) /* none are due: they were long ago */
        g->news_ms = soon;
}
