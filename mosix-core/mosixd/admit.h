/* SPDX-License-Identifier: GPL-2.0-or-later */
/* admit.h: taking guests in by the rules of plan/admit.h, with this node's figures.
 * Must not know: what a guest is made of. In children of the daemon. */
#ifndef MOSIX_CORE_MOSIXD_ADMIT_H
#define MOSIX_CORE_MOSIXD_ADMIT_H

#include "mosix-core/mosixd/guests.h"
#include "mosix-core/mosixd/mosixd.h"

/* May a process of node who (-1: of a static map, not proven) that needs so much memory come?
 * Then *guest is what is to be noted of it, and *out who has to give way, -1: nobody. g is
 * open. Returns 0, or -EPERM, -EBUSY with words. */
MUST int mx_admit_look(const struct mx_daemon *d, struct mx_guests *g, int who,
                       uint32_t need_mb, struct mx_guest_entry *guest, int *out, struct err *e);

/* Asks all guests, or those of other clusters, to leave. Returns how many, or -errno. */
MUST int mx_admit_expel(const struct mx_daemon *d, bool is_partners_only, struct err *e);

/* As a node tells it: whether it takes none now. */
bool mx_admit_is_shut(const struct mx_cluster *c);

#endif
