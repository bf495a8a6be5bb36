/* SPDX-License-Identifier: GPL-2.0-or-later */
/* leaseorder.h: which tokens a request that is done in order may use, also when it comes late.
 * Must not know: what each operation does. Source: docs/leases.md, "Names before they are made". */
#ifndef MRCFS_SERVER_LEASEORDER_H
#define MRCFS_SERVER_LEASEORDER_H

#include "mrcfs/server/leases.h"

/* What an ordered operation finds that the client could not know of (the file that loses a
 * name, or what is there in the place of a new one), and what it has made itself. */
enum mfs_missing { MFS_MISSING_FAILS, MFS_MISSING_IS_DONE_WITHOUT, MFS_MISSING_IS_MADE };

/* An ordered operation holds up what its client is asked to give back, so it waits for no other
 * client: it does with what is had or free. Without, what the client took for done is done all
 * the same if only others' knowledge of a file's link count depends on it (inotify tells them),
 * and fails if the client has lost what it relied on; what it waits for is to be asked again
 * without order. */
MUST int mfs_need_in_order(struct mfs_call *o, const struct mfs_op_use *wanted, enum mfs_missing missing);
/* The operation's use of a token; NULL: none. */
struct mfs_op_use *mfs_use_find(struct mfs_call *o, const struct mfs_lease_key *key);
/* The broker has died: nothing can be had. */
bool mfs_leases_are_without_broker(const struct mfs_leases *l);

#endif
