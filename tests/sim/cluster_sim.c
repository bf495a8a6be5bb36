/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cluster_sim.c: clusters of up to some tens of nodes under all kinds of faults of network and
 * nodes. After each step of a node: the core's own invariants, and what is really so:
 *   - the board never goes back, has nothing that its node did not say, and no figure is
 * younger in it than it is;
 *   - nobody has an incarnation that its node never had; who has left here has left;
 *   - nobody is dead without the accusers that are needed, and nobody takes itself for dead.
 * When the faults have stopped, within CALM_S: everybody knows who lives, with its newest
 * incarnation and descriptor and a young entry, and who does not; nothing is suspected or told
 * any more. Usage: cluster_sim [SEED], or cluster_sim -n SEEDS [FIRST]; without either a fixed
 * number of seeds, each tenth twice, with the same history. */
#include "tests/sim/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SECOND = 1000000,
    SEEDS = 60,
    NODES_MIN = 4,
    NODES_MAX = 40,
    STORM_S = 60,
    CALM_S = 90,
    DELAY_MAX_US = 60000,
    /* An age counts no time on the way; this is more than all ways of one entry together. */
    AGE_SLACK_US = 2 * SECOND,
};

enum thing { DO_START, DO_END_OF_SLOW };

static struct cluster c;
static uint32_t *seen; /* seen[node * count + other]: version */
static bool *has_seen;
static uint64_t storm_us;
static struct {
    unsigned long seeds, steps, faults, suspected, died, wrong_died, left, refuted, flips;
} sum;

