/* SPDX-License-Identifier: GPL-2.0-or-later */
/* view_driver.c: runs a command in a view, the way the agent does, with head trees that are
 * other directories of this computer. For tests/net/view.sh.
 *
 *   view_driver [-R] [-E] [-P] [-N] [-m means] [-u uid] [-g gid] [-d cache] [-C cwd]
 *               [-H path=dir] [-O path=dir] [-T path] [-S path] [--] command args…
 *   -R root view; -E as on a kernel without openat2 and mount_setattr; -P print what works and
 * end; -N no pid namespace; -O like -H, read-only; -T target's tree; -S scratch. Exits with the
 * command's status, 125 when there is no view.
 */
#include "common/sys/fd.h"
#include "mrc/agent/view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 125, SERVER_END_MS = 10000 };

/* --- a plain file server: shows a directory, owner as given --- */

static int tree_fd;
static struct {
    uid_t uid;
    gid_t gid;
} shown;

static const char *rel(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static int result(int rc)
{
    return rc < 0 ? -errno : 0;
}

static int t_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    (void)fi;
    int rc = result(fstatat(tree_fd, rel(path), st, AT_SYMLINK_NOFOLLOW));
    if (rc == 0 && st->st_uid == geteuid()) {
        st->st_uid = shown.uid;
        st->st_gid = shown.gid;
    }
    return rc;
}

static int t_readlink(const char *path, char *text, size_t size_bytes)
{
    ssize_t n = readlinkat(tree_fd, rel(path), text, size_bytes - 1);
    if (n < 0)
        return -errno;
    text[n] = 0;
    return 0;
}

static int t_mkdir(const char *path, mode_t mode)
{
    return result(mkdirat(tree_fd, rel(path), mode));
}

static int t_unlink(const char *path)
{
    return result(unlinkat(tree_fd, rel(path), 0));
}

static int t_rmdir(const char *path)
{
    return result(unlinkat(tree_fd, rel(path), AT_REMOVEDIR));
}

static int t_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    (void)fi;
    AUTO_FD fd = openat(tree_fd, rel(path), O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : result(ftruncate(fd, size));
}

static int t_open(const char *path, struct fuse_file_info *fi)
{
    int fd = openat(tree_fd, rel(path), (fi->flags & ~O_NOFOLLOW) | O_CLOEXEC);
    fi->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}

static int t_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    int fd = openat(tree_fd, rel(path), fi->flags | O_CREAT | O_CLOEXEC, mode);
    fi->fh = (uint64_t)fd;
    return fd < 0 ? -errno : 0;
}

static int t_read(const char *path, char *ptr, size_t len, off_t at, struct fuse_file_info *fi)
{
    (void)path;
    ssize_t n = pread((int)fi->fh, ptr, len, at);
    return n < 0 ? -errno : (int)n;
}

static int t_write(const char *path, const char *ptr, size_t len, off_t at,
                   struct fuse_file_info *fi)
{
    (void)path;
    ssize_t n = pwrite((int)fi->fh, ptr, len, at);
    return n < 0 ? -errno : (int)n;
}

static int t_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    return result(close((int)fi->fh));
}

static int t_statfs(const char *path, struct statvfs *fs)
{
    (void)path;
    return result(fstatvfs(tree_fd, fs));
}

static int t_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t at,
                     struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    (void)at;
    (void)fi;
    (void)flags;
    int fd = openat(tree_fd, rel(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return -errno;
    struct dirent *entry;
    while ((entry = readdir(d)))
        fill(out, entry->d_name, NULL, 0, 0);
    closedir(d);
    return 0;
}

static const struct fuse_operations tree_operations = {
    .getattr = t_getattr,
    .readlink = t_readlink,
    .mkdir = t_mkdir,
    .unlink = t_unlink,
    .rmdir = t_rmdir,
    .truncate = t_truncate,
    .open = t_open,
    .create = t_create,
    .read = t_read,
    .write = t_write,
    .statfs = t_statfs,
    .release = t_release,
    .readdir = t_readdir,
};

static pid_t serve(const char *dir, int fuse_fd)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    tree_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *no_args[] = { (char *)"view_driver", NULL };
    struct fuse_args args = FUSE_ARGS_INIT(1, no_args);
    struct fuse *f = fuse_new(&args, &tree_operations, sizeof tree_operations, NULL);
    char where[32];
    snprintf(where, sizeof where, "/dev/fd/%d", fuse_fd);
    if (tree_fd < 0 || !f || fuse_mount(f, where) != 0)
        _exit(1);
    fuse_loop(f);
    _exit(0);
}

/* --- the driver --- */

struct driver {
    struct view_opts o;
    struct view_mount mounts[VIEW_MOUNTS_MAX];
    const char *dirs[VIEW_MOUNTS_MAX];
    struct view_probe probe;
    pid_t servers[VIEW_MOUNTS_MAX];
    size_t server_count;
    char *const *command;
};

static void add_head(struct driver *d, char *text, bool is_read_only)
{
    char *sign = strchr(text, '=');
    if (!sign)
        exit(FAILED);
    *sign = 0;
    d->dirs[d->o.count] = sign + 1;
    d->mounts[d->o.count] = (struct view_mount){ .kind = VIEW_HEAD,
                                                 .path = text,
                                                 .export_number = d->o.count,
                                                 .is_read_only = is_read_only };
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
            d->servers[d->server_count++] = serve(d->dirs[m.export_number], m.fuse_fd);
            fd_close(&m.fuse_fd);
            break;
        case VIEW_MSG_FAILED: fprintf(stderr, "view_driver: %s\n", m.err.text); return FAILED;
        case VIEW_MSG_DONE:
            view_cleanup(d->o.cache_dir);
            if (getenv("VIEW_NOTES"))
                fprintf(stderr, "means %d pid_ns %d\n%s", m.report.means, m.report.has_pid_ns,
                        m.report.notes);
            return 0;
        }
    }
}

/* File servers end when their mount is gone everywhere. */
static int wait_for_servers(const struct driver *d)
{
    for (size_t i = 0; i < d->server_count; i++) {
        int waited_ms = 0;
        while (waitpid(d->servers[i], NULL, WNOHANG) == 0) {
            if (waited_ms++ == SERVER_END_MS) {
                fprintf(stderr, "view_driver: a mount is left\n");
                return FAILED;
            }
            usleep(1000);
        }
    }
    return 0;
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
    while ((option = getopt(argc, argv, "+REPNnm:u:g:d:C:H:O:T:S:")) >= 0) {
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
        case 'H': add_head(&d, optarg, false); break;
        case 'O': add_head(&d, optarg, true); break;
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
    view_owner(&d.probe, d.o.job_uid, d.o.job_gid, &shown.uid, &shown.gid);
    int pair[2];
    if (view_socketpair(pair) < 0)
        return FAILED;
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        _exit(child(&d, pair[1]));
    }
    close(pair[1]);
    int rc = follow(&d, pair[0]);
    int status = view_wait_init(pid);
    if (rc == 0)
        rc = WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
    view_cleanup(d.o.cache_dir);
    int left = wait_for_servers(&d);
    return left ? left : rc;
}
