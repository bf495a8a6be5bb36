/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mergefuse.c: serves a merge of two directories as a FUSE file system.
 * Must not know: how the directories were mounted.
 * Threads: WORKERS that all do the same. names is held for reading while a path is used, for
 * writing while names change, so that a path stays true as long as it is used; table guards the
 * nodes.
 *
 * Nothing is cached: another program may change the head's side at any time, and says so to
 * nobody here. Locks are kept by the kernel for this mount alone. The second file that knows
 * libfuse, because the file client's is bound to the file protocol.
 *
 * Longer than most files: a flat list of operations, each a few lines. */
#include "mrc/agent/mergefuse.h"

#include "common/sys/fd.h"
#include "mrc/agent/merge.h"
#include "mrc/agent/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    WORKERS = 8,
    XATTR_BYTES_MAX = 65536 /* the kernel's own limit */
};

/* This process serves one. */
static struct {
    struct merge *merge;
    int head_fd;
    pthread_rwlock_t names;
    pthread_mutex_t table; /* guards nodes and the lists of open files */
    struct nodes nodes;
} it = { .names = PTHREAD_RWLOCK_INITIALIZER, .table = PTHREAD_MUTEX_INITIALIZER };

/* FUSE's handle of an open file is its address. */
struct file {
    int fd;
    enum merge_side side;
    struct node *node;
    struct file *next; /* of the same node */
};

/* Of an open directory: what was in it when it was opened. */
struct listing {
    struct entry {
        char *name;
        struct stat st;
    } * entries;
    size_t count;
    size_t size;
};

static struct node *node_of(fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? &it.nodes.root : (struct node *)(uintptr_t)ino;
}

static struct file *file_of(const struct fuse_file_info *fi)
{
    return (struct file *)(uintptr_t)fi->fh;
}

static int result(long rc)
{
    return rc < 0 ? -errno : (int)rc;
}

static void reply(fuse_req_t req, int rc)
{
    fuse_reply_err(req, rc < 0 ? -rc : 0);
}

/* The caller holds names. */
static int path_of(fuse_ino_t ino, const char *name, char text[PATH_MAX])
{
    pthread_mutex_lock(&it.table);
    int rc = node_path(node_of(ino), name, text, PATH_MAX);
    pthread_mutex_unlock(&it.table);
    return rc;
}

/* Takes names for reading. */
static int begin(fuse_ino_t ino, const char *name, char text[PATH_MAX])
{
    pthread_rwlock_rdlock(&it.names);
    return path_of(ino, name, text);
}

/* Takes names for writing. */
static int begin_change(fuse_ino_t ino, const char *name, char text[PATH_MAX])
{
    pthread_rwlock_wrlock(&it.names);
    return path_of(ino, name, text);
}

static void end(void)
{
    pthread_rwlock_unlock(&it.names);
}

/* Real root serves all users: what was made belongs to who made it. */
static int give(fuse_req_t req, int rc, const char *path)
{
    const struct fuse_ctx *c = fuse_req_ctx(req);
    if (rc < 0 || geteuid() != 0 || (c->uid == 0 && c->gid == 0))
        return rc;
    int given = merge_chown(it.merge, path, c->uid, c->gid);
    return given == -EPERM || given == -EINVAL ? rc : given; /* only one identity exists */
}

/* --- names --- */

static int find_entry(fuse_ino_t parent, const char *name, const char *path,
                      struct fuse_entry_param *e)
{
    *e = (struct fuse_entry_param){ 0 };
    int side = merge_find(it.merge, path, &e->attr);
    if (side < 0)
        return side;
    pthread_mutex_lock(&it.table);
    e->ino = (fuse_ino_t)(uintptr_t)node_get(&it.nodes, node_of(parent), name);
    pthread_mutex_unlock(&it.table);
    return e->ino ? 0 : -ENOMEM;
}

