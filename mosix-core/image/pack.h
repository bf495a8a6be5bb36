/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pack.h: pages are packed when that brings them there sooner: it is the stream that is waited
 * for, it takes much less than packing yields, and the last pages became smaller. Must not
 * know: whose pages; what the stream is. */
#ifndef MOSIX_CORE_IMAGE_PACK_H
#define MOSIX_CORE_IMAGE_PACK_H

#include "mosix-core/image/image.h"

#include <stdbool.h>

enum { MX_PACK_MAX = 256 << 10 }; /* bytes of pages that are packed together */

/* Zeroed: packs when it pays. */
struct mx_pack {
    uint8_t *out;
    void *work;
    /* Since when, what went since, and how long writing it was waited for. A stream takes much
     * at once and then nothing for a while, so one piece says little. */
    uint64_t window_us, window_bytes, window_blocked_us;
    uint64_t write_us, write_cpu_us; /* when the piece of now began to be written */
    bool is_blocked;                 /* in the last window the stream was what took the time */
    uint64_t wire, speed;   /* bytes in a millisecond: of the stream, of packing; 0: not
                               known */
    unsigned skipped, skip; /* pieces that are not tried, after some in vain */
    uint64_t packed_bytes;  /* of pages that were packed */
};

void mx_pack_fini(struct mx_pack *p);

/* Packs pages if it pays. Returns how long they are then, in p->out; 0: they are to go as they
 * are; -ENOMEM. When they were written, in so many bytes, mx_pack_written is told. */
MUST long mx_pack_try(struct mx_pack *p, const uint8_t *ptr, size_t len_bytes);
void mx_pack_written(struct mx_pack *p, size_t len_bytes);

#endif
