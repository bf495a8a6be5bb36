/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.h: writing behind: writes to a file that nobody else has open are answered before the
 * server has made them (docs/leases.md). Must not know: libfuse (requests of the kernel that
 * must wait are kept as bytes).
 *
 * While writes of a node are on the way, everything else that concerns the node waits until
 * they are made, in order: the server works on several requests at once, and what it says of
 * the file would be old. */
#ifndef MRCFS_CLIENT_BEHIND_H
#define MRCFS_CLIENT_BEHIND_H

#include "common/base/attr.h"
#include "mrcfs/client/known.h"
#include "mrcfs/client/rawfuse.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_call;
struct mfs_client;
struct mfs_session;

enum {
    MFS_DIRTY_MAX = 8 << 20, /* bytes on the way above which the kernel is not asked for more */
};

/* Of a node; NULL in struct mfs_known: nothing is on the way. */
struct mfs_behind {
    unsigned writes;
    uint64_t start, end; /* of all that is on the way together */
    struct link waiting; /* struct mfs_waiting */
};

/* Must the request of the kernel wait? */
bool mfs_behind_must_wait(struct mfs_session *s, const struct mfs_raw_request *in);
/* Keeps it (copied) until then; then mfs_session_take is called with it. Returns 0 or -ENOMEM.
 */
MUST int mfs_behind_wait(struct mfs_session *s, const struct mfs_raw_request *in,
                         const void *ptr, size_t len_bytes);
/* A recall of n that must wait likewise. False: it need not. */
MUST bool mfs_behind_recall(struct mfs_session *s, struct mfs_known *n, uint64_t serial);

/* May this write of n be answered before it is made? */
bool mfs_behind_may(struct mfs_session *s, const struct mfs_known *n, uint64_t offset,
                    size_t size, int host_flags);
/* The call, whose node and size are those of the write, was sent and the kernel answered.
 * Returns 0, or -ENOMEM: it must not be. */
MUST int mfs_behind_sent(struct mfs_call *call, uint64_t offset);
/* It was answered by the server. */
void mfs_behind_made(struct mfs_call *call, int rc);
/* The first failure of such writes that nobody was told, 0 none; told from now on. */
int mfs_behind_error(struct mfs_session *s, struct mfs_known *n);
/* Size of n as its writer sees it, who knows of it size from the server. */
uint64_t mfs_behind_size(const struct mfs_known *n, uint64_t size);

/* All that waits is dropped, unanswered. */
void mfs_behind_free(struct mfs_known *n);

#endif
