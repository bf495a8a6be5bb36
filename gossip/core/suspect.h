/* SPDX-License-Identifier: GPL-2.0-or-later */
/* suspect.h: how long a suspicion lasts and how many accusers death needs; how patient our own
 * slowness makes us. Must not know: tables, datagrams, clocks.
 * Source: docs/gossip.md, "Formulae"; Dadgar, Phillips, Currey 2018. */
#ifndef GOSSIP_CORE_SUSPECT_H
#define GOSSIP_CORE_SUSPECT_H

#include <stdint.h>

enum {
    GSP_SUSPECT_MIN_MS = 3000,    /* survives pauses of 3 s */
    GSP_SUSPECT_DECADE_MS = 1000, /* log10(n) times this, if that is more */
    GSP_SUSPECT_FACTOR = 4,       /* a lone accuser waits so many times longer */
    GSP_HEALTH_MAX = 8,
    GSP_FEW = 3, /* in so few nodes one accuser is enough */
};

/* 1000 log10(n); 0 for n below 2. Exact within 1 for n up to 65,536. */
uint32_t gsp_log10_milli(uint32_t n);

/* From the first accusation to the last gasp, in a cluster of nodes that live (with the
 * suspect), when accusers have accused. */
uint32_t gsp_suspect_ms(uint32_t nodes, unsigned accusers);

unsigned gsp_accusers_needed(uint32_t nodes);

/* How often a claim is told in all. */
unsigned gsp_tellings(uint32_t nodes);

/* Local health: 0 is well. Returns the new score. */
uint8_t gsp_health_better(uint8_t health);
uint8_t gsp_health_worse(uint8_t health);

#endif
