/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spread.c: claims that are still to be told.
 * Must not know: what claims mean, who is told. */
#include "gossip/core/spread.h"

#include <string.h>

void gsp_spread_drop(struct gsp_spread *s, unsigned place)
{
    s->hot -= s->rumours[place].told < GSP_HOT;
    s->count--;
    memmove(&s->rumours[place], &s->rumours[place + 1],
            (s->count - place) * sizeof *s->rumours);
}

static unsigned place_for(struct gsp_spread *s, const struct gsp_claim *c)
{
    unsigned most = 0;
    for (unsigned i = 0; i < s->count; i++) {
        const struct gsp_rumour *r = &s->rumours[i];
        if (r->kind == c->kind && r->subject == c->subject && r->by == c->by) {
            gsp_spread_drop(s, i);
            return s->count;
        }
        if (r->told > s->rumours[most].told)
            most = i;
    }
    if (s->count == GSP_CLAIMS_MAX)
        gsp_spread_drop(s, most);
    return s->count;
}

void gsp_spread_add(struct gsp_spread *s, const struct gsp_claim *c)
{
    struct gsp_rumour *r = &s->rumours[place_for(s, c)];
    *r = (struct gsp_rumour){
        .incarnation = c->incarnation,
        .number = c->number,
        .subject = c->subject,
        .by = c->by,
        .kind = c->kind,
    };
    memcpy(r->signature, c->signature, sizeof r->signature);
    s->count++;
    s->hot++;
}

void gsp_spread_moot(struct gsp_spread *s, uint16_t subject, uint64_t incarnation)
{
    for (unsigned i = s->count; i-- > 0;) {
        const struct gsp_rumour *r = &s->rumours[i];
        if (r->subject != subject || r->kind == GSP_CLAIM_DESCRIBE)
            continue;
        if (r->incarnation < incarnation ||
            (r->incarnation == incarnation && r->kind == GSP_CLAIM_ACCUSE))
            gsp_spread_drop(s, i);
    }
}

unsigned gsp_spread_pick(const struct gsp_spread *s, unsigned max, bool is_hot_only,
                         uint8_t places[GSP_DATAGRAM_CLAIMS_MAX])
{
    unsigned count = 0, wanted = max < GSP_DATAGRAM_CLAIMS_MAX ? max : GSP_DATAGRAM_CLAIMS_MAX;
    for (unsigned told = 0, next; count < wanted; told = next) {
        next = 256;
        for (unsigned i = 0; i < s->count && count < wanted; i++) {
            unsigned times = s->rumours[i].told;
            if (times == told)
                places[count++] = (uint8_t)i;
            else if (times > told && times < next)
                next = times;
        }
        if (next == 256 || (is_hot_only && next >= GSP_HOT))
            break;
    }
    return count;
}

void gsp_spread_told(struct gsp_spread *s, const uint8_t *places, unsigned count,
                     unsigned limit)
{
    bool is_dropped[GSP_CLAIMS_MAX] = { false };
    for (unsigned i = 0; i < count; i++) {
        struct gsp_rumour *r = &s->rumours[places[i]];
        s->hot -= ++r->told == GSP_HOT;
        is_dropped[places[i]] = r->told >= limit;
    }
    for (unsigned i = s->count; i-- > 0;)
        if (is_dropped[i])
            gsp_spread_drop(s, i);
}