static void forget(fuse_ino_t ino, uint64_t count)
{
    pthread_mutex_lock(&it.table);
    if (ino != FUSE_ROOT_ID)
        node_forget(&it.nodes, node_of(ino), count);
    pthread_mutex_unlock(&it.table);
}

/* Answers with what path, name in parent, is now; gives names back. */
static void reply_entry(fuse_req_t req, int rc, fuse_ino_t parent, const char *name,
                        const char *path)
{
    struct fuse_entry_param e;
    if (rc >= 0)
        rc = find_entry(parent, name, path, &e);
    end();
    if (rc < 0)
        reply(req, rc);
    else if (fuse_reply_entry(req, &e) < 0)
        forget(e.ino, 1);
}

static void op_init(void *ctx, struct fuse_conn_info *conn)
{
    (void)ctx;
    conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    char path[PATH_MAX];
    reply_entry(req, begin(parent, name, path), parent, name, path);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    forget(ino, count);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *list)
{
    for (size_t i = 0; i < count; i++)
        forget(list[i].ino, list[i].nlookup);
    fuse_reply_none(req);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t device)
{
    char path[PATH_MAX];
    int rc = begin(parent, name, path);
    if (rc == 0)
        rc = give(req, merge_mknod(it.merge, path, mode, device), path);
    reply_entry(req, rc, parent, name, path);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    int rc = begin(parent, name, path);
    if (rc == 0)
        rc = give(req, merge_mkdir(it.merge, path, mode), path);
    reply_entry(req, rc, parent, name, path);
}

static void op_symlink(fuse_req_t req, const char *to, fuse_ino_t parent, const char *name)
{
    char path[PATH_MAX];
    int rc = begin(parent, name, path);
    if (rc == 0)
        rc = give(req, merge_symlink(it.merge, to, path), path);
    reply_entry(req, rc, parent, name, path);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    char from[PATH_MAX], path[PATH_MAX];
    int rc = begin(parent, name, path);
    if (rc == 0)
        rc = path_of(ino, NULL, from);
    if (rc == 0)
        rc = merge_link(it.merge, from, path);
    reply_entry(req, rc, parent, name, path);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name,
                        int (*fn)(struct merge *, const char *))
{
    char path[PATH_MAX];
    int rc = begin_change(parent, name, path);
    if (rc == 0)
        rc = fn(it.merge, path);
    if (rc == 0) {
        pthread_mutex_lock(&it.table);
        nodes_remove(&it.nodes, node_of(parent), name);
        pthread_mutex_unlock(&it.table);
    }
    end();
    reply(req, rc);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, merge_unlink);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, merge_rmdir);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
                      const char *to_name, unsigned flags)
{
    char from_path[PATH_MAX], to_path[PATH_MAX];
    int rc = begin_change(parent, name, from_path);
    if (rc == 0)
        rc = path_of(to, to_name, to_path);
    if (rc == 0)
        rc = merge_rename(it.merge, from_path, to_path, flags);
    if (rc == 0) {
        pthread_mutex_lock(&it.table);
        rc = nodes_rename(&it.nodes, node_of(parent), name, node_of(to), to_name,
                          flags & RENAME_EXCHANGE);
        pthread_mutex_unlock(&it.table);
    }
    end();
    reply(req, rc);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char path[PATH_MAX], to[PATH_MAX];
    int rc = begin(ino, NULL, path);
    if (rc == 0)
        rc = merge_readlink(it.merge, path, to, sizeof to - 1);
    end();
    if (rc < 0) {
        reply(req, rc);
        return;
    }
    to[rc] = 0;
    fuse_reply_readlink(req, to);
}

/* --- attributes --- */

/* A file that has lost its name can still be asked through whoever has it open. Its descriptor
 * stays open while the caller holds table. */
static const struct file *open_file_of(fuse_ino_t ino)
{
    return node_of(ino)->file;
}

