/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lock.c: the kernel's requests for locks. */
#include "mrcfs/client/fuse/fuse.h"

#include "mrcfs/client/coherence.h"
#include "mrcfs/client/notify.h"
#include "mrcfs/client/opened.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static uint64_t lock_end(const struct flock *l)
{
    return l->l_len ? (uint64_t)l->l_start + (uint64_t)l->l_len - 1 : UINT64_MAX;
}

static int on_getlk(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_getlk_rep m = { 0 };
    int type = F_UNLCK;
    if (rc == 0) {
        rc = mfs_getlk_rep_get(body, &m);
        if (rc < 0 || mfs_lock_to_host(m.type, &type) < 0)
            return -EPROTO;
        if (type != F_UNLCK && (m.start > INT64_MAX || m.end < m.start ||
                                (m.end > INT64_MAX && m.end != UINT64_MAX)))
            return -EPROTO;
    }
    if (rc < 0) {
        mfs_fuse_error(call->req, rc);
        return 0;
    }
    struct flock l = { .l_type = (short)type, .l_whence = SEEK_SET };
    if (type != F_UNLCK) {
        l.l_start = (off_t)m.start;
        l.l_len = m.end >= INT64_MAX ? 0 : (off_t)(m.end - m.start + 1);
        l.l_pid = (pid_t)m.pid;
    }
    fuse_reply_lock(call->req, &l);
    return 0;
}

static void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *l)
{
    struct mfs_getlk_req m = { .fh = mfs_opened_fh(mfs_fuse_opened(fi)),
                               .owner = fi->lock_owner,
                               .start = (uint64_t)l->l_start,
                               .end = lock_end(l),
                               .pid = (uint32_t)l->l_pid };
    int rc = mfs_lock_from_host(l->l_type, &m.type);
    if (rc < 0) {
        mfs_fuse_error(req, rc);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_getlk);
    if (call)
        SEND(getlk, call, &m, 0);
}

/* One request for a lock; kept while it waits for closings. */
struct lock_request {
    struct link link;
    fuse_req_t req;
    fuse_ino_t ino;
    struct fuse_file_info fi;
    bool is_flock;
    uint8_t type;
    bool is_waiting;
    struct flock range;
};

/* On a thread of its own: there may be pages that the kernel has locked until a read is
 * answered. */
static void drop_and_answer(const struct mfs_kernel_notice *x)
{
    const struct mfs_session *s = x->target;
    int rc = mfs_raw_inval_node(s->fd, x->node, 0, 0);
    (void)rc; /* ENOENT: the kernel has nothing of it */
    fuse_reply_err(x->req, 0);
}

/* What a lock protects is read anew by who got it. That the kernel asks for attributes before it
 * reads is not enough: it ignores the answer if another process wrote meanwhile. */
static int on_locked(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_client *c = s->client;
    struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (rc != 0 || rd_left(body) || !n || call->flags == MFS_LOCK_UN ||
        (mfs_lease_is_on(c) && n->is_held))
        return mfs_fuse_done(call, rc, body);
    n->changes++;
    n->has_attr = false;
    if (mfs_lease_or_loose(c))
        mfs_coherence_distrust(s, call->node);
    fuse_req_interrupt_func(call->req, NULL, NULL);
    struct mfs_kernel_notice notice = { .fn = drop_and_answer,
                                        .target = s,
                                        .node = mfs_session_swap_root(s, call->node),
                                        .req = call->req };
    if (!mfs_notifier_add(c->lock_notifier, &notice, (struct bytes){ NULL, 0 }))
        mfs_fuse_error(call->req, -ENOLCK);
    return 0;
}

static void send_lock(const struct lock_request *k)
{
    struct mfs_opened *f = mfs_fuse_opened(&k->fi);
    struct mfs_call *call = mfs_fuse_begin(k->req, k->ino, on_locked);
    if (!call)
        return;
    call->flags = k->type;
    call->is_lock_wait = k->is_waiting;
    if (k->is_flock) {
        struct mfs_flock_req m = { f->fh, k->type, k->is_waiting };
        SEND(flock, call, &m, 0);
        return;
    }
    struct mfs_setlk_req m = { .fh = f->fh,
                               .owner = k->fi.lock_owner,
                               .type = k->type,
                               .start = (uint64_t)k->range.l_start,
                               .end = lock_end(&k->range),
                               .pid = (uint32_t)k->range.l_pid,
                               .is_waiting = k->is_waiting };
    SEND(setlk, call, &m, 0);
}

