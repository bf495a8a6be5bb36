/* SPDX-License-Identifier: GPL-2.0-or-later */
/* do_data.c: operations on open files' contents.
 * Must not know: the wire's coding, threads. */
#include "mrcfs/server/server.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

/* A file that is none in the kernel's eyes answers like the wrong kind of descriptor. */
static int regular(struct mfs_call *o, uint64_t fh, struct mfs_file **f)
{
    int rc = mfs_op_file(o, fh, f);
    return rc == 0 && (*f)->is_dir ? -EISDIR : rc;
}

static int is_offset(uint64_t offset)
{
    return offset <= INT64_MAX ? 0 : -EINVAL;
}

/* The whole of a small file, before it is asked for. */
static int read_head(struct mfs_call *o, int fd, struct mfs_open_rep *p)
{
    uint8_t *at;
    if (!S_ISREG(p->attr.mode) || !p->attr.size || p->attr.size > MFS_HEAD_SIZE)
        return 0;
    int rc = mfs_op_payload(o, p->attr.size, &at);
    if (rc < 0)
        return rc;
    ssize_t n = pread(fd, at, p->attr.size, 0);
    /* Only whole: what is shorter was cut meanwhile, and is asked for in the usual way. */
    o->out->len = n == (ssize_t)p->attr.size ? (size_t)n : 0;
    p->head = (struct bytes){ NULL, (uint32_t)o->out->len };
    return 0;
}

int mfs_do_open(struct mfs_call *o, const struct mfs_open_req *q, struct mfs_open_rep *p)
{
    struct mfs_node *n;
    int flags;
    int rc = mfs_oflags_to_host(q->oflags, &flags);
    if (rc < 0)
        return rc;
    bool is_written = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
    rc = is_written ? mfs_op_node_rw(o, q->node, &n) : mfs_op_node(o, q->node, &n);
    if (rc < 0)
        return rc;
    if (n->identity.type == S_IFDIR)
        return -EISDIR;
    rc = mfs_need_data(o, n, is_written ? MFS_LEASE_EXCLUSIVE : MFS_LEASE_SHARED);
    if (rc < 0)
        return rc;
    /* Whether to append is said with each write; only append-only files ask for it at open. */
    int kept = flags & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME | O_TRUNC);
    if (is_written)
        mfs_fileleases_yield(o, &n->identity);
    AUTO_FD fd = mfs_open_real(o, n, kept);
    if (fd == -EPERM && (flags & O_APPEND))
        fd = mfs_open_real(o, n, kept | O_APPEND);
    if (fd < 0)
        return fd;
    mfs_filelease_take(o, n, fd, is_written, &p->attr.flags);
    rc = mfs_node_attr(o, n, &p->attr);
    mfs_grant_attr(o, &n->identity, n->id, &p->attr);
    if (rc == 0 && q->oflags & MFS_O_HEAD && (flags & O_ACCMODE) == O_RDONLY)
        rc = read_head(o, fd, p);
    if (rc < 0) {
        mfs_filelease_undo(o);
        return rc;
    }
    return mfs_op_add_file(o, n, &fd, flags, &p->fh);
}