/* The caller holds names. */
static int find_attr(fuse_ino_t ino, struct stat *st)
{
    char path[PATH_MAX];
    int rc = path_of(ino, NULL, path);
    if (rc == 0)
        rc = merge_find(it.merge, path, st);
    if (rc >= 0)
        return 0;
    pthread_mutex_lock(&it.table);
    const struct file *f = open_file_of(ino);
    if (f)
        rc = merge_fstat(f->fd, f->side, st);
    pthread_mutex_unlock(&it.table);
    return rc;
}

static void reply_attr(fuse_req_t req, int rc, fuse_ino_t ino)
{
    struct stat st;
    if (rc >= 0)
        rc = find_attr(ino, &st);
    end();
    if (rc < 0)
        reply(req, rc);
    else
        fuse_reply_attr(req, &st, 0);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    pthread_rwlock_rdlock(&it.names);
    reply_attr(req, 0, ino);
}

static void wanted_times(const struct stat *st, int to_set, struct timespec times[2])
{
    const struct timespec omit = { .tv_nsec = UTIME_OMIT }, now = { .tv_nsec = UTIME_NOW };
    times[0] = to_set & FUSE_SET_ATTR_ATIME_NOW ? now
               : to_set & FUSE_SET_ATTR_ATIME   ? st->st_atim
                                                : omit;
    times[1] = to_set & FUSE_SET_ATTR_MTIME_NOW ? now
               : to_set & FUSE_SET_ATTR_MTIME   ? st->st_mtim
                                                : omit;
}

enum { SET_OWNER = FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID };
enum {
    SET_TIMES = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |
                FUSE_SET_ATTR_MTIME_NOW
};

static int truncate_path(const char *path, off_t size_bytes)
{
    enum merge_side side;
    AUTO_FD fd = merge_open(it.merge, path, O_WRONLY | O_NONBLOCK, 0, &side);
    return fd < 0 ? fd : result(ftruncate(fd, size_bytes));
}

static int set_by_path(const char *path, const struct stat *st, int to_set)
{
    uid_t uid = to_set & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1;
    gid_t gid = to_set & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1;
    struct timespec times[2];
    wanted_times(st, to_set, times);
    int rc = 0;
    if (to_set & FUSE_SET_ATTR_MODE)
        rc = merge_chmod(it.merge, path, st->st_mode & 07777);
    if (rc == 0 && to_set & SET_OWNER)
        rc = merge_chown(it.merge, path, uid, gid);
    if (rc == 0 && to_set & FUSE_SET_ATTR_SIZE)
        rc = truncate_path(path, st->st_size);
    if (rc == 0 && to_set & SET_TIMES)
        rc = merge_utimens(it.merge, path, times);
    return rc;
}

/* For a file without a name; the target's can't be changed. */
static int set_by_fd(const struct file *f, const struct stat *st, int to_set)
{
    uid_t uid = to_set & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1;
    gid_t gid = to_set & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1;
    struct timespec times[2];
    wanted_times(st, to_set, times);
    if (f->side == MERGE_TARGET)
        return -EROFS;
    if (to_set & FUSE_SET_ATTR_MODE && fchmod(f->fd, st->st_mode & 07777) < 0)
        return -errno;
    if (to_set & SET_OWNER && fchown(f->fd, uid, gid) < 0)
        return -errno;
    if (to_set & FUSE_SET_ATTR_SIZE && ftruncate(f->fd, st->st_size) < 0)
        return -errno;
    return to_set & SET_TIMES ? result(futimens(f->fd, times)) : 0;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    char path[PATH_MAX];
    int rc = begin(ino, NULL, path);
    if (fi && to_set & FUSE_SET_ATTR_SIZE)
        rc = set_by_fd(file_of(fi), st, to_set);
    else if (rc == 0)
        rc = set_by_path(path, st, to_set);
    else if (rc == -ENOENT) {
        pthread_mutex_lock(&it.table);
        const struct file *f = open_file_of(ino);
        if (f)
            rc = set_by_fd(f, st, to_set);
        pthread_mutex_unlock(&it.table);
    }
    reply_attr(req, rc, ino);
}

