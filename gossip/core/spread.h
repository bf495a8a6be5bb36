/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spread.h: claims that are still to be told to others, each a bounded number of times.
 * Must not know: what claims mean, who is told. */
#ifndef GOSSIP_CORE_SPREAD_H
#define GOSSIP_CORE_SPREAD_H

#include "gossip/core/messages.h"

enum {
    GSP_CLAIMS_MAX = 128,
    GSP_HOT = 6, /* told so often at once; then only with what is sent anyway */
};

struct gsp_rumour {
    uint64_t incarnation;
    uint32_t number;
    uint16_t subject, by;
    uint8_t kind;
    uint8_t told;
    uint8_t signature[GSP_SIGNATURE_BYTES];
};

struct gsp_spread {
    unsigned count, hot; /* hot: those told less than GSP_HOT times */
    struct gsp_rumour rumours[GSP_CLAIMS_MAX];
};

/* Takes a copy. A claim of the same kind, of the same subject and by the same node is replaced;
 * at GSP_CLAIMS_MAX the one that was told most often goes. */
void gsp_spread_add(struct gsp_spread *s, const struct gsp_claim *c);
/* Claims about subject that an incarnation makes moot: accusations of older ones or this, other
 * claims of older ones. */
void gsp_spread_moot(struct gsp_spread *s, uint16_t subject, uint64_t incarnation);
/* Those that are told least, at most max, in the order in which they came; into places. Returns
 * how many. */
unsigned gsp_spread_pick(const struct gsp_spread *s, unsigned max, bool is_hot_only,
                         uint8_t places[GSP_DATAGRAM_CLAIMS_MAX]);
/* places[0 … count) were told once more; from limit on they are dropped. */
void gsp_spread_told(struct gsp_spread *s, const uint8_t *places, unsigned count,
                     unsigned limit);
/* One is told no more. */
void gsp_spread_drop(struct gsp_spread *s, unsigned place);

#endif
