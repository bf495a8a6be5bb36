/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confine.c: takes from this process what serving does not need.
 * Must not know: what is served beyond the directories.
 * Source: landlock(7), Documentation/userspace-api/landlock.rst. */
#include "mrcfs/server/confine.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Written out because headers of the build machine may be older than the kernel that runs. */
enum {
    LL_CREATE_VERSION = 1,
    LL_RULE_PATH_BENEATH = 1,
};
static const uint64_t LL_EXECUTE = 1u << 0, LL_READ_FILE = 1u << 2, LL_READ_DIR = 1u << 3,
                      LL_ABI2_FS = (1u << 14) - 1, /* everything up to REFER */
    LL_TRUNCATE = 1u << 14, LL_IOCTL_DEV = 1u << 15, LL_NET_TCP = 3,
                      LL_SCOPES = 3; /* abstract unix sockets, signals */

struct ruleset_attr {
    uint64_t handled_fs;
    uint64_t handled_net;
    uint64_t scoped;
};

struct path_beneath_attr {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed)); /* the kernel's layout */

static int create_ruleset(const struct ruleset_attr *a, size_t size, uint32_t flags)
{
    long rc = syscall(SYS_landlock_create_ruleset, a, size, flags);
    return rc < 0 ? -errno : (int)rc;
}

static int allow(int ruleset, const struct mfs_confined_dir *dir, uint64_t handled)
{
    struct path_beneath_attr rule = {
        .allowed = dir->is_read_only ? LL_READ_FILE | LL_READ_DIR
                                     : handled & ~(LL_EXECUTE | LL_IOCTL_DEV),
        .parent_fd = dir->fd,
    };
    long rc = syscall(SYS_landlock_add_rule, ruleset, LL_RULE_PATH_BENEATH, &rule, 0);
    return rc < 0 ? -errno : 0;
}

int mfs_confine(const struct mfs_confined_dir *dirs, size_t count, struct err *note)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(note, errno, "no new privileges");
    int abi = create_ruleset(NULL, 0, LL_CREATE_VERSION);
    if (abi < 2) {
        err_set(note, abi < 0 ? -abi : 0,
                abi < 0 ? "no Landlock" : "Landlock of this kernel can't rename");
        return 0;
    }
    struct ruleset_attr a = { .handled_fs = LL_ABI2_FS };
    if (abi >= 3)
        a.handled_fs |= LL_TRUNCATE;
    if (abi >= 5)
        a.handled_fs |= LL_IOCTL_DEV;
    if (abi >= 4)
        a.handled_net = LL_NET_TCP;
    if (abi >= 6)
        a.scoped = LL_SCOPES;
    size_t size = abi >= 6 ? sizeof a : abi >= 4 ? 16 : 8;
    AUTO_FD ruleset = create_ruleset(&a, size, 0);
    if (ruleset < 0)
        return err_set(note, -ruleset, "create Landlock rules");
    for (size_t i = 0; i < count; i++) {
        int rc = allow(ruleset, &dirs[i], a.handled_fs);
        if (rc < 0)
            return err_set(note, -rc, "Landlock rule of directory %zu", i);
    }
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return err_set(note, errno, "restrict this process");
    return abi;
}