static void fail_at(const char *what, unsigned node, unsigned other, int line)
{
    fprintf(stderr,
            "cluster_sim: seed %" PRIu64
            ": at %.3f s of %.3f, node %u of %u about %u, line %d: %s\n"
            "replay: tests/sim/cluster_sim %" PRIu64 "\n",
            c.w.seed, (double)c.w.now_us / SECOND, (double)storm_us / SECOND, node, c.count,
            other, line, what, c.w.seed);
    if (node < c.count && other < c.count) {
        const struct gsp_peer *p = &c.nodes[node].peers[other];
        const struct cluster_truth *t = &c.truth[other];
        fprintf(stderr,
                "it is %s by %u of %u members, incarnation %" PRIx64
                " descriptor %u, version %u;"
                " really %s%s, %" PRIx64 ", %u, %u\n",
                gsp_state_text(p->state), p->accuser_count, c.nodes[node].members,
                p->incarnation, p->descriptor_number, p->version,
                c.w.nodes[other].is_up ? "up" : "down", t->has_left ? " and has left" : "",
                t->incarnation, t->descriptor_number, t->version);
    }
    exit(1);
}
#define CHECK(condition, node, other)                                                          \
    do {                                                                                       \
        if (!(condition))                                                                      \
            fail_at(#condition, node, other, __LINE__);                                        \
    } while (0)

static uint32_t rnd(uint32_t below)
{
    return rng_below(&c.w.rng, below);
}

/* ---- invariants ---- */

static void on_step(struct cluster *cl UNUSED, unsigned node)
{
    const struct gsp *g = &c.nodes[node];
    const char *wrong = gsp_check(g);
    if (wrong)
        fail_at(wrong, node, node, __LINE__);
    for (unsigned other = 0; other < c.count; other++) {
        const struct gsp_peer *p = &g->peers[other];
        const struct cluster_truth *t = &c.truth[other];
        size_t pair = (size_t)node * c.count + other;
        if (other == node)
            continue;
        CHECK(p->incarnation <= 1 || p->incarnation <= t->incarnation, node, other);
        CHECK(p->state != GSP_LEFT || p->incarnation <= t->left_incarnation, node, other);
        if (!p->has_entry)
            continue;
        CHECK(!gsp_is_newer(p->version, t->version), node, other);
        CHECK(!has_seen[pair] || !gsp_is_newer(seen[pair], p->version), node, other);
        bool is_of_this_life = c.w.nodes[other].is_up && !c.nodes[other].version_ahead &&
                               t->starts == 1 && !t->has_jumped;
        if (is_of_this_life && seen[pair] != p->version)
            CHECK(gsp_age_of(g, (uint16_t)other) * 1000ull + AGE_SLACK_US >=
                      cluster_age_us(&c, node, other),
                  node, other);
        seen[pair] = p->version;
        has_seen[pair] = true;
    }
    sum.steps++;
}

static void on_change(struct cluster *cl UNUSED, unsigned node, const struct gsp_change *what)
{
    const struct cluster_truth *t = &c.truth[what->node];
    CHECK(what->node != node, node, what->node);
    if (what->state == GSP_SUSPECT)
        sum.suspected++;
    if (what->state != GSP_DEAD)
        return;
    CHECK(what->was == GSP_SUSPECT, node, what->node);
    CHECK(what->accuser_count >= gsp_accusers_needed(c.nodes[node].members + 1), node,
          what->node);
    sum.died++;
    sum.wrong_died += c.w.nodes[what->node].is_up && !t->has_left;
}

/* ---- faults ---- */

static void forget(unsigned node)
{
    memset(has_seen + (size_t)node * c.count, 0, c.count * sizeof *has_seen);
}

static void start(unsigned node)
{
    /* Sometimes the clock is wrong, and its number of lives has been lost. */
    c.life_offset_s = rnd(4) ? 0 : (int64_t)rnd(100000) - 100000;
    c.w.nodes[node].offset_us = (int64_t)rnd(1000000) * 1000 * 1000;
    c.w.nodes[node].ppm = (int64_t)rnd(2000) - 1000;
    cluster_start(&c, node);
    forget(node);
    /* Some have a map of all, others two nodes to begin with. */
    bool has_map = rnd(2) == 0;
    for (unsigned i = 0; i < c.count; i++)
        if (i != node && (has_map || i == (node + 1) % c.count || i == (node + 7) % c.count ||
                          i == rnd(c.count)))
            cluster_know(&c, node, i, false);
    cluster_describe(&c, node);
}

static void on_thing(struct cluster *cl UNUSED, unsigned kind, unsigned node,
                     uint64_t value UNUSED)
{
    if (kind == DO_START && !c.w.nodes[node].is_up)
        start(node);
    if (kind == DO_END_OF_SLOW)
        c.w.nodes[node].slow_us = 0;
}

static unsigned up_count(void)
{
    unsigned up = 0;
    for (unsigned i = 0; i < c.count; i++)
        up += c.w.nodes[i].is_up && !c.truth[i].has_left;
    return up;
}

static void fault(void)
{
    struct world *w = &c.w;
    unsigned node = rnd(c.count), other = rnd(c.count);
    bool is_well = world_runs(w, node) && !c.truth[node].has_left;
    sum.faults++;
    switch (rnd(15)) {
    case 0:
    case 1:
        if (up_count() > c.count / 2 + 1 && w->nodes[node].is_up) {
            world_crash(w, node);
            if (rnd(3))
                world_later(w, w->now_us + rnd(30 * SECOND), DO_START, node, 0);
        }
        break;
    case 2: world_pause(w, node, rnd(10 * SECOND)); break;
    case 3: w->nodes[node].is_deaf = rnd(2); break;
    case 4: w->nodes[node].is_mute = rnd(2); break;
    case 5: world_cut(w, node, other); break;
    case 6:
        for (unsigned i = 0, half = rnd(c.count); i < c.count; i++)
            w->nodes[i].group = i < half;
        break;
    case 7: w->nodes[node].slow_us = rnd(400000); break;
    case 8:
        world_jump(w, node, rnd(20 * SECOND));
        c.truth[node].has_jumped = true;
        break;
    case 9: w->net.loss = rnd(2) ? 0 : rnd(400000); break;
    case 10:
        w->net.good_us = rnd(2) ? 0 : 1000000;
        w->net.bad_us = 300000;
        w->net.bad_loss = 900000;
        break;
    case 11:
        w->net.twice = rnd(100000);
        w->net.late = rnd(100000);
        w->net.late_us = DELAY_MAX_US;
        w->net.flip = rnd(20000);
        break;
    case 12:
        if (is_well && up_count() > c.count / 2 + 1) {
            cluster_leave(&c, node);
            sum.left++;
        }
        break;
    case 13:
        if (is_well)
            cluster_describe(&c, node);
        break;
    default:
        for (unsigned i = 0; i < c.count; i++)
            w->nodes[i].group = 0;
        w->cut_count = 0;
        break;
    }
}

/* ---- the end ---- */

/* Who has left, or was started when all was over, knows what it knows. */
static void check_peace(void)
{
    for (unsigned node = 0; node < c.count; node++) {
        const struct gsp *g = &c.nodes[node];
        if (!c.w.nodes[node].is_up || c.truth[node].has_left)
            continue;
        CHECK(g->spread.hot == 0, node, node);
        CHECK(g->health == 0, node, node);
        for (unsigned other = 0; other < c.count; other++) {
            const struct gsp_peer *p = &g->peers[other];
            const struct cluster_truth *t = &c.truth[other];
            if (other == node)
                continue;
            if (!c.w.nodes[other].is_up || t->has_left) {
                CHECK(!gsp_is_member(p), node, other);
                continue;
            }
            CHECK(p->state == GSP_ALIVE, node, other);
            CHECK(p->incarnation == c.nodes[other].incarnation, node, other);
            CHECK(p->descriptor_number >> 8 == t->descriptor_number >> 8, node, other);
            /* Of other clusters news come by one exchange in ten. */
            bool is_own = cluster_of(&c, node) == cluster_of(&c, other);
            uint64_t old_us = (is_own ? 15 : 45) * SECOND;
            CHECK(p->has_entry && cluster_age_us(&c, node, other) < old_us, node, other);
        }
    }
}

static uint64_t run(uint64_t seed)
{
    struct rng r = rng_of(seed);
    struct cluster_opts o = { .seed = seed,
                              .count = NODES_MIN + rng_below(&r, NODES_MAX - NODES_MIN + 1),
                              .clusters = 1 + rng_below(&r, 3),
                              .window = (uint16_t)(12 + rng_below(&r, 53)),
                              .descriptor_max = 8 };
    cluster_init(&c, &o);
    c.on_step = on_step;
    c.on_change = on_change;
    c.on_thing = on_thing;
    seen = calloc((size_t)c.count * c.count, sizeof *seen);
    has_seen = calloc((size_t)c.count * c.count, sizeof *has_seen);
    if (!seen || !has_seen)
        exit(99);
    storm_us = c.w.now_us + (uint64_t)(STORM_S + CALM_S) * SECOND;
    c.w.net.delay_max_us = 200 + rnd(DELAY_MAX_US / 4);
    for (unsigned i = 0; i < c.count; i++)
        world_later(&c.w, c.w.now_us + rnd(3 * SECOND), DO_START, i, 0);
    cluster_run(&c, 4 * SECOND);
    for (uint64_t end_us = c.w.now_us + (uint64_t)STORM_S * SECOND; c.w.now_us < end_us;) {
        cluster_run(&c, rnd(2 * SECOND));
        fault();
    }
    world_heal(&c.w);
    for (unsigned i = 0; i < c.count; i++)
        if ((!c.w.nodes[i].is_up || c.truth[i].has_left) && rnd(3) == 0)
            start(i);
    cluster_run(&c, (uint64_t)CALM_S * SECOND);
    check_peace();
    uint64_t history = c.w.history;
    for (unsigned i = 0; i < c.count; i++)
        sum.refuted += c.nodes[i].counts.refuted;
    sum.flips += c.w.counts.refused;
    CHECK(c.w.counts.refused <= c.w.counts.flipped, 0, 0);
    sum.seeds++;
    free(seen);
    free(has_seen);
    cluster_fini(&c);
    return history;
}

/* Seeds that have found something. */
static const uint64_t old_seeds[] = { 1001 };

int main(int argc, char **argv)
{
    uint64_t first = 1, count = SEEDS;
    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        count = strtoull(argv[2], NULL, 0);
        first = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
    } else if (argc > 1) {
        first = strtoull(argv[1], NULL, 0);
        count = 1;
    }
    for (size_t i = 0; argc == 1 && i < ARRAY_LEN(old_seeds); i++)
        run(old_seeds[i]);
    for (uint64_t s = first; s < first + count; s++) {
        uint64_t history = run(s);
        if ((s % 10 == 0 || count == 1) && run(s) != history) {
            fprintf(stderr, "cluster_sim: seed %" PRIu64 " has two histories\n", s);
            return 1;
        }
    }
    printf("cluster_sim: %lu runs, %lu steps, %lu faults, %lu suspicions, %lu deaths of which "
           "%lu wrong, "
           "%lu left, %lu refutations, %lu flipped bits refused\n",
           sum.seeds, sum.steps, sum.faults, sum.suspected, sum.died, sum.wrong_died, sum.left,
           sum.refuted, sum.flips);
    return count < SEEDS || (sum.died > 100 && sum.suspected > 1000 && sum.flips > 10) ? 0 : 1;
}