/* --- files --- */

/* Takes fd. */
static int add_file(fuse_ino_t ino, int fd, enum merge_side side, struct fuse_file_info *fi)
{
    struct file *f = calloc(1, sizeof *f);
    if (!f) {
        close(fd);
        return -ENOMEM;
    }
    struct node *n = node_of(ino);
    *f = (struct file){ .fd = fd, .side = side, .node = n };
    pthread_mutex_lock(&it.table);
    f->next = n->file;
    n->file = f;
    n->uses++;
    pthread_mutex_unlock(&it.table);
    fi->fh = (uint64_t)(uintptr_t)f;
    fi->direct_io = (fi->flags & O_APPEND) != 0; /* the kernel's idea of the end may be old */
    return 0;
}

static void drop_file(struct file *f)
{
    pthread_mutex_lock(&it.table);
    struct file *other = f->node->file;
    if (other == f) {
        f->node->file = f->next;
    } else {
        while (other->next != f)
            other = other->next;
        other->next = f->next;
    }
    node_unuse(&it.nodes, f->node);
    pthread_mutex_unlock(&it.table);
    close(f->fd);
    free(f);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    char path[PATH_MAX];
    enum merge_side side;
    int rc = begin(ino, NULL, path);
    int fd = rc < 0 ? rc : merge_open(it.merge, path, fi->flags & ~O_NOFOLLOW, 0, &side);
    rc = fd < 0 ? fd : add_file(ino, fd, side, fi);
    end();
    if (rc < 0)
        reply(req, rc);
    else if (fuse_reply_open(req, fi) < 0)
        drop_file(file_of(fi));
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    char path[PATH_MAX];
    struct fuse_entry_param e = { 0 };
    struct stat st;
    enum merge_side side;
    int rc = begin(parent, name, path);
    bool is_new = rc == 0 && merge_find(it.merge, path, &st) == -ENOENT;
    int fd = rc < 0 ? rc : merge_open(it.merge, path, fi->flags | O_CREAT, mode, &side);
    rc = is_new ? give(req, fd, path) : fd;
    if (rc >= 0)
        rc = find_entry(parent, name, path, &e);
    if (rc == 0)
        rc = add_file(e.ino, fd, side, fi);
    else
        fd_close(&fd);
    end();
    if (rc < 0) {
        if (e.ino)
            forget(e.ino, 1);
        reply(req, rc);
    } else if (fuse_reply_create(req, &e, fi) < 0) {
        drop_file(file_of(fi));
        forget(e.ino, 1);
    }
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t len_bytes, off_t at,
                    struct fuse_file_info *fi)
{
    (void)ino;
    struct fuse_bufvec buf = FUSE_BUFVEC_INIT(len_bytes);
    buf.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
    buf.buf[0].fd = file_of(fi)->fd;
    buf.buf[0].pos = at;
    fuse_reply_data(req, &buf, 0);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *ptr, size_t len_bytes,
                     off_t at, struct fuse_file_info *fi)
{
    (void)ino;
    ssize_t n = pwrite(file_of(fi)->fd, ptr, len_bytes, at);
    if (n < 0)
        reply(req, -errno);
    else
        fuse_reply_write(req, (size_t)n);
}

