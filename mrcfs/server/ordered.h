/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ordered.h: requests that are done in the order in which they were sent, of which the client
 * has taken some for done (assumed) before they are. Must not know: what each operation does.
 * Threads: such requests run one at a time (pool.h), and what is here belongs to the one that
 * runs. Source: docs/leases.md, "Names before they are made". */
#ifndef MRCFS_SERVER_ORDERED_H
#define MRCFS_SERVER_ORDERED_H

#include "common/base/attr.h"
#include "mrcfs/ops.h"

struct mfs_request;
struct mfs_server;

/* May the request be done? One that begins the order anew ends what a failure before it meant. 0, also for those that are not ordered; -ECANCELED: one before it
 * failed, nothing is changed any more; -ESTALE: the client's leases have run out since it
 * relied on them. */
MUST int mfs_ordered_begin(struct mfs_server *srv, const struct mfs_request *rq);
/* It was, or was not; rc: its result. */
void mfs_ordered_end(struct mfs_server *srv, const struct mfs_head *h, int rc);

#endif
