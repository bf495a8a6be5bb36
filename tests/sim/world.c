/* SPDX-License-Identifier: GPL-2.0-or-later */
/* world.c: the virtual clock, the network and the computers of simulations.
 * Must not know: what runs on the nodes. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum event_kind { EV_ARRIVE, EV_TIMER, EV_RESUME, EV_THING };

struct world_event {
    uint64_t at_us, born; /* born: which came first of those at the same time */
    uint64_t value;
    struct world_message *message;
    uint32_t node;
    uint16_t what; /* part, or kind of thing */
    uint8_t kind;
};

struct world_message {
    struct world_message *next;
    uint64_t arrived_us, sum; /* sum stands for the tag of a sealed datagram */
    uint32_t from;
    uint16_t part, len;
    uint8_t bytes[WORLD_BYTES_MAX];
};

static void *take(void *ptr)
{
    if (!ptr) {
        fprintf(stderr, "world: out of memory\n");
        exit(99);
    }
    return ptr;
}

static uint64_t sum_of(const uint8_t *ptr, size_t len)
{
    uint64_t sum = len * 0x9e3779b97f4a7c15u, word;
    for (; len >= 8; ptr += 8, len -= 8) {
        memcpy(&word, ptr, 8);
        sum = (sum ^ word) * 0xff51afd7ed558ccdu;
        sum ^= sum >> 32;
    }
    for (; len; ptr++, len--)
        sum = (sum ^ *ptr) * 0xff51afd7ed558ccdu;
    return sum ^ sum >> 29;
}

static void note(struct world *w, uint64_t a, uint64_t b)
{
    w->history = (w->history ^ a) * 0xbf58476d1ce4e5b9u + b;
    w->history ^= w->history >> 31;
}

/* ---- what is to come ---- */

static bool is_before(const struct world_event *a, const struct world_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->born < b->born;
}

