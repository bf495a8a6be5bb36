/* SPDX-License-Identifier: GPL-2.0-or-later */
/* messages.c: coding of gossip's datagrams.
 * Must not know: who says what when; sealing. */
#include "gossip/core/messages.h"

#include <errno.h>

enum body {
    NO_BODY,
    BODY_WINDOW,
    BODY_CLAIMS,
    BODY_NODE,
    BODY_HASHES,
    BODY_RECORDS,
    BODY_NODES
};
enum signer { SIGNED_SUBJECT, SIGNED_BY };

static const struct {
    const char *text;
    enum body body;
} messages[] = {
#define MESSAGE(number, name, words, what) [number] = { words, BODY_##what },
#define CLAIM(number, name, words, who)
#include "gossip/core/messages.def"
#undef MESSAGE
#undef CLAIM
};

static const struct {
    const char *text;
    enum signer signer;
} claims[] = {
#define MESSAGE(number, name, words, what)
#define CLAIM(number, name, words, who) [number] = { words, SIGNED_##who },
#include "gossip/core/messages.def"
#undef MESSAGE
#undef CLAIM
};

static const char *const states[GSP_STATES] = { "unknown", "alive", "suspect", "dead", "left" };

const char *gsp_type_text(unsigned type)
{
    return type < ARRAY_LEN(messages) && messages[type].text ? messages[type].text : "?";
}

const char *gsp_claim_text(unsigned kind)
{
    return kind < ARRAY_LEN(claims) && claims[kind].text ? claims[kind].text : "?";
}

const char *gsp_state_text(unsigned state)
{
    return state < GSP_STATES ? states[state] : "?";
}

uint16_t gsp_age_code(uint32_t age_ms)
{
    if (age_ms < GSP_AGE_FINE)
        return (uint16_t)age_ms;
    uint32_t steps = (age_ms - GSP_AGE_FINE) / GSP_AGE_STEP_MS +
                     ((age_ms - GSP_AGE_FINE) % GSP_AGE_STEP_MS != 0);
    return steps < 0xffff - GSP_AGE_FINE ? (uint16_t)(GSP_AGE_FINE + steps) : 0xffff;
}

uint32_t gsp_age_ms(uint16_t code)
{
    return code < GSP_AGE_FINE
               ? code
               : GSP_AGE_FINE + (uint32_t)(code - GSP_AGE_FINE) * GSP_AGE_STEP_MS;
}

int gsp_header_get(struct rd *r, struct gsp_header *h)
{
    if (rd_left(r) < GSP_HEADER_BYTES)
        return -EPROTO;
    if (get_u8(r, &h->type) < 0 || get_u8(r, &h->your_state) < 0 || get_u16(r, &h->from) < 0 ||
        get_u16(r, &h->to) < 0 || get_u8(r, &h->entry_count) < 0 ||
        get_u8(r, &h->claim_count) < 0 || get_u32(r, &h->sequence) < 0 ||
        get_u64(r, &h->incarnation) < 0 || get_u64(r, &h->your_incarnation) < 0 ||
        get_u32(r, &h->your_version) < 0)
        return -EPROTO;
    return h->type < ARRAY_LEN(messages) && messages[h->type].text &&
                   h->your_state < GSP_STATES && h->incarnation
               ? 0
               : -EPROTO;
}

void gsp_header_put(struct wr *w, const struct gsp_header *h)
{
    put_u8(w, h->type);
    put_u8(w, h->your_state);
    put_u16(w, h->from);
    put_u16(w, h->to);
    put_u8(w, h->entry_count);
    put_u8(w, h->claim_count);
    put_u32(w, h->sequence);
    put_u64(w, h->incarnation);
    put_u64(w, h->your_incarnation);
    put_u32(w, h->your_version);
}

int gsp_entry_get(struct rd *r, struct gsp_entry *e)
{
    uint16_t age;
    if (rd_left(r) < GSP_ENTRY_BYTES)
        return -EPROTO;
    if (get_u16(r, &e->node) < 0 || get_u16(r, &age) < 0 || get_u32(r, &e->version) < 0 ||
        get_u16(r, &e->facts.load) < 0 || get_u16(r, &e->facts.free_memory) < 0 ||
        get_u8(r, &e->facts.idle_cores) < 0 || get_u8(r, &e->facts.guests) < 0 ||
        get_u8(r, &e->facts.flags) < 0 || get_u8(r, &e->cluster) < 0)
        return -EPROTO;
    e->age_ms = gsp_age_ms(age);
    return 0;
}

void gsp_entry_put(struct wr *w, const struct gsp_entry *e)
{
    put_u16(w, e->node);
    put_u16(w, gsp_age_code(e->age_ms));
    put_u32(w, e->version);
    put_u16(w, e->facts.load);
    put_u16(w, e->facts.free_memory);
    put_u8(w, e->facts.idle_cores);
    put_u8(w, e->facts.guests);
    put_u8(w, e->facts.flags);
    put_u8(w, e->cluster);
}

