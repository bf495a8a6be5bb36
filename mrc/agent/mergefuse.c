/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mergefuse.c: serves a merge of two directories as a FUSE file system.
 * Must not know: how the directories were mounted.
 * Threads: libfuse's workers.
 *
 * Nothing is cached: another program may change the head's side at any time, and says so to
 * nobody here. Locks are kept by the kernel for this mount alone. The second file that knows
 * libfuse (its path-based interface), because the file client's is bound to the file protocol.
 */
#include "mrc/agent/mergefuse.h"

#include "common/sys/fd.h"
#include "mrc/agent/merge.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct merge *merge; /* this process serves one */
static int head_fd;

/* An open file: descriptor and side in FUSE's handle. */
static int fd_of(const struct fuse_file_info *fi)
{
    return (int)(fi->fh & 0x7fffffff);
}

static void set_open(struct fuse_file_info *fi, int fd, enum merge_side side)
{
    fi->fh = (uint64_t)fd | (uint64_t)side << 32;
}

static int result(long rc)
{
    return rc < 0 ? -errno : (int)rc;
}

/* Real root serves all users: what was made belongs to who made it. */
static int give(int rc, const char *path)
{
    const struct fuse_context *c = fuse_get_context();
    if (rc < 0 || geteuid() != 0 || (c->uid == 0 && c->gid == 0))
        return rc;
    int given = merge_chown(merge, path, c->uid, c->gid);
    return given == -EPERM || given == -EINVAL ? rc : given; /* one identity only */
}

static void *op_init(struct fuse_conn_info *conn, struct fuse_config *cfg)
{
    conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS;
    cfg->use_ino = 1;
    cfg->hard_remove = 1; /* an open file is a descriptor here, it needs no name */
    cfg->entry_timeout = cfg->attr_timeout = cfg->negative_timeout = 0;
    return NULL;
}

static int op_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    if (fi)
        return merge_fstat(fd_of(fi), (enum merge_side)(fi->fh >> 32), st);
    int side = merge_find(merge, path, st);
    return side < 0 ? side : 0;
}

static int op_readlink(const char *path, char *text, size_t size_bytes)
{
    int n = merge_readlink(merge, path, text, size_bytes - 1);
    if (n < 0)
        return n;
    text[n] = 0;
    return 0;
}

static int op_mknod(const char *path, mode_t mode, dev_t device)
{
    return give(merge_mknod(merge, path, mode, device), path);
}

static int op_mkdir(const char *path, mode_t mode)
{
    return give(merge_mkdir(merge, path, mode), path);
}

static int op_symlink(const char *to, const char *path)
{
    return give(merge_symlink(merge, to, path), path);
}

static int op_link(const char *from, const char *to)
{
    return merge_link(merge, from, to);
}

static int op_unlink(const char *path)
{
    return merge_unlink(merge, path);
}

static int op_rmdir(const char *path)
{
    return merge_rmdir(merge, path);
}

static int op_rename(const char *from, const char *to, unsigned flags)
{
    return merge_rename(merge, from, to, flags);
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    if (fi && fi->fh >> 32 == MERGE_HEAD)
        return result(fchmod(fd_of(fi), mode));
    return path ? merge_chmod(merge, path, mode) : -ESTALE;
}

static int op_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
    if (fi && fi->fh >> 32 == MERGE_HEAD)
        return result(fchown(fd_of(fi), uid, gid));
    return path ? merge_chown(merge, path, uid, gid) : -ESTALE;
}

static int op_utimens(const char *path, const struct timespec times[2],
                      struct fuse_file_info *fi)
{
    if (fi && fi->fh >> 32 == MERGE_HEAD)
        return result(futimens(fd_of(fi), times));
    return path ? merge_utimens(merge, path, times) : -ESTALE;
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    if (fi)
        return result(ftruncate(fd_of(fi), size));
    enum merge_side side;
    AUTO_FD fd = merge_open(merge, path, O_WRONLY | O_NONBLOCK, 0, &side);
    return fd < 0 ? fd : result(ftruncate(fd, size));
}

static int open_file(const char *path, mode_t mode, struct fuse_file_info *fi, int more_flags)
{
    enum merge_side side;
    /* O_APPEND stays: the head decides where the end is. */
    int fd = merge_open(merge, path, (fi->flags & ~O_NOFOLLOW) | more_flags, mode, &side);
    if (fd < 0)
        return fd;
    set_open(fi, fd, side);
    if (fi->flags & O_APPEND)
        fi->direct_io = 1; /* the kernel's idea of the end may be old */
    return 0;
}

static int op_open(const char *path, struct fuse_file_info *fi)
{
    return open_file(path, 0, fi, 0);
}

static int op_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    struct stat st;
    bool is_new = merge_find(merge, path, &st) < 0;
    int rc = open_file(path, mode, fi, O_CREAT);
    return is_new ? give(rc, path) : rc;
}

static int op_read(const char *path, char *ptr, size_t len_bytes, off_t at,
                   struct fuse_file_info *fi)
{
    (void)path;
    return result(pread(fd_of(fi), ptr, len_bytes, at));
}

static int op_write(const char *path, const char *ptr, size_t len_bytes, off_t at,
                    struct fuse_file_info *fi)
{
    (void)path;
    return result(pwrite(fd_of(fi), ptr, len_bytes, at));
}

static int op_statfs(const char *path, struct statvfs *fs)
{
    (void)path;
    return result(fstatvfs(head_fd, fs));
}

/* A close may be the last word about what was written. */
static int op_flush(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    int fd = fcntl(fd_of(fi), F_DUPFD_CLOEXEC, 0);
    return result(fd < 0 ? fd : close(fd));
}

