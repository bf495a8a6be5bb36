/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rng.h: small seeded generator of numbers for choices that must be repeatable.
 * Must not know: where seeds come from. Never for secrets.
 * The same seed gives the same numbers on every computer. */
#ifndef COMMON_BASE_RNG_H
#define COMMON_BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline struct rng rng_of(uint64_t seed)
{
    return (struct rng){ seed };
}

/* 64 bits, all values equally likely. Source: Steele, Lea, Flood 2014, SplitMix64. */
static inline uint64_t rng_u64(struct rng *r)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* 0 … below - 1; 0 if below is 0. Its bias is below / 2^32. */
static inline uint32_t rng_below(struct rng *r, uint32_t below)
{
    return (uint32_t)((rng_u64(r) >> 32) * below >> 32);
}

/* True in per_million of a million cases. */
static inline bool rng_happens(struct rng *r, uint32_t per_million)
{
    return rng_below(r, 1000000) < per_million;
}

#endif
