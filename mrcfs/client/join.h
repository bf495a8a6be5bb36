/* SPDX-License-Identifier: GPL-2.0-or-later */
/* join.h: small writes that go on one after the other in a file, and were answered before they
 * are made, become one request of a chunk, so that the server can be told the chunk's name
 * (docs/chunks.md, "Back"). Must not know: libfuse, chunks.
 *
 * A run is on the way like what was sent (behind.h): it has its number, and whatever else is
 * sent goes after it. So it is sent at the latest before the next request of anybody that is
 * not a read of another file, with the barrier of a job's end, or when it does not go on.
 */
#ifndef MRCFS_CLIENT_JOIN_H
#define MRCFS_CLIENT_JOIN_H

#include "common/base/attr.h"
#include "mrcfs/client/client.h"

enum {
    MFS_JOIN_LOOK_MS = 10, /* how often a run is looked at: has it gone on since? */
    MFS_JOIN_LOOKS = 20,  /* then it is sent although it has */
};

/* Sends the call, a write. Returns 0 or -errno, as mfs_call_send. */
typedef int (*mfs_join_send_fn)(struct mfs_call *call, const struct mfs_caller *who,
                                const struct mfs_write_req *m);

/* call, which was counted as sent (mfs_behind_sent), is the beginning of a run: m, of less than
 * a chunk. Returns 0; -ENOMEM, or -EINVAL (there is a run, or m is longer): nothing is begun.
 */
MUST int mfs_join_begin(struct mfs_call *call, const struct mfs_caller *who,
                        const struct mfs_write_req *m, mfs_join_send_fn send);
/* The offset that a run ends at which m could go on as far as file, flags and caller are
 * concerned; UINT64_MAX: there is none. */
uint64_t mfs_join_end(const struct mfs_client *c, const struct mfs_caller *who,
                      const struct mfs_write_req *m);
/* It goes on, up to the end of its chunk at most. Returns 0; -EINVAL: there is none, or it
 * would be longer. */
MUST int mfs_join_add(struct mfs_client *c, struct bytes more);
/* What there is of a run is sent. If it can't be, it has failed as a write that the server
 * refuses. */
void mfs_join_flush(struct mfs_client *c);
/* After mfs_client_lose. */
void mfs_join_free(struct mfs_client *c);

#endif
