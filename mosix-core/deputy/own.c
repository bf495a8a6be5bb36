/* SPDX-License-Identifier: GPL-2.0-or-later */
/* own.c: descriptors by what their links in /proc say.
 * Must not know: calls, moves. Source: proc(5), personality(2). */
#include "mosix-core/deputy/own.h"

#include "common/sys/fd.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Of /proc/PID: what is of memory, registers, threads and processor time. The rest is the
 * stub's as it is the job's: descriptors, limits, names, namespaces. */
static const char *const names[] = {
    "auxv",      "clear_refs", "cmdline", "environ",      "maps",      "mem",
    "numa_maps", "pagemap",    "smaps",   "smaps_rollup", "stack",     "stat",
    "statm",     "status",     "syscall", "wchan",        "schedstat",
};

/* What fills memory, or reads it, behind the back of the process. */
static const struct {
    const char *link, *why;
} makers[] = {
    { "anon_inode:[userfaultfd]", "handles its own page faults (userfaultfd)" },
    { "anon_inode:[io_uring]", "uses io_uring" },
    { "anon_inode:[perf_event]", "measures itself (perf_event_open)" },
    { "anon_inode:kvm-vm", "runs a virtual machine" },
};

static bool read_link(pid_t pid, int fd, char text[256])
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    ssize_t n = readlink(path, text, 255);
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* "…/PID/NAME" or "…/PID/task/TID/NAME". */
static const char *own_name(const char *link, pid_t pid)
{
    static const char task[] = "/task";
    char middle[32];
    const char *last = strrchr(link, '/'), *end = last;
    if (!last)
        return NULL;
    size_t len = (size_t)snprintf(middle, sizeof middle, "/%d", (int)pid);
    while (end > link && isdigit((unsigned char)end[-1]))
        end--; /* a thread's number; or the process's */
    if (end - link >= (ptrdiff_t)sizeof task && end < last &&
        memcmp(end - sizeof task, task, sizeof task - 1) == 0)
        end -= sizeof task;
    else
        end = last;
    bool is_own = (size_t)(end - link) >= len && memcmp(end - len, middle, len) == 0;
    for (unsigned i = 0; is_own && i < ARRAY_LEN(names); i++)
        if (strcmp(last + 1, names[i]) == 0)
            return names[i];
    return NULL;
}

/* Others may have directories by such names. */
static bool is_of_proc(pid_t pid, int fd)
{
    char path[48];
    struct statfs st;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    return statfs(path, &st) == 0 && st.f_type == PROC_SUPER_MAGIC;
}

const char *mx_own_file(pid_t pid, int fd)
{
    char link[256];
    const char *name = read_link(pid, fd, link) ? own_name(link, pid) : NULL;
    return name && is_of_proc(pid, fd) ? name : NULL;
}

bool mx_own_opens(long number)
{
    return number == SYS_openat || number == SYS_open || number == SYS_openat2;
}

bool mx_own_device(pid_t pid, int fd)
{
    enum { MEMORY = 1, TERMINALS = 4, TERMINAL = 5, PTYS_FIRST = 136, PTYS_END = 144 };
    char path[48];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    if (fd < 0 || stat(path, &st) < 0)
        return false; /* the call fails */
    unsigned kind = major(st.st_rdev);
    if (S_ISCHR(st.st_mode))
        return kind != MEMORY && kind != TERMINALS && kind != TERMINAL &&
               (kind < PTYS_FIRST || kind >= PTYS_END);
    return (st.st_mode & S_IFMT) == 0;
}

static int check_descriptor(pid_t pid, int fd, struct err *e)
{
    char link[256];
    if (!read_link(pid, fd, link))
        return 0; /* closed meanwhile */
    for (unsigned i = 0; i < ARRAY_LEN(makers); i++)
        if (strcmp(link, makers[i].link) == 0)
            return err_say(e, ENOTSUP, "process %d %s", (int)pid, makers[i].why);
    const char *name = mx_own_file(pid, fd);
    return name ? err_say(e, ENOTSUP, "process %d has its own /proc/self/%s open", (int)pid,
                          name)
                : 0;
}

static int check_personality(pid_t pid, struct err *e)
{
    static const unsigned long bad =
        READ_IMPLIES_EXEC | MMAP_PAGE_ZERO | ADDR_LIMIT_32BIT | ADDR_LIMIT_3GB;
    char path[48], text[32] = "";
    snprintf(path, sizeof path, "/proc/%d/personality", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd_read(fd, text, sizeof text - 1) <= 0)
        return 0;
    return strtoul(text, NULL, 16) & bad
               ? err_say(e, ENOTSUP, "process %d has a personality of its own", (int)pid)
               : 0;
}

int mx_own_look(pid_t pid, struct err *e)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    if (!d)
        return err_set(e, errno == ENOENT ? ESRCH : errno, "read %s", path);
    int rc = check_personality(pid, e);
    for (struct dirent *x; rc == 0 && (x = readdir(d));)
        if (isdigit((unsigned char)x->d_name[0]))
            rc = check_descriptor(pid, (int)strtol(x->d_name, NULL, 10), e);
    closedir(d);
    return rc;
}
