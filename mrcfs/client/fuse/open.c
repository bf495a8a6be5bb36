/* SPDX-License-Identifier: GPL-2.0-or-later */
/* open.c: the kernel's requests that open and close files: open, create, flush, release, fsync.
 *
 * Pages survive an open only if the file has not changed since they were read (known.h). Files
 * opened for appending or with O_DIRECT bypass the pages, because the kernel would put appended
 * bytes where it believes the end to be (on the server they are where they belong in any case).
 */
#include "mrcfs/client/fuse/fuse.h"

#include "mrcfs/client/ahead.h"
#include "mrcfs/client/assume.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/deferred.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"
#include "mrcfs/profile/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

/* How the kernel shall treat the file's pages; a are its attributes at this open. */
static void set_caching(struct mfs_session *s, uint64_t node, const struct mfs_attr *a,
                        int host_flags, struct fuse_file_info *fi)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, node);
    fi->keep_cache = n && mfs_known_may_keep_pages(n, a);
    if ((host_flags & O_ACCMODE) == O_RDWR && s->client->opts.behind)
        atomic_fetch_add(&s->client->opts.behind->mappable, 1);
    if (n && a->valid_ms && mfs_lease_is_on(s->client))
        n->has_stamp = true; /* what changes from now on is recalled */
    if (n) {
        n->was_opened = true;
        n->opens++;
    }
    /* Kernels before 6.6 refuse to map such a file shared; what is only written can't be. */
    bool may_bypass = mfs_raw_may_map_direct(&s->init) || (host_flags & O_ACCMODE) == O_WRONLY;
    fi->direct_io = (host_flags & (O_APPEND | O_DIRECT)) != 0 && may_bypass;
}

/* The kernel has one open file less of f's node. */
static void uncount(struct mfs_session *s, const struct mfs_opened *f)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (n && n->opens)
        n->opens--;
}

/* What the server said of n last, which nothing of ours has changed since. False: nothing. */
static bool was_known(const struct mfs_known *n, struct mfs_attr *out)
{
    *out = n ? n->attr : (struct mfs_attr){ 0 };
    return n && n->has_attr && !n->is_assumed && !n->behind;
}

void mfs_fuse_learn_opened(struct mfs_call *call, const struct mfs_open_rep *m)
{
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file;
    f->fh = m->fh;
    f->size = m->attr.size;
    /* Who opens a file sees it as it is, also before a notice of the change has come. */
    struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (mfs_lease_or_loose(s->client) && n && mfs_coherence_is_outdated(n, &m->attr))
        mfs_coherence_distrust(s, call->node);
    bool is_clean = n && mfs_lease_is_clean(call);
    struct mfs_attr before;
    bool is_known = was_known(n, &before);
    if (is_clean)
        mfs_lease_learn_attr(call, n, &m->attr);
    if (n)
        mfs_lease_count_open(call, n);
    if (n)
        mfs_own_opened(s, n, f, &m->attr, is_clean, is_known ? &before : NULL);
    if (n)
        mfs_coherence_uncovered(s, n);
    mfs_opened_keep_head(f, m);
}

/* The kernel's open is answered with what the server said. */
static void finish_open(struct mfs_call *call, const struct mfs_open_rep *m)
{
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file;
    struct fuse_file_info fi = { .fh = (uintptr_t)f };
    set_caching(s, call->node, &m->attr, (int)call->flags, &fi);
    mfs_fuse_learn_opened(call, m);
    if (fuse_reply_open(call->req, &fi) < 0) {
        uncount(s, f);
        mfs_opened_free(f);
        mfs_opened_release_unheard(s->client, m->fh, false);
    }
}

void mfs_session_answer_open(struct mfs_call *call, int rc, const struct mfs_open_rep *m)
{
    mfs_lease_changed(call);
    if (rc < 0) {
        mfs_opened_free(call->file);
        mfs_fuse_error(call->req, rc);
    } else {
        finish_open(call, m);
    }
}

static int on_open(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_open_rep m = { 0 };
    if (rc == 0 && (mfs_open_rep_get(body, &m) < 0 || !m.fh || !mfs_attr_is_valid(&m.attr)))
        return -EPROTO;
    mfs_session_answer_open(call, rc, &m);
    mfs_own_write_opened(call);
    return 0;
}