/* A close may be the last word about what was written. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    int fd = fcntl(file_of(fi)->fd, F_DUPFD_CLOEXEC, 0);
    reply(req, result(fd < 0 ? fd : close(fd)));
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    drop_file(file_of(fi));
    reply(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int is_data_only,
                     struct fuse_file_info *fi)
{
    (void)ino;
    int fd = file_of(fi)->fd;
    reply(req, result(is_data_only ? fdatasync(fd) : fsync(fd)));
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t at, off_t len_bytes,
                         struct fuse_file_info *fi)
{
    (void)ino;
    reply(req, result(fallocate(file_of(fi)->fd, mode, at, len_bytes)));
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t at, int whence,
                     struct fuse_file_info *fi)
{
    (void)ino;
    off_t found = lseek(file_of(fi)->fd, at, whence);
    if (found < 0)
        reply(req, -errno);
    else
        fuse_reply_lseek(req, found);
}

static void op_copy(fuse_req_t req, fuse_ino_t from_ino, off_t from_at,
                    struct fuse_file_info *from, fuse_ino_t to_ino, off_t to_at,
                    struct fuse_file_info *to, size_t len_bytes, int flags)
{
    (void)from_ino;
    (void)to_ino;
    ssize_t n = copy_file_range(file_of(from)->fd, &from_at, file_of(to)->fd, &to_at, len_bytes,
                                (unsigned)flags);
    if (n < 0)
        reply(req, -errno);
    else
        fuse_reply_write(req, (size_t)n);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    struct statvfs fs;
    if (fstatvfs(it.head_fd, &fs) < 0)
        reply(req, -errno);
    else
        fuse_reply_statfs(req, &fs);
}

/* --- directories --- */

static void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->entries[i].name);
    free(l->entries);
    free(l);
}

static int add_entry(void *ctx, const char *name, const struct stat *st)
{
    struct listing *l = ctx;
    if (l->count == l->size) {
        size_t size = l->size ? 2 * l->size : 32;
        struct entry *entries = realloc(l->entries, size * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        l->entries = entries;
        l->size = size;
    }
    l->entries[l->count] = (struct entry){ .name = strdup(name), .st = *st };
    return l->entries[l->count++].name ? 0 : -ENOMEM;
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct listing *l = calloc(1, sizeof *l);
    fi->fh = (uint64_t)(uintptr_t)l;
    if (!l)
        reply(req, -ENOMEM);
    else if (fuse_reply_open(req, fi) < 0)
        listing_free(l);
    (void)ino;
}

/* Reads the directory when it is read from its beginning: rewinddir(3) sees what is new. */
static int refresh(fuse_ino_t ino, struct listing *l)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < l->count; i++)
        free(l->entries[i].name);
    l->count = 0;
    int rc = begin(ino, NULL, path);
    if (rc == 0)
        rc = merge_list(it.merge, path, add_entry, l);
    end();
    return rc == -ENOENT ? 0 : rc; /* removed meanwhile: empty */
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size_bytes, off_t at,
                       struct fuse_file_info *fi)
{
    struct listing *l = (struct listing *)(uintptr_t)fi->fh;
    char *text = malloc(size_bytes);
    int rc = !text ? -ENOMEM : at == 0 ? refresh(ino, l) : 0;
    size_t used = 0;
    for (size_t i = (size_t)at; rc == 0 && i < l->count; i++) {
        size_t n = fuse_add_direntry(req, text + used, size_bytes - used, l->entries[i].name,
                                     &l->entries[i].st, (off_t)i + 1);
        if (n > size_bytes - used)
            break;
        used += n;
    }
    if (rc < 0)
        reply(req, rc);
    else
        fuse_reply_buf(req, text, used);
    free(text);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    listing_free((struct listing *)(uintptr_t)fi->fh);
    reply(req, 0);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int is_data_only,
                        struct fuse_file_info *fi)
{
    (void)is_data_only;
    (void)fi;
    char path[PATH_MAX];
    enum merge_side side;
    int rc = begin(ino, NULL, path);
    AUTO_FD fd = rc < 0 ? rc : merge_open(it.merge, path, O_RDONLY | O_DIRECTORY, 0, &side);
    end();
    reply(req, fd < 0 ? fd : result(fsync(fd)));
}

/* --- extended attributes: by name of the descriptor, because links have some too. The working
 * directory is /proc/self/fd. --- */

