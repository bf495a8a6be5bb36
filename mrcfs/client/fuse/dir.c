/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dir.c: the kernel's requests that list directories. */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/mem.h"
#include "mrcfs/client/opened.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DIR_CHUNK_BYTES = 64 << 10 }; /* asked of the server at once, kept between readdirs */

static int on_opendir(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_opendir_rep m = { 0 };
    struct mfs_opened *f = call->file;
    if (rc == 0) {
        rc = mfs_opendir_rep_get(body, &m);
        if (rc < 0 || !m.fh)
            return -EPROTO;
    }
    if (rc < 0) {
        mfs_opened_free(f);
        mfs_fuse_error(call->req, rc);
        return 0;
    }
    struct fuse_file_info fi = { .fh = (uintptr_t)f };
    f->fh = m.fh;
    if (fuse_reply_open(call->req, &fi) < 0) {
        mfs_opened_free(f);
        mfs_opened_release_unheard(call->client, m.fh, true);
    }
    return 0;
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_opendir);
    if (!call)
        return;
    struct mfs_opened *f = call->file = mfs_opened_new(call);
    struct mfs_opendir_req m = { call->node };
    struct mfs_caller who = mfs_fuse_caller(req);
    int rc = f ? mfs_send_opendir(call, &who, &m, 0) : -ENOMEM;
    if (rc < 0)
        mfs_opened_free(f);
    mfs_fuse_sent(call, rc);
}

/* A name of the list that the kernel will not be told of with its node. */
static void drop_entry(struct mfs_session *s, const struct mfs_dirent *d)
{
    if (d->has_entry)
        mfs_client_forget(s->client, d->entry.node, 1);
}

void mfs_fuse_drop_entries(struct mfs_session *s, struct rd r)
{
    struct mfs_dirent d;
    while (rd_left(&r) && mfs_dirent_get(&r, &d) == 0)
        drop_entry(s, &d);
}

/* One entry into the kernel's buffer. Returns the room that it needs; more than size: nothing
 * was added. */
static size_t add_entry(fuse_req_t req, struct mfs_opened *f, const struct mfs_dirent *d,
                        const char *name, char *text, size_t size, bool is_plus)
{
    struct fuse_entry_param p = { .attr = { .st_ino = d->ino,
                                            .st_mode = DTTOIF(d->type & 15U) } };
    if (!is_plus)
        return fuse_add_direntry(req, text, size, name, &p.attr, (off_t)d->next_cookie);
    size_t need = fuse_add_direntry_plus(req, NULL, 0, name, &p, (off_t)d->next_cookie);
    if (need > size)
        return need;
    struct mfs_session *s = mfs_fuse_session(req);
    if (d->has_entry && mfs_fuse_take_entry(s, f->node, &d->entry, &p) < 0)
        p.ino = 0; /* only the name, then */
    if (p.ino) {
        struct mfs_known *before = mfs_known_find(&s->nodes, f->last_listed);
        if (before)
            before->next_listed = d->entry.node;
        f->last_listed = d->entry.node;
    }
    if (d->has_entry && f->notices != s->client->notices)
        p.attr_timeout = p.entry_timeout = 0; /* something changed since it was read */
    return fuse_add_direntry_plus(req, text, size, name, &p, (off_t)d->next_cookie);
}

/* Moves entries from r to the kernel's buffer text as long as they fit. Returns the length
 * used, or -EPROTO. */
static ssize_t add_entries(fuse_req_t req, struct mfs_opened *f, struct rd *r, char *text,
                           size_t size, bool is_plus)
{
    size_t len = 0;
    while (rd_left(r)) {
        struct rd before = *r;
        struct mfs_dirent d;
        char name[MFS_NAME_MAX + 1];
        if (mfs_dirent_get(r, &d) < 0 || d.next_cookie > INT64_MAX ||
            !mfs_name_is_valid(d.name) || bytes_to_text(d.name, name, sizeof name) < 0 ||
            (d.has_entry && (!d.entry.node || !mfs_attr_is_valid(&d.entry.attr))))
            return -EPROTO;
        size_t need = add_entry(req, f, &d, name, text + len, size - len, is_plus);
        if (need > size - len) {
            *r = before;
            break;
        }
        if (!is_plus)
            drop_entry(mfs_fuse_session(req), &d);
        len += need;
        f->cookie = d.next_cookie;
    }
    return (ssize_t)len;
}

