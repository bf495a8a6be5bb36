/* SPDX-License-Identifier: GPL-2.0-or-later */
/* admit.c: admission of guests.
 * Must not know: how figures came. */
#include "mosix-core/plan/admit.h"

/* The last of those that have the worst rank and count; -1 when none is worse than rank. */
static int find_worst(const struct mx_claim *list, unsigned count, uint16_t rank,
                      bool is_partner_only)
{
    int worst = -1;
    for (unsigned i = 0; i < count; i++)
        if (!list[i].is_leaving && list[i].rank > rank &&
            (!is_partner_only || list[i].is_partner) &&
            (worst < 0 || list[i].rank >= list[worst].rank))
            worst = (int)i;
    return worst;
}

static bool has_memory(const struct mx_room *room, const struct mx_claim *list, unsigned count,
                       uint32_t need_mb)
{
    uint64_t promised_mb = room->kept_mb;
    for (unsigned i = 0; i < count; i++)
        promised_mb += list[i].is_coming ? list[i].need_mb : 0;
    return promised_mb + need_mb <= room->free_mb;
}

enum mx_admit mx_admit(const struct mx_room *room, const struct mx_claim *list, unsigned count,
                       const struct mx_claim *who, int *out)
{
    unsigned guests = 0, partners = 0;
    *out = -1;
    for (unsigned i = 0; i < count; i++) {
        guests += !list[i].is_leaving;
        partners += !list[i].is_leaving && list[i].is_partner;
    }
    if (who->rank == MX_RANK_NEVER)
        return MX_ADMIT_NEVER;
    if (room->is_blocked)
        return MX_ADMIT_BLOCKED;
    if (room->load_max_centi && room->load_centi >= room->load_max_centi)
        return MX_ADMIT_LOAD;
    if (!has_memory(room, list, count, who->need_mb))
        return MX_ADMIT_MEMORY;
    if (!room->guests_max)
        return MX_ADMIT_FULL;
    if (who->is_partner && !room->partners_max)
        return MX_ADMIT_PARTNERS;
    bool is_partner_too_many = who->is_partner && partners >= room->partners_max;
    if (!is_partner_too_many && guests < room->guests_max)
        return MX_ADMIT_YES;
    *out = find_worst(list, count, who->rank, is_partner_too_many);
    if (*out >= 0)
        return MX_ADMIT_YES;
    return is_partner_too_many ? MX_ADMIT_PARTNERS : MX_ADMIT_FULL;
}

const char *mx_admit_text(enum mx_admit why)
{
    static const char *const texts[MX_ADMITS] = {
        [MX_ADMIT_YES] = "takes it",
        [MX_ADMIT_NEVER] = "does not take processes from there",
        [MX_ADMIT_BLOCKED] = "takes no guests now (blocked)",
        [MX_ADMIT_LOAD] = "has too much load to take guests",
        [MX_ADMIT_MEMORY] = "has too little free memory for it",
        [MX_ADMIT_PARTNERS] = "has as many guests of other clusters as it takes",
        [MX_ADMIT_FULL] = "has as many guests as it takes",
    };
    return texts[why];
}
