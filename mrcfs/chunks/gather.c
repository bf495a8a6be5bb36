/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gather.c: see gather.h.
 * Must not know: where parts come from. */
#include "mrcfs/chunks/gather.h"

#include <string.h>

/* The slot of the chunk, or the one to be used for it. */
static size_t slot_of(const struct mfs_gather *g, const struct mfs_chunk_rec *x)
{
    size_t oldest = 0;
    for (size_t i = 0; i < MFS_GATHER_MAX; i++) {
        if (g->slots[i].used && g->slots[i].len_bytes == x->len_bytes &&
            !memcmp(&g->slots[i].name, &x->name, sizeof x->name))
            return i;
        if (g->slots[i].used < g->slots[oldest].used)
            oldest = i;
    }
    return oldest;
}

static uint32_t bits_below(size_t count)
{
    return count >= 32 ? UINT32_MAX : (1u << count) - 1;
}

static size_t pages_of(size_t len_bytes)
{
    return (len_bytes + MFS_GATHER_PAGE - 1) / MFS_GATHER_PAGE;
}

_Static_assert(MFS_CHUNK_BYTES / MFS_GATHER_PAGE == 32, "a bit for each page");

const uint8_t *mfs_gather_add(struct mfs_gather *g, const struct mfs_chunk_rec *x, size_t first,
                              const uint8_t *part, size_t len_bytes)
{
    if (first > x->len_bytes || len_bytes > x->len_bytes - first || !len_bytes)
        return NULL;
    size_t i = slot_of(g, x);
    if (!g->slots[i].used || g->slots[i].len_bytes != x->len_bytes ||
        memcmp(&g->slots[i].name, &x->name, sizeof x->name)) {
        g->slots[i].name = x->name;
        g->slots[i].len_bytes = x->len_bytes;
        g->slots[i].pages = 0;
    }
    g->slots[i].used = ++g->tick;
    memcpy(g->bytes[i] + first, part, len_bytes);
    /* Pages that the part has whole; the chunk's last may be short. */
    size_t end = first + len_bytes;
    size_t end_page = end == x->len_bytes ? pages_of(end) : end / MFS_GATHER_PAGE;
    size_t first_page = pages_of(first);
    if (end_page > first_page)
        g->slots[i].pages |= bits_below(end_page) & ~bits_below(first_page);
    if (g->slots[i].pages != bits_below(pages_of(x->len_bytes)))
        return NULL;
    g->slots[i].used = 0;
    return g->bytes[i];
}
