/* SPDX-License-Identifier: GPL-2.0-or-later */
/* data.c: the kernel's requests about the contents of open files. The writeback cache is off: a
 * write is on the server when it returns. */
#include "mrcfs/client/fuse/fuse.h"

#include "mrcfs/chunks/put.h"
#include "mrcfs/client/ahead.h"
#include "mrcfs/client/assume.h"
#include "mrcfs/client/chunks.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/join.h"
#include "mrcfs/client/locks.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COPY_BEHIND_MAX = MFS_DIRTY_MAX / 2
}; /* bytes of one copy that is answered before it is made */

static int on_read(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_read_rep m = { 0 };
    if (rc == 0 && (mfs_read_rep_get(body, &m) < 0 || m.body.len > call->size))
        return -EPROTO;
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else
        fuse_reply_buf(call->req, (const char *)m.body.ptr, m.body.len);
    return 0;
}

void mfs_fuse_read(fuse_req_t req, fuse_ino_t ino, uint64_t fh, size_t size, uint64_t offset)
{
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_read);
    if (!call)
        return;
    call->size = size < MFS_DATA_MAX ? size : MFS_DATA_MAX;
    struct mfs_read_req m = { fh, offset, (uint32_t)call->size };
    SEND(read, call, &m, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    struct bytes head;
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_known *of = mfs_known_find(&s->nodes, mfs_fuse_opened(fi)->node);
    if (offset == 0 && of && of->is_small_file && (mfs_fuse_opened(fi)->reader || s->ahead.lost))
        mfs_ahead_missed(s);
    if (offset >= 0 && mfs_own_read(s, of, (uint64_t)offset, size, &head)) {
        fuse_reply_buf(req, (const char *)head.ptr, head.len);
        return;
    }
    if (mfs_opened_head(mfs_fuse_session(req), mfs_fuse_opened(fi), size, offset, &head)) {
        fuse_reply_buf(req, (const char *)head.ptr, head.len);
        return;
    }
    struct mfs_opened *f = mfs_fuse_opened(fi);
    const struct mfs_known *n = mfs_known_find(&mfs_fuse_session(req)->nodes, f->node);
    if (n && n->behind) /* reading ahead is not for the order of those */
        mfs_fuse_read(req, ino, mfs_opened_fh(f), size, (uint64_t)offset);
    else
        mfs_fuse_read_on(req, ino, f, size, offset);
}

static int on_write(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_write_rep m = { 0 };
    if (rc == 0 && (mfs_write_rep_get(body, &m) < 0 || m.written > call->size))
        return -EPROTO;
    if (call->is_behind && rc == 0 && m.written < call->size)
        rc = -EIO; /* the server was to say why */
    mfs_lease_changed(call);
    if (call->is_behind)
        mfs_behind_made(call, rc);
    else if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else
        fuse_reply_write(call->req, m.written);
    return 0;
}

static int send_put(struct mfs_call *call, const struct mfs_caller *who,
                    const struct mfs_write_req *m)
{
    return mfs_fuse_put(call, who, m) ? 0 : mfs_send_write(call, who, m, m->body.len);
}

/* One piece of a write that is answered before it is made, on its way: sent, or in a run.
 * Returns 0 or -errno. */
static int write_piece(fuse_req_t req, struct mfs_session *s, struct mfs_known *n,
                       const struct mfs_caller *who, const struct mfs_write_req *m,
                       enum mfs_put_way way)
{
    if (way == MFS_PUT_JOIN)
        return mfs_join_add(s->client, m->body);
    mfs_join_flush(s->client);
    struct mfs_call *call = mfs_call_new(s->client, on_write);
    if (!call)
        return -ENOMEM;
    if (!mfs_behind_is_in_order(s->client)) { /* what was to be sent before it has failed */
        mfs_call_drop(call);
        return -EIO;
    }
    call->session = s;
    call->node = n->number;
    call->pid = (uint32_t)fuse_req_ctx(req)->pid;
    call->size = m->body.len;
    int rc = mfs_behind_begin(call, &n, 1);
    if (rc == 0 && way == MFS_PUT_BEGIN) {
        mfs_behind_sent(call, m->body.len);
        if (mfs_join_begin(call, who, m, send_put) == 0)
            return 0;
        s->client->behind_bytes -= call->behind_bytes;
        list_remove(&call->interrupted);
        rc = -ENOMEM;
    }
    if (rc == 0 && (rc = send_put(call, who, m)) == 0)
        mfs_behind_sent(call, m->body.len);
    if (rc < 0) {
        mfs_behind_undo(call);
        mfs_call_drop(call);
    }
    return rc;
}

