/* SPDX-License-Identifier: GPL-2.0-or-later */
/* world.h: a cluster of computers that do not exist: one virtual clock, a network that delays,
 * loses, reorders, doubles, cuts and flips bits, and nodes that crash, start again, pause, are
 * slow and have clocks of their own. The same seed gives the same history, byte for byte.
 * Must not know: what runs on the nodes. Several parts may run on each (gossip, and later
 * balancing and queues): each has its own messages and one timer per node. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "common/base/rng.h"

#include <stddef.h>

enum {
    WORLD_PARTS = 4,
    WORLD_CUTS_MAX = 32,
    WORLD_HELD_MAX = 256, /* datagrams that a node's socket keeps while it stands still */
    WORLD_BYTES_MAX = 1472,
};

/* Of a million, if nothing else is said. */
struct world_net {
    uint32_t loss, twice, late, flip; /* late: delayed by up to late_us more */
    uint32_t delay_min_us, delay_max_us, late_us;
    /* Bursts: a node's link is bad for bad_us at a time, on average, and then loses bad_loss.
     */
    uint32_t good_us, bad_us, bad_loss; /* good_us 0: never */
};

struct world_ops {
    void (*on_message)(void *ctx, unsigned part, unsigned node, unsigned from,
                       const uint8_t *ptr, size_t len, uint64_t waited_us);
    void (*on_timer)(void *ctx, unsigned part, unsigned node);
    /* A thing that was put in the list by world_later(). */
    void (*on_thing)(void *ctx, unsigned kind, unsigned node, uint64_t value);
};

struct world_message;

struct world_node {
    bool is_up, is_deaf, is_mute;
    unsigned group;           /* of a partition: only the same group is reached */
    uint64_t paused_until_us; /* 0: it runs */
    uint32_t slow_us;         /* everything takes up to so much longer */
    /* local = offset + time * (1 + ppm / 10^6) */
    int64_t offset_us, ppm;
    uint64_t timer_us[WORLD_PARTS];        /* 0: none */
    uint64_t timer_wanted_us[WORLD_PARTS]; /* before slowness */
    bool is_timer_held[WORLD_PARTS];
    struct world_message *held, **held_end;
    unsigned held_count;
    bool is_bad;
    uint64_t turns_us;
};

struct world_counts {
    uint64_t sent, bytes, arrived, lost, cut, doubled, flipped, refused, overflowed;
};

struct world {
    uint64_t seed, now_us, born, history;
    struct rng rng;
    struct world_ops ops;
    void *ctx;
    struct world_net net;
    unsigned count, cut_count;
    struct world_node *nodes;
    struct {
        unsigned from, to;
    } cuts[WORLD_CUTS_MAX]; /* one way */
    struct world_event *heap;
    size_t heap_count, heap_room;
    struct world_message *spare;
    struct world_counts counts;
};

void world_init(struct world *w, uint64_t seed, unsigned nodes, const struct world_ops *ops,
                void *ctx);
void world_fini(struct world *w);

/* One thing happens. False: nothing is to come before end_us; the clock is there then. */
bool world_step(struct world *w, uint64_t end_us);
void world_send(struct world *w, unsigned part, unsigned from, unsigned to, const uint8_t *ptr,
                size_t len, size_t extra_bytes);
/* Replaces that part's timer of the node; in the node's own time. */
void world_timer_at(struct world *w, unsigned part, unsigned node, int64_t local_ms);
void world_later(struct world *w, uint64_t at_us, unsigned kind, unsigned node, uint64_t value);

int64_t world_local_ms(const struct world *w, unsigned node);
/* When a node's own clock shows, or showed, that time. */
uint64_t world_when_us(const struct world *w, unsigned node, int64_t local_ms);

/* Faults. */
void world_crash(struct world *w, unsigned node); /* what lay in its socket is lost */
void world_start(struct world *w, unsigned node);
void world_pause(struct world *w, unsigned node, uint64_t us);
void world_jump(struct world *w, unsigned node, uint64_t us); /* its clock, forward */
void world_cut(struct world *w, unsigned from, unsigned to);
void world_heal(struct world *w); /* the network, and the nodes' links and clocks' rates */
static inline bool world_runs(const struct world *w, unsigned node)
{
    return w->nodes[node].is_up && !w->nodes[node].paused_until_us;
}

#endif
