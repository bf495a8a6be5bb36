/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pack.h: pages are packed when that brings them there sooner: the stream is full, it takes
 * less than packing yields, and the last pages became smaller. Must not know: whose pages. */
#ifndef MOSIX_CORE_IMAGE_PACK_H
#define MOSIX_CORE_IMAGE_PACK_H

#include "mosix-core/image/image.h"

enum { MX_PACK_MAX = 256 << 10 }; /* bytes of pages that are packed together */

/* Zeroed but for sock: packs when it pays. */
struct mx_pack {
    int sock; /* where the image goes */
    uint8_t *out;
    void *work;
    uint64_t window_us, window_bytes; /* since when, and what went since */
    uint64_t wire, speed;   /* bytes in a millisecond: of the stream, of packing; 0: not
                               known */
    unsigned skipped, skip; /* pieces that are not tried, after some in vain */
};

void mx_pack_fini(struct mx_pack *p);

/* Writes len_bytes of pages at start as one section of pages, or packed. Returns what
 * mx_image_write does; -ENOMEM. */
MUST int mx_pack_write(struct mx_pack *p, struct mx_image_writer *w, uint64_t start,
                       const uint8_t *ptr, size_t len_bytes, struct err *e);

#endif
