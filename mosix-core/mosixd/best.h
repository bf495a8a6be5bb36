/* SPDX-License-Identifier: GPL-2.0-or-later */
/* best.h: on which node one more process would find the least load.
 * Must not know: how the figures came, processes. */
#ifndef MOSIX_CORE_MOSIXD_BEST_H
#define MOSIX_CORE_MOSIXD_BEST_H

#include <stdbool.h>
#include <stdint.h>

enum { MX_BEST_NEAR_CENTI = 5 }; /* of load: no difference */

/* What is known of a node that may be chosen. */
struct mx_candidate {
    uint32_t load_centi; /* by speed: 100 is one process for each core of standard speed */
    uint32_t speed;      /* of a core; 10000 is standard */
    uint32_t cores;
    uint64_t free_mb;
    uint32_t coming; /* processes that were sent there and don't show in its load yet */
    bool is_here;
};

/* Which of the candidates, of which each has speed and cores above 0: the one with the least
 * load once the process is there, this node if it is as good, else any of the best by chance.
 * Returns -1 when none has need_mb free. */
int mx_best(const struct mx_candidate *list, unsigned count, uint64_t need_mb, uint32_t chance);

#endif
