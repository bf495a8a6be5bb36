/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gather.h: pages from many places become few sections: each costs a checksum, a way through
 * every process that carries it, and calls at the other end. Must not know: whose pages. */
#ifndef MOSIX_CORE_IMAGE_GATHER_H
#define MOSIX_CORE_IMAGE_GATHER_H

#include "mosix-core/image/image.h"
#include "mosix-core/image/pack.h"

enum {
    MX_GATHER_PLACES_MAX = MX_PACK_MAX / 4096,
    MX_GATHER_WHOLE_BYTES = 128 << 10, /* so much of one place is a section of its own */
};

/* Zeroed but for w and pack. */
struct mx_gather {
    struct mx_image_writer *w;
    struct mx_pack *pack; /* NULL: nothing is packed */
    uint8_t *space;
    size_t bytes;
    uint64_t starts[MX_GATHER_PLACES_MAX], ends[MX_GATHER_PLACES_MAX];
    unsigned places;
    bool is_apart; /* what comes next is a place of its own, even if it follows */
};

void mx_gather_fini(struct mx_gather *g);

/* Pages [start, start + len_bytes), len_bytes up to MX_PACK_MAX, in growing order. They are
 * written by the next flush at the latest. Each returns 0, -ENOMEM, or what mx_image_write
 * does. */
MUST int mx_gather_add(struct mx_gather *g, uint64_t start, const uint8_t *ptr,
                       size_t len_bytes, struct err *e);
/* Another mapping begins: no place is in two. */
void mx_gather_apart(struct mx_gather *g);
MUST int mx_gather_flush(struct mx_gather *g, struct err *e);

#endif
