/* SPDX-License-Identifier: GPL-2.0-or-later */
/* park.c: which address is kept where.
 * Must not know: processes, pages. */
#include "mosix-core/image/park.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 2 << 20 }; /* what one page table covers */

void mx_park_fini(struct mx_park *p)
{
    free(p->list);
    *p = (struct mx_park){ 0 };
}

/* The first part that ends behind address. */
static uint32_t find(const struct mx_park *p, uint64_t address)
{
    uint32_t low = 0, high = p->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->list[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int insert(struct mx_park *p, uint32_t where, const struct mx_park_part *part)
{
    if (p->count == p->size) {
        uint32_t size = p->size ? 2 * p->size : 64;
        void *more = realloc(p->list, size * sizeof *p->list);
        if (!more)
            return -ENOMEM;
        p->list = more;
        p->size = size;
    }
    memmove(p->list + where + 1, p->list + where, (p->count - where) * sizeof *p->list);
    p->list[where] = *part;
    p->count++;
    return 0;
}

int mx_park_add(struct mx_park *p, uint64_t start, uint64_t end)
{
    uint32_t where = find(p, start);
    struct mx_park_part *before = where ? &p->list[where - 1] : NULL;
    uint64_t len = end - start, spare = len / 8 + 2 * (uint64_t)BLOCK;
    if (before && before->end == start &&
        len <= before->room_end - before->at - (before->end - before->start)) {
        before->end = end;
        return 0;
    }
    uint64_t at = p->start + p->used + start % BLOCK; /* p->start + p->used: a border */
    if (p->count == MX_PARK_PARTS_MAX || at >= p->end || len > p->end - at)
        return 0;
    uint64_t used = (at + len - p->start + spare + BLOCK - 1) / BLOCK * BLOCK;
    if (used > p->end - p->start)
        used = p->end - p->start;
    struct mx_park_part part = { start, end, at, p->start + used };
    int rc = insert(p, where, &part);
    if (rc == 0)
        p->used = used;
    return rc;
}

int mx_park_remove(struct mx_park *p, uint64_t start, uint64_t end)
{
    int rc = 0;
    for (uint32_t i = find(p, start); rc == 0 && i < p->count && p->list[i].start < end;) {
        struct mx_park_part *o = &p->list[i], whole = *o;
        bool has_head = whole.start<start, has_tail = whole.end> end;
        struct mx_park_part tail = { end, whole.end, whole.at + (end - whole.start),
                                     whole.room_end };
        if (has_head) {
            o->end = start;
            o->room_end = whole.at + (start - whole.start);
            if (has_tail)
                rc = insert(p, i + 1, &tail);
            i += 1 + (unsigned)has_tail;
        } else if (has_tail) {
            *o = tail;
            i++;
        } else {
            memmove(o, o + 1, (p->count - i - 1) * sizeof *o);
            p->count--;
        }
    }
    return rc;
}

bool mx_park_find(const struct mx_park *p, uint64_t start, uint64_t end, uint64_t *part_end,
                  uint64_t *at)
{
    uint32_t i = find(p, start);
    const struct mx_park_part *o = i < p->count ? &p->list[i] : NULL;
    bool is_in = o && o->start <= start;
    uint64_t until = !o ? end : is_in ? o->end : o->start;
    *part_end = until < end ? until : end;
    *at = is_in ? o->at + (start - o->start) : 0;
    return is_in;
}
