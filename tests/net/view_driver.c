/* SPDX-License-Identifier: GPL-2.0-or-later */
/* view_driver.c: runs a command in a view, the way the agent does, with head trees that are
 * other directories of this computer. For tests/net/view.sh.
 *
 *   view_driver [-R] [-E] [-P] [-N] [-m means] [-u uid] [-g gid] [-d cache] [-C cwd]
 *               [-H path=dir] [-M path=dir] [-O path=dir] [-T path] [-S path] [--] command
 * args… -R root view; -E as on a kernel without openat2 and mount_setattr; -P print what works
 * and end; -N no pid namespace; -O like -H, read-only; -T target's tree; -S scratch. Exits with
 * the command's status, 125 when there is no view.
 */
#include "common/sys/fd.h"
#include "mrc/agent/files.h"
#include "mrc/agent/view.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 125, FILES_END_S = 20 };

/* --- the driver --- */

struct driver {
    struct view_opts o;
    struct view_mount mounts[VIEW_MOUNTS_MAX];
    const char *dirs[VIEW_MOUNTS_MAX];
    struct view_probe probe;
    struct files *files;
    char *const *command;
};

static void add_head(struct driver *d, char *text, enum view_kind kind, bool is_read_only)
{
    char *sign = strchr(text, '=');
    if (!sign)
        exit(FAILED);
    *sign = 0;
    d->dirs[d->o.count] = sign + 1;
    d->mounts[d->o.count] = (struct view_mount){
        .kind = kind, .path = text, .export_number = d->o.count, .is_read_only = is_read_only
    };
    d->o.count++;
}

static void add_other(struct driver *d, enum view_kind kind, const char *path)
{
    d->mounts[d->o.count++] = (struct view_mount){ .kind = kind, .path = path };
}

