/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attr.c: the kernel's requests about attributes, also of files without a name.
 * Must not know: how the directories were mounted. */
#include "mrc/agent/mergefuse/parts.h"

#include "common/sys/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that has lost its name can still be asked through whoever has it open. Its descriptor
 * stays open while the caller holds table. */
static const struct mergefuse_file *open_file_of(fuse_ino_t ino)
{
    return mergefuse_node(ino)->file;
}

/* The caller holds names. */
static int find_attr(fuse_ino_t ino, struct stat *st)
{
    char path[PATH_MAX];
    int rc = mergefuse_path(ino, NULL, path);
    if (rc == 0)
        rc = merge_find(mergefuse_it.merge, path, st);
    if (rc >= 0)
        return 0;
    pthread_mutex_lock(&mergefuse_it.table);
    const struct mergefuse_file *f = open_file_of(ino);
    if (f)
        rc = merge_fstat(f->fd, f->side, st);
    pthread_mutex_unlock(&mergefuse_it.table);
    return rc;
}

static void reply_attr(fuse_req_t req, int rc, fuse_ino_t ino)
{
    struct stat st;
    if (rc >= 0)
        rc = find_attr(ino, &st);
    mergefuse_end();
    if (rc < 0)
        mergefuse_reply(req, rc);
    else
        fuse_reply_attr(req, &st, 0);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    pthread_rwlock_rdlock(&mergefuse_it.names);
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
    AUTO_FD fd = merge_open(mergefuse_it.merge, path, O_WRONLY | O_NONBLOCK, 0, &side);
    return fd < 0 ? fd : mergefuse_result(ftruncate(fd, size_bytes));
}

static int set_by_path(const char *path, const struct stat *st, int to_set)
{
    uid_t uid = to_set & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1;
    gid_t gid = to_set & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1;
    struct timespec times[2];
    wanted_times(st, to_set, times);
    int rc = 0;
    if (to_set & FUSE_SET_ATTR_MODE)
        rc = merge_chmod(mergefuse_it.merge, path, st->st_mode & 07777);
    if (rc == 0 && to_set & SET_OWNER)
        rc = merge_chown(mergefuse_it.merge, path, uid, gid);
    if (rc == 0 && to_set & FUSE_SET_ATTR_SIZE)
        rc = truncate_path(path, st->st_size);
    if (rc == 0 && to_set & SET_TIMES)
        rc = merge_utimens(mergefuse_it.merge, path, times);
    return rc;
}

/* For a file without a name; the target's can't be changed. */
static int set_by_fd(const struct mergefuse_file *f, const struct stat *st, int to_set)
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
    return to_set & SET_TIMES ? mergefuse_result(futimens(f->fd, times)) : 0;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    char path[PATH_MAX];
    int rc = mergefuse_begin(ino, NULL, path);
    if (fi && to_set & FUSE_SET_ATTR_SIZE)
        rc = set_by_fd(mergefuse_file(fi), st, to_set);
    else if (rc == 0)
        rc = set_by_path(path, st, to_set);
    else if (rc == -ENOENT) {
        pthread_mutex_lock(&mergefuse_it.table);
        const struct mergefuse_file *f = open_file_of(ino);
        if (f)
            rc = set_by_fd(f, st, to_set);
        pthread_mutex_unlock(&mergefuse_it.table);
    }
    reply_attr(req, rc, ino);
}

void mergefuse_attr(struct fuse_lowlevel_ops *ops)
{
    ops->getattr = op_getattr;
    ops->setattr = op_setattr;
}