/* Opens for reading without asking the server, under lease. */
static bool open_known(struct mfs_call *call, const struct mfs_caller *who)
{
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file;
    if (mfs_ahead_has(s, call->node, who)) /* with its contents, which the kernel has dropped */
        return false;
    if (!mfs_opened_use_reader(s, f, who->uid))
        return false;
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    n->opens++;
    f->size = n->attr.size;
    struct fuse_file_info fi = { .fh = (uintptr_t)f, .keep_cache = true };
    s->client->stats.cache_hits++;
    uint64_t node = f->node;
    if (fuse_reply_open(call->req, &fi) < 0) {
        uncount(s, f);
        mfs_opened_done_reader(s, f);
        mfs_opened_free(f);
    }
    mfs_call_drop(call);
    mfs_ahead_known(s, node, who);
    return true;
}

static void set_opener(struct mfs_opened *f, const struct mfs_caller *who, int host_flags)
{
    f->uid = who->uid;
    f->gid = who->gid;
    f->host_flags = host_flags;
    f->is_readable = (host_flags & O_ACCMODE) == O_RDWR;
}

/* The same of a file that this client is alone with, and knows all of. */
static bool open_later(struct mfs_call *call, const struct mfs_caller *who)
{
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file;
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (!mfs_fuse_begin_later(s, f, who))
        return false;
    n->opens++;
    struct fuse_file_info fi = { .fh = (uintptr_t)f, .keep_cache = true };
    if (fuse_reply_open(call->req, &fi) < 0) {
        uncount(s, f);
        mfs_opened_free(f);
    }
    mfs_call_drop(call);
    return true;
}

/* Goes on with a file that was closed here, but not yet at the server. */
static bool open_deferred(struct mfs_call *call)
{
    struct mfs_session *s = call->session;
    int flags = (int)call->flags;
    struct mfs_caller who = mfs_fuse_caller(call->req);
    struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    struct mfs_opened *f = n ? mfs_deferred_take(s, n, &who, flags) : NULL;
    if (!f)
        return false;
    struct fuse_file_info fi = { .fh = (uintptr_t)f };
    set_caching(s, call->node, &n->attr, flags, &fi);
    fi.keep_cache = true;
    s->client->stats.cache_hits++;
    if (fuse_reply_open(call->req, &fi) < 0) {
        uncount(s, f);
        if (!mfs_deferred_keep(s, f)) {
            mfs_opened_release_unheard(s->client, f->fh, false);
            mfs_own_closed(s, n, f);
            mfs_opened_free(f);
        }
    }
    mfs_opened_free(call->file);
    mfs_call_drop(call);
    return true;
}

static void open_asking(struct mfs_call *call);

/* It is known whether the file is open for later. */
static void resume_open(struct mfs_call *call, struct mfs_landing *how)
{
    (void)how;
    struct mfs_caller who = mfs_fuse_caller(call->req);
    if (!open_known(call, &who) && !open_later(call, &who))
        open_asking(call);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_open);
    if (!call)
        return;
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file = mfs_opened_new(call);
    call->flags = (uint32_t)fi->flags;
    call->resume = resume_open;
    bool is_read = (fi->flags & (O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECT)) == O_RDONLY;
    struct mfs_caller who = mfs_fuse_caller(req);
    if (is_read)
        mfs_used(s, mfs_known_find(&s->nodes, call->node), MFS_PROFILE_OPEN);
    if (f && is_read && (open_known(call, &who) || open_later(call, &who)))
        return;
    mfs_fuse_waiting(call);
    if (f && is_read && mfs_own_wait(s, call))
        return;
    if (!is_read && open_deferred(call))
        return;
    open_asking(call);
}

static void open_asking(struct mfs_call *call)
{
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file;
    int flags = (int)call->flags;
    struct mfs_open_req m = { call->node, mfs_oflags_from_host(flags) };
    struct mfs_known *known = mfs_known_find(&s->nodes, call->node);
    struct mfs_caller who = flags & O_TRUNC ? mfs_fuse_caller_of(call->req, call->node)
                                            : mfs_fuse_caller(call->req);
    bool is_read = (flags & (O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECT)) == O_RDONLY;
    if (known)
        mfs_deferred_end(s, known);
    if (f && known) {
        f->changes = known->changes;
        f->may_be_kept = is_read;
        set_opener(f, &who, flags);
    }
    if (flags & O_TRUNC)
        mfs_lease_write(call, call->node);
    if (known && (flags & O_ACCMODE) != O_RDONLY)
        mfs_handle_drop(s, known);
    mfs_lease_ask(call, call->node);
    if (f && is_read && mfs_lease_or_loose(call->client)) {
        uint64_t node = call->node;
        if (!known || !known->has_stamp || mfs_ahead_is_lost(&s->ahead))
            m.oflags |= MFS_O_HEAD;
        mfs_fuse_waiting(call);
        bool is_taken = mfs_ahead_take(s, call, &who);
        mfs_ahead_look(s, node, &who);
        mfs_warm_more(s);
        if (is_taken)
            return;
    }
    int rc = f ? mfs_send_open(call, &who, &m, 0) : -ENOMEM;
    if (rc < 0)
        mfs_opened_free(f);
    else if (known && !is_read) {
        known->write_opens++;
        call->is_write_open = true;
    }
    mfs_fuse_sent(call, rc);
}

