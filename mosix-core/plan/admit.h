/* SPDX-License-Identifier: GPL-2.0-or-later */
/* admit.h: may a process of another node come here, and who gives way to it?
 * Must not know: how figures came, who is asked to give way, and how.
 * Invariant: nobody gives way to a claim that is not better, and as many guests as there is
 * room for are never exceeded by those that count. Source: docs/gossip.md, "Who is taken". */
#ifndef MOSIX_CORE_PLAN_ADMIT_H
#define MOSIX_CORE_PLAN_ADMIT_H

#include <stdbool.h>
#include <stdint.h>

/* Ranks are the original's priorities: the lower, the better. */
enum {
    MX_RANK_LOCAL = 0,     /* processes of this node itself */
    MX_RANK_PARTITION = 1, /* of this partition, or of this cluster where there are none */
    MX_RANK_CLUSTER = 10,  /* of the cluster, if a partition says nothing else */
    MX_RANK_PARTNER = 50,  /* of a partner, if partners says nothing else */
    MX_RANK_WORST = 65534,
    MX_RANK_NEVER = 65535, /* is not taken */
};

/* A guest, or who wants to be one. */
struct mx_claim {
    uint16_t rank;
    bool is_partner; /* of another cluster */
    bool is_coming;  /* its memory does not show yet in what is free */
    bool is_leaving; /* was asked to give way, and does not count any more */
    uint32_t need_mb;
};

struct mx_room {
    bool is_blocked;
    unsigned guests_max, partners_max;   /* of them as many of partners */
    uint32_t load_centi, load_max_centi; /* by speed; 0: any load is allowed */
    uint64_t free_mb, kept_mb;           /* kept: left to this node's own */
};

enum mx_admit {
    MX_ADMIT_YES,
    MX_ADMIT_NEVER, /* whose rank is never taken */
    MX_ADMIT_BLOCKED,
    MX_ADMIT_LOAD,
    MX_ADMIT_MEMORY,
    MX_ADMIT_PARTNERS, /* as many of partners as there may be */
    MX_ADMIT_FULL,
    MX_ADMITS,
};

/* *out: which of the guests gives way, -1: none; it is of the worst rank, and of those the last
 * that came: list is in the order in which they came. */
enum mx_admit mx_admit(const struct mx_room *room, const struct mx_claim *list, unsigned count,
                       const struct mx_claim *who, int *out);

/* For people: "node X" is before it. */
const char *mx_admit_text(enum mx_admit why);

#endif
