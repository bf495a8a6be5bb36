/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pageset.c: blocks of bits in the order of addresses.
 * Must not know: what the pages are. */
#include "mosix-core/image/pageset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mx_pageset_fini(struct mx_pageset *s)
{
    free(s->blocks);
    *s = (struct mx_pageset){ 0 };
}

/* The first block with this number or a higher one. */
static uint32_t find(const struct mx_pageset *s, uint64_t number)
{
    uint32_t first = 0, end = s->count;
    if (end && s->blocks[end - 1].number < number) /* most are added in their order */
        return end;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (s->blocks[middle].number < number)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static struct mx_pageset_block *get(const struct mx_pageset *s, uint64_t number)
{
    uint32_t at = find(s, number);
    return at < s->count && s->blocks[at].number == number ? &s->blocks[at] : NULL;
}

static struct mx_pageset_block *make(struct mx_pageset *s, uint64_t number)
{
    uint32_t at = find(s, number);
    if (at < s->count && s->blocks[at].number == number)
        return &s->blocks[at];
    if (s->count == s->size) {
        uint32_t size = s->size ? 2 * s->size : 16;
        void *more = realloc(s->blocks, size * sizeof *s->blocks);
        if (!more)
            return NULL;
        s->blocks = more;
        s->size = size;
    }
    memmove(&s->blocks[at + 1], &s->blocks[at], (s->count - at) * sizeof *s->blocks);
    s->blocks[at] = (struct mx_pageset_block){ .number = number };
    s->count++;
    return &s->blocks[at];
}

static uint64_t bit(uint64_t page)
{
    return UINT64_C(1) << page % 64;
}

static uint64_t *word(struct mx_pageset_block *b, uint64_t page)
{
    return &b->bits[page % MX_PAGESET_BLOCK / 64];
}

int mx_pageset_add(struct mx_pageset *s, uint64_t start, uint64_t end)
{
    struct mx_pageset_block *b = NULL;
    for (uint64_t page = start / MX_PAGE; page < end / MX_PAGE; page++) {
        if (!b || page % MX_PAGESET_BLOCK == 0)
            b = make(s, page / MX_PAGESET_BLOCK);
        if (!b)
            return -ENOMEM;
        *word(b, page) |= bit(page);
    }
    return 0;
}

void mx_pageset_remove(struct mx_pageset *s, uint64_t start, uint64_t end)
{
    uint64_t first = start / MX_PAGE, last = end / MX_PAGE;
    for (uint32_t i = find(s, first / MX_PAGESET_BLOCK); i < s->count; i++) {
        struct mx_pageset_block *b = &s->blocks[i];
        uint64_t page = b->number * MX_PAGESET_BLOCK, to = page + MX_PAGESET_BLOCK;
        if (page >= last)
            break;
        if (page < first)
            page = first;
        for (; page < to && page < last; page++)
            *word(b, page) &= ~bit(page);
    }
}

bool mx_pageset_has(const struct mx_pageset *s, uint64_t page)
{
    uint64_t number = page / MX_PAGE;
    struct mx_pageset_block *b = get(s, number / MX_PAGESET_BLOCK);
    return b && *word(b, number) & bit(number);
}

/* The first page in [page, end) that is in the set, or that is not; end when there is none. */
static uint64_t seek(const struct mx_pageset *s, uint64_t page, uint64_t end, bool is_in)
{
    for (uint32_t i = find(s, page / MX_PAGESET_BLOCK); page < end;) {
        bool has_block = i < s->count && s->blocks[i].number == page / MX_PAGESET_BLOCK;
        if (!has_block && !is_in)
            return page;
        if (!has_block && i == s->count)
            return end;
        if (!has_block) {
            page = s->blocks[i].number * MX_PAGESET_BLOCK;
            continue;
        }
        uint64_t bits = *word(&s->blocks[i], page);
        bits = (is_in ? bits : ~bits) >> page % 64;
        if (bits)
            return page + (unsigned)__builtin_ctzll(bits) < end
                       ? page + (unsigned)__builtin_ctzll(bits)
                       : end;
        page += 64 - page % 64;
        i += page % MX_PAGESET_BLOCK == 0;
    }
    return end;
}

bool mx_pageset_next(const struct mx_pageset *s, uint64_t *start, uint64_t end,
                     uint64_t *run_end)
{
    uint64_t last = end / MX_PAGE, first = seek(s, *start / MX_PAGE, last, true);
    if (first >= last)
        return false;
    *start = first * MX_PAGE;
    *run_end = seek(s, first, last, false) * MX_PAGE;
    return true;
}