/* What the server says that it made. Returns 0, -EPROTO, -ENOMEM. */
static int take_created(struct mfs_call *call, struct rd *body, struct mfs_fuse_created *new)
{
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file;
    struct mfs_create_rep *m = &new->m;
    int rc = mfs_create_rep_get(body, m);
    if (rc < 0 || !m->fh || !S_ISREG(m->entry.attr.mode))
        return -EPROTO;
    mfs_lease_changed(call);
    struct mfs_attr before;
    bool is_known = was_known(mfs_known_find(&s->nodes, m->entry.node), &before);
    rc = mfs_fuse_take_entry(s, call->node, &m->entry, &new->entry);
    if (rc == -ENOMEM)
        mfs_opened_release_unheard(s->client, m->fh, false);
    if (rc < 0)
        return rc;
    if (call->name) {
        struct mfs_known *dir = mfs_known_find(&s->nodes, call->node);
        if (dir)
            mfs_listing_drop(dir);
        mfs_lease_learn_name(call, bytes_of(call->name), &m->entry);
    }
    struct mfs_known *n = mfs_known_find(&s->nodes, m->entry.node);
    f->fh = m->fh;
    f->node = m->entry.node;
    if (n && !n->parent)
        n->parent = call->node;
    if (n)
        mfs_own_opened(s, n, f, &m->entry.attr, n->has_attr, is_known ? &before : NULL);
    new->fi = (struct fuse_file_info){ .fh = (uintptr_t)f };
    set_caching(s, f->node, &m->entry.attr, (int)call->flags, &new->fi);
    if (n && n->is_leasable && mfs_lease_is_on(s->client) && !n->is_held && !n->is_alone) {
        mfs_coherence_uncovered(s, n);
        new->entry.attr_timeout = 0;
    }
    return 0;
}

int mfs_fuse_take_created(struct mfs_call *call, int *rc, struct rd *body,
                          struct mfs_fuse_created *new)
{
    if (*rc == 0) {
        *rc = take_created(call, body, new);
        if (*rc == -EPROTO)
            return -EPROTO;
    }
    mfs_lease_changed(call);
    if (*rc < 0)
        mfs_opened_free(call->file);
    return 0;
}

void mfs_fuse_undo_create(struct mfs_call *call, const struct mfs_create_rep *m)
{
    uncount(call->session, call->file);
    mfs_opened_free(call->file);
    mfs_opened_release_unheard(call->client, m->fh, false);
    mfs_fuse_forget(call->session, m->entry.node, 1);
}

static int on_create(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_fuse_created new;
    if (mfs_fuse_take_created(call, &rc, body, &new) < 0)
        return -EPROTO;
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else if (fuse_reply_create(call->req, &new.entry, &new.fi) < 0)
        mfs_fuse_undo_create(call, &new.m);
    return 0;
}