/* What is left of a list that nobody reads on. */
static void drop_chunk(struct mfs_session *s, struct mfs_opened *f)
{
    mfs_fuse_drop_entries(
        s, rd_of(f->chunk ? f->chunk + f->chunk_at : NULL, f->chunk_end - f->chunk_at));
    free(take_ptr(&f->chunk));
    f->chunk_at = f->chunk_end = 0;
}

static int reply_entries(fuse_req_t req, struct mfs_opened *f, size_t size, bool is_plus)
{
    char text[DIR_CHUNK_BYTES];
    struct rd r = rd_of(f->chunk ? f->chunk + f->chunk_at : NULL, f->chunk_end - f->chunk_at);
    ssize_t len =
        add_entries(req, f, &r, text, size < sizeof text ? size : sizeof text, is_plus);
    if (len < 0 || (len == 0 && !rd_left(&r) && !f->is_eof))
        return -EPROTO;
    f->chunk_at = f->chunk_end - rd_left(&r);
    if (len == 0 && rd_left(&r))
        fuse_reply_err(req, EINVAL); /* not even one fits */
    else
        fuse_reply_buf(req, text, (size_t)len);
    if (!rd_left(&r)) {
        free(take_ptr(&f->chunk));
        f->chunk_at = f->chunk_end = 0;
    }
    return 0;
}

static int on_readdir(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_opened *f = call->file;
    struct mfs_readdir_rep m = { 0 };
    if (rc == 0) {
        rc = mfs_readdir_rep_get(body, &m);
        if (rc < 0 || m.entries.len > DIR_CHUNK_BYTES)
            return -EPROTO;
        f->chunk = m.entries.len ? malloc(m.entries.len) : NULL;
        if (m.entries.len && !f->chunk)
            rc = -ENOMEM;
    }
    if (rc < 0) {
        mfs_fuse_error(call->req, rc);
        return 0;
    }
    if (m.entries.len)
        memcpy(f->chunk, m.entries.ptr, m.entries.len);
    f->chunk_at = 0;
    f->chunk_end = m.entries.len;
    f->is_eof = m.is_eof;
    return reply_entries(call->req, f, call->size, call->is_plus);
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                     struct fuse_file_info *fi, bool is_plus)
{
    struct mfs_opened *f = mfs_fuse_opened(fi);
    bool is_next = offset != 0 && (uint64_t)offset == f->cookie;
    if (is_next && (f->chunk_at < f->chunk_end || f->is_eof)) {
        mfs_fuse_session(req)->client->stats.cache_hits++;
        if (reply_entries(req, f, size, is_plus) < 0)
            fuse_reply_err(req, EIO);
        return;
    }
    drop_chunk(mfs_fuse_session(req), f);
    f->cookie = (uint64_t)offset;
    f->notices = mfs_fuse_session(req)->client->notices;
    f->is_eof = false;
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_readdir);
    if (!call)
        return;
    call->file = f;
    call->size = size;
    call->is_plus = is_plus;
    struct mfs_readdir_req m = { f->fh, (uint64_t)offset, DIR_CHUNK_BYTES, is_plus };
    SEND(readdir, call, &m, 0);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    read_dir(req, ino, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *fi)
{
    read_dir(req, ino, size, offset, fi, true);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_opened *f = mfs_fuse_opened(fi);
    drop_chunk(s, f); /* before the request may be answered and gone */
    struct mfs_call *call = mfs_fuse_begin(req, ino, mfs_fuse_done);
    if (call) {
        struct mfs_releasedir_req m = { f->fh };
        SEND(releasedir, call, &m, 0);
    }
    mfs_opened_free(f);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int is_data_only,
                        struct fuse_file_info *fi)
{
    struct mfs_call *call = mfs_fuse_begin(req, ino, mfs_fuse_done);
    if (!call)
        return;
    struct mfs_fsyncdir_req m = { mfs_fuse_opened(fi)->fh, is_data_only != 0 };
    SEND(fsyncdir, call, &m, 0);
}

void mfs_fuse_dir(struct fuse_lowlevel_ops *ops)
{
    ops->opendir = op_opendir;
    ops->readdir = op_readdir;
    ops->readdirplus = op_readdirplus;
    ops->releasedir = op_releasedir;
    ops->fsyncdir = op_fsyncdir;
}
