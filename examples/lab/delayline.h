/* SPDX-License-Identifier: GPL-2.0-or-later */
/* delayline.h: one direction of a link: packets go in, and come out later, in order, or not at
 * all. Memory comes from the caller.
 *
 * Must not know: I/O, clocks (time is an argument), randomness other than its own seeded one.
 *
 * The model: a packet waits in a queue of bounded bytes for the sender, which puts rate_bps
 * bits per second on the line; delay_ns after its last bit it comes out. Loss is decided at the
 * entrance. */
#ifndef EXAMPLES_LAB_DELAYLINE_H
#define EXAMPLES_LAB_DELAYLINE_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DL_FOR_EVER UINT64_MAX

/* All zero: everything comes out at once. */
struct dl_settings {
    uint64_t delay_ns;
    uint64_t rate_bps;    /* 0: no limit */
    uint64_t queue_bytes; /* 0: dl_queue_bytes() chooses */
    uint32_t loss_ppm;    /* of a million packets, how many are lost, each on its own */
};

struct dl_counts {
    uint64_t packets, bytes;         /* that came in, lost ones too; bytes as on the line */
    uint64_t out_packets, out_bytes; /* that came out */
    uint64_t lost, overflow,
        cut;       /* packets dropped: by chance, at the queue's tail, while cut */
    uint64_t full; /* packets dropped because the caller's memory was full */
};

/* One packet on its way; the caller only provides room for an array of them. */
struct dl_packet {
    uint64_t end_ns; /* its last bit is on the line */
    uint64_t due_ns; /* it comes out */
    size_t offset;
    uint32_t len_bytes;
    uint32_t line_bytes;
    uint32_t segments;
};

struct dl {
    struct dl_settings settings;
    struct dl_counts counts;
    uint64_t random_state;
    uint64_t cut_until_ns;
    uint64_t busy_until_ns; /* when the sender is done with all that is queued */
    struct dl_packet *ring;
    uint32_t ring_len;   /* a power of two */
    uint32_t first, end; /* free running; packets in flight are first .. end-1 */
    uint8_t *mem;
    size_t mem_bytes;
    size_t next_offset; /* where the next packet's bytes go */
};

/* ring_len is a power of two; ring and mem are kept until d is no more used. */
void dl_init(struct dl *d, struct dl_packet *ring, uint32_t ring_len, uint8_t *mem,
             size_t mem_bytes);

/* The same seed gives the same losses for the same sequence of packets. */
void dl_seed(struct dl *d, uint64_t seed);

/* New settings from now on. Packets on the line keep their time; those still queued are sent at
 * the new rate. */
void dl_set(struct dl *d, const struct dl_settings *s, uint64_t now_ns);

/* Lets nothing in until then. */
void dl_cut(struct dl *d, uint64_t until_ns);

/* Bytes that may wait for the sender: twice what the line holds one way, and at least 64 KiB or
 * 10 ms more. */
uint64_t dl_queue_bytes(const struct dl_settings *s);

/* Where the next packet of up to want_bytes is to be written, or NULL when there is no room:
 * then tell dl_full(). */
MUST uint8_t *dl_room(struct dl *d, size_t want_bytes);

/* A packet of len_bytes has been written at dl_room(); on the line it is line_bytes long and
 * counts as segments packets (more than one for a big segment that the kernel has not cut yet).
 * Returns whether it was taken. */
bool dl_put(struct dl *d, uint64_t now_ns, uint32_t len_bytes, uint32_t line_bytes,
            uint32_t segments);

/* A packet found no room. */
void dl_full(struct dl *d, uint32_t line_bytes, uint32_t segments);

/* The packet that is due by now_ns, with its length; NULL when there is none. It stays valid
 * until dl_pop(). */
MUST const uint8_t *dl_due(const struct dl *d, uint64_t now_ns, uint32_t *len_bytes);
void dl_pop(struct dl *d);

/* Time of the next packet's exit, or DL_FOR_EVER. */
uint64_t dl_next_ns(const struct dl *d);

#endif
