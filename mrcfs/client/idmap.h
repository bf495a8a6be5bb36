/* SPDX-License-Identifier: GPL-2.0-or-later */
/* idmap.h: owners mapped on this side, for mounts that don't want the server to do it.
 * Must not know: FUSE, the connection. */
#ifndef MRCFS_CLIENT_IDMAP_H
#define MRCFS_CLIENT_IDMAP_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MFS_IDMAP_PAIRS_MAX = 16384 };

struct mfs_idmap_pair {
    uint32_t here;
    uint32_t there;
};

/* Users or groups. Zeroed: every number is itself. */
struct mfs_idmap {
    struct mfs_idmap_pair *pairs; /* the own user first */
    size_t count;
    bool is_strict; /* who is in no pair is nobody */
};

/* Adds a pair. Returns 0, -ENOMEM, -ENOSPC. */
MUST int mfs_idmap_add(struct mfs_idmap *m, uint32_t here, uint32_t there);
/* Adds lines name-here:number-there of the file at path; names are looked up in the file at
 * names_path (in the format of passwd or group). Returns 0 or -errno with words. */
MUST int mfs_idmap_load(struct mfs_idmap *m, const char *path, const char *names_path,
                        struct err *e);
void mfs_idmap_fini(struct mfs_idmap *m);

uint32_t mfs_idmap_here(const struct mfs_idmap *m, uint32_t there);
/* Returns 0, or -EPERM when nobody there is meant. */
MUST int mfs_idmap_there(const struct mfs_idmap *m, uint32_t here, uint32_t *there);

#endif
