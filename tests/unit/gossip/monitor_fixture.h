/* SPDX-License-Identifier: GPL-2.0-or-later */
/* monitor_fixture.h: tables of nodes for the tests of monitors.
 * Must not know: what is tested. */
#ifndef TESTS_UNIT_GOSSIP_MONITOR_FIXTURE_H
#define TESTS_UNIT_GOSSIP_MONITOR_FIXTURE_H

#include "common/base/rng.h"
#include "gossip/monitor/core/table.h"

#include <stdio.h>
#include <stdlib.h>

/* Nodes 1 to count, "n1" and so on, in clusters 0 to clusters - 1; all figures are round ones
 * of the node's number. */
static inline struct mon_table table_of(size_t count, size_t clusters)
{
    struct mon_table t = { .nodes = calloc(count ? count : 1, sizeof *t.nodes),
                           .count = count,
                           .cluster_count = clusters,
                           .self = 1 };
    for (size_t i = 0; i < clusters; i++) {
        t.clusters[i].number = (uint32_t)i * 10;
        snprintf(t.clusters[i].name, sizeof t.clusters[i].name, "c%zu", i);
    }
    for (size_t i = 0; i < count; i++) {
        struct mon_node *n = &t.nodes[i];
        n->number = (uint32_t)i + 1;
        n->cluster = (uint16_t)(i * clusters / count);
        n->is_self = i == 0;
        snprintf(n->name, sizeof n->name, "n%zu", i + 1);
        snprintf(n->address, sizeof n->address, "10.0.%zu.%zu", i >> 8 & 255, i & 255);
        snprintf(n->kernel, sizeof n->kernel, "6.1.0");
        for (unsigned f = 0; f < MON_FIGURES; f++)
            n->figures[f] = 10;
        n->figures[MON_age_ms] = i ? 1500 : 0;
        n->figures[MON_load_centi] = (int64_t)(i % 5) * 50;
        n->figures[MON_cores] = 4;
        n->figures[MON_memory_mb] = 8192;
        n->figures[MON_memory_free_mb] = 8192 - (int64_t)(i % 9) * 1024;
    }
    mon_count_states(&t);
    return t;
}

/* Everything of it may be anything that a decoder lets through. */
static inline void table_shake(struct mon_table *t, uint64_t seed)
{
    struct rng r = rng_of(seed);
    for (size_t i = 0; i < t->count; i++) {
        struct mon_node *n = &t->nodes[i];
        n->state = (uint8_t)rng_below(&r, MON_STATES);
        n->number = rng_below(&r, MON_NODES_MAX);
        n->is_revoked = rng_below(&r, 9) == 0;
        n->is_blocked = rng_below(&r, 4) == 0;
        for (unsigned f = 0; f < MON_FIGURES; f++)
            n->figures[f] = rng_below(&r, 3) == 0   ? MON_UNKNOWN
                            : rng_below(&r, 2) == 0 ? (int64_t)(rng_u64(&r) % 1000000000000)
                                                    : (int64_t)rng_below(&r, 100);
        size_t len = rng_below(&r, MON_NAME_MAX + 1);
        for (size_t c = 0; c < len; c++)
            n->name[c] = (char)(' ' + rng_below(&r, 95));
        n->name[len] = 0;
    }
    mon_count_states(t);
}

#endif
