/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount.h: puts a FUSE file system on a directory: as root by mount(2), as anybody else by
 * fusermount3.
 * Must not know: what is served. */
#ifndef MRCFS_MOUNT_H
#define MRCFS_MOUNT_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrcfs/mountopts.h"

/* Mounts c's only export at where. Returns 0 and the mounted /dev/fuse, or -errno with words.
 */
MUST int mfs_mount(const struct mfs_client *c, const struct mfs_mount_opts *o,
                   const char *source, const char *where, int *fd_out, struct err *e);

#endif