static void start_lock(const struct lock_request *k);

static int on_opened_for_lock(struct mfs_call *call, int rc, struct rd *body)
{
    struct lock_request *k = call->file;
    struct mfs_opened *f = mfs_fuse_opened(&k->fi);
    struct mfs_open_rep m = { 0 };
    if (rc == 0 && (mfs_open_rep_get(body, &m) < 0 || !m.fh))
        return -EPROTO;
    if (rc < 0) {
        mfs_fuse_error(k->req, rc);
    } else if (f->fh) { /* two locks at a time */
        mfs_opened_release_unheard(call->client, m.fh, false);
        start_lock(k);
    } else {
        f->fh = m.fh;
        mfs_opened_done_reader(call->session, f);
        start_lock(k);
    }
    free(k);
    return 0;
}

/* Locks belong to a handle of the file's own, which one that was opened without asking the
 * server has not. */
static void open_for_lock(const struct lock_request *k)
{
    struct mfs_session *s = mfs_fuse_session(k->req);
    struct mfs_call *call = mfs_call_new(s->client, on_opened_for_lock);
    struct lock_request *kept = call ? malloc(sizeof *kept) : NULL;
    struct mfs_caller who = mfs_fuse_caller(k->req);
    if (!kept) {
        mfs_call_drop(call);
        fuse_reply_err(k->req, ENOLCK);
        return;
    }
    *kept = *k;
    call->session = s;
    call->file = kept;
    call->node = mfs_fuse_opened(&k->fi)->node;
    struct mfs_open_req m = { call->node, MFS_O_RDONLY };
    int rc = mfs_send_open(call, &who, &m, 0);
    if (rc < 0) {
        mfs_fuse_error(k->req, rc);
        mfs_call_drop(call);
        free(kept);
    }
}

static void start_lock(const struct lock_request *k)
{
    struct mfs_opened *f = mfs_fuse_opened(&k->fi);
    struct mfs_known *n = mfs_known_find(&mfs_fuse_session(k->req)->nodes, f->node);
    if (k->type != MFS_LOCK_UN) {
        f->had_locks = true;
        if (n && !k->is_flock)
            n->had_locks = true;
    }
    if (!f->fh) {
        open_for_lock(k);
        return;
    }
    struct lock_request *kept = n && n->closing ? malloc(sizeof *kept) : NULL;
    if (!kept) {
        send_lock(k);
        return;
    }
    *kept = *k;
    list_push_back(&n->waiting, &kept->link);
}

void mfs_fuse_resume_locks(struct mfs_known *n)
{
    while (!list_is_empty(&n->waiting)) {
        struct lock_request *k = LIST_ENTRY(n->waiting.next, struct lock_request, link);
        list_remove(&k->link);
        send_lock(k);
        free(k);
    }
}

static void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *l,
                     int is_waiting)
{
    struct lock_request k = {
        .req = req, .ino = ino, .fi = *fi, .is_waiting = is_waiting != 0, .range = *l
    };
    int rc = mfs_lock_from_host(l->l_type, &k.type);
    if (rc < 0)
        mfs_fuse_error(req, rc);
    else
        start_lock(&k);
}

static void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
    struct lock_request k = {
        .req = req, .ino = ino, .fi = *fi, .is_flock = true, .is_waiting = !(op & LOCK_NB)
    };
    k.type = op & LOCK_SH ? MFS_LOCK_RD : op & LOCK_EX ? MFS_LOCK_WR : MFS_LOCK_UN;
    start_lock(&k);
}

void mfs_fuse_lock(struct fuse_lowlevel_ops *ops)
{
    ops->getlk = op_getlk;
    ops->setlk = op_setlk;
    ops->flock = op_flock;
}
