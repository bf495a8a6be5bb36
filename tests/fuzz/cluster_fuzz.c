/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cluster_fuzz.c: several nodes that gossip, under faults and lies that the input says:
 * crashes, pauses, cuts, losses, clocks, and a member that sends the others whatever it likes,
 * with claims that it has signed. After each step of a node its own invariants hold, and what
 * is really so: nobody leaves by what another says, and who is dead was accused by as many as
 * are needed; without lies nobody has a life or a figure that it never had. When faults and
 * lies are over, the honest know each other again as they are. */
#include "tests/sim/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

enum {
    COUNT = 6,
    LIAR = 5,
    /* The liar and one that is down must not be the two accusers that make somebody dead. */
    DOWN_MAX = 1,
    DEEDS_MAX = 60,
    LIES_MAX = 12, /* each may cost who is lied about some years of its life's number */
    STEP_US = 10 * 1000,
    CALM_US = 90 * 1000 * 1000,
    YOUNG_US = 20 * 1000 * 1000,
};

static struct cluster c;
static bool has_lied;

static void fail_at(const char *what, unsigned node, unsigned other, int line)
{
    const struct gsp_peer *p = &c.nodes[node].peers[other];
    fprintf(
        stderr,
        "cluster_fuzz: line %d, at %.3f s, node %u of node %u (%s, %llx; really %llx): %s\n",
        line, (double)c.w.now_us / 1e6, node, other, gsp_state_text(p->state),
        (unsigned long long)p->incarnation, (unsigned long long)c.truth[other].incarnation,
        what);
    abort();
}
#define CHECK(condition, node, other)                                                          \
    do {                                                                                       \
        if (!(condition))                                                                      \
            fail_at(#condition, node, other, __LINE__);                                        \
    } while (0)

static void on_step(struct cluster *cl UNUSED, unsigned node)
{
    const char *wrong = gsp_check(&c.nodes[node]);
    if (wrong)
        fail_at(wrong, node, node, __LINE__);
    if (node == LIAR)
        return;
    for (unsigned other = 0; other < LIAR; other++) {
        const struct gsp_peer *p = &c.nodes[node].peers[other];
        const struct cluster_truth *t = &c.truth[other];
        if (other == node)
            continue;
        /* A lie may make of it a suspect of a life that is to come, which it then outdoes. */
        CHECK(has_lied || p->incarnation <= 1 || p->incarnation <= t->incarnation, node, other);
        CHECK(p->state != GSP_LEFT || p->incarnation <= t->left_incarnation, node, other);
        CHECK(has_lied || !p->has_entry || !gsp_is_newer(p->version, t->version), node, other);
    }
}

static void on_change(struct cluster *cl UNUSED, unsigned node, const struct gsp_change *what)
{
    CHECK(what->node != node, node, what->node);
    if (what->state != GSP_DEAD)
        return;
    CHECK(what->was == GSP_SUSPECT, node, what->node);
    CHECK(what->accuser_count >= gsp_accusers_needed(c.nodes[node].members + 1), node,
          what->node);
}

static void start(unsigned node)
{
    c.w.nodes[node].offset_us = (int64_t)rng_below(&c.w.rng, 1000) * 1000 * 1000;
    cluster_start(&c, node);
    for (unsigned i = 0; i < COUNT; i++)
        if (i != node)
            cluster_know(&c, node, i, false);
    cluster_describe(&c, node);
}

static unsigned down(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < COUNT; i++)
        n += !c.w.nodes[i].is_up || c.truth[i].has_left;
    return n;
}

/* ---- lies ---- */

/* A datagram that is opened: from is proven, all else is as the liar likes. */
static void send_lie(unsigned to, uint8_t *ptr, size_t len)
{
    struct wr w = wr_of(ptr + 2, 4);
    if (len < GSP_HEADER_BYTES || gsp_datagram_check(ptr, len) < 0)
        return;
    put_u16(&w, LIAR);
    put_u16(&w, (uint16_t)to);
    has_lied = true;
    world_send(&c.w, PART_GOSSIP, LIAR, to, ptr, len, GSP_ENVELOPE_BYTES);
}