/* Answers a write of n, which may be answered before it is made, of a client that has seen
 * chunks: in pieces that can be named. */
static void write_pieces(fuse_req_t req, struct mfs_session *s, struct mfs_known *n,
                         struct mfs_opened *f, const struct mfs_write_req *m)
{
    struct mfs_caller who = mfs_fuse_caller_of(req, f->node);
    size_t done = 0;
    int rc = 0;
    while (done < m->body.len && rc == 0) {
        struct mfs_write_req q = *m;
        q.offset += done;
        struct mfs_put_piece x =
            mfs_put_piece_of(mfs_join_end(s->client, &who, m), q.offset, m->body.len - done);
        q.body = (struct bytes){ m->body.ptr + done, (uint32_t)x.len_bytes };
        mfs_coherence_count_change(s, f->node);
        rc = write_piece(req, s, n, &who, &q, x.way);
        if (rc < 0)
            break;
        mfs_assume_written(s, n, q.offset, q.offset + x.len_bytes);
        mfs_own_written(s, n, q.offset, q.body);
        done += x.len_bytes;
    }
    if (!done)
        f->is_written = true;
    if (done)
        fuse_reply_write(req, done);
    else
        mfs_fuse_error(req, rc);
}

/* Could what is written be named? */
static bool may_join(const struct mfs_client *c, const struct mfs_write_req *m)
{
    return c->seen && m->body.len && mfs_chunks_is_on(c->chunks);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size,
                     off_t offset, struct fuse_file_info *fi)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_opened *f = mfs_fuse_opened(fi);
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (mfs_fuse_tell_behind(req, n))
        return;
    /* What is appended goes to the end, wherever the kernel believes that to be. */
    bool is_appended = fi->flags & O_APPEND && mfs_own_is_shaped(s, n) &&
                       !(n->attr.mode & (S_ISUID | S_ISGID)); /* the server takes these away */
    if (is_appended)
        offset = (off_t)mfs_behind_size(n, n->attr.size);
    bool may_be_behind =
        !fi->writepage && mfs_behind_may(s, n, is_appended ? fi->flags & ~O_APPEND : fi->flags);
    struct mfs_write_req m = { f->fh,
                               (uint64_t)offset,
                               mfs_oflags_from_host(fi->flags) |
                                   (mfs_locks_are_held(n) ? MFS_O_LOCKED : 0),
                               { (const uint8_t *)bytes, (uint32_t)size } };
    if (may_be_behind && may_join(s->client, &m)) {
        m.oflags |= MFS_O_WHOLE;
        write_pieces(req, s, n, f, &m);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_write);
    if (!call)
        return;
    bool is_behind = may_be_behind && mfs_behind_begin(call, &n, 1) == 0;
    m.oflags |= is_behind ? MFS_O_WHOLE : 0;
    f->is_written = f->is_written || !is_behind;
    mfs_coherence_count_change(s, f->node);
    if (!is_behind)
        mfs_lease_write(call, f->node);
    if (fi->writepage && n)
        n->had_mapped_writes = true;
    call->size = size;
    struct mfs_caller who = mfs_fuse_caller_of(req, f->node);
    int rc = mfs_send_write(call, &who, &m, size);
    if (rc < 0 && is_behind)
        mfs_behind_undo(call);
    if (rc < 0 || !is_behind) {
        f->is_written = true;
        mfs_fuse_sent(call, rc);
        return;
    }
    mfs_behind_sent(call, size);
    mfs_assume_written(s, n, (uint64_t)offset, (uint64_t)offset + size);
    mfs_own_written(s, n, (uint64_t)offset,
                    (struct bytes){ (const uint8_t *)bytes, (uint32_t)size });
    call->req = NULL;
    fuse_reply_write(req, size);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi)
{
    struct mfs_fallocate_req m = { mfs_fuse_opened(fi)->fh, 0, (uint64_t)offset,
                                   (uint64_t)length };
    int rc = mfs_falloc_from_host(mode, &m.fmode);
    if (rc < 0) {
        mfs_fuse_error(req, rc);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, mfs_fuse_done);
    if (!call)
        return;
    mfs_coherence_count_change(call->session, mfs_fuse_opened(fi)->node);
    mfs_lease_write(call, mfs_fuse_opened(fi)->node);
    SEND_CHANGE(fallocate, call, mfs_fuse_opened(fi)->node, &m, 0);
}

