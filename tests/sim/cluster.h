/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cluster.h: nodes that gossip, in a world of simulation, and what is really true of them.
 * Must not know: which faults a test makes, what it measures. */
#ifndef TESTS_SIM_CLUSTER_H
#define TESTS_SIM_CLUSTER_H

#include "gossip/core/gsp.h"
#include "tests/sim/world.h"

enum { PART_GOSSIP = 0 };

/* What is really so. */
struct cluster_truth {
    bool has_left, has_jumped;      /* its clock has, in this life */
    uint64_t incarnation;           /* the greatest that it ever had */
    uint64_t left_incarnation;      /* with which it left last */
    uint32_t version, boot_version; /* the newest that it ever said; where this life began */
    uint32_t descriptor_number;
    uint64_t changed_us; /* when it crashed, started, paused or went on */
    unsigned starts;
};

struct cluster {
    struct world w;
    unsigned count;
    struct gsp *nodes;
    void **memory;
    struct cluster_truth *truth;
    struct gsp_opts opts;  /* of all; self, cluster, life, seed are each one's */
    unsigned clusters;     /* node i is in cluster i * clusters / count */
    int64_t life_offset_s; /* of the calendar at the next start */
    bool has_liars;        /* some datagrams are to be refused */
    /* Called for each notice; may be NULL. */
    void (*on_change)(struct cluster *c, unsigned node, const struct gsp_change *what);
    /* After each step of a node; may be NULL. */
    void (*on_step)(struct cluster *c, unsigned node);
    void (*on_thing)(struct cluster *c, unsigned kind, unsigned node, uint64_t value);
    void *ctx;
};

struct cluster_opts {
    uint64_t seed;
    unsigned count, clusters;
    uint16_t period_ms, window;
    uint8_t descriptor_max;
    bool is_quiet;
};

void cluster_init(struct cluster *c, const struct cluster_opts *o);
void cluster_fini(struct cluster *c);
/* Starts, or starts again, with nothing on its disk but its number. */
void cluster_start(struct cluster *c, unsigned node);
void cluster_know(struct cluster *c, unsigned node, unsigned other, bool has_incarnation);
void cluster_describe(struct cluster *c, unsigned node);
void cluster_leave(struct cluster *c, unsigned node);
void cluster_run(struct cluster *c, uint64_t us);

static inline unsigned cluster_of(const struct cluster *c, unsigned node)
{
    return node * c->clusters / c->count;
}

/* How old what node knows of other really is, in microseconds. */
uint64_t cluster_age_us(const struct cluster *c, unsigned node, unsigned other);

#endif
