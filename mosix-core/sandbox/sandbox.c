/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox.c: namespaces, an empty root, and no rights.
 * Must not know: images, calls. Source: user_namespaces(7), pivot_root(2), time_namespaces(7).
 */
#include "mosix-core/sandbox/sandbox.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static int write_text(const char *path, const char *text, struct err *e)
{
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
    return rc < 0 ? err_set(e, -rc, "write %s", path) : 0;
}

static int drop_root(struct err *e)
{
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(MX_GUEST_UID, MX_GUEST_UID, MX_GUEST_UID) < 0 ||
        setresuid(MX_GUEST_UID, MX_GUEST_UID, MX_GUEST_UID) < 0)
        return err_set(e, errno, "give up root");
    /* Else the maps of the new user namespace would be root's to write. */
    if (prctl(PR_SET_DUMPABLE, 1) < 0)
        return err_set(e, errno, "give up root");
    return 0;
}

int mx_sandbox_enter(struct err *e)
{
    char map[64];
    int rc = drop_root(e);
    if (rc < 0)
        return rc;
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                CLONE_NEWNS | CLONE_NEWCGROUP) < 0)
        return err_set(e, errno, "make namespaces");
    rc = write_text("/proc/self/setgroups", "deny", e);
    snprintf(map, sizeof map, "%u %u 1", uid, uid);
    if (rc == 0)
        rc = write_text("/proc/self/uid_map", map, e);
    snprintf(map, sizeof map, "%u %u 1", gid, gid);
    return rc == 0 ? write_text("/proc/self/gid_map", map, e) : rc;
}

/* When this computer lacks memory: who has the most here is ended first. The most there is is
 * 1000. */
static int end_before_others(const char *how_much, struct err *e)
{
    return write_text("/proc/self/oom_score_adj", how_much, e);
}

/* Whatever gets past the filter finds no other namespaces to be root in. But for those of time:
 * each body has one. */
static int end_namespaces(struct err *e)
{
    static const char *const kinds[] = { "user", "pid", "net", "mnt", "ipc", "uts", "cgroup" };
    char path[64];
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(path, sizeof path, "/proc/sys/user/max_%s_namespaces", kinds[i]);
        int rc = write_text(path, "0", e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int mx_sandbox_first(struct err *e)
{
    static const char *const place = "/tmp"; /* any directory: nobody else sees what is on it */
    static const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", place, "tmpfs", flags, "size=64k,mode=755") < 0 || chdir(place) < 0)
        return err_set(e, errno, "make an empty root");
    if (mkdir("proc", 0755) < 0 || mkdir("empty", 0555) < 0 || mkdir("old", 0755) < 0 ||
        mount("proc", "proc", "proc", flags, NULL) < 0)
        return err_set(e, errno, "mount /proc of the new namespace");
    if (syscall(SYS_pivot_root, ".", "old") < 0 || chdir("/") < 0 ||
        umount2("/old", MNT_DETACH) < 0 || rmdir("/old") < 0)
        return err_set(e, errno, "leave the host's files");
    if (mount("none", "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
        return err_set(e, errno, "close the empty root");
    /* While it fills a body that has been ended, that one's memory is not free: better it than
     * anybody else. */
    int rc = end_before_others("500", e);
    return rc < 0 ? rc : end_namespaces(e);
}

/* The kernel wants the distance from the first namespace of all, of which ours may be some way
 * off already. */
static int64_t own_offset_ns(const char *clock)
{
    char name[32];
    long long sec, nsec, found = 0;
    FILE *f = fopen("/proc/self/timens_offsets", "re");
    while (f && fscanf(f, "%31s %lld %lld", name, &sec, &nsec) == 3)
        if (strcmp(name, clock) == 0)
            found = sec * 1000000000 + nsec;
    if (f)
        fclose(f);
    return found;
}

static void put_offset(const char *clock, int64_t from_first_ns, char line[64])
{
    int64_t second = 1000000000, sec = from_first_ns / second, nsec = from_first_ns % second;
    if (nsec < 0) {
        nsec += second;
        sec--;
    }
    snprintf(line, 64, "%s %lld %lld\n", clock, (long long)sec, (long long)nsec);
}

int mx_sandbox_shift_clocks(const struct mx_clocks *ahead, struct err *e)
{
    char text[128] = "";
    put_offset("monotonic", own_offset_ns("monotonic") + ahead->mono_ns, text);
    put_offset("boottime", own_offset_ns("boottime") + ahead->boot_ns, text + strlen(text));
    if (unshare(CLONE_NEWTIME) < 0)
        return err_set(e, errno, "make a time namespace");
    return write_text("/proc/self/timens_offsets", text, e);
}

uint64_t mx_sandbox_memory_kills(void)
{
    char line[96];
    unsigned long long found = 0;
    FILE *f = fopen("/proc/vmstat", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "oom_kill %llu", &found) == 1)
            break;
    if (f)
        fclose(f);
    return found;
}

int mx_sandbox_body(struct err *e)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { { 0 } };
    int rc = end_before_others("1000", e);
    if (rc < 0)
        return rc;
    if (chroot("/empty") < 0 || chdir("/") < 0)
        return err_set(e, errno, "go to an empty root");
    for (int cap = 0; prctl(PR_CAPBSET_DROP, cap) == 0; cap++)
        ;
    if (syscall(SYS_capset, &head, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(e, errno, "give up all rights");
    return 0;
}
