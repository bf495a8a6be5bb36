/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hidden.h: what is hidden by its path, known by what it is: the same directory may be reached
 * by another path (a link on the way, a second mount, a second export).
 * Must not know: the wire, nodes in use. Constant after _init. */
#ifndef MRCFS_SERVER_HIDDEN_H
#define MRCFS_SERVER_HIDDEN_H

#include "common/base/attr.h"
#include "mrcfs/server/hide.h"
#include "mrcfs/server/nodes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file as it is known: kept open (O_PATH), so that its inode number is not used again. */
struct mfs_hidden_file {
    int fd; /* -1: there was none */
    uint64_t dev;
    uint64_t ino;
};

/* One hidden path of this computer, as far as it existed at the start. */
struct mfs_hidden_path {
    const char *name;              /* its last part, in the pattern */
    struct mfs_hidden_file dir;    /* the directory that holds it */
    struct mfs_hidden_file itself; /* a link, if it is one */
    struct mfs_hidden_file behind; /* what it leads to */
};

struct mfs_hidden {
    struct mfs_hidden_path *list;
    size_t count;
};

/* Looks at each path that h hides wholly (nothing in it is shown). h: its patterns are borrowed
 * as long. Returns 0 or -ENOMEM. */
MUST int mfs_hidden_init(struct mfs_hidden *t, const struct mfs_hide *h);
void mfs_hidden_fini(struct mfs_hidden *t);

/* Is name in this directory one of them? */
bool mfs_hidden_has_name(const struct mfs_hidden *t, const struct mfs_identity *dir,
                         const char *name);
/* Is one of them in this directory? */
bool mfs_hidden_is_in(const struct mfs_hidden *t, const struct mfs_identity *dir);
/* Is this file one of them? */
bool mfs_hidden_has_file(const struct mfs_hidden *t, uint64_t dev, uint64_t ino);

#endif