int mfs_do_read(struct mfs_call *o, const struct mfs_read_req *q, struct mfs_read_rep *p)
{
    struct mfs_file *f;
    uint8_t *at;
    int rc = regular(o, q->fh, &f);
    if (rc < 0 || (rc = is_offset(q->offset)) < 0 ||
        (rc = mfs_need_file(o, f, MFS_LEASE_SHARED)) < 0)
        return rc;
    size_t size = q->size < MFS_DATA_MAX ? q->size : MFS_DATA_MAX, done = 0;
    rc = mfs_op_payload(o, size, &at);
    while (rc == 0 && done < size) {
        ssize_t n = pread(f->fd, at + done, size - done, (off_t)(q->offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && !done)
            rc = -errno;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    p->body = (struct bytes){ NULL, (uint32_t)done };
    mfs_note_data(o->srv, f->id, f->fd, done, false);
    if (o->out)
        o->out->len = done;
    return rc;
}

int mfs_do_write(struct mfs_call *o, const struct mfs_write_req *q, struct mfs_write_rep *p)
{
    struct mfs_file *f;
    int rc = regular(o, q->fh, &f);
    if (rc < 0 || (rc = is_offset(q->offset)) < 0 ||
        (rc = mfs_need_file(o, f, MFS_LEASE_EXCLUSIVE)) < 0)
        return rc;
    if (q->oflags & MFS_O_LOCKED && mfs_filelease_is_cut(o->srv, f))
        return -ESTALE;
    int flags = q->oflags & MFS_O_APPEND ? RWF_APPEND : 0;
    size_t done = 0;
    do {
        struct iovec iov = { (void *)(uintptr_t)(q->body.ptr + done), q->body.len - done };
        ssize_t n = pwritev2(f->fd, &iov, 1, (off_t)(q->offset + done), flags);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (!done || q->oflags & MFS_O_WHOLE))
            return -errno;
        if (n <= 0)
            break; /* what stopped it is told by the next write */
        done += (size_t)n;
    } while (done < q->body.len);
    p->written = (uint32_t)done;
    mfs_note_data(o->srv, f->id, f->fd, done, true);
    return 0;
}

int mfs_do_flush(struct mfs_call *o, const struct mfs_flush_req *q,
                 struct mfs_flush_rep *p UNUSED)
{
    struct mfs_file *f;
    int rc = mfs_op_file(o, q->fh, &f);
    if (rc < 0)
        return rc;
    if (q->owner)
        mfs_locks_flush(&o->srv->locks, f, q->owner);
    /* Closing a copy makes network file systems tell the errors of earlier writes. */
    mfs_closed(o, f);
    int copy = f->is_writable ? fcntl(f->fd, F_DUPFD_CLOEXEC, 0) : -1;
    return copy >= 0 && close(copy) < 0 && errno != EINTR ? -errno : 0;
}

int mfs_do_release(struct mfs_call *o, const struct mfs_release_req *q,
                   struct mfs_release_rep *p UNUSED)
{
    struct mfs_file *f;
    int rc = regular(o, q->fh, &f);
    if (rc < 0)
        return rc;
    mfs_closed(o, f);
    mfs_locks_release(&o->srv->locks, f);
    mfs_filelease_closing(o->srv, __atomic_exchange_n(&f->lease, NULL, __ATOMIC_ACQ_REL));
    mfs_file_remove(&o->srv->files, f);
    return 0;
}

static int sync_file(const struct mfs_file *f, bool is_data_only)
{
    return (is_data_only ? fdatasync(f->fd) : fsync(f->fd)) < 0 ? -errno : 0;
}

int mfs_do_fsync(struct mfs_call *o, const struct mfs_fsync_req *q,
                 struct mfs_fsync_rep *p UNUSED)
{
    struct mfs_file *f;
    int rc = regular(o, q->fh, &f);
    return rc < 0 ? rc : sync_file(f, q->is_data_only);
}

int mfs_do_fsyncdir(struct mfs_call *o, const struct mfs_fsyncdir_req *q,
                    struct mfs_fsyncdir_rep *p UNUSED)
{
    struct mfs_file *f;
    int rc = mfs_op_file(o, q->fh, &f);
    return rc < 0 ? rc : sync_file(f, q->is_data_only);
}

int mfs_do_syncfs(struct mfs_call *o, const struct mfs_syncfs_req *q,
                  struct mfs_syncfs_rep *p UNUSED)
{
    struct mfs_node *n;
    int rc = mfs_op_node(o, q->node, &n);
    if (rc < 0)
        return rc;
    AUTO_FD fd = mfs_open_real(o, n, O_RDONLY);
    if (fd < 0)
        return fd;
    return syncfs(fd) < 0 ? -errno : 0;
}

int mfs_do_fallocate(struct mfs_call *o, const struct mfs_fallocate_req *q,
                     struct mfs_fallocate_rep *p UNUSED)
{
    struct mfs_file *f;
    int mode;
    int rc = regular(o, q->fh, &f);
    if (rc < 0 || (rc = is_offset(q->offset)) < 0 || (rc = is_offset(q->length)) < 0)
        return rc;
    if (mfs_falloc_to_host(q->fmode, &mode) < 0)
        return -EOPNOTSUPP;
    if ((rc = mfs_need_file(o, f, MFS_LEASE_EXCLUSIVE)) < 0)
        return rc;
    do
        rc = fallocate(f->fd, mode, (off_t)q->offset, (off_t)q->length) < 0 ? -errno : 0;
    while (rc == -EINTR);
    return rc;
}

int mfs_do_lseek(struct mfs_call *o, const struct mfs_lseek_req *q, struct mfs_lseek_rep *p)
{
    struct mfs_file *f;
    int rc = regular(o, q->fh, &f);
    if (rc < 0)
        return rc;
    if (q->whence != MFS_SEEK_DATA && q->whence != MFS_SEEK_HOLE)
        return -EINVAL;
    if (q->offset > INT64_MAX)
        return -ENXIO;
    if ((rc = mfs_need_file(o, f, MFS_LEASE_SHARED)) < 0)
        return rc;
    /* Nothing else uses the descriptor's position. */
    off_t at =
        lseek(f->fd, (off_t)q->offset, q->whence == MFS_SEEK_DATA ? SEEK_DATA : SEEK_HOLE);
    if (at < 0)
        return -errno;
    p->offset = (uint64_t)at;
    return 0;
}

/* What a kernel can't copy between two file systems, at most MFS_DATA_MAX at a time. */
static ssize_t copy_by_hand(int in, off_t offset_in, int out, off_t offset_out, size_t length)
{
    size_t size = length < MFS_DATA_MAX ? length : MFS_DATA_MAX, done = 0;
    AUTO_FREE uint8_t *memory = malloc(size);
    if (!memory)
        return -ENOMEM;
    ssize_t have = pread(in, memory, size, offset_in);
    if (have < 0)
        return -errno;
    while (done < (size_t)have) {
        ssize_t n = pwrite(out, memory + done, (size_t)have - done, offset_out + (off_t)done);
        if (n < 0 && !done)
            return -errno;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* One piece. Returns how much, or -errno. */
static ssize_t copy_some(int in, off_t offset_in, int out, off_t offset_out, size_t length)
{
    off_t from = offset_in, to = offset_out;
    ssize_t n = copy_file_range(in, &from, out, &to, length, 0);
    if (n < 0 && (errno == EXDEV || errno == EOPNOTSUPP || errno == ENOSYS))
        return copy_by_hand(in, offset_in, out, offset_out, length);
    return n < 0 ? -errno : n;
}

int mfs_do_copy_file_range(struct mfs_call *o, const struct mfs_copy_file_range_req *q,
                           struct mfs_copy_file_range_rep *p)
{
    struct mfs_file *in, *out;
    int rc = regular(o, q->fh_in, &in);
    if (rc < 0 || (rc = regular(o, q->fh_out, &out)) < 0 ||
        (rc = is_offset(q->offset_in)) < 0 || (rc = is_offset(q->offset_out)) < 0 ||
        (rc = mfs_need_file(o, out, MFS_LEASE_EXCLUSIVE)) < 0 ||
        (rc = mfs_need_file(o, in, MFS_LEASE_SHARED)) < 0)
        return rc;
    size_t length = q->length < (size_t)INT64_MAX ? (size_t)q->length : INT64_MAX;
    if (length > (size_t)INT64_MAX - q->offset_in)
        length = (size_t)INT64_MAX - q->offset_in;
    /* Who was told already that all is copied wants it all. */
    bool is_whole = o->rq->head.is_assumed;
    size_t done = 0;
    ssize_t n;
    do {
        n = copy_some(in->fd, (off_t)(q->offset_in + done), out->fd,
                      (off_t)(q->offset_out + done), length - done);
        done += n > 0 ? (size_t)n : 0;
    } while (is_whole && n > 0 && done < length);
    if (n < 0 && (!done || is_whole))
        return (int)n;
    if (is_whole && done < length)
        return -EIO;
    p->copied = done;
    return 0;
}
