/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ns.h: entering namespaces, and what the kernel's refusals mean.
 * Must not know: what is mounted there. */
#ifndef MRC_AGENT_NS_H
#define MRC_AGENT_NS_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <sys/types.h>

/* A user namespace in which our one identity is shown as uid and gid, and a mount namespace.
 * Every capability in there is ours from now on. Returns 0, or -errno with the remedy in words.
 */
MUST int ns_enter_user(uid_t uid, gid_t gid, struct err *e);

/* A mount namespace for real root. */
MUST int ns_enter_root(struct err *e);

/* The calling process is killed when parent dies; -ESRCH when it is dead already. */
MUST int ns_die_with(pid_t parent);

/* Mounts an empty file system; mode, uid and gid are those of its root directory. */
MUST int ns_mount_tmpfs(const char *where, unsigned mode, uid_t uid, gid_t gid);

/* Makes an empty file system the root directory, with the old one at /.old. Returns 0 or -errno
 * with words. */
MUST int ns_pivot_to_base(struct err *e);

/* Makes new_root, a mount point, the root directory, and lets go of the old one. */
MUST int ns_pivot_into(const char *new_root, struct err *e);

#endif
