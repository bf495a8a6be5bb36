/* SPDX-License-Identifier: GPL-2.0-or-later */
/* profile.h: what a command asked for, as bytes: which names of which trees, which directories were listed, which files opened.
 * Must not know: files, connections. Pure: its input may come from anybody.
 * Source: docs/profiles.md. */
#ifndef MRCFS_PROFILE_PROFILE_H
#define MRCFS_PROFILE_PROFILE_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MFS_PROFILE_MAX = 32 << 10, /* bytes of all of it */
    MFS_PROFILE_ENTRIES_MAX = 2048,
    MFS_PROFILE_OPENS_MAX = 512, /* files that were opened: the first ones */
    MFS_PROFILE_ROOT = 0xffff, /* parent of a tree's root, whose name is its path */
};

enum mfs_profile_flag {
    MFS_PROFILE_LIST = 1, /* a directory whose names are wanted */
    MFS_PROFILE_OPEN = 2, /* a file that was opened for reading */
    MFS_PROFILE_LINK = 4, /* a symbolic link that was followed */
    MFS_PROFILE_FLAGS = 7,
};

/* Numbered from 0 as they come; a parent comes before what is in it. */
struct mfs_profile_entry {
    uint16_t parent;
    uint8_t flags;
    uint16_t turn; /* of files that were opened: the lower the earlier; less than MFS_PROFILE_OPENS_MAX */
    struct bytes name; /* in the profile's bytes */
};

/* Reading: _begin once, then _next until it returns 0. Return -EPROTO for what is no profile; _next 1 with *e. count: how
 * many came before. */
MUST int mfs_profile_begin(struct rd *r);
MUST int mfs_profile_next(struct rd *r, size_t count, struct mfs_profile_entry *e);

/* Is all of it a profile? */
MUST bool mfs_profile_is_valid(struct bytes all);

/* Writing likewise. _put does nothing and returns false when e doesn't fit into what is left, or *count is the maximum. */
void mfs_profile_put_begin(struct wr *w);
MUST bool mfs_profile_put(struct wr *w, size_t *count, const struct mfs_profile_entry *e);

#endif