static void push(struct world *w, struct world_event e)
{
    if (w->heap_count == w->heap_room) {
        w->heap_room = w->heap_room ? 2 * w->heap_room : 1024;
        w->heap = take(realloc(w->heap, w->heap_room * sizeof *w->heap));
    }
    e.born = w->born++;
    size_t at = w->heap_count++;
    for (; at && is_before(&e, &w->heap[(at - 1) / 2]); at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = e;
}

static struct world_event pop(struct world *w)
{
    struct world_event first = w->heap[0], last = w->heap[--w->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < w->heap_count; at = child) {
        if (child + 1 < w->heap_count && is_before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!is_before(&w->heap[child], &last))
            break;
        w->heap[at] = w->heap[child];
    }
    w->heap[at] = last;
    return first;
}

void world_later(struct world *w, uint64_t at_us, unsigned kind, unsigned node, uint64_t value)
{
    push(w, (struct world_event){ .at_us = at_us,
                                  .kind = EV_THING,
                                  .what = (uint16_t)kind,
                                  .node = node,
                                  .value = value });
}

/* ---- clocks ---- */

int64_t world_local_ms(const struct world *w, unsigned node)
{
    const struct world_node *n = &w->nodes[node];
    int64_t t = (int64_t)w->now_us;
    return (n->offset_us + t + t * n->ppm / 1000000) / 1000;
}

uint64_t world_when_us(const struct world *w, unsigned node, int64_t local_ms)
{
    const struct world_node *n = &w->nodes[node];
    int64_t t = local_ms * 1000 - n->offset_us, at = t - t * n->ppm / (1000000 + n->ppm);
    return at > 0 ? (uint64_t)at : 0;
}

void world_timer_at(struct world *w, unsigned part, unsigned node, int64_t local_ms)
{
    struct world_node *n = &w->nodes[node];
    uint64_t at_us = world_when_us(w, node, local_ms);
    if (n->ppm)
        at_us += 100; /* world_when_us() is exact to less than that */
    if (at_us <= w->now_us)
        at_us = w->now_us + 1;
    uint64_t wanted_us = at_us;
    if (n->timer_us[part] && n->timer_wanted_us[part] == wanted_us)
        return;
    if (n->slow_us)
        at_us += rng_below(&w->rng, n->slow_us);
    n->timer_wanted_us[part] = wanted_us;
    n->timer_us[part] = at_us;
    push(w, (struct world_event){
                .at_us = at_us, .kind = EV_TIMER, .what = (uint16_t)part, .node = node });
}

/* ---- messages ---- */

static struct world_message *message_new(struct world *w)
{
    struct world_message *m = w->spare;
    if (!m)
        return take(malloc(sizeof *m));
    w->spare = m->next;
    return m;
}

static void message_free(struct world *w, struct world_message *m)
{
    m->next = w->spare;
    w->spare = m;
}

/* Good and bad times of a node's link follow each other; they are looked at when needed. */
static bool is_bad(struct world *w, struct world_node *n)
{
    if (!w->net.good_us)
        return false;
    while (n->turns_us <= w->now_us) {
        n->is_bad = n->turns_us && !n->is_bad;
        n->turns_us += 1 + rng_below(&w->rng, 2 * (n->is_bad ? w->net.bad_us : w->net.good_us));
    }
    return n->is_bad;
}

static bool is_cut(const struct world *w, unsigned from, unsigned to)
{
    const struct world_node *a = &w->nodes[from], *b = &w->nodes[to];
    if (a->group != b->group || a->is_mute || b->is_deaf)
        return true;
    for (unsigned i = 0; i < w->cut_count; i++)
        if (w->cuts[i].from == from && w->cuts[i].to == to)
            return true;
    return false;
}

static void on_way(struct world *w, unsigned part, unsigned from, unsigned to,
                   const uint8_t *ptr, size_t len, uint64_t sum)
{
    const struct world_net *net = &w->net;
    struct world_message *m = message_new(w);
    uint64_t delay_us =
        net->delay_min_us + rng_below(&w->rng, net->delay_max_us - net->delay_min_us + 1);
    if (net->late && rng_happens(&w->rng, net->late))
        delay_us += rng_below(&w->rng, net->late_us);
    m->arrived_us = w->now_us + delay_us;
    if (w->nodes[to].slow_us) /* it lies in the socket */
        delay_us += rng_below(&w->rng, w->nodes[to].slow_us);
    m->from = from;
    m->part = (uint16_t)part;
    m->len = (uint16_t)len;
    m->sum = sum;
    memcpy(m->bytes, ptr, len);
    if (net->flip && rng_happens(&w->rng, net->flip)) {
        uint32_t bit = rng_below(&w->rng, (uint32_t)len * 8);
        m->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        w->counts.flipped++;
    }
    push(w, (struct world_event){
                .at_us = w->now_us + delay_us, .kind = EV_ARRIVE, .node = to, .message = m });
}

void world_send(struct world *w, unsigned part, unsigned from, unsigned to, const uint8_t *ptr,
                size_t len, size_t extra_bytes)
{
    uint64_t sum = sum_of(ptr, len);
    if (len == 0 || len > WORLD_BYTES_MAX || from >= w->count) {
        fprintf(stderr, "world: seed %llu: a message of %zu bytes from %u to %u\n",
                (unsigned long long)w->seed, len, from, to);
        exit(1);
    }
    w->counts.sent++;
    w->counts.bytes += len + extra_bytes;
    note(w, w->now_us ^ sum, (uint64_t)from << 32 | to);
    if (to >= w->count || is_cut(w, from, to)) {
        w->counts.cut++;
        return;
    }
    bool is_either_bad = is_bad(w, &w->nodes[from]) | is_bad(w, &w->nodes[to]);
    uint32_t loss = is_either_bad ? w->net.bad_loss : w->net.loss;
    if (loss && rng_happens(&w->rng, loss)) {
        w->counts.lost++;
        return;
    }
    on_way(w, part, from, to, ptr, len, sum);
    if (w->net.twice && rng_happens(&w->rng, w->net.twice)) {
        w->counts.doubled++;
        on_way(w, part, from, to, ptr, len, sum);
    }
}

static void read_message(struct world *w, unsigned node, struct world_message *m)
{
    if (sum_of(m->bytes, m->len) != m->sum) {
        w->counts.refused++;
    } else {
        w->counts.arrived++;
        w->ops.on_message(w->ctx, m->part, node, m->from, m->bytes, m->len,
                          w->now_us - m->arrived_us);
    }
    message_free(w, m);
}

static void arrive(struct world *w, unsigned node, struct world_message *m)
{
    struct world_node *n = &w->nodes[node];
    if (n->is_up && !n->paused_until_us) {
        read_message(w, node, m);
        return;
    }
    if (!n->is_up || n->held_count == WORLD_HELD_MAX) {
        w->counts.overflowed++;
        message_free(w, m);
        return;
    }
    m->next = NULL;
    *n->held_end = m;
    n->held_end = &m->next;
    n->held_count++;
}

/* ---- nodes ---- */

static void drop_held(struct world *w, struct world_node *n)
{
    while (n->held) {
        struct world_message *m = n->held;
        n->held = m->next;
        message_free(w, m);
    }
    n->held_end = &n->held;
    n->held_count = 0;
}

void world_crash(struct world *w, unsigned node)
{
    struct world_node *n = &w->nodes[node];
    drop_held(w, n);
    n->is_up = false;
    n->paused_until_us = 0;
    for (unsigned i = 0; i < WORLD_PARTS; i++) {
        n->timer_us[i] = 0;
        n->is_timer_held[i] = false;
    }
}

void world_start(struct world *w, unsigned node)
{
    world_crash(w, node);
    w->nodes[node].is_up = true;
}

void world_pause(struct world *w, unsigned node, uint64_t us)
{
    struct world_node *n = &w->nodes[node];
    if (!n->is_up || n->paused_until_us)
        return;
    n->paused_until_us = w->now_us + us;
    push(w,
         (struct world_event){ .at_us = n->paused_until_us, .kind = EV_RESUME, .node = node });
}

static void resume(struct world *w, unsigned node)
{
    struct world_node *n = &w->nodes[node];
    if (!n->is_up || n->paused_until_us != w->now_us)
        return;
    n->paused_until_us = 0;
    for (unsigned i = 0; i < WORLD_PARTS; i++) {
        if (!n->is_timer_held[i])
            continue;
        n->is_timer_held[i] = false;
        w->ops.on_timer(w->ctx, i, node);
    }
    while (n->held && n->is_up) {
        struct world_message *m = n->held;
        n->held = m->next;
        if (!n->held)
            n->held_end = &n->held;
        n->held_count--;
        read_message(w, node, m);
    }
}

void world_jump(struct world *w, unsigned node, uint64_t us)
{
    struct world_node *n = &w->nodes[node];
    n->offset_us += (int64_t)us;
    for (unsigned i = 0; n->is_up && i < WORLD_PARTS; i++)
        if (n->timer_us[i]) {
            n->timer_us[i] = w->now_us + 1;
            push(w, (struct world_event){ .at_us = n->timer_us[i],
                                          .kind = EV_TIMER,
                                          .what = (uint16_t)i,
                                          .node = node });
        }
}

void world_cut(struct world *w, unsigned from, unsigned to)
{
    if (w->cut_count == WORLD_CUTS_MAX)
        return;
    w->cuts[w->cut_count].from = from;
    w->cuts[w->cut_count++].to = to;
}

void world_heal(struct world *w)
{
    w->cut_count = 0;
    w->net.loss = w->net.twice = w->net.late = w->net.flip = w->net.good_us = 0;
    for (unsigned i = 0; i < w->count; i++) {
        struct world_node *n = &w->nodes[i];
        n->group = 0;
        n->is_deaf = n->is_mute = false;
        n->slow_us = 0;
    }
}

/* ---- the run ---- */

void world_init(struct world *w, uint64_t seed, unsigned nodes, const struct world_ops *ops,
                void *ctx)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->rng = rng_of(seed);
    w->ops = *ops;
    w->ctx = ctx;
    w->count = nodes;
    w->nodes = take(calloc(nodes, sizeof *w->nodes));
    for (unsigned i = 0; i < nodes; i++)
        w->nodes[i].held_end = &w->nodes[i].held;
    w->net = (struct world_net){ .delay_min_us = 100, .delay_max_us = 1000 };
    w->now_us = 1000000;
}

