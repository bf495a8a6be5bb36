/* SPDX-License-Identifier: GPL-2.0-or-later */
/* best.c: the choice of mosrun -b and bestnode.
 * Must not know: how the figures came, processes. */
#include "mosix-core/mosixd/best.h"

enum { STANDARD = 10000 };

uint64_t mx_best_cost_us(const struct mx_candidate *c)
{
    uint64_t alone_us = UINT64_C(1000000) * STANDARD / c->speed;
    /* Hundredths of processes that run there, and this one. */
    uint64_t then_centi = (uint64_t)c->load_centi * c->speed * c->cores / STANDARD +
                          100 * (c->coming + UINT64_C(1));
    uint64_t cores_centi = UINT64_C(100) * c->cores;
    return then_centi <= cores_centi ? alone_us : alone_us * then_centi / cores_centi;
}

static bool has_room(const struct mx_candidate *c, uint64_t need_mb)
{
    return need_mb <= c->free_mb && c->coming * need_mb <= c->free_mb - need_mb;
}

static int best_of(const struct mx_candidate *list, unsigned count, uint64_t need_mb,
                   uint32_t chance, bool is_partner)
{
    uint64_t least = UINT64_MAX;
    unsigned good = 0;
    for (unsigned i = 0; i < count; i++)
        if (list[i].is_partner == is_partner && has_room(&list[i], need_mb) &&
            mx_best_cost_us(&list[i]) < least)
            least = mx_best_cost_us(&list[i]);
    uint64_t near = least == UINT64_MAX ? 0 : least + least / 100 * MX_BEST_NEAR_PCT;
    for (unsigned i = 0; i < count; i++) {
        if (list[i].is_partner != is_partner || !has_room(&list[i], need_mb) ||
            mx_best_cost_us(&list[i]) > near)
            continue;
        if (list[i].is_here)
            return (int)i;
        good++;
    }
    unsigned which = good ? chance % good : 0;
    for (unsigned i = 0; good && i < count; i++)
        if (list[i].is_partner == is_partner && has_room(&list[i], need_mb) &&
            mx_best_cost_us(&list[i]) <= near && which-- == 0)
            return (int)i;
    return -1;
}

int mx_best(const struct mx_candidate *list, unsigned count, uint64_t need_mb, uint32_t chance)
{
    int own = best_of(list, count, need_mb, chance, false);
    return own >= 0 ? own : best_of(list, count, need_mb, chance, true);
}