static int op_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    return result(close(fd_of(fi)));
}

static int op_fsync(const char *path, int is_data_only, struct fuse_file_info *fi)
{
    (void)path;
    return result(is_data_only ? fdatasync(fd_of(fi)) : fsync(fd_of(fi)));
}

static int op_fallocate(const char *path, int mode, off_t at, off_t len_bytes,
                        struct fuse_file_info *fi)
{
    (void)path;
    return result(fallocate(fd_of(fi), mode, at, len_bytes));
}

static off_t op_lseek(const char *path, off_t at, int whence, struct fuse_file_info *fi)
{
    (void)path;
    off_t found = lseek(fd_of(fi), at, whence);
    return found < 0 ? -errno : found;
}

static ssize_t op_copy(const char *from_path, struct fuse_file_info *from, off_t from_at,
                       const char *to_path, struct fuse_file_info *to, off_t to_at,
                       size_t len_bytes, int flags)
{
    (void)from_path;
    (void)to_path;
    ssize_t n =
        copy_file_range(fd_of(from), &from_at, fd_of(to), &to_at, len_bytes, (unsigned)flags);
    return n < 0 ? -errno : n;
}

struct listing {
    void *out;
    fuse_fill_dir_t fill;
};

static int add_entry(void *ctx, const char *name, const struct stat *st)
{
    struct listing *l = ctx;
    return l->fill(l->out, name, st, 0, 0) ? -ENOMEM : 0;
}

/* A directory's handle is its path: one that was removed meanwhile has no other. */
static int op_opendir(const char *path, struct fuse_file_info *fi)
{
    char *copy = strdup(path);
    fi->fh = (uint64_t)(uintptr_t)copy;
    return copy ? 0 : -ENOMEM;
}

static int op_releasedir(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    free((char *)(uintptr_t)fi->fh);
    return 0;
}

static int op_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t at,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    (void)path;
    (void)at;
    (void)flags;
    struct listing l = { .out = out, .fill = fill };
    return merge_list(merge, (const char *)(uintptr_t)fi->fh, add_entry, &l);
}

/* --- extended attributes: by name of the descriptor, because links have some too. The working
 * directory is /proc/self/fd. --- */

static int open_named(const char *path, bool is_change, char text[16])
{
    int fd = merge_open_path(merge, path, is_change);
    if (fd >= 0)
        snprintf(text, 16, "%d", fd);
    return fd;
}

static int op_setxattr(const char *path, const char *name, const char *value, size_t len_bytes,
                       int flags)
{
    char text[16];
    AUTO_FD fd = open_named(path, true, text);
    return fd < 0 ? fd : result(setxattr(text, name, value, len_bytes, flags));
}

static int op_getxattr(const char *path, const char *name, char *value, size_t size_bytes)
{
    char text[16];
    AUTO_FD fd = open_named(path, false, text);
    return fd < 0 ? fd : result(getxattr(text, name, value, size_bytes));
}

static int op_listxattr(const char *path, char *names, size_t size_bytes)
{
    char text[16];
    AUTO_FD fd = open_named(path, false, text);
    return fd < 0 ? fd : result(listxattr(text, names, size_bytes));
}

static int op_removexattr(const char *path, const char *name)
{
    char text[16];
    AUTO_FD fd = open_named(path, true, text);
    return fd < 0 ? fd : result(removexattr(text, name));
}

static const struct fuse_operations operations = {
    .init = op_init,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .symlink = op_symlink,
    .link = op_link,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .rename = op_rename,
    .chmod = op_chmod,
    .chown = op_chown,
    .utimens = op_utimens,
    .truncate = op_truncate,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .write = op_write,
    .statfs = op_statfs,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .fallocate = op_fallocate,
    .lseek = op_lseek,
    .copy_file_range = op_copy,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .releasedir = op_releasedir,
    .setxattr = op_setxattr,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
};

/* In the new process, which has been single-threaded until now. */
static int serve(const struct mergefuse_opts *o, const char *proc_path, int ready_fd)
{
    char where[64];
    snprintf(where, sizeof where, "%s/self/fd", proc_path);
    const int keep[] = { o->head_fd, o->target_fd, o->fuse_fd, ready_fd };
    fd_close_all_but(keep, ARRAY_LEN(keep));
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* the job's open files are ours */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    umask(0);
    signal(SIGPIPE, SIG_IGN);
    head_fd = o->head_fd;
    if (chdir(where) < 0 || merge_new(o->head_fd, o->target_fd, &merge) < 0)
        return -1;
    char *words[] = { (char *)"mrc-merge", NULL };
    struct fuse_args args = FUSE_ARGS_INIT(1, words);
    struct fuse *f = fuse_new(&args, &operations, sizeof operations, NULL);
    snprintf(where, sizeof where, "/dev/fd/%d", o->fuse_fd);
    if (!f || fuse_mount(f, where) != 0)
        return -1;
    struct fuse_loop_config *loop = fuse_loop_cfg_create();
    if (!loop || fd_write_full(ready_fd, "", 1) < 0)
        return -1;
    close(ready_fd);
    return fuse_loop_mt(f, loop);
}

int mergefuse_start(const struct mergefuse_opts *o, const char *proc_path, struct err *e)
{
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0)
        return err_set(e, -rc, "make a pipe");
    AUTO_FD ready = pair[0];
    AUTO_FD theirs = pair[1];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start the server of --overlay");
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(1);
        _exit(serve(o, proc_path, theirs) < 0);
    }
    fd_close(&theirs);
    char byte;
    if (fd_read(ready, &byte, 1) != 1) /* proc_path must stay valid until then */
        return err_set(e, ECHILD, "the server of --overlay failed");
    return 0; /* it is reaped when the caller ends */
}
