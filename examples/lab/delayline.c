/* SPDX-License-Identifier: GPL-2.0-or-later */
/* delayline.c: one direction of a link.
 * Must not know: I/O, clocks, randomness other than its own.
 *
 * Invariant: the ring is first in, first out, so packets never overtake each other, even when
 * the delay gets shorter; and their bytes lie in mem one after the other, wrapping at its end.
 *
 * Source of the generator: S. Vigna, splitmix64 (public domain). */
#include "examples/lab/delayline.h"

#include <string.h>

enum {
    BITS_PER_BYTE = 8,
    QUEUE_MIN_BYTES = 64 * 1024, /* a congestion window of ordinary size, and one big segment */
    QUEUE_MIN_NS =
        10000000, /* at high rates: what a sender's burst after 10 ms of silence may be */
    PPM = 1000000,
};
#define NS_PER_S 1000000000ull

static uint64_t next_random(struct dl *d)
{
    uint64_t z = (d->random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* a * b / c without overflow on the way; saturates. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 r = (unsigned __int128)a * b / c;
    return r > UINT64_MAX ? UINT64_MAX : (uint64_t)r;
}

static uint64_t add_ns(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t sending_ns(const struct dl_settings *s, uint64_t bytes)
{
    return s->rate_bps == 0 ? 0 : scale(bytes * BITS_PER_BYTE, NS_PER_S, s->rate_bps);
}

static struct dl_packet *packet_at(const struct dl *d, uint32_t i)
{
    return &d->ring[i & (d->ring_len - 1)];
}

void dl_init(struct dl *d, struct dl_packet *ring, uint32_t ring_len, uint8_t *mem,
             size_t mem_bytes)
{
    memset(d, 0, sizeof(*d));
    d->ring = ring;
    d->ring_len = ring_len;
    d->mem = mem;
    d->mem_bytes = mem_bytes;
    dl_seed(d, 1);
}

void dl_seed(struct dl *d, uint64_t seed)
{
    d->random_state = seed;
}

uint64_t dl_queue_bytes(const struct dl_settings *s)
{
    if (s->queue_bytes != 0)
        return s->queue_bytes;
    uint64_t line = scale(s->rate_bps, s->delay_ns, NS_PER_S * BITS_PER_BYTE);
    uint64_t more = scale(s->rate_bps, QUEUE_MIN_NS, NS_PER_S * BITS_PER_BYTE);
    return add_ns(add_ns(line, line), more < QUEUE_MIN_BYTES ? QUEUE_MIN_BYTES : more);
}

void dl_set(struct dl *d, const struct dl_settings *s, uint64_t now_ns)
{
    uint64_t sender_free_ns = now_ns;
    d->settings = *s;
    for (uint32_t i = d->first; i != d->end; i++) {
        struct dl_packet *p = packet_at(d, i);
        if (p->end_ns > now_ns) { /* still queued, or being sent: that one starts again */
            p->end_ns = add_ns(sender_free_ns, sending_ns(s, p->line_bytes));
            p->due_ns = add_ns(p->end_ns, s->delay_ns);
            sender_free_ns = p->end_ns;
        }
    }
    d->busy_until_ns = sender_free_ns;
}

void dl_cut(struct dl *d, uint64_t until_ns)
{
    d->cut_until_ns = until_ns;
}

uint8_t *dl_room(struct dl *d, size_t want_bytes)
{
    if (d->end - d->first == d->ring_len)
        return NULL;
    if (d->end == d->first) {
        d->next_offset = 0; /* stays in the warm part of the memory */
        return want_bytes <= d->mem_bytes ? d->mem : NULL;
    }
    size_t oldest = packet_at(d, d->first)->offset;
    if (d->next_offset > oldest) {
        if (d->mem_bytes - d->next_offset >= want_bytes)
            return d->mem + d->next_offset;
        d->next_offset = 0;
    }
    /* Behind the oldest packet; never equal to its offset, which would read as "ahead of it".
     */
    return oldest > d->next_offset && oldest - d->next_offset > want_bytes
               ? d->mem + d->next_offset
               : NULL;
}

bool dl_put(struct dl *d, uint64_t now_ns, uint32_t len_bytes, uint32_t line_bytes,
            uint32_t segments)
{
    const struct dl_settings *s = &d->settings;
    d->counts.packets += segments;
    d->counts.bytes += line_bytes;
    if (now_ns < d->cut_until_ns) {
        d->counts.cut += segments;
        return false;
    }
    if (s->loss_ppm != 0 && next_random(d) % PPM < s->loss_ppm) {
        d->counts.lost += segments;
        return false;
    }
    uint64_t start_ns = d->busy_until_ns > now_ns ? d->busy_until_ns : now_ns;
    if (s->rate_bps != 0 && start_ns > now_ns) {
        uint64_t waiting = scale(start_ns - now_ns, s->rate_bps, NS_PER_S * BITS_PER_BYTE);
        if (add_ns(waiting, line_bytes) > dl_queue_bytes(s)) {
            d->counts.overflow += segments;
            return false;
        }
    }
    uint64_t end_ns = add_ns(start_ns, sending_ns(s, line_bytes));
    d->busy_until_ns = end_ns;
    *packet_at(d, d->end++) = (struct dl_packet){
        .end_ns = end_ns,
        .due_ns = add_ns(end_ns, s->delay_ns),
        .offset = d->next_offset,
        .len_bytes = len_bytes,
        .line_bytes = line_bytes,
        .segments = segments,
    };
    d->next_offset += len_bytes;
    return true;
}

void dl_full(struct dl *d, uint32_t line_bytes, uint32_t segments)
{
    d->counts.packets += segments;
    d->counts.bytes += line_bytes;
    d->counts.full += segments;
}

const uint8_t *dl_due(const struct dl *d, uint64_t now_ns, uint32_t *len_bytes)
{
    if (dl_next_ns(d) > now_ns)
        return NULL;
    const struct dl_packet *p = packet_at(d, d->first);
    *len_bytes = p->len_bytes;
    return d->mem + p->offset;
}

void dl_pop(struct dl *d)
{
    const struct dl_packet *p = packet_at(d, d->first++);
    d->counts.out_packets += p->segments;
    d->counts.out_bytes += p->line_bytes;
}

uint64_t dl_next_ns(const struct dl *d)
{
    return d->end == d->first ? DL_FOR_EVER : packet_at(d, d->first)->due_ns;
}
