/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctorhere.c: what mrc's file server has on this computer.
 * Must not know: the target.
 * Source: fcntl(2) "Leases", landlock(7), inotify(7). */
#include "mrc/doctorcommand.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { LANDLOCK_RENAMES = 2, WATCHES_WANTED = 8192 }; /* the version that has renames between directories */

/* A number in a file of /proc/sys; -1 when there is none. */
static long read_number(const char *path)
{
    char text[64];
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, sizeof text - 1);
    if (n <= 0)
        return -1;
    text[n] = 0;
    return strtol(text, NULL, 10);
}

static void look_at_kernel(struct doctor_list *l)
{
    struct utsname u;
    if (uname(&u) == 0)
        mrc_doctor_tell(l, FINDING_head_kernel, FINDING_OK, NULL, "%s %s, %s", u.sysname, u.release, u.machine);
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH };
    AUTO_FD fd = (int)syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
    if (fd >= 0)
        mrc_doctor_tell(l, FINDING_openat2, FINDING_OK, NULL, "names are resolved beneath the trees that are shown");
    else
        mrc_doctor_tell(l, FINDING_openat2, FINDING_NOTE, "Linux 5.6, or a container that allows the call",
                        "%s: the file server walks name by name itself", strerror(errno));
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version >= LANDLOCK_RENAMES)
        mrc_doctor_tell(l, FINDING_landlock, FINDING_OK, NULL, "version %ld confines the file server", version);
    else
        mrc_doctor_tell(l, FINDING_landlock, FINDING_NOTE,
                        "Linux 5.19, and landlock in what /sys/kernel/security/lsm lists (lsm= at boot)",
                        "the file server is not confined by the kernel: %s",
                        version < 0 ? strerror(errno) : "its version is too old");
}

static void look_at_leases(struct doctor_list *l)
{
    const char *home = getenv("HOME");
    if (!home || home[0] != '/')
        home = "/";
    if (read_number("/proc/sys/fs/leases-enable") == 0) {
        mrc_doctor_tell(l, FINDING_leases, FINDING_NOTE, "as root: sysctl fs.leases-enable=1",
                        "the kernel's leases are switched off: targets ask for every file anew");
        return;
    }
    AUTO_FD fd = open(home, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        mrc_doctor_tell(l, FINDING_leases, FINDING_UNKNOWN, NULL, "no file could be made in %s to try: %s", home,
                        strerror(errno));
    else if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
        mrc_doctor_tell(l, FINDING_leases, FINDING_NOTE, "a local file system",
                        "the file system of %s grants none (%s): targets ask for every file anew", home,
                        strerror(errno));
    else
        mrc_doctor_tell(l, FINDING_leases, FINDING_OK, NULL, "granted on the file system of %s", home);
}

static void look_at_inotify(struct doctor_list *l)
{
    long watches = read_number("/proc/sys/fs/inotify/max_user_watches");
    long instances = read_number("/proc/sys/fs/inotify/max_user_instances");
    AUTO_FD fd = inotify_init1(IN_CLOEXEC);
    if (fd < 0)
        mrc_doctor_tell(l, FINDING_inotify, FINDING_NOTE, "as root: sysctl fs.inotify.max_user_instances=512",
                        "no further watcher can be made (%s; %ld for each user): targets ask for all names anew",
                        strerror(errno), instances);
    else if (watches >= 0 && watches < WATCHES_WANTED)
        mrc_doctor_tell(l, FINDING_inotify, FINDING_NOTE, "as root: sysctl fs.inotify.max_user_watches=65536",
                        "only %ld directories can be watched at a time: targets ask for names of others anew",
                        watches);
    else
        mrc_doctor_tell(l, FINDING_inotify, FINDING_OK, NULL, "%ld directories can be watched, by %ld processes",
                        watches, instances);
}

void mrc_doctor_here(struct doctor_list *l)
{
    look_at_kernel(l);
    look_at_leases(l);
    look_at_inotify(l);
}
