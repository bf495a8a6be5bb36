/* SPDX-License-Identifier: GPL-2.0-or-later */
/* board.c: windows of the freshest entries.
 * Must not know: who is asked when, states of nodes. */
#include "gossip/core/board.h"

#include <string.h>

void gsp_board_init(struct gsp_board *b, struct gsp_peer *peers, uint8_t cluster,
                    unsigned window)
{
    *b = (struct gsp_board){ .peers = peers, .cluster = cluster };
    b->own.max = b->others.max = window < GSP_WINDOW_MAX ? window : GSP_WINDOW_MAX;
}

static bool is_younger(const struct gsp_item *a, const struct gsp_item *b)
{
    return gsp_is_newer(a->born_ms, b->born_ms);
}

/* Youngest first. What an honest node sends is nearly so already. */
static void sort(struct gsp_item *items, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        struct gsp_item item = items[i];
        unsigned at = i;
        for (; at && is_younger(&item, &items[at - 1]); at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

/* The window and those of items that belong in it, whose older entries are marked. */
static void merge(struct gsp_window *w, const struct gsp_board *b, const struct gsp_item *items,
                  unsigned count, bool is_own)
{
    struct gsp_window old = { .count = w->count };
    memcpy(old.items, w->items, w->count * sizeof *w->items);
    unsigned from_old = 0, from_new = 0;
    for (w->count = 0; w->count < w->max;) {
        while (from_old < old.count && b->peers[old.items[from_old].node].is_marked)
            from_old++;
        while (from_new < count && (items[from_new].cluster == b->cluster) != is_own)
            from_new++;
        if (from_new < count &&
            (from_old == old.count || !is_younger(&old.items[from_old], &items[from_new])))
            w->items[w->count++] = items[from_new++];
        else if (from_old < old.count)
            w->items[w->count++] = old.items[from_old++];
        else
            break;
    }
}

unsigned gsp_board_merge(struct gsp_board *b, struct gsp_item *items, unsigned count)
{
    unsigned kept = 0, others = 0;
    for (unsigned i = 0; i < count; i++) {
        struct gsp_item item = items[i];
        struct gsp_peer *p = &b->peers[item.node];
        if (p->is_marked || (p->has_entry && !gsp_is_newer(item.version, p->version)))
            continue;
        p->version = item.version;
        p->born_ms = item.born_ms;
        p->facts = item.facts;
        p->has_entry = p->is_marked = true;
        item.cluster = p->cluster; /* as its descriptor says, not as who forwards it */
        others += item.cluster != b->cluster;
        items[kept++] = item;
    }
    if (!kept)
        return 0;
    sort(items, kept);
    if (kept > others)
        merge(&b->own, b, items, kept, true);
    if (others)
        merge(&b->others, b, items, kept, false);
    for (unsigned i = 0; i < kept; i++)
        b->peers[items[i].node].is_marked = false;
    return kept;
}

/* Half for our own cluster, half for the others; what one does not use is the other's. */
unsigned gsp_board_pick(const struct gsp_board *b, unsigned room,
                        const struct gsp_item *out[GSP_WINDOW_MAX])
{
    unsigned others = b->others.count < room / 2 ? b->others.count : room / 2;
    unsigned own = b->own.count < room - others ? b->own.count : room - others;
    if (own + others < room)
        others = b->others.count < room - own ? b->others.count : room - own;
    unsigned count = 0;
    for (unsigned i = 0; i < own; i++)
        out[count++] = &b->own.items[i];
    for (unsigned i = 0; i < others; i++)
        out[count++] = &b->others.items[i];
    return count;
}
