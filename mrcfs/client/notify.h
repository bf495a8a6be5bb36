/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify.h: a thread that tells the kernel to drop what it has cached.
 * Must not know: FUSE (a notice is a function and its arguments), the server.
 *
 * Why a thread: writing an invalidation to /dev/fuse makes the kernel wait for page locks and
 * for directory locks. Those are held by requests that only the loop's thread can answer, so
 * it must never write one itself. The notifier's thread does nothing else, holds no lock
 * while it is in the kernel, and so may wait there as long as it takes. */
#ifndef MRCFS_CLIENT_NOTIFY_H
#define MRCFS_CLIENT_NOTIFY_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct mfs_notifier;

/* Notices waiting; a server that sends more is given up. */
enum { MFS_NOTICES_MAX = 65536 };

/* The arguments of one notice; name is a C string that belongs to it, or NULL. */
struct mfs_kernel_notice {
    void (*fn)(const struct mfs_kernel_notice *n);
    void *target;
    uint64_t node;
    int64_t offset;
    int64_t length;
    uint64_t serial; /* of the recall that waits for it, 0 = none */
    void *req;       /* the kernel's request that waits for it, for fn */
    char *name;
};

/* on_end is called on the thread when it ends. */
MUST int mfs_notifier_new(void (*on_end)(void *ctx), void *ctx, struct mfs_notifier **out);
/* name may be empty. A notice for which there is no memory or room marks the notifier full, and
 * false is returned. */
bool mfs_notifier_add(struct mfs_notifier *t, const struct mfs_kernel_notice *n,
                      struct bytes name);
bool mfs_notifier_is_full(struct mfs_notifier *t);
/* Tells the thread to end after the notice it is at. True when it has ended. */
bool mfs_notifier_stop(struct mfs_notifier *t);
void mfs_notifier_free(struct mfs_notifier *t);

#endif
