/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parts.h: what the files of the core call in each other.
 * Must not know: anything outside of this folder. */
#ifndef GOSSIP_CORE_PARTS_H
#define GOSSIP_CORE_PARTS_H

#include "gossip/core/gsp.h"

/* Has the time come? Half the clock's range is the past. */
static inline bool gsp_is_due(uint32_t now, uint32_t at)
{
    return !gsp_is_newer(at, now);
}

/* A datagram that is being written. */
struct gsp_out {
    struct wr w;
    struct gsp_header h;
    uint8_t bytes[GSP_DATAGRAM_MAX];
};

/* send.c */
/* your_state: what the receiver is told that we take it for; GSP_STATES: as it is. */
void gsp_out_begin(const struct gsp *g, struct gsp_out *out, uint16_t to, unsigned type,
                   uint32_t sequence, unsigned your_state);
void gsp_out_window(struct gsp *g, struct gsp_out *out);
/* As many rumours as there is room for, or hot ones only. Returns how many. */
unsigned gsp_out_claims(struct gsp *g, struct wr *w, bool is_hot_only);
void gsp_out_end(struct gsp *g, struct gsp_out *out);
void gsp_send_claims(struct gsp *g, uint16_t to, unsigned type, uint32_t sequence,
                     unsigned your_state);
void gsp_send_node(struct gsp *g, uint16_t to, unsigned type, uint32_t sequence, uint16_t node);
/* A claim of our own, signed, to be spread. */
void gsp_claim_own(struct gsp *g, unsigned kind, uint16_t subject, uint64_t incarnation);
/* Our own accusation, to one node only. */
void gsp_accuse_to(struct gsp *g, uint16_t to, uint16_t subject);
/* Claims to spread: news are due. */
void gsp_spread_soon(struct gsp *g);

/* members.c */
void gsp_know(struct gsp *g, uint16_t node, uint8_t cluster, uint64_t incarnation);
/* Who: the datagram's sender. */
void gsp_take_claim(struct gsp *g, uint16_t who, const struct gsp_claim *c, bool is_answer);
/* What a datagram of a known node proves. Returns the state that its sender had until now. */
unsigned gsp_heard(struct gsp *g, const struct gsp_header *h);
/* What the header says of us. */
void gsp_take_view(struct gsp *g, const struct gsp_header *h);
/* An accusation: c with its signature, or NULL when it is by's beyond doubt. True: it is new.
 */
bool gsp_accuse(struct gsp *g, uint16_t subject, uint64_t incarnation, uint16_t by,
                const struct gsp_claim *c);
void gsp_clear(struct gsp *g, uint16_t node);
/* Somebody knows a later incarnation of a suspect: that may be a refutation that we missed. */
void gsp_doubt(struct gsp *g, uint16_t node);
void gsp_suspects_run(struct gsp *g);
void gsp_suspects_shift(struct gsp *g, uint32_t pause_ms);
bool gsp_is_life_believed(const struct gsp *g, uint64_t incarnation);

/* probe.c */
void gsp_exchange_run(struct gsp *g);
void gsp_probes_run(struct gsp *g);
void gsp_probes_heard(struct gsp *g, uint16_t node);
void gsp_probe_told(struct gsp *g, const struct gsp_header *h, uint16_t node, bool is_alive);
void gsp_relay_asked(struct gsp *g, const struct gsp_header *h, uint16_t node);
/* A member at random, mostly of our own cluster; or -1. */
int gsp_any_member(struct gsp *g, int but, int but_too);
/* To be pinged with the next exchange. */
void gsp_check_later(struct gsp *g, uint16_t node);
uint32_t gsp_probes_next(const struct gsp *g, uint32_t until);

/* sync.c */
void gsp_sync_run(struct gsp *g);
void gsp_sync_soon(struct gsp *g);
/* What we hold of node, to one who says if it knows something newer. */
void gsp_sync_ask(struct gsp *g, uint16_t to, uint16_t node);
void gsp_sync_digest(struct gsp *g, uint16_t from, struct rd r);
void gsp_sync_list(struct gsp *g, uint16_t from, struct rd r, unsigned count);
void gsp_sync_want(struct gsp *g, uint16_t from, struct rd r, unsigned count);

#endif
