/* SPDX-License-Identifier: GPL-2.0-or-later */
/* suspect.c: times of a suspicion. Whole numbers only, so that every computer gets the same.
 * Must not know: tables, datagrams, clocks. */
#include "gossip/core/suspect.h"

/* log2 by squaring: each squaring gives one more binary digit. */
uint32_t gsp_log10_milli(uint32_t n)
{
    enum { DIGITS = 16, LOG10_2_E9 = 301029996 };
    if (n < 2)
        return 0;
    unsigned whole = 0;
    while (n >> (whole + 1))
        whole++;
    uint64_t x = ((uint64_t)n << 30) >> whole; /* 1 … 2, 30 binary digits */
    uint64_t log2_fixed = whole;
    for (unsigned i = 0; i < DIGITS; i++) {
        x = x * x >> 30;
        log2_fixed <<= 1;
        if (x >= 2u << 30) {
            log2_fixed |= 1;
            x >>= 1;
        }
    }
    return (uint32_t)((log2_fixed * LOG10_2_E9 + 500000u * (1u << DIGITS)) /
                      (1000000ull << DIGITS));
}

uint32_t gsp_suspect_ms(uint32_t nodes, unsigned accusers)
{
    /* 1000 log(c + 1) / log(k + 1) for c of k further accusers. */
    static const uint16_t shares[4][4] = {
        { 1000, 1000, 1000, 1000 },
        { 0, 1000, 1000, 1000 },
        { 0, 631, 1000, 1000 },
        { 0, 500, 792, 1000 },
    };
    uint32_t min = gsp_log10_milli(nodes) * GSP_SUSPECT_DECADE_MS / 1000;
    if (min < GSP_SUSPECT_MIN_MS)
        min = GSP_SUSPECT_MIN_MS;
    unsigned expected = nodes < 2 ? 0 : nodes - 2 < 3 ? nodes - 2 : 3;
    unsigned further = accusers ? (accusers - 1 < 3 ? accusers - 1 : 3) : 0;
    return min * GSP_SUSPECT_FACTOR -
           min * (GSP_SUSPECT_FACTOR - 1) * shares[expected][further] / 1000;
}

unsigned gsp_accusers_needed(uint32_t nodes)
{
    return nodes > GSP_FEW ? 2 : 1;
}

/* Each telling reaches a node at random, so of n nodes about n e^-times miss it. */
unsigned gsp_tellings(uint32_t nodes)
{
    return 6 + 3 * ((gsp_log10_milli(nodes + 1) + 999) / 1000);
}

uint8_t gsp_health_better(uint8_t health)
{
    return health ? (uint8_t)(health - 1) : 0;
}

uint8_t gsp_health_worse(uint8_t health)
{
    return health < GSP_HEALTH_MAX ? (uint8_t)(health + 1) : GSP_HEALTH_MAX;
}
