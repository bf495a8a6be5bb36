/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cluster.c: nodes that gossip, in a world of simulation.
 * Must not know: which faults a test makes, what it measures.
 * A signature is here a hash of the claim and its signer's number: nobody makes another's by
 * accident. */
#include "tests/sim/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALENDAR_S = 180 * 1000 * 1000 };

struct self {
    struct cluster *c;
    unsigned node;
};

static void signature(const struct gsp_claim *c, uint64_t out[GSP_SIGNATURE_BYTES / 8])
{
    uint8_t text[GSP_SIGNED_MAX];
    size_t len = gsp_claim_signed(c, text);
    struct rng r = rng_of(gsp_claim_signer(c) * 0x2545f4914f6cdd1du);
    for (size_t i = 0; i < len; i++)
        r.state = rng_u64(&r) ^ text[i];
    for (unsigned i = 0; i < GSP_SIGNATURE_BYTES / 8; i++)
        out[i] = rng_u64(&r);
}

static void on_sign(void *ctx UNUSED, const struct gsp_claim *c,
                    uint8_t out[GSP_SIGNATURE_BYTES])
{
    uint64_t s[GSP_SIGNATURE_BYTES / 8];
    signature(c, s);
    memcpy(out, s, sizeof s);
}

static bool on_verify(void *ctx UNUSED, const struct gsp_claim *c)
{
    uint64_t s[GSP_SIGNATURE_BYTES / 8];
    signature(c, s);
    return memcmp(s, c->signature, sizeof s) == 0;
}

static void on_send(void *ctx, uint16_t to, const uint8_t *ptr, size_t len)
{
    struct self *s = ctx;
    world_send(&s->c->w, PART_GOSSIP, s->node, to, ptr, len, GSP_ENVELOPE_BYTES);
}

static void on_tell(void *ctx, const struct gsp_change *what)
{
    struct self *s = ctx;
    if (s->c->on_change)
        s->c->on_change(s->c, s->node, what);
}

static int step(struct cluster *c, unsigned node, struct gsp_event *e)
{
    struct gsp *g = &c->nodes[node];
    struct cluster_truth *t = &c->truth[node];
    e->now_ms = world_local_ms(&c->w, node);
    int rc = gsp_step(g, e);
    if (g->incarnation > t->incarnation)
        t->incarnation = g->incarnation;
    if (gsp_is_newer(g->version, t->version))
        t->version = g->version;
    world_timer_at(&c->w, PART_GOSSIP, node, gsp_wake_ms(g));
    if (c->on_step)
        c->on_step(c, node);
    return rc;
}

static void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "cluster: %s: %s\n", what, strerror(-rc));
    exit(1);
}

static void on_message(void *ctx, unsigned part UNUSED, unsigned node, unsigned from UNUSED,
                       const uint8_t *ptr, size_t len, uint64_t waited_us)
{
    struct gsp_event e = { .what = GSP_RECV,
                           .ptr = ptr,
                           .len_bytes = len,
                           .waited_ms = (uint32_t)(waited_us / 1000) };
    const struct cluster *c = ctx;
    int rc = step(ctx, node, &e);
    must(c->has_liars && rc == -EPROTO ? 0 : rc, "a datagram of a node's is refused");
}

static void on_timer(void *ctx, unsigned part UNUSED, unsigned node)
{
    struct gsp_event e = { .what = GSP_TICK };
    must(step(ctx, node, &e), "tick");
}

static void on_thing(void *ctx, unsigned kind, unsigned node, uint64_t value)
{
    struct cluster *c = ctx;
    c->on_thing(c, kind, node, value);
}

void cluster_init(struct cluster *c, const struct cluster_opts *o)
{
    static const struct world_ops ops = { on_message, on_timer, on_thing };
    memset(c, 0, sizeof *c);
    world_init(&c->w, o->seed, o->count, &ops, c);
    c->count = o->count;
    c->clusters = o->clusters ? o->clusters : 1;
    c->opts = (struct gsp_opts){ .ids = o->count,
                                 .descriptor_max = o->descriptor_max,
                                 .period_ms = o->period_ms ? o->period_ms : GSP_PERIOD_MS,
                                 .window = o->window ? o->window : GSP_ENTRIES,
                                 .is_quiet = o->is_quiet,
                                 .send = on_send,
                                 .tell = on_tell,
                                 .sign = on_sign,
                                 .verify = on_verify };
    c->nodes = calloc(c->count, sizeof *c->nodes);
    c->memory = calloc(c->count, sizeof *c->memory);
    c->truth = calloc(c->count, sizeof *c->truth);
    if (!c->nodes || !c->memory || !c->truth) {
        fprintf(stderr, "cluster: out of memory\n");
        exit(99);
    }
}

