/* SPDX-License-Identifier: GPL-2.0-or-later */
/* covered.h: names in the root of an export that the view mounts something else on. The kernel
 * asks for them whenever a path leads there, and nobody sees what they are at the server: so
 * what was found first stays. Must not know: FUSE. */
#ifndef MRCFS_CLIENT_COVERED_H
#define MRCFS_CLIENT_COVERED_H

#include "mrcfs/ops.h"

#include <stdint.h>

struct mfs_session;

enum { MFS_COVERED_MAX = 8 }; /* of one mount */

struct mfs_covered {
    const char *name;     /* in the client's options */
    uint64_t node;        /* 0: not found yet */
    struct mfs_attr attr; /* as it was then */
};

/* The session begins: names, without slashes and with colons between them, are those in the
 * export "/"; NULL: none. */
void mfs_covered_begin(struct mfs_session *s, const char *names);
/* The kernel was told that name in dir is that. */
void mfs_covered_learn(struct mfs_session *s, uint64_t dir, const char *name, uint64_t node,
                       const struct mfs_attr *attr);
/* What the kernel knows name in dir as; NULL: it is none of these names, or not known yet. */
const struct mfs_covered *mfs_covered_find(struct mfs_session *s, uint64_t dir,
                                           const char *name);

#endif
