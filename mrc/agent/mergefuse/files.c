/* SPDX-License-Identifier: GPL-2.0-or-later */
/* files.c: the kernel's requests about open files.
 * Must not know: how the directories were mounted. */
#include "mrc/agent/mergefuse/parts.h"

#include "common/sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Takes fd. */
static int add_file(fuse_ino_t ino, int fd, enum merge_side side, struct fuse_file_info *fi)
{
    struct mergefuse_file *f = calloc(1, sizeof *f);
    if (!f) {
        close(fd);
        return -ENOMEM;
    }
    struct node *n = mergefuse_node(ino);
    *f = (struct mergefuse_file){ .fd = fd, .side = side, .node = n };
    pthread_mutex_lock(&mergefuse_it.table);
    f->next = n->file;
    n->file = f;
    n->uses++;
    pthread_mutex_unlock(&mergefuse_it.table);
    fi->fh = (uint64_t)(uintptr_t)f;
    fi->direct_io = (fi->flags & O_APPEND) != 0; /* the kernel's idea of the end may be old */
    return 0;
}

static void drop_file(struct mergefuse_file *f)
{
    pthread_mutex_lock(&mergefuse_it.table);
    struct mergefuse_file *other = f->node->file;
    if (other == f) {
        f->node->file = f->next;
    } else {
        while (other->next != f)
            other = other->next;
        other->next = f->next;
    }
    node_unuse(&mergefuse_it.nodes, f->node);
    pthread_mutex_unlock(&mergefuse_it.table);
    close(f->fd);
    free(f);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    char path[PATH_MAX];
    enum merge_side side;
    int rc = mergefuse_begin(ino, NULL, path);
    int fd =
        rc < 0 ? rc : merge_open(mergefuse_it.merge, path, fi->flags & ~O_NOFOLLOW, 0, &side);
    rc = fd < 0 ? fd : add_file(ino, fd, side, fi);
    mergefuse_end();
    if (rc < 0)
        mergefuse_reply(req, rc);
    else if (fuse_reply_open(req, fi) < 0)
        drop_file(mergefuse_file(fi));
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    char path[PATH_MAX];
    struct fuse_entry_param e = { 0 };
    struct stat st;
    enum merge_side side;
    int rc = mergefuse_begin(parent, name, path);
    bool is_new = rc == 0 && merge_find(mergefuse_it.merge, path, &st) == -ENOENT;
    int fd =
        rc < 0 ? rc : merge_open(mergefuse_it.merge, path, fi->flags | O_CREAT, mode, &side);
    rc = is_new ? mergefuse_give(req, fd, path) : fd;
    if (rc >= 0)
        rc = mergefuse_find_entry(parent, name, path, &e);
    if (rc == 0)
        rc = add_file(e.ino, fd, side, fi);
    else
        fd_close(&fd);
    mergefuse_end();
    if (rc < 0) {
        if (e.ino)
            mergefuse_forget(e.ino, 1);
        mergefuse_reply(req, rc);
    } else if (fuse_reply_create(req, &e, fi) < 0) {
        drop_file(mergefuse_file(fi));
        mergefuse_forget(e.ino, 1);
    }
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t len_bytes, off_t at,
                    struct fuse_file_info *fi)
{
    (void)ino;
    struct fuse_bufvec buf = FUSE_BUFVEC_INIT(len_bytes);
    buf.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
    buf.buf[0].fd = mergefuse_file(fi)->fd;
    buf.buf[0].pos = at;
    fuse_reply_data(req, &buf, 0);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *ptr, size_t len_bytes,
                     off_t at, struct fuse_file_info *fi)
{
    (void)ino;
    ssize_t n = pwrite(mergefuse_file(fi)->fd, ptr, len_bytes, at);
    if (n < 0)
        mergefuse_reply(req, -errno);
    else
        fuse_reply_write(req, (size_t)n);
}

/* A close may be the last word about what was written. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    int fd = fcntl(mergefuse_file(fi)->fd, F_DUPFD_CLOEXEC, 0);
    mergefuse_reply(req, mergefuse_result(fd < 0 ? fd : close(fd)));
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    drop_file(mergefuse_file(fi));
    mergefuse_reply(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int is_data_only,
                     struct fuse_file_info *fi)
{
    (void)ino;
    int fd = mergefuse_file(fi)->fd;
    mergefuse_reply(req, mergefuse_result(is_data_only ? fdatasync(fd) : fsync(fd)));
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t at, off_t len_bytes,
                         struct fuse_file_info *fi)
{
    (void)ino;
    mergefuse_reply(req,
                    mergefuse_result(fallocate(mergefuse_file(fi)->fd, mode, at, len_bytes)));
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t at, int whence,
                     struct fuse_file_info *fi)
{
    (void)ino;
    off_t found = lseek(mergefuse_file(fi)->fd, at, whence);
    if (found < 0)
        mergefuse_reply(req, -errno);
    else
        fuse_reply_lseek(req, found);
}

static void op_copy(fuse_req_t req, fuse_ino_t from_ino, off_t from_at,
                    struct fuse_file_info *from, fuse_ino_t to_ino, off_t to_at,
                    struct fuse_file_info *to, size_t len_bytes, int flags)
{
    (void)from_ino;
    (void)to_ino;
    ssize_t n = copy_file_range(mergefuse_file(from)->fd, &from_at, mergefuse_file(to)->fd,
                                &to_at, len_bytes, (unsigned)flags);
    if (n < 0)
        mergefuse_reply(req, -errno);
    else
        fuse_reply_write(req, (size_t)n);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    struct statvfs fs;
    if (fstatvfs(mergefuse_it.head_fd, &fs) < 0)
        mergefuse_reply(req, -errno);
    else
        fuse_reply_statfs(req, &fs);
}

void mergefuse_files(struct fuse_lowlevel_ops *ops)
{
    ops->open = op_open;
    ops->create = op_create;
    ops->read = op_read;
    ops->write = op_write;
    ops->flush = op_flush;
    ops->release = op_release;
    ops->fsync = op_fsync;
    ops->fallocate = op_fallocate;
    ops->lseek = op_lseek;
    ops->copy_file_range = op_copy;
    ops->statfs = op_statfs;
}
