/* SPDX-License-Identifier: GPL-2.0-or-later */
/* files.c: files that a process has open. Must not know: what for. Source: proc(5), statfs(2),
 * pidfd_getfd(2), kcmp(2).
 */
#include "mosix-core/deputy/files.h"

#include "common/sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef XFS_SUPER_MAGIC
enum { XFS_SUPER_MAGIC = 0x58465342 };
#endif

/* Where all that changes a file goes by this kernel. */
static const long local_types[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
                                    TMPFS_MAGIC };

int mx_file_get(pid_t pid, int fd)
{
    AUTO_FD process = (int)syscall(SYS_pidfd_open, pid, 0);
    return process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, fd, 0);
}

bool mx_has_one_thread(pid_t pid)
{
    char path[40];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    return stat(path, &st) == 0 && st.st_nlink == 3; /* itself, its parent, and one */
}

int64_t mx_file_offset(pid_t pid, int fd)
{
    char path[48], text[512] = "";
    long long at;
    unsigned flags;
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)pid, fd);
    AUTO_FD info = open(path, O_RDONLY | O_CLOEXEC);
    if (info < 0 || fd_read(info, text, sizeof text - 1) <= 0 ||
        sscanf(text, "pos: %lld flags: %o", &at, &flags) != 2 || strstr(text, "lock:"))
        return -1;
    return (flags & O_ACCMODE) == O_RDONLY && !(flags & (O_DIRECT | O_PATH)) ? at : -1;
}

bool mx_file_is_local(int file, struct stat *st)
{
    struct statfs fs;
    if (fstat(file, st) < 0 || !S_ISREG(st->st_mode) || fstatfs(file, &fs) < 0)
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(local_types); i++)
        if (fs.f_type == local_types[i])
            return true;
    return false;
}

/* ---- who else has it ---- */

enum { IS_SAME_FILE = 0, IS_SAME_TABLE = 2 }; /* KCMP_FILE, KCMP_FILES */

struct look {
    pid_t pid;
    int fd;
    dev_t device;
    ino_t inode;
    unsigned left;
};

static bool is_number(const char *name, long *number)
{
    char *end;
    *number = strtol(name, &end, 10);
    return end != name && *end == '\0' && *number >= 0 && *number <= INT_MAX;
}

/* Has process other, whose descriptors these are, that file? When it can't be told it may. */
static bool has_it(struct look *l, pid_t other, DIR *descriptors)
{
    const struct dirent *d;
    struct stat st;
    long number;
    while ((d = readdir(descriptors))) {
        if (!is_number(d->d_name, &number) || (other == l->pid && (int)number == l->fd))
            continue;
        if (l->left-- == 0)
            return true;
        if (fstatat(dirfd(descriptors), d->d_name, &st, 0) == 0 && st.st_dev == l->device &&
            st.st_ino == l->inode &&
            syscall(SYS_kcmp, l->pid, other, IS_SAME_FILE, l->fd, (int)number) <= 0)
            return true;
    }
    return false;
}

static bool may_have_it(struct look *l, pid_t other)
{
    char path[40];
    if (other == getpid() || syscall(SYS_kcmp, getpid(), other, IS_SAME_TABLE, 0, 0) == 0)
        return false;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)other);
    DIR *descriptors = opendir(path);
    if (!descriptors)
        return errno != ENOENT && errno != ESRCH;
    bool has = has_it(l, other, descriptors);
    closedir(descriptors);
    return has;
}

bool mx_file_is_shared(pid_t pid, int fd, const struct stat *st)
{
    struct look l = { pid, fd, st->st_dev, st->st_ino, MX_FILE_LOOKS_MAX };
    DIR *processes = opendir("/proc");
    const struct dirent *d;
    bool is_shared = !processes, is_there = false;
    long number;
    while (!is_shared && (d = readdir(processes))) {
        if (!is_number(d->d_name, &number))
            continue;
        is_there |= number == pid;
        is_shared = may_have_it(&l, (pid_t)number);
    }
    if (processes)
        closedir(processes);
    return is_shared || !is_there;
}
