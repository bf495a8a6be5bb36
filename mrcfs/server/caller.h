/* SPDX-License-Identifier: GPL-2.0-or-later */
/* caller.h: acting as a request's caller, thread by thread.
 * Must not know: requests, the wire.
 * Privilege: root with the capabilities to be others; without them everything here does nothing
 * and every caller acts as the server's own user.
 * Threads: identities belong to the calling thread (raw system calls, not glibc's wrappers that
 * change all threads). */
#ifndef MRCFS_SERVER_CALLER_H
#define MRCFS_SERVER_CALLER_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MFS_CALLER_GROUPS_MAX = 256 };

/* A user's supplementary groups on this computer. */
struct mfs_membership {
    uint32_t uid;
    uint32_t gid;
};

struct mfs_callers {
    bool is_privileged;
    struct mfs_membership *list; /* sorted by uid */
    size_t count;
};

/* Identity of a thread. */
struct mfs_caller {
    bool is_changed; /* not the server's own */
    bool is_vouched; /* groups beyond the caller's own are in force */
    uint32_t uid;
    uint32_t gid;
};

/* Can this process act as others? Reads the group database (/etc/passwd, /etc/group). */
MUST int mfs_callers_init(struct mfs_callers *c);
void mfs_callers_fini(struct mfs_callers *c);

/* Makes the calling thread, whose identity now is *now, act as uid and gid (numbers of this
 * computer). vouched: groups that the client's kernel has found the caller to be in and that
 * this operation needs, up to two, UINT32_MAX = none. Returns 0 or -errno (then nobody's
 * identity is in force and nothing may be done). */
MUST int mfs_caller_enter(const struct mfs_callers *c, struct mfs_caller *now, uint32_t uid,
                          uint32_t gid, const uint32_t vouched[2]);

#endif