int gsp_claim_get(struct rd *r, struct gsp_claim *c)
{
    if (rd_left(r) < GSP_CLAIM_BYTES)
        return -EPROTO;
    if (get_u8(r, &c->kind) < 0 || get_u8(r, &c->descriptor_bytes) < 0 ||
        get_u16(r, &c->subject) < 0 || get_u16(r, &c->by) < 0 ||
        get_u64(r, &c->incarnation) < 0 || get_u32(r, &c->number) < 0)
        return -EPROTO;
    if (c->kind >= ARRAY_LEN(claims) || !claims[c->kind].text || !c->incarnation ||
        c->descriptor_bytes > GSP_DESCRIPTOR_MAX ||
        (c->descriptor_bytes && c->kind != GSP_CLAIM_DESCRIBE) ||
        rd_left(r) < (size_t)c->descriptor_bytes + GSP_SIGNATURE_BYTES)
        return -EPROTO;
    c->descriptor = r->at;
    c->signature = r->at + c->descriptor_bytes;
    r->at = c->signature + GSP_SIGNATURE_BYTES;
    return 0;
}

static void put_claimed(struct wr *w, const struct gsp_claim *c)
{
    put_u8(w, c->kind);
    put_u8(w, c->descriptor_bytes);
    put_u16(w, c->subject);
    put_u16(w, c->by);
    put_u64(w, c->incarnation);
    put_u32(w, c->number);
    put_raw(w, c->descriptor, c->descriptor_bytes);
}

void gsp_claim_put(struct wr *w, const struct gsp_claim *c)
{
    put_claimed(w, c);
    put_raw(w, c->signature, GSP_SIGNATURE_BYTES);
}

size_t gsp_claim_signed(const struct gsp_claim *c, uint8_t out[GSP_SIGNED_MAX])
{
    struct wr w = wr_of(out, GSP_SIGNED_MAX);
    put_claimed(&w, c);
    return wr_len(&w);
}

uint16_t gsp_claim_signer(const struct gsp_claim *c)
{
    return claims[c->kind].signer == SIGNED_BY ? c->by : c->subject;
}

int gsp_record_get(struct rd *r, struct gsp_record *v)
{
    uint8_t spare;
    if (rd_left(r) < GSP_RECORD_BYTES)
        return -EPROTO;
    if (get_u16(r, &v->node) < 0 || get_u8(r, &v->state) < 0 || get_u8(r, &spare) < 0 ||
        get_u64(r, &v->incarnation) < 0 || get_u32(r, &v->descriptor_number) < 0)
        return -EPROTO;
    return v->state < GSP_STATES ? 0 : -EPROTO;
}

void gsp_record_put(struct wr *w, const struct gsp_record *v)
{
    put_u16(w, v->node);
    put_u8(w, v->state);
    put_u8(w, 0);
    put_u64(w, v->incarnation);
    put_u32(w, v->descriptor_number);
}

static int check_claims(struct rd *r, unsigned count)
{
    if (count > GSP_DATAGRAM_CLAIMS_MAX)
        return -EPROTO;
    for (unsigned i = 0; i < count; i++) {
        struct gsp_claim c;
        int rc = gsp_claim_get(r, &c);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_records(struct rd r, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct gsp_record v;
        int rc = gsp_record_get(&r, &v);
        if (rc < 0)
            return rc;
    }
    return rd_left(&r) ? -EPROTO : 0;
}

int gsp_datagram_check(const uint8_t *ptr, size_t len_bytes)
{
    struct rd r = rd_of(ptr, len_bytes);
    struct gsp_header h;
    int rc = gsp_header_get(&r, &h);
    if (rc < 0)
        return rc;
    if (len_bytes > GSP_DATAGRAM_MAX)
        return -EPROTO;
    unsigned entries_max = 0, claims_max = 0;
    switch (messages[h.type].body) {
    case BODY_WINDOW: entries_max = GSP_WINDOW_MAX, claims_max = GSP_DATAGRAM_CLAIMS_MAX; break;
    case BODY_CLAIMS: claims_max = GSP_DATAGRAM_CLAIMS_MAX; break;
    case BODY_RECORDS: entries_max = GSP_RECORDS_MAX; break;
    case BODY_NODES: entries_max = GSP_WANTS_MAX; break;
    case NO_BODY:
    case BODY_NODE:
    case BODY_HASHES: break;
    }
    if (h.entry_count > entries_max || h.claim_count > claims_max)
        return -EPROTO;
    switch (messages[h.type].body) {
    case BODY_WINDOW:
        if (rd_left(&r) < (size_t)h.entry_count * GSP_ENTRY_BYTES)
            return -EPROTO;
        r.at += (size_t)h.entry_count * GSP_ENTRY_BYTES;
        rc = check_claims(&r, h.claim_count);
        break;
    case BODY_CLAIMS: rc = check_claims(&r, h.claim_count); break;
    case BODY_NODE: return rd_left(&r) == 2 ? 0 : -EPROTO;
    case BODY_HASHES: return rd_left(&r) == GSP_BUCKETS * 8 ? 0 : -EPROTO;
    case BODY_RECORDS: return check_records(r, h.entry_count);
    case BODY_NODES: return rd_left(&r) == (size_t)h.entry_count * 2 ? 0 : -EPROTO;
    case NO_BODY: return -EPROTO;
    }
    return rc < 0 || rd_left(&r) ? -EPROTO : 0;
}
