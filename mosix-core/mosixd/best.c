/* SPDX-License-Identifier: GPL-2.0-or-later */
/* best.c: the choice of mosrun -b.
 * Must not know: how the figures came, processes. */
#include "mosix-core/mosixd/best.h"

/* The load of the node with this process and those that are on their way. */
static uint64_t then_centi(const struct mx_candidate *c)
{
    uint64_t each_centi = UINT64_C(100) * 10000 / ((uint64_t)c->speed * c->cores);
    return c->load_centi + each_centi * (c->coming + UINT64_C(1));
}

static bool has_room(const struct mx_candidate *c, uint64_t need_mb)
{
    return need_mb <= c->free_mb && c->coming * need_mb <= c->free_mb - need_mb;
}

int mx_best(const struct mx_candidate *list, unsigned count, uint64_t need_mb, uint32_t chance)
{
    uint64_t least = UINT64_MAX;
    unsigned good = 0;
    for (unsigned i = 0; i < count; i++)
        if (has_room(&list[i], need_mb) && then_centi(&list[i]) < least)
            least = then_centi(&list[i]);
    for (unsigned i = 0; i < count; i++) {
        if (!has_room(&list[i], need_mb) || then_centi(&list[i]) > least + MX_BEST_NEAR_CENTI)
            continue;
        if (list[i].is_here)
            return (int)i;
        good++;
    }
    unsigned which = good ? chance % good : 0;
    for (unsigned i = 0; good && i < count; i++)
        if (has_room(&list[i], need_mb) && then_centi(&list[i]) <= least + MX_BEST_NEAR_CENTI &&
            which-- == 0)
            return (int)i;
    return -1;
}