/* Makes the file without waiting for it. */
static bool create_assumed(fuse_req_t req, const struct mfs_create_req *m, int host_flags)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_caller who = mfs_fuse_caller(req);
    struct mfs_call place = { .session = s, .node = m->node };
    struct mfs_opened *f = mfs_opened_new(&place);
    struct mfs_known *n;
    if (!f || !mfs_assume_create(s, &who, m, &n, &f->fh)) {
        mfs_opened_free(f);
        return false;
    }
    f->node = n->number;
    mfs_own_made(s, n, f);
    set_opener(f, &who, host_flags);
    struct fuse_entry_param p = { .ino = mfs_session_swap_root(s, n->number) };
    struct fuse_file_info fi = { .fh = (uintptr_t)f };
    mfs_fuse_stat(s, n, &n->attr, &p.attr);
    set_caching(s, f->node, &n->attr, host_flags, &fi);
    n->is_open_judged = true;
    if (fuse_reply_create(req, &p, &fi) < 0) {
        uint64_t node = f->node, fh = f->fh;
        uncount(s, f);
        mfs_opened_free(f);
        mfs_opened_release_unheard(s->client, fh, false);
        mfs_fuse_forget(s, node, 1);
    }
    return true;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    struct mfs_create_req q = { mfs_session_swap_root(mfs_fuse_session(req), parent),
                                bytes_of(name), mode, fuse_req_ctx(req)->umask,
                                mfs_oflags_from_host(fi->flags) };
    if (create_assumed(req, &q, fi->flags))
        return;
    struct mfs_call *call = mfs_fuse_begin(req, parent, on_create);
    if (!call)
        return;
    struct mfs_opened *f = call->file = mfs_opened_new(call);
    call->flags = (uint32_t)fi->flags;
    call->name = strdup(name);
    mfs_lease_change(call, call->node);
    if (fi->flags & O_TRUNC) {
        const struct mfs_known *dir = mfs_known_find(&call->session->nodes, call->node);
        const struct mfs_dentry *d =
            dir ? mfs_dentry_find(&call->session->names, dir, bytes_of(name)) : NULL;
        if (d && d->node)
            mfs_lease_write(call, d->node->number);
    }
    mfs_lease_ask(call, call->node);
    struct mfs_create_req m = { call->node, bytes_of(name), mode, fuse_req_ctx(req)->umask,
                                mfs_oflags_from_host(fi->flags) };
    struct mfs_caller who =
        mode & S_ISGID ? mfs_fuse_caller_of(req, call->node) : mfs_fuse_caller(req);
    if (f)
        set_opener(f, &who, fi->flags);
    int rc = f ? mfs_send_create(call, &who, &m, m.name.len) : -ENOMEM;
    if (rc < 0)
        mfs_opened_free(f);
    mfs_fuse_sent(call, rc);
}

/* What came before it in order may have failed. */
static int on_synced(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    struct mfs_session *s = call->session;
    struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, call->node);
    int error = mfs_behind_error(s, n);
    mfs_fuse_error(call->req, error ? error : rc);
    return 0;
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_opened *f = mfs_fuse_opened(fi);
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (mfs_fuse_tell_behind(req, n))
        return;
    /* Nothing written through it that was waited for, and no record lock that this close could
     * end: the server would do nothing. */
    if (!f->is_written && n && !n->had_locks && !n->had_mapped_writes) {
        s->client->stats.cache_hits++;
        fuse_reply_err(req, 0);
        return;
    }
    f->is_written = false;
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_synced);
    if (!call)
        return;
    struct mfs_flush_req m = { f->fh, fi->lock_owner };
    SEND(flush, call, &m, 0);
}

/* The kernel doesn't let close() wait for this request, so the locks that the file held are
 * gone only a moment later. Nobody may notice: a request for a lock on the same node waits
 * until the server has answered. */
static int on_release(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    struct mfs_known *n = mfs_known_find(&call->session->nodes, call->node);
    mfs_fuse_error(call->req, rc);
    if (n && call->flags && n->closing && --n->closing == 0)
        mfs_fuse_resume_locks(n);
    return 0;
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_opened *f = mfs_fuse_opened(fi);
    struct mfs_session *s = mfs_fuse_session(req);
    bool is_kept = mfs_opened_keep(s, f);
    uncount(s, f);
    if (f->reader)
        mfs_opened_done_reader(s, f);
    if (!is_kept && mfs_deferred_keep(s, f)) {
        fuse_reply_err(req, 0);
        return;
    }
    if (is_kept || !f->fh) { /* the server need not know */
        fuse_reply_err(req, 0);
        mfs_opened_free(f);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_release);
    if (call) {
        struct mfs_known *n = mfs_known_find(&call->session->nodes, f->node);
        struct mfs_release_req m = { f->fh };
        struct mfs_caller who = mfs_fuse_caller(req);
        call->node = f->node;
        call->flags = f->had_locks && n;
        int rc = mfs_send_release(call, &who, &m, 0);
        if (rc == 0 && call->flags)
            n->closing++;
        mfs_fuse_sent(call, rc);
        if (n)
            mfs_own_closed(s, n, f);
    }
    mfs_opened_free(f);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int is_data_only,
                     struct fuse_file_info *fi)
{
    if (mfs_fuse_tell_behind(req, mfs_session_known(mfs_fuse_session(req), ino)))
        return;
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_synced);
    if (!call)
        return;
    struct mfs_fsync_req m = { mfs_opened_fh(mfs_fuse_opened(fi)), is_data_only != 0 };
    SEND(fsync, call, &m, 0);
}

void mfs_fuse_open(struct fuse_lowlevel_ops *ops)
{
    ops->open = op_open;
    ops->create = op_create;
    ops->flush = op_flush;
    ops->release = op_release;
    ops->fsync = op_fsync;
}