static int on_lseek(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_lseek_rep m = { 0 };
    if (rc == 0 && (mfs_lseek_rep_get(body, &m) < 0 || m.offset > INT64_MAX))
        return -EPROTO;
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else
        fuse_reply_lseek(call->req, (off_t)m.offset);
    return 0;
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                     struct fuse_file_info *fi)
{
    if (whence != SEEK_DATA && whence != SEEK_HOLE) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_lseek);
    if (!call)
        return;
    struct mfs_lseek_req m = { mfs_opened_fh(mfs_fuse_opened(fi)), (uint64_t)offset,
                               whence == SEEK_DATA ? MFS_SEEK_DATA : MFS_SEEK_HOLE };
    SEND(lseek, call, &m, 0);
}

static int on_copy(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_copy_file_range_rep m = { 0 };
    if (rc == 0 && (mfs_copy_file_range_rep_get(body, &m) < 0 || m.copied > call->size))
        return -EPROTO;
    if (call->is_behind && rc == 0 && m.copied < call->size)
        rc = -EIO; /* the server was to say why */
    mfs_lease_changed(call);
    if (call->is_behind)
        mfs_behind_made(call, rc);
    else if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else
        fuse_reply_write(call->req, m.copied);
    return 0;
}

/* How much there is to copy from f's file, if its size is sure to be what is known until all
 * that is on the way is made; or -1. */
static int64_t copied_size(struct mfs_session *s, const struct mfs_opened *f, uint64_t offset,
                           size_t length)
{
    const struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (!mfs_lease_attr(s, n) && !mfs_own_is_shaped(s, n))
        return -1;
    uint64_t left = offset < n->attr.size ? n->attr.size - offset : 0;
    return (int64_t)(length < left ? length : left);
}

/* The copy is put behind, and m->length becomes what it is answered with. False: it is to be
 * waited for. */
static bool copy_behind(struct mfs_call *call, const struct mfs_opened *from,
                        const struct mfs_opened *to, struct mfs_copy_file_range_req *m)
{
    struct mfs_session *s = call->session;
    struct mfs_known *in = mfs_known_find(&s->nodes, from->node),
                     *out = mfs_known_find(&s->nodes, to->node);
    int64_t size = copied_size(s, from, m->offset_in,
                               m->length < COPY_BEHIND_MAX ? m->length : COPY_BEHIND_MAX);
    if (size <= 0 || in == out || mfs_locks_are_held(out) ||
        !mfs_behind_may(s, out, to->host_flags) || mfs_behind_begin(call, &out, 1) < 0)
        return false;
    m->length = call->size = (size_t)size;
    struct mfs_caller who = mfs_fuse_caller_of(call->req, to->node);
    if (mfs_send_copy_file_range(call, &who, m, 0) < 0) {
        mfs_behind_undo(call);
        return false;
    }
    mfs_behind_sent(call, call->size);
    mfs_behind_reads(call, in);
    mfs_coherence_count_change(s, to->node);
    mfs_assume_written(s, out, m->offset_out, m->offset_out + call->size);
    struct bytes what;
    if (mfs_own_read(s, in, m->offset_in, call->size, &what) && what.len == call->size)
        mfs_own_written(s, out, m->offset_out, what);
    return true;
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in,
                               struct fuse_file_info *fi_in, fuse_ino_t ino_out,
                               off_t offset_out, struct fuse_file_info *fi_out, size_t length,
                               int flags)
{
    (void)ino_out;
    struct mfs_opened *from = mfs_fuse_opened(fi_in), *to = mfs_fuse_opened(fi_out);
    struct mfs_session *s = mfs_fuse_session(req);
    if (flags) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    if (mfs_fuse_tell_behind(req, mfs_known_find(&s->nodes, to->node)))
        return;
    if (copied_size(s, from, (uint64_t)offset_in, length) == 0) {
        fuse_reply_write(req, 0);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino_in, on_copy);
    if (!call)
        return;
    call->node = to->node;
    /* The kernel's answer has 32 bits. */
    call->size = length < 1U << 30 ? length : 1U << 30;
    struct mfs_copy_file_range_req m = { mfs_opened_fh(from), (uint64_t)offset_in, to->fh,
                                         (uint64_t)offset_out, call->size };
    if (copy_behind(call, from, to, &m)) {
        call->req = NULL;
        fuse_reply_write(req, call->size);
        return;
    }
    to->is_written = true;
    mfs_coherence_count_change(s, to->node);
    mfs_lease_write(call, to->node);
    SEND_CHANGE(copy_file_range, call, to->node, &m, 0);
}

void mfs_fuse_data(struct fuse_lowlevel_ops *ops)
{
    ops->read = op_read;
    ops->write = op_write;
    ops->fallocate = op_fallocate;
    ops->lseek = op_lseek;
    ops->copy_file_range = op_copy_file_range;
}
