/* SPDX-License-Identifier: GPL-2.0-or-later */
/* locks.h: advisory locks that are decided here, because nobody else has the file open
 * (docs/leases.md, "Locks"). Must not know: libfuse (requests of the kernel come and wait as
 * bytes). While the server lets this client be alone with a file (MFS_ATTR_ALONE), its locks
 * are in a table here, and taking one asks nobody. When somebody else opens the file, when the
 * leases run out, or a lock must be waited for, all of them move to the server by one request,
 * and from then on the server decides. Locks that can't be moved are lost: every use of an open
 * file through which one was taken fails with ESTALE until it is closed. */
#ifndef MRCFS_CLIENT_LOCKS_H
#define MRCFS_CLIENT_LOCKS_H

#include "common/base/attr.h"
#include "mrcfs/client/known.h"
#include "mrcfs/client/rawfuse.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_client;
struct mfs_session;

/* The file open at the server as fh is the only one of n, and nobody else can open it
 * unnoticed. */
void mfs_locks_begin(struct mfs_known *n, uint64_t fh);
/* A request of the kernel: answers it, or keeps it (copied) until the locks have moved, and
 * returns true; or it is to go its way. */
MUST bool mfs_locks_take(struct mfs_session *s, const struct mfs_raw_request *in,
                         const void *ptr, size_t len_bytes);
/* Is a lock on n held here? What is done under it must say so. n may be NULL. */
bool mfs_locks_are_held(const struct mfs_known *n);

/* A recall of n, or the end of all leases (serial 0), before anything else is done for it: the
 * server is sent the locks, and a recall that is answered later finds them there. True: the
 * recall must wait, mfs_lease_recall will be called. */
MUST bool mfs_locks_recall(struct mfs_session *s, struct mfs_known *n, uint64_t serial);

/* The session ends: what waits is dropped; _free: of one node. */
void mfs_locks_leave(struct mfs_session *s);
void mfs_locks_free(struct mfs_known *n);

/* The server has gone, and with it what let us keep locks: they are lost. */
void mfs_locks_lose(struct mfs_client *c);

#endif
