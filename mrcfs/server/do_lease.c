/* SPDX-License-Identifier: GPL-2.0-or-later */
/* do_lease.c: the client's words about leases.
 * Must not know: who else has what. */
#include "mrcfs/server/server.h"

int mfs_do_recalled(struct mfs_call *o UNUSED, const struct mfs_recalled_req *q UNUSED,
                    struct mfs_recalled_rep *p UNUSED)
{
    return 0; /* nothing was granted, so nothing recalled */
}

int mfs_do_renew(struct mfs_call *o UNUSED, const struct mfs_renew_req *q UNUSED,
                 struct mfs_renew_rep *p)
{
    p->lease_ms = 0;
    return 0;
}
