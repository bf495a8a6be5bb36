/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe.c: finds out by which means a view can be built here, by trying.
 * Must not know: what a view holds. Nothing of what is tried stays: it happens in the
 * namespaces of a child process. */
#include "mrc/agent/view.h"

#include "common/sys/fd.h"
#include "common/sys/fusermount.h"
#include "mrc/agent/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void try_fuse(const char *where, bool is_root, struct view_probe *p)
{
    AUTO_FD fd = open("/.old/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        int rc = errno;
        if (rc == ENOENT || rc == ENODEV || rc == ENXIO)
            err_say(
                &p->no_fuse, rc,
                "there is no working /dev/fuse here (%s): as root, \"modprobe fuse\" makes it",
                strerror(rc));
        else
            err_say(&p->no_fuse, rc,
                    "/dev/fuse may not be opened here (%s): as root, \"chmod 666 /dev/fuse\" "
                    "allows it (the package fuse3 does so for good)",
                    strerror(rc));
        return;
    }
    char text[96];
    snprintf(text, sizeof text, "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd, geteuid(),
             getegid());
    if (mount("mrc", where, "fuse", MS_NOSUID | MS_NODEV, text) == 0) {
        p->has_fuse = true;
        umount2(where, MNT_DETACH);
        return;
    }
    int rc = errno;
    if (rc == ENODEV)
        err_say(&p->no_fuse, rc, "this kernel has no FUSE: as root, try \"modprobe fuse\"");
    else
        err_set(&p->no_fuse, rc, "FUSE can't be mounted here%s",
                is_root ? "" : " as an ordinary user (this needs Linux 4.18)");
}

static void try_overlay(bool is_root, struct view_probe *p)
{
    static const char *const dirs[] = { "/l", "/u", "/w", "/o" };
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        if (mkdir(dirs[i], 0755) < 0)
            err_set(&p->no_overlay, errno, "make a directory");
    }
    if (mount("mrc", "/o", "overlay", 0,
              is_root ? "lowerdir=/l,upperdir=/u,workdir=/w"
                      : "lowerdir=/l,upperdir=/u,workdir=/w,userxattr") == 0)
        p->has_overlay = true;
    else
        err_set(&p->no_overlay, errno,
                "overlay file systems can't be mounted here%s: --scratch doesn't work",
                is_root ? "" : " by an ordinary user (this needs Linux 5.11)");
    umount2("/o", MNT_DETACH);
}

static void try_pid_ns(struct view_probe *p)
{
    if (unshare(CLONE_NEWPID) < 0) {
        err_set(&p->no_pid_ns, errno, "pid namespaces can't be made here");
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        int rc = mount("proc", "/.new", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
        _exit(rc == 0 ? 0 : errno < 255 ? errno : 255);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
        err_set(&p->no_pid_ns, pid < 0 ? errno : ECHILD, "start a process in a pid namespace");
    else if (WEXITSTATUS(status))
        err_set(&p->no_pid_ns, WEXITSTATUS(status),
                "no /proc of its own can be mounted for a job (parts of /proc are hidden here, "
                "as in containers)");
    else
        p->has_pid_ns = true;
}

/* In the child. */
static void try_all(struct view_probe *p)
{
    bool is_root = geteuid() == 0 && ns_enter_root(&p->no_user_ns) == 0;
    if (!is_root && ns_enter_user(geteuid(), getegid(), &p->no_user_ns) < 0)
        return;
    if (ns_pivot_to_base(&p->no_user_ns) < 0)
        return;
    p->has_user_ns = !is_root;
    p->no_user_ns.text[0] = 0;
    p->means = is_root ? VIEW_MEANS_ROOT : VIEW_MEANS_USERNS;
    try_fuse("/.new", is_root, p);
    try_overlay(is_root, p);
    try_pid_ns(p);
}

static int run_child(struct view_probe *p)
{
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0)
        return rc;
    AUTO_FD in = pair[0];
    AUTO_FD out = pair[1];
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        try_all(p);
        _exit(fd_write_full(out, p, sizeof *p) < 0);
    }
    fd_close(&out);
    struct view_probe got;
    ssize_t n = fd_read_full(in, &got, sizeof got);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (n != sizeof got)
        return -ECHILD;
    *p = got;
    return 0;
}

void view_probe(const char *cache_dir, struct view_probe *out)
{
    (void)cache_dir;
    *out = (struct view_probe){ .means = VIEW_MEANS_NONE };
    int rc = run_child(out);
    if (rc < 0)
        err_set(&out->no_user_ns, -rc, "try what works here");
    AUTO_FD fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse_fd < 0 && !out->no_fuse.text[0])
        err_say(&out->no_fuse, errno,
                "/dev/fuse can't be opened here (%s): as root, \"modprobe "
                "fuse\" and \"chmod 666 /dev/fuse\" help",
                strerror(errno));
    out->has_fusermount = fusermount_find(&out->no_fusermount) && fuse_fd >= 0;
    if (!out->has_fusermount && !out->no_fusermount.text[0])
        out->no_fusermount = out->no_fuse;
    bool has_ns = out->means != VIEW_MEANS_NONE;
    if (has_ns && !out->has_fuse)
        out->means = !out->has_fusermount ? VIEW_MEANS_NONE
                     : out->has_user_ns   ? VIEW_MEANS_FUSERMOUNT
                                          : VIEW_MEANS_NONE;
    else if (!has_ns && out->has_fusermount && geteuid() != 0)
        out->means = VIEW_MEANS_DIRECT;
}

void view_probe_text(const struct view_probe *p, struct err *e)
{
    const char *why = p->no_user_ns.text[0] ? p->no_user_ns.text : p->no_fuse.text;
    if (!p->no_user_ns.text[0] && p->has_fuse)
        why = "unknown cause";
    err_set(e, 0, "the head's files can't be shown on the target: %s", why);
}
