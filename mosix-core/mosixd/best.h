/* SPDX-License-Identifier: GPL-2.0-or-later */
/* best.h: on which node one more process would run fastest: the one rule of mosrun -b and of
 * bestnode. Must not know: how the figures came, processes. */
#ifndef MOSIX_CORE_MOSIXD_BEST_H
#define MOSIX_CORE_MOSIXD_BEST_H

#include <stdbool.h>
#include <stdint.h>

enum { MX_BEST_NEAR_PCT = 5 }; /* of the least cost: no difference */

/* What is known of a node that may be chosen. */
struct mx_candidate {
    uint32_t load_centi; /* by speed: 100 is one process for each core of standard speed */
    uint32_t speed;      /* of a core; 10000 is standard */
    uint32_t cores;
    uint64_t free_mb;
    uint32_t coming; /* processes that were sent there and don't show in its load yet */
    bool is_here;
    bool is_partner; /* of another cluster: only when none of the own has room */
};

/* How long a second of a standard core's work takes there, in microseconds, for one more
 * process: a core for itself while there is one, else its share. speed and cores are above 0.
 */
uint64_t mx_best_cost_us(const struct mx_candidate *c);

/* Which of the candidates: the one with the least cost, this node if it is as good, else any of
 * the best by chance. Returns -1 when none has need_mb free. */
int mx_best(const struct mx_candidate *list, unsigned count, uint64_t need_mb, uint32_t chance);

#endif
