/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ns.c: entering namespaces, and what the kernel's refusals mean.
 * Must not know: what is mounted there.
 * Source: user_namespaces(7), mount_namespaces(7), pivot_root(2). */
#include "mrc/agent/ns.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A number in /proc/sys, or -1 where this kernel has none. */
static long sysctl_value(const char *path)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[32];
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, sizeof text - 1);
    if (n <= 0)
        return -1;
    text[n] = 0;
    return strtol(text, NULL, 10);
}

static int write_file(const char *path, const char *text)
{
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fd_write_full(fd, text, strlen(text));
}

static int no_user_ns(int errno_value, struct err *e)
{
    if (sysctl_value("/proc/sys/kernel/unprivileged_userns_clone") == 0)
        return err_say(e, errno_value,
                       "user namespaces are switched off here: as root, "
                       "\"sysctl kernel.unprivileged_userns_clone=1\" allows them");
    if (sysctl_value("/proc/sys/user/max_user_namespaces") == 0)
        return err_say(e, errno_value,
                       "user namespaces are switched off here: as root, "
                       "\"sysctl user.max_user_namespaces=10000\" allows them");
    if (sysctl_value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
        return err_say(e, errno_value,
                       "AppArmor restricts user namespaces here: as root, \"sysctl "
                       "kernel.apparmor_restrict_unprivileged_userns=0\" allows them");
    if (errno_value == ENOSPC)
        return err_say(e, errno_value,
                       "too many user or mount namespaces: as root, raise "
                       "user.max_user_namespaces and user.max_mnt_namespaces");
    if (errno_value == EINVAL || errno_value == ENOSYS)
        return err_say(e, errno_value, "this kernel has no user namespaces (CONFIG_USER_NS)");
    return err_set(e, errno_value,
                   "user namespaces are not allowed here (a container or a chroot whose "
                   "policy forbids them?)");
}

/* Nothing that we mount gets out; what the target mounts later still comes in. */
static int keep_mounts_in(struct err *e)
{
    if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
        return err_set(e, errno, "separate the mounts of the view from the target's");
    return 0;
}

int ns_enter_user(uid_t uid, gid_t gid, struct err *e)
{
    uid_t own_uid = geteuid();
    gid_t own_gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return no_user_ns(errno, e);
    char text[64];
    int rc = write_file("/proc/self/setgroups", "deny");
    if (rc < 0 && rc != -ENOENT)
        return no_user_ns(-rc, e);
    snprintf(text, sizeof text, "%u %u 1\n", uid, own_uid);
    rc = write_file("/proc/self/uid_map", text);
    if (rc == 0) {
        snprintf(text, sizeof text, "%u %u 1\n", gid, own_gid);
        rc = write_file("/proc/self/gid_map", text);
    }
    if (rc < 0)
        return no_user_ns(-rc, e);
    if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
        return no_user_ns(errno, e); /* how AppArmor's restriction shows */
    return 0;
}

int ns_enter_root(struct err *e)
{
    if (unshare(CLONE_NEWNS) < 0)
        return err_set(e, errno,
                       "root may not make a mount namespace here (a container without "
                       "CAP_SYS_ADMIN?)");
    return keep_mounts_in(e);
}

int ns_die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    return getppid() == parent ? 0 : -ESRCH;
}

int ns_mount_tmpfs(const char *where, unsigned mode, uid_t uid, gid_t gid)
{
    char text[96];
    snprintf(text, sizeof text, "mode=%o,uid=%u,gid=%u", mode & 0777, uid, gid);
    if (mount("mrc", where, "tmpfs", MS_NOSUID | MS_NODEV, text) < 0)
        return -errno;
    return 0;
}

static int pivot_root(const char *new_root, const char *put_old)
{
    return syscall(SYS_pivot_root, new_root, put_old) < 0 ? -errno : 0;
}

int ns_pivot_to_base(struct err *e)
{
    /* Any directory will do: what we mount on it moves to "/" and uncovers it again. */
    static const char *const bases[] = { "/tmp", "/run", "/usr", "/etc", "/proc" };
    int rc = -ENOENT;
    const char *base = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bases) && rc < 0; i++) {
        base = bases[i];
        rc = ns_mount_tmpfs(base, 0700, geteuid(), getegid());
    }
    if (rc < 0)
        return err_set(e, -rc, "mount an empty file system to build the view in");
    if (chdir(base) < 0 || mkdir(".old", 0700) < 0 || mkdir(".new", 0700) < 0)
        return err_set(e, errno, "prepare the view's root directory");
    rc = pivot_root(".", ".old");
    if (rc < 0)
        return err_set(e, -rc,
                       "change the root directory (is the target's an initramfs or a "
                       "chroot?)");
    if (chdir("/") < 0)
        return err_set(e, errno, "enter the view's base");
    return 0;
}

int ns_pivot_into(const char *new_root, struct err *e)
{
    if (chdir(new_root) < 0)
        return err_set(e, errno, "enter the new root directory");
    /* The old root lands on top of the new one, at the same place, and is taken off. */
    int rc = pivot_root(".", ".");
    if (rc < 0)
        return err_set(e, -rc, "change into the new root directory");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return err_set(e, errno, "let go of the old root directory");
    return 0;
}
