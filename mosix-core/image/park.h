/* SPDX-License-Identifier: GPL-2.0-or-later */
/* park.h: where in a process memory lies that is to be somewhere else in it later: pages of an
 * image come while the process still needs its addresses, and are moved (mremap) at the end,
 * which copies nothing. Must not know: processes, pages.
 * Each part has the same distance to a border of 2 MiB in both places, so whole page tables are
 * moved. A part that grows does so where it is, if there is room behind it. */
#ifndef MOSIX_CORE_IMAGE_PARK_H
#define MOSIX_CORE_IMAGE_PARK_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* Far from where programs have their memory, and from mosix-core/deputy/quick.h. */
#define MX_PARK_AT    UINT64_C(0x2b0000000000)
#define MX_PARK_BYTES (UINT64_C(1) << 40) /* of addresses only */

enum { MX_PARK_PARTS_MAX = 65536 };

struct mx_park_part {
    uint64_t start, end; /* where it is to be */
    uint64_t at;         /* where it is */
    uint64_t room_end;   /* nothing else is from at to there */
};

/* Zeroed but for start and end: empty, and where there is room; all 0: none. Parts are in the
 * order of addresses. */
struct mx_park {
    uint64_t start, end;
    uint64_t used; /* from start */
    struct mx_park_part *list;
    uint32_t count, size;
};

void mx_park_fini(struct mx_park *p);

/* A place for [start, end), of which nothing has one; without room it gets none. Returns 0 or
 * -ENOMEM. */
MUST int mx_park_add(struct mx_park *p, uint64_t start, uint64_t end);
/* What is in [start, end) has no place any more; the place is not used again. Returns 0 or
 * -ENOMEM. */
MUST int mx_park_remove(struct mx_park *p, uint64_t start, uint64_t end);

/* Has start a place (*at), and how far is it the same: *part_end, end at most? */
bool mx_park_find(const struct mx_park *p, uint64_t start, uint64_t end, uint64_t *part_end,
                  uint64_t *at);

#endif
