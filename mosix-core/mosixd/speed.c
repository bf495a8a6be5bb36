/* SPDX-License-Identifier: GPL-2.0-or-later */
/* speed.c: the yardstick. It is one for ever: speeds of nodes are compared by it, so the loop
 * must not be changed, and compilers are kept from doing so.
 * Must not know: who wants to know. */
#include "mosix-core/mosixd/readings.h"

#include <time.h>

enum { TABLE = 4096, STEPS = 400 * 1000, RUNS = 12, STANDARD_STEPS_PER_US = 200 };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Each step depends on the one before: a multiplication, two shifts, a look-up. */
static uint64_t __attribute__((noinline)) run(uint64_t *table, unsigned steps)
{
    uint64_t x = 88172645463325252u;
    for (unsigned i = 0; i < steps; i++) {
        x ^= x >> 12;
        x *= 2685821657736338717u;
        uint64_t *at = &table[x >> 52];
        x += *at;
        *at = x ^ x >> 29;
        __asm__ volatile("" : "+r"(x) : : "memory");
    }
    return x;
}

uint32_t mx_speed_measure(void)
{
    static uint64_t table[TABLE];
    uint64_t best_ns = UINT64_MAX;
    volatile uint64_t kept = run(table, STEPS / 4); /* warm */
    for (unsigned i = 0; i < RUNS; i++) {
        uint64_t start = now_ns();
        kept = run(table, STEPS);
        uint64_t took = now_ns() - start;
        if (took && took < best_ns)
            best_ns = took;
    }
    (void)kept;
    uint64_t speed =
        (uint64_t)STEPS * 1000 * MX_SPEED_STANDARD / (best_ns * STANDARD_STEPS_PER_US);
    return speed ? (uint32_t)speed : 1;
}
