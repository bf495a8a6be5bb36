/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore.h: a process made from an image.
 * Must not know: where the image comes from.
 * Privilege: the same process number needs CAP_CHECKPOINT_RESTORE; higher limits than ours need
 * CAP_SYS_RESOURCE. */
#ifndef MOSIX_CORE_IMAGE_RESTORE_H
#define MOSIX_CORE_IMAGE_RESTORE_H

#include "common/base/err.h"
#include "mosix-core/image/tracee.h"

#include <stdbool.h>
#include <sys/types.h>

struct mx_restored {
    pid_t pid;        /* our child: to be waited for */
    bool has_old_pid; /* it has the number that it had */
    struct mx_tracee t;
};

/* Reads an image from fd, to its end and not a byte further, and makes of it a child of ours,
 * which stands still and dies with us. Descriptors 0 to 2 that were no files are ours. Returns
 * 0; -EPROTO for an image that is cut short or was changed; -ENOTSUP when it is of another
 * kernel; -ESTALE when a file has changed; or what failed: then there is no child. */
MUST int mx_restore_start(int fd, struct mx_restored *r, struct err *e);

/* It runs; or it is ended and waited for, as it is after a failure. */
MUST int mx_restore_finish(struct mx_restored *r, bool is_running, struct err *e);

/* Both: it runs when this returns. */
MUST int mx_restore(int fd, struct mx_restored *r, struct err *e);

#endif
