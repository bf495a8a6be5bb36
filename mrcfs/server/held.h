/* SPDX-License-Identifier: GPL-2.0-or-later */
/* held.h: which ranges of which files a lock owner holds: a shadow of what the kernel knows,
 * kept only to tell the locker's process id. Pure.
 * Must not know: the kernel's locks, threads. */
#ifndef MRCFS_SERVER_HELD_H
#define MRCFS_SERVER_HELD_H

#include "common/base/attr.h"

#include <stdint.h>

/* Ranges of one owner that are remembered; beyond it the newest are not. */
enum { MFS_HELD_MAX = 1024 };

struct mfs_held {
    struct mfs_held *next;
    uint64_t dev;
    uint64_t ino;
    uint64_t start;
    uint64_t end; /* inclusive */
    uint32_t pid;
    uint8_t type; /* MFS_LOCK_RD or MFS_LOCK_WR */
};

/* what was set by what->pid, with the effect that fcntl's F_SETLK has; MFS_LOCK_UN takes away.
 * Without memory something is left out. */
void mfs_held_set(struct mfs_held **list, const struct mfs_held *what);
/* Nothing of this file is held any more. */
void mfs_held_drop_file(struct mfs_held **list, uint64_t dev, uint64_t ino);
/* One that overlaps what's range on its file, or NULL. */
const struct mfs_held *mfs_held_find(const struct mfs_held *list, const struct mfs_held *what);
void mfs_held_free(struct mfs_held **list);

#endif
