/* SPDX-License-Identifier: GPL-2.0-or-later */
/* locktable.h: the advisory locks on one file, as the kernel would keep them. Pure: nobody
 * waits in here. Must not know: nodes, the connection, FUSE. */
#ifndef MRCFS_CLIENT_LOCKTABLE_H
#define MRCFS_CLIENT_LOCKTABLE_H

#include "common/base/attr.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MFS_LOCKTABLE_MAX =
        MFS_SURRENDER_MAX, /* locks on one file; all of them fit into one message */
};

/* A lock. The owner of a record lock is what POSIX calls a process, or an open file (OFD); that
 * of a flock the open file. rec.fh, which open file it was taken through, is anything that
 * names it. */
struct mfs_locktable {
    struct mfs_lock_rec *at; /* owners in the order of their first lock, each one's by their
                                starts; flocks last */
    size_t count, size;
};

void mfs_locktable_fini(struct mfs_locktable *t);
/* As F_SETLK or flock with LOCK_NB; want->type MFS_LOCK_UN unlocks. Returns 0; -EAGAIN: another
 * owner's is in the way (of a flock, the owner's own of another type is gone then, as the
 * kernel does it); -ENOLCK: no room, and nothing is changed. */
MUST int mfs_locktable_set(struct mfs_locktable *t, const struct mfs_lock_rec *want);
/* As F_GETLK: the record lock in the way of want, or NULL; valid until the next change. */
const struct mfs_lock_rec *mfs_locktable_test(const struct mfs_locktable *t,
                                              const struct mfs_lock_rec *want);
/* owner closed a descriptor: its record locks end. */
void mfs_locktable_drop_owner(struct mfs_locktable *t, uint64_t owner);
/* The open file is closed for good: all that was locked through it ends. */
void mfs_locktable_drop_file(struct mfs_locktable *t, uint64_t fh);

#endif
