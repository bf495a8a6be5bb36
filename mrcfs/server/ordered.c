/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ordered.c: requests that are done in the order in which they were sent.
 * Must not know: what each operation does.
 * Invariant: after one that the client took for done has failed, no later one changes anything
 * before the client says that it knows. */
#include "mrcfs/server/ordered.h"

#include "mrcfs/server/server.h"

#include <errno.h>

static bool is_changing(const struct mfs_request *rq)
{
    struct rd r = rq->body;
    struct mfs_open_req q;
    if (rq->head.op != MFS_OP_open)
        return mfs_op_changes(rq->head.op);
    return mfs_open_req_get(&r, &q) < 0 || q.oflags & MFS_O_TRUNC;
}

int mfs_ordered_begin(struct mfs_server *srv, const struct mfs_request *rq)
{
    const struct mfs_head *h = &rq->head;
    if (h->kind != MFS_ORDERED)
        return 0;
    if (h->begins_order)
        srv->is_order_broken = false;
    if (srv->is_order_broken && is_changing(rq))
        return -ECANCELED;
    return h->is_assumed && mfs_leases_reliance(srv, h->expiries) == MFS_RELY_NOT ? -ESTALE : 0;
}

void mfs_ordered_end(struct mfs_server *srv, const struct mfs_head *h, int rc)
{
    if (h->kind == MFS_ORDERED && h->is_assumed && rc)
        srv->is_order_broken = true;
}
