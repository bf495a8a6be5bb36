/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mergefuse.h: serves a merge of two directories as a FUSE file system, in a process of its
 * own. Must not know: how the directories were mounted. */
#ifndef MRC_AGENT_MERGEFUSE_H
#define MRC_AGENT_MERGEFUSE_H

#include "common/base/attr.h"
#include "common/base/err.h"

struct mergefuse_opts {
    int head_fd;   /* directories */
    int target_fd; /* -1: none */
    int fuse_fd;   /* mounted /dev/fuse; its options: default_permissions, allow_other */
};

/* Forks a process that serves until the mount is gone everywhere or the caller dies. proc_path:
 * a way to /proc that works now. Descriptors are borrowed. Returns 0 or -errno with words. */
MUST int mergefuse_start(const struct mergefuse_opts *o, const char *proc_path, struct err *e);

#endif
