/* SPDX-License-Identifier: GPL-2.0-or-later */
/* statfs.c: the kernel's requests about the file system's room. Programs that walk trees ask at
 * each of them, so that of the root's file system is known for a moment (space.h). */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/clock.h"

#include <errno.h>
#include <sys/statvfs.h>

static void reply(fuse_req_t req, const struct mfs_statfs_rep *m)
{
    struct statvfs v = { .f_bsize = m->bsize,
                         .f_frsize = m->frsize,
                         .f_blocks = m->blocks,
                         .f_bfree = m->bfree,
                         .f_bavail = m->bavail,
                         .f_files = m->files,
                         .f_ffree = m->ffree,
                         .f_favail = m->favail,
                         .f_namemax = m->namemax };
    fuse_reply_statfs(req, &v);
}

static int on_statfs(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_statfs_rep m = { 0 };
    if (rc == 0 && mfs_statfs_rep_get(body, &m) < 0)
        return -EPROTO;
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else
        reply(call->req, &m);
    return 0;
}

/* ---- of the root's file system ---- */

static struct mfs_space_use use_of(const struct mfs_session *s)
{
    return (struct mfs_space_use){ s->client->change_count, s->client->written_bytes };
}

static int on_space(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_statfs_rep m = { 0 };
    if (rc == 0 && mfs_statfs_rep_get(body, &m) < 0)
        return -EPROTO;
    mfs_space_take(&s->space, rc < 0 ? NULL : &m);
    while (!list_is_empty(&s->space.waiters)) {
        struct mfs_call *waiter = LIST_ENTRY(s->space.waiters.next, struct mfs_call, link);
        list_remove(&waiter->link);
        mfs_client_waited(s->client, MFS_OP_statfs, call->depth);
        if (rc < 0)
            mfs_fuse_error(waiter->req, rc);
        else
            reply(waiter->req, &m);
        mfs_call_drop(waiter);
    }
    return 0;
}

/* False: nothing was sent. */
static bool ask_space(struct mfs_session *s, const struct mfs_caller *who)
{
    struct mfs_space_use use = use_of(s);
    struct mfs_call *call = mfs_call_new(s->client, on_space);
    if (!call)
        return false;
    call->session = s;
    call->is_unwaited = true;
    if (mfs_send_statfs(call, who, &(struct mfs_statfs_req){ s->root }, 0) < 0) {
        mfs_call_drop(call);
        return false;
    }
    mfs_space_ask(&s->space, &use, clock_mono_ms());
    return true;
}

void mfs_fuse_space_ahead(struct mfs_session *s, const struct mfs_caller *who)
{
    struct mfs_space_use use = use_of(s);
    if (mfs_lease_or_loose(s->client) &&
        mfs_space_is_due_ahead(&s->space, &use, clock_mono_ms()))
        (void)ask_space(s, who); /* a help only */
}

/* Waits for the answer that is on the way. */
static void join(struct mfs_session *s, fuse_req_t req)
{
    struct mfs_call *call = mfs_fuse_begin(req, MFS_FUSE_ROOT, on_statfs);
    if (!call)
        return;
    list_push_back(&s->space.waiters, &call->link);
    mfs_fuse_waiting(call);
}

/* From what is known, or with the answer that is on the way if that will be good enough. False:
 * nothing was done. */
static bool answer_known(struct mfs_session *s, fuse_req_t req)
{
    struct mfs_space *x = &s->space;
    struct mfs_space_use use = use_of(s);
    struct mfs_caller who = mfs_fuse_caller(req);
    uint64_t now_ms = clock_mono_ms();
    x->is_used = true;
    if (mfs_space_is_good(x, &use, now_ms)) {
        struct mfs_statfs_rep m = mfs_space_of(x, &use);
        s->client->stats.cache_hits++;
        reply(req, &m);
        if (mfs_space_is_due(x, &use, now_ms) && ask_space(s, &who))
            x->is_used = true;
        return true;
    }
    if (!mfs_space_will_be_good(x, &use, now_ms) && (x->is_asked || !ask_space(s, &who)))
        return false;
    x->is_used = true;
    join(s, req);
    return true;
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct mfs_session *s = mfs_fuse_session(req);
    const struct mfs_known *n = mfs_session_known(s, ino);
    bool is_on_root_fs = ino == MFS_FUSE_ROOT || (n && n->is_on_root_fs);
    if (is_on_root_fs && mfs_lease_or_loose(s->client) && answer_known(s, req))
        return;
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_statfs);
    if (!call)
        return;
    struct mfs_statfs_req m = { call->node };
    SEND(statfs, call, &m, 0);
}

void mfs_fuse_statfs(struct fuse_lowlevel_ops *ops)
{
    ops->statfs = op_statfs;
}