/* The job's process 1. */
static int supervise(const struct driver *d, const struct view_report *r)
{
    pid_t job = fork();
    if (job == 0) {
        struct err e;
        if (view_drop_privilege(r, &e) < 0) {
            fprintf(stderr, "view_driver: %s\n", e.text);
            _exit(FAILED);
        }
        execvp(d->command[0], d->command);
        fprintf(stderr, "view_driver: %s: %s\n", d->command[0], strerror(errno));
        _exit(127);
    }
    int status = 0;
    pid_t pid;
    while ((pid = wait(&status)) != job) {
        if (pid < 0)
            return FAILED;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int child(const struct driver *d, int sock)
{
    struct err e = { 0 };
    struct view_report r;
    if (view_enter(&d->o, sock, &r, &e) < 0)
        return FAILED;
    pid_t pid = -1;
    if (view_start_init(&d->o, sock, &r, &pid, &e) < 0)
        return FAILED;
    if (pid == 0)
        _exit(supervise(d, &r));
    int status = view_wait_init(pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int follow(struct driver *d, int sock)
{
    for (;;) {
        struct pollfd p = { .fd = sock, .events = POLLIN };
        if (poll(&p, 1, -1) < 0)
            return FAILED;
        struct view_message m;
        int rc = view_receive(sock, &m);
        if (rc <= 0)
            return rc == -EAGAIN ? FAILED : 0;
        switch (m.kind) {
        case VIEW_MSG_FUSE:
            if (files_attach(d->files, m.export_number, m.fd) < 0)
                return FAILED;
            break;
        case VIEW_MSG_FAILED: fprintf(stderr, "view_driver: %s\n", m.err.text); return FAILED;
        case VIEW_MSG_MOUNT_NS:
        case VIEW_MSG_USER_NS: close(m.fd); break; /* of kept views only */
        case VIEW_MSG_DONE:
            view_cleanup(d->o.cache_dir);
            if (getenv("VIEW_NOTES"))
                fprintf(stderr, "means %d pid_ns %d\n%s", m.report.means, m.report.has_pid_ns,
                        m.report.notes);
            return 0;
        }
    }
}

/* Serves the head's directories; the other ends of its streams are left in fds. */
static int start_server(const struct driver *d, int fds[2])
{
    int meta[2], bulk[2];
    if (fd_socketpair(meta) < 0 || fd_socketpair(bulk) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(meta[0]);
        close(bulk[0]);
        struct mfs_export exports[MFS_EXPORTS_MAX];
        struct mfs_serve_opts o = { .exports = exports,
                                    .meta_fd = meta[1],
                                    .bulk_fd = bulk[1] };
        for (size_t i = 0; i < d->o.count && i < MFS_EXPORTS_MAX && d->dirs[i]; i++)
            exports[o.export_count++] = (struct mfs_export){ .path = d->dirs[i] };
        struct err e = { 0 };
        _exit(mfs_serve(&o, &e) < 0);
    }
    close(meta[1]);
    close(bulk[1]);
    fds[0] = meta[0];
    fds[1] = bulk[0];
    return pid < 0 ? -1 : 0;
}

static int start_files(struct driver *d)
{
    int streams[2];
    if (start_server(d, streams) < 0)
        return -1;
    struct files_opts fo = { .meta_fd = streams[0],
                             .bulk_fd = streams[1],
                             .is_single_user = geteuid() != 0 };
    view_owner(&d->probe, d->o.job_uid, d->o.job_gid, &fo.own_uid, &fo.own_gid);
    struct err e = { 0 };
    int rc = files_start(&fo, &d->files, &e);
    if (rc < 0)
        fprintf(stderr, "view_driver: file client: %s\n", e.text);
    return rc;
}

/* Ends when the head's trees are mounted nowhere any more; SIGALRM if that doesn't come. */
static int end_files(struct driver *d)
{
    const struct itimerval end = { .it_value.tv_sec = FILES_END_S };
    setitimer(ITIMER_REAL, &end, NULL);
    struct err e = { 0 };
    int rc = files_join(d->files, &e);
    if (rc < 0)
        fprintf(stderr, "view_driver: file client: %s\n", e.text);
    return rc < 0 ? FAILED : 0;
}

static void print_probe(const struct view_probe *p)
{
    static const char *const means[] = { "none", "root", "userns", "fusermount", "direct" };
    printf("means %s\n", means[p->means]);
    printf("user_ns %d %s\npid_ns %d %s\nfuse %d %s\nfusermount %d %s\noverlay %d %s\n",
           p->has_user_ns, p->no_user_ns.text, p->has_pid_ns, p->no_pid_ns.text, p->has_fuse,
           p->no_fuse.text, p->has_fusermount, p->no_fusermount.text, p->has_overlay,
           p->no_overlay.text);
    struct err e = { 0 };
    if (p->means == VIEW_MEANS_NONE) {
        view_probe_text(p, &e);
        printf("%s\n", e.text);
    }
}

/* The system calls that came with Linux 5.6 and 5.12 answer ENOSYS from now on. */
static int forget_new_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount_setattr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = ARRAY_LEN(code), .filter = code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
    static struct driver d;
    d.o = (struct view_opts){ .probe = &d.probe,
                              .mounts = d.mounts,
                              .cwd = "/",
                              .job_uid = geteuid(),
                              .job_gid = getegid(),
                              .source = "test" };
    int option, means = -1;
    bool wants_probe = false, is_old = false;
    while ((option = getopt(argc, argv, "+REPNnm:u:g:d:C:H:M:O:T:S:")) >= 0) {
        switch (option) {
        case 'R': d.o.is_root_view = true; break;
        case 'E': is_old = true; break;
        case 'P': wants_probe = true; break;
        case 'N': d.o.no_pid_ns = true; break;
        case 'n': d.o.wants_target_resolver = true; break;
        case 'm': means = atoi(optarg); break;
        case 'u': d.o.job_uid = (uid_t)atoi(optarg); break;
        case 'g': d.o.job_gid = (gid_t)atoi(optarg); break;
        case 'd': d.o.cache_dir = optarg; break;
        case 'C': d.o.cwd = optarg; break;
        case 'H': add_head(&d, optarg, VIEW_HEAD, false); break;
        case 'O': add_head(&d, optarg, VIEW_HEAD, true); break;
        case 'M': add_head(&d, optarg, VIEW_OVERLAY, false); break;
        case 'T': add_other(&d, VIEW_TARGET, optarg); break;
        case 'S': add_other(&d, VIEW_SCRATCH, optarg); break;
        default: return FAILED;
        }
    }
    d.command = argv + optind;
    if (is_old && forget_new_calls() < 0)
        return FAILED;
    view_probe(d.o.cache_dir, &d.probe);
    if (means >= 0)
        d.probe.means = (enum view_means)means;
    if (wants_probe) {
        print_probe(&d.probe);
        return 0;
    }
    int pair[2];
    if (view_socketpair(pair) < 0)
        return FAILED;
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        _exit(child(&d, pair[1]));
    }
    close(pair[1]);
    if (d.dirs[0] && start_files(&d) < 0)
        return FAILED;
    int rc = follow(&d, pair[0]);
    if (d.files)
        files_finish(d.files);
    int status = view_wait_init(pid);
    if (rc == 0)
        rc = WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
    view_cleanup(d.o.cache_dir);
    int left = d.files ? end_files(&d) : 0;
    return left ? left : rc;
}
