/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fusermount.h: FUSE mounts by the setuid helper fusermount3 (package fuse3), where we may not
 * mount ourselves. Must not know: what is mounted. */
#ifndef MRC_AGENT_FUSERMOUNT_H
#define MRC_AGENT_FUSERMOUNT_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>

/* Path of the program, or NULL when there is none that can work; then with words. Static. */
const char *fusermount_find(struct err *e);

/* Mounts at where, an existing directory of ours. text: options for mount(2), of which those
 * that fusermount3 adds by itself, or refuses, are left out. Returns 0 with the mounted
 * /dev/fuse in *fd_out, or -errno with words. */
MUST int fusermount_mount(const char *where, const char *source, const char *text,
                          bool is_read_only, int *fd_out, struct err *e);

/* Takes it off, now or as soon as it isn't used any more. Returns 0 or -errno. */
MUST int fusermount_unmount(const char *where);

#endif