void cluster_fini(struct cluster *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        free(c->nodes[i].o.ctx);
        free(c->memory[i]);
    }
    free(c->nodes);
    free(c->memory);
    free(c->truth);
    world_fini(&c->w);
}

void cluster_start(struct cluster *c, unsigned node)
{
    struct gsp_opts o = c->opts;
    struct self *s = c->nodes[node].o.ctx ? c->nodes[node].o.ctx : malloc(sizeof *s);
    free(c->memory[node]);
    c->memory[node] = calloc(1, gsp_memory_bytes(&o));
    if (!s || !c->memory[node]) {
        fprintf(stderr, "cluster: out of memory\n");
        exit(99);
    }
    *s = (struct self){ c, node };
    world_start(&c->w, node);
    o.self = (uint16_t)node;
    o.cluster = (uint8_t)cluster_of(c, node);
    o.life = (uint32_t)(CALENDAR_S + (int64_t)(c->w.now_us / 1000000) + c->life_offset_s);
    o.seed = rng_u64(&c->w.rng);
    o.now_ms = world_local_ms(&c->w, node);
    o.ctx = s;
    must(gsp_init(&c->nodes[node], &o, c->memory[node]), "start");
    struct cluster_truth *t = &c->truth[node];
    t->has_left = t->has_jumped = false;
    t->changed_us = c->w.now_us;
    t->boot_version = (uint32_t)(o.now_ms / 10);
    t->starts++;
    if (c->nodes[node].incarnation > t->incarnation)
        t->incarnation = c->nodes[node].incarnation;
    world_timer_at(&c->w, PART_GOSSIP, node, gsp_wake_ms(&c->nodes[node]));
}

void cluster_know(struct cluster *c, unsigned node, unsigned other, bool has_incarnation)
{
    struct gsp_event e = { .what = GSP_KNOW,
                           .node = (uint16_t)other,
                           .cluster = (uint8_t)cluster_of(c, other),
                           .incarnation = has_incarnation ? c->truth[other].incarnation : 0 };
    must(step(c, node, &e), "know");
}

void cluster_describe(struct cluster *c, unsigned node)
{
    uint8_t text[8];
    uint32_t number = c->truth[node].descriptor_number += 1 << 8;
    number |= cluster_of(c, node);
    for (unsigned i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(number >> 8 * (i % 4));
    struct gsp_event e = {
        .what = GSP_TELL_OWN, .ptr = text, .len_bytes = sizeof text, .number = number
    };
    must(step(c, node, &e), "describe");
}

void cluster_leave(struct cluster *c, unsigned node)
{
    struct gsp_event e = { .what = GSP_GO };
    c->truth[node].has_left = true;
    if (c->nodes[node].incarnation > c->truth[node].left_incarnation)
        c->truth[node].left_incarnation = c->nodes[node].incarnation;
    c->truth[node].changed_us = c->w.now_us;
    must(step(c, node, &e), "leave");
}

void cluster_run(struct cluster *c, uint64_t us)
{
    uint64_t end_us = c->w.now_us + us;
    while (world_step(&c->w, end_us))
        ;
}

uint64_t cluster_age_us(const struct cluster *c, unsigned node, unsigned other)
{
    const struct gsp_peer *p = &c->nodes[node].peers[other];
    uint32_t said = p->version - c->nodes[other].version_ahead;
    uint32_t clock = (uint32_t)(world_local_ms(&c->w, other) / 10);
    int64_t local_ms = (world_local_ms(&c->w, other) / 10 - (int64_t)(clock - said)) * 10;
    uint64_t born_us = world_when_us(&c->w, other, local_ms);
    return c->w.now_us > born_us ? c->w.now_us - born_us : 0;
}
