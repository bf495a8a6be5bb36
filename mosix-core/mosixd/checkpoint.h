/* SPDX-License-Identifier: GPL-2.0-or-later */
/* checkpoint.h: the image of a job at home as a file of its owner's.
 * Must not know: who may ask. */
#ifndef MOSIX_CORE_MOSIXD_CHECKPOINT_H
#define MOSIX_CORE_MOSIXD_CHECKPOINT_H

#include "common/base/err.h"

#include <stddef.h>
#include <sys/types.h>

#define MX_CHECKPOINT_VARIABLE "MOSIX_CHECKPOINT"

enum mx_checkpoint_then { MX_CHECKPOINT_GO_ON, MX_CHECKPOINT_STOP, MX_CHECKPOINT_EXIT };

enum { MX_CHECKPOINTS_MAX = 100000 }; /* files of one name */

struct mx_checkpoint_how {
    const char *run_dir; /* the daemon's, where settings are */
    pid_t pid;
    uid_t uid;
    gid_t gid;
    enum mx_checkpoint_then then;
    int without; /* a descriptor that is left out; 0: none */
};

/* Writes NAME.1, or with the next number that is free; where only so many are to be kept, in
 * the place of the oldest. Beside it first, made durable, then renamed. NAME is what mosrun -C
 * was given, else ckpt.PID in the process's directory. As the process's user, in a child if we
 * are root. The file's name goes into name. Returns 0; -ENOTSUP and others of mx_capture; the
 * error of writing: then there is no new file, and the process goes on. */
MUST int mx_checkpoint(const struct mx_checkpoint_how *how, char *name, size_t size,
                       struct err *e);

#endif