void world_fini(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++)
        drop_held(w, &w->nodes[i]);
    for (size_t i = 0; i < w->heap_count; i++)
        if (w->heap[i].kind == EV_ARRIVE)
            message_free(w, w->heap[i].message);
    while (w->spare) {
        struct world_message *m = w->spare;
        w->spare = m->next;
        free(m);
    }
    free(w->heap);
    free(w->nodes);
}

static void timer(struct world *w, unsigned part, unsigned node)
{
    struct world_node *n = &w->nodes[node];
    if (!n->is_up || n->timer_us[part] != w->now_us)
        return; /* it was moved, or stopped */
    n->timer_us[part] = 0;
    if (n->paused_until_us)
        n->is_timer_held[part] = true;
    else
        w->ops.on_timer(w->ctx, part, node);
}

bool world_step(struct world *w, uint64_t end_us)
{
    if (!w->heap_count || w->heap[0].at_us > end_us) {
        w->now_us = end_us;
        return false;
    }
    struct world_event e = pop(w);
    w->now_us = e.at_us;
    switch ((enum event_kind)e.kind) {
    case EV_ARRIVE: arrive(w, e.node, e.message); break;
    case EV_TIMER: timer(w, e.what, e.node); break;
    case EV_RESUME: resume(w, e.node); break;
    case EV_THING: w->ops.on_thing(w->ctx, e.what, e.node, e.value); break;
    }
    return true;
}
