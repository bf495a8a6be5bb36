/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fusermount.h: FUSE mounts by the setuid helper fusermount3 (package fuse3), where we may not
 * mount ourselves. Must not know: what is mounted. */
#ifndef COMMON_SYS_FUSERMOUNT_H
#define COMMON_SYS_FUSERMOUNT_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>

/* Path of the program, or NULL when there is none that can work; then with words. Static. */
const char *fusermount_find(struct err *e);

struct fusermount_opts {
    const char *source; /* what /proc/mounts shows */
    /* Options for mount(2), of which those that fusermount3 adds by itself are left out. */
    const char *text;
    bool is_read_only;
    bool allow_other; /* refused by fusermount3 unless /etc/fuse.conf allows it */
};

/* Mounts at where, an existing directory of ours. Returns 0 with the mounted /dev/fuse in
 * *fd_out, or -errno with words. */
MUST int fusermount_mount(const char *where, const struct fusermount_opts *o, int *fd_out,
                          struct err *e);

/* Takes it off; is_lazy: as soon as it isn't used any more. Root does it without the helper.
 * Returns 0 or -errno with words. What is not mounted is no failure for a lazy one. */
MUST int fusermount_unmount(const char *where, bool is_lazy, struct err *e);

#endif