/* A claim with a signature of the liar's, whoever should have signed it. */
static void send_claim(unsigned to, const uint8_t *ptr, size_t len)
{
    uint8_t out[GSP_DATAGRAM_MAX], mine[GSP_SIGNATURE_BYTES];
    struct rd r = rd_of(ptr, len);
    struct wr w = wr_of(out, sizeof out);
    struct gsp_claim claim = { .signature = mine };
    uint8_t kind, subject, by, life;
    if (get_u8(&r, &kind) < 0 || get_u8(&r, &subject) < 0 || get_u8(&r, &by) < 0 ||
        get_u8(&r, &life) < 0)
        return;
    kind = claim.kind = (uint8_t)(GSP_CLAIM_ALIVE + kind % GSP_CLAIM_DESCRIBE);
    claim.subject = subject % COUNT;
    claim.by = by % COUNT;
    claim.number = (uint32_t)life << 8;
    claim.incarnation = c.truth[claim.subject].incarnation + life - 8;
    claim.descriptor = r.at;
    if (kind == GSP_CLAIM_DESCRIBE)
        claim.descriptor_bytes = (uint8_t)(rd_left(&r) < 8 ? rd_left(&r) : 8);
    struct gsp_claim as_liar = claim;
    if (gsp_claim_signer(&claim) != LIAR)
        as_liar.subject = as_liar.by = LIAR;
    c.opts.sign(NULL, &as_liar, mine);
    gsp_header_put(&w, &(struct gsp_header){ .type = GSP_NEWS,
                                             .your_state = GSP_ALIVE,
                                             .claim_count = 1,
                                             .incarnation = c.truth[LIAR].incarnation });
    gsp_claim_put(&w, &claim);
    send_lie(to, out, wr_len(&w));
}

/* ---- what the input says ---- */

static void deed(unsigned what, unsigned node, uint16_t value, const uint8_t *ptr, size_t len)
{
    struct world *w = &c.w;
    uint8_t bytes[GSP_DATAGRAM_MAX];
    bool is_up = w->nodes[node].is_up && !c.truth[node].has_left;
    switch (what) {
    case 0:
        if (is_up && down() < DOWN_MAX)
            world_crash(w, node);
        break;
    case 1:
        if (!is_up)
            start(node);
        break;
    case 2: world_pause(w, node, value * 200ull); break;
    case 3: world_cut(w, node, value % COUNT); break;
    case 4: w->cut_count = 0; break;
    case 5: w->net.loss = value * 8u; break;
    case 6:
        w->net.twice = w->net.late = value * 4u;
        w->net.late_us = 50000;
        break;
    case 7: w->nodes[node].group = value & 1; break;
    case 8:
        world_jump(w, node, value * 300ull);
        c.truth[node].has_jumped = true;
        break;
    case 9:
        if (is_up && world_runs(w, node) && down() < DOWN_MAX)
            cluster_leave(&c, node);
        break;
    case 10:
        if (is_up && world_runs(w, node))
            cluster_describe(&c, node);
        break;
    case 11: w->nodes[node].is_mute = value & 1; break;
    case 12: w->nodes[node].is_deaf = value & 1; break;
    case 13: send_claim(node, ptr, len); break;
    default:
        memcpy(bytes, ptr, len);
        send_lie(node, bytes, len);
        break;
    }
}

/* The liar is a member like others, and of itself it may have said anything. */
static void check_peace(void)
{
    for (unsigned node = 0; node < LIAR; node++)
        for (unsigned other = 0; other < LIAR; other++) {
            const struct gsp_peer *p = &c.nodes[node].peers[other];
            if (node == other)
                continue;
            CHECK(p->state == GSP_ALIVE, node, other);
            CHECK(p->incarnation == c.nodes[other].incarnation, node, other);
            CHECK(p->descriptor_number >> 8 == c.truth[other].descriptor_number >> 8, node,
                  other);
            CHECK(p->has_entry && cluster_age_us(&c, node, other) < YOUNG_US, node, other);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    const struct cluster_opts o = {
        .seed = 1, .count = COUNT, .clusters = 1, .window = 8, .descriptor_max = 8
    };
    struct rd r = rd_of(ptr, len_bytes);
    uint8_t what, node;
    uint16_t value, len = 0;
    has_lied = false;
    cluster_init(&c, &o);
    c.has_liars = true;
    c.on_step = on_step;
    c.on_change = on_change;
    c.w.net.delay_max_us = 5000;
    for (unsigned i = 0; i < COUNT; i++)
        start(i);
    cluster_run(&c, 1000 * 1000);
    for (unsigned i = 0, lies = 0; i < DEEDS_MAX && get_u8(&r, &what) == 0; i++) {
        if (get_u8(&r, &node) < 0 || get_u16(&r, &value) < 0)
            break;
        what %= 15;
        if (what >= 13 && (get_u16(&r, &len) < 0 || lies++ == LIES_MAX))
            break;
        size_t take = what < 13 ? 0 : len % (GSP_DATAGRAM_MAX + 1u);
        take = take < rd_left(&r) ? take : rd_left(&r);
        /* How long until the next is in the same numbers: all of it matters to what follows. */
        cluster_run(&c, (uint64_t)(node / COUNT) * 4 * STEP_US);
        deed(what, node % COUNT, value, r.at, take);
        r.at += take;
    }
    world_heal(&c.w);
    for (unsigned i = 0; i < COUNT; i++)
        if (!c.w.nodes[i].is_up || c.truth[i].has_left)
            start(i);
    cluster_run(&c, CALM_US);
    check_peace();
    cluster_fini(&c);
    return 0;
}
