/* SPDX-License-Identifier: GPL-2.0-or-later */
/* owndir.h: a directory of this user's alone, where the user's processes meet.
 * Must not know: what is in it. */
#ifndef COMMON_SYS_OWNDIR_H
#define COMMON_SYS_OWNDIR_H

#include "common/base/attr.h"
#include "common/base/err.h"

/* Opens it, and makes it if it is missing. path NULL: /tmp/mrc-UID, which doesn't depend on the environment, so
 * that everybody meets. Returns 0; -EPERM it isn't ours alone; -errno; with words. */
MUST int owndir_open(const char *path, int *fd_out, struct err *e);

#endif
