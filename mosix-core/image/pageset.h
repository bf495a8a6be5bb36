/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pageset.h: a set of pages of one address space, as bits in blocks of 2 MiB.
 * Must not know: what the pages are. */
#ifndef MOSIX_CORE_IMAGE_PAGESET_H
#define MOSIX_CORE_IMAGE_PAGESET_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum { MX_PAGE = 4096, MX_PAGESET_BLOCK = 512 };

struct mx_pageset_block {
    uint64_t number; /* of its first page / MX_PAGESET_BLOCK */
    uint64_t bits[MX_PAGESET_BLOCK / 64];
};

/* Zeroed: empty. Blocks are sorted. */
struct mx_pageset {
    struct mx_pageset_block *blocks;
    uint32_t count, size;
};

void mx_pageset_fini(struct mx_pageset *s);

/* [start, end): whole pages. Returns 0 or -ENOMEM: some may have been added then. */
MUST int mx_pageset_add(struct mx_pageset *s, uint64_t start, uint64_t end);
void mx_pageset_remove(struct mx_pageset *s, uint64_t start, uint64_t end);
bool mx_pageset_has(const struct mx_pageset *s, uint64_t page);

/* The first run of pages of the set in [*start, end): false when there is none. */
bool mx_pageset_next(const struct mx_pageset *s, uint64_t *start, uint64_t end,
                     uint64_t *run_end);

#endif