static int open_named(fuse_ino_t ino, bool is_change, char text[16])
{
    char path[PATH_MAX];
    int rc = begin(ino, NULL, path);
    int fd = rc < 0 ? rc : merge_open_path(it.merge, path, is_change);
    end();
    if (fd >= 0)
        snprintf(text, 16, "%d", fd);
    return fd;
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t len_bytes, int flags)
{
    char text[16];
    AUTO_FD fd = open_named(ino, true, text);
    reply(req, fd < 0 ? fd : result(setxattr(text, name, value, len_bytes, flags)));
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    char text[16];
    AUTO_FD fd = open_named(ino, true, text);
    reply(req, fd < 0 ? fd : result(removexattr(text, name)));
}

/* name NULL: the list of names. */
static void reply_xattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size_bytes)
{
    char text[16];
    AUTO_FD fd = open_named(ino, false, text);
    size_t room = size_bytes < XATTR_BYTES_MAX ? size_bytes : XATTR_BYTES_MAX;
    char *value = malloc(room + 1);
    ssize_t n = fd < 0 || !value ? -1
                : name           ? getxattr(text, name, value, room)
                                 : listxattr(text, value, room);
    if (n < 0)
        reply(req, fd < 0 ? fd : !value ? -ENOMEM : -errno);
    else if (size_bytes == 0)
        fuse_reply_xattr(req, (size_t)n);
    else
        fuse_reply_buf(req, value, (size_t)n);
    free(value);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size_bytes)
{
    reply_xattr(req, ino, name, size_bytes);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size_bytes)
{
    reply_xattr(req, ino, NULL, size_bytes);
}

static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .fallocate = op_fallocate,
    .lseek = op_lseek,
    .copy_file_range = op_copy,
    .statfs = op_statfs,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .setxattr = op_setxattr,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
};

/* --- the process --- */

/* Closes what the agent relies on being closed, and raises what the job's open files need. */
static void make_room(const struct mergefuse_opts *o, int ready_fd)
{
    const int keep[] = { o->head_fd, o->target_fd, o->fuse_fd, ready_fd };
    fd_close_all_but(keep, ARRAY_LEN(keep));
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Answers requests until the mount is gone. Not libfuse's own loop of threads, whose
 * configuration differs between its versions. */
static void *work(void *session)
{
    struct fuse_session *se = session;
    struct fuse_buf buf = { 0 };
    while (!fuse_session_exited(se)) {
        int n = fuse_session_receive_buf(se, &buf);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            break;
        fuse_session_process_buf(se, &buf);
    }
    free(buf.mem);
    return NULL;
}

/* In the new process, which has been single-threaded until now. */
static int serve(const struct mergefuse_opts *o, const char *proc_path, int ready_fd)
{
    char where[64];
    make_room(o, ready_fd);
    umask(0);
    signal(SIGPIPE, SIG_IGN);
    snprintf(where, sizeof where, "%s/self/fd", proc_path);
    it.head_fd = o->head_fd;
    if (chdir(where) < 0 || merge_new(o->head_fd, o->target_fd, &it.merge) < 0 ||
        nodes_init(&it.nodes) < 0)
        return -1;
    char *words[] = { (char *)"mrc-merge", NULL };
    struct fuse_args args = FUSE_ARGS_INIT(1, words);
    struct fuse_session *se = fuse_session_new(&args, &operations, sizeof operations, NULL);
    snprintf(where, sizeof where, "/dev/fd/%d", o->fuse_fd);
    if (!se || fuse_session_mount(se, where) != 0)
        return -1;
    for (int i = 1; i < WORKERS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, se) != 0)
            return -1;
    }
    if (fd_write_full(ready_fd, "", 1) < 0)
        return -1;
    close(ready_fd);
    work(se);
    return 0;
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
        return err_say(e, ECHILD, "the server of --overlay failed");
    return 0; /* it is reaped when the caller ends */
}
