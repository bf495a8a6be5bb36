/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attr.c: the kernel's requests about attributes, access and inode flags; attributes as they
 * are shown. */
#include "mrcfs/client/fuse/fuse.h"

#include "mrcfs/client/assume.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/locks.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"
#include "mrcfs/client/roots.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

void mfs_fuse_stat(const struct mfs_session *s, struct mfs_known *n, const struct mfs_attr *is,
                   struct stat *st)
{
    const struct mfs_client_opts *o = &s->client->opts;
    struct mfs_attr shown = *is, *a = &shown;
    if (n) {
        mfs_own_show(n, a);
        n->kernel_mtime_sec = a->mtime_sec;
        n->kernel_mtime_nsec = a->mtime_nsec;
    }
    *st = (struct stat){
        .st_ino = a->ino,
        .st_mode = a->mode,
        .st_nlink = a->nlink,
        .st_uid = mfs_idmap_here(&s->client->users, a->uid),
        .st_gid = mfs_idmap_here(&s->client->groups, a->gid),
        .st_rdev = makedev(a->rdev_major, a->rdev_minor),
        .st_size = (off_t)mfs_behind_size(n, a->size),
        .st_blocks = (blkcnt_t)a->blocks,
        .st_blksize = a->blksize,
        .st_atim = { a->atime_sec, a->atime_nsec },
        .st_mtim = { a->mtime_sec, a->mtime_nsec },
        .st_ctim = { a->ctime_sec, a->ctime_nsec },
    };
    if (o->is_single_user && n && n->is_ours) {
        st->st_uid = o->own_uid;
        st->st_gid = o->own_gid;
    }
    if (o->shown.has_uid)
        st->st_uid = o->shown.uid;
    if (o->shown.has_gid)
        st->st_gid = o->shown.gid;
    if (o->shown.has_umask && !S_ISLNK(st->st_mode))
        st->st_mode = (st->st_mode & S_IFMT) | (0777 & ~o->shown.umask);
}

double mfs_fuse_seconds(uint32_t valid_ms)
{
    return valid_ms / 1000.0;
}

/* getattr and setattr answer alike. */
static int on_attr(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_getattr_rep m = { 0 };
    if (rc == 0 && (mfs_getattr_rep_get(body, &m) < 0 || !mfs_attr_is_valid(&m.attr)))
        return -EPROTO;
    mfs_lease_changed(call);
    if (rc < 0) {
        mfs_fuse_error(call->req, rc);
        return 0;
    }
    struct mfs_session *s = call->session;
    struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    /* What was read ahead of a file that nothing keeps others from changing may be older. */
    if (n && !n->is_held && !n->is_alone && mfs_coherence_is_outdated(n, &m.attr))
        mfs_coherence_count_change(s, call->node);
    if (n)
        mfs_coherence_learn(s, n, NULL, &m.attr);
    if (n && mfs_lease_is_clean(call) &&
        (call->op != MFS_OP_getattr || mfs_lease_is_newest(call, n))) {
        mfs_lease_learn_attr(call, n, &m.attr);
        n->is_held = n->is_held || (n->has_attr && m.attr.flags & MFS_ATTR_HELD);
    }
    struct stat st;
    mfs_fuse_stat(s, n, &m.attr, &st);
    uint32_t valid_ms = m.attr.valid_ms;
    if (mfs_lease_is_on(s->client))
        valid_ms = mfs_lease_kernel_ms(s->client, n,
                                       mfs_lease_attr(s, n) && !(n->opens && n->is_alone));
    fuse_reply_attr(call->req, &st, mfs_fuse_seconds(valid_ms));
    return 0;
}

/* A kernel that checks permissions asks for a directory's each time that a name in it was
 * changed, and for a file's after it has made it and before it opens it. Mode and owner are all
 * it uses; who asks for a directory's times while a name in it is on the way gets those of this
 * side's clock. */
static bool is_for_judging(const struct mfs_session *s, const struct mfs_known *n)
{
    return s->client->features & MFS_FEATURE_PRIVILEGED && n->is_assumed && n->behind &&
           (S_ISDIR(n->attr.mode) || n->is_open_judged);
}

/* The kernel asks on its own account, before it reads or seeks: only the size matters, and what
 * else is new would make it drop pages that we alone have changed. */
static void reply_size(fuse_req_t req, struct mfs_known *n)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_attr a = n->attr;
    struct stat st;
    a.mtime_sec = n->kernel_mtime_sec;
    a.mtime_nsec = n->kernel_mtime_nsec;
    mfs_fuse_stat(s, n, &a, &st);
    s->client->stats.cache_hits++;
    fuse_reply_attr(req, &st, 0.0);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_known *n = mfs_session_known(s, ino);
    if (fi && mfs_own_is_shaped(s, n)) {
        reply_size(req, n);
        return;
    }
    const struct mfs_attr *known = mfs_lease_attr(s, n);
    bool is_judging = n && is_for_judging(s, n);
    if (n)
        n->is_open_judged = false;
    if (known) {
        struct stat st;
        mfs_fuse_stat(s, n, known, &st);
        s->client->stats.cache_hits++;
        fuse_reply_attr(
            req, &st,
            mfs_fuse_seconds(mfs_lease_kernel_ms(s->client, n, !(n->opens && n->is_alone))));
        return;
    }
    if (is_judging)
        mfs_own_pin_number(n);
    if (is_judging || (n && mfs_own_vouch(s, n))) {
        struct stat st;
        mfs_fuse_stat(s, n, &n->attr, &st);
        fuse_reply_attr(req, &st, 0.0);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_attr);
    if (!call)
        return;
    mfs_lease_ask(call, call->node);
    if (ino == MFS_FUSE_ROOT) {
        mfs_fuse_waiting(call);
        if (mfs_roots_take(call))
            return;
    }
    /* Leases are of nodes. */
    bool by_handle = fi && !mfs_lease_is_on(s->client);
    struct mfs_getattr_req m = { call->node, by_handle ? mfs_fuse_opened(fi)->fh : 0 };
    SEND(getattr, call, &m, 0);
}

static uint32_t set_valid_of(int to_set)
{
    static const struct {
        int fuse;
        uint32_t ours;
    } table[] = {
        { FUSE_SET_ATTR_MODE, MFS_SET_MODE },
        { FUSE_SET_ATTR_UID, MFS_SET_UID },
        { FUSE_SET_ATTR_GID, MFS_SET_GID },
        { FUSE_SET_ATTR_SIZE, MFS_SET_SIZE },
        { FUSE_SET_ATTR_ATIME, MFS_SET_ATIME },
        { FUSE_SET_ATTR_MTIME, MFS_SET_MTIME },
        { FUSE_SET_ATTR_ATIME_NOW, MFS_SET_ATIME_NOW },
        { FUSE_SET_ATTR_MTIME_NOW, MFS_SET_MTIME_NOW },
    };
    uint32_t valid = 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (to_set & table[i].fuse)
            valid |= table[i].ours;
    /* The kernel sets both bits for "now". */
    if (valid & MFS_SET_ATIME_NOW)
        valid &= ~(uint32_t)MFS_SET_ATIME;
    if (valid & MFS_SET_MTIME_NOW)
        valid &= ~(uint32_t)MFS_SET_MTIME;
    return valid;
}

/* Owners to be set, in the server's numbers. What is shown instead of the real owner is not
 * set: it is only given back. */
static int map_new_owner(const struct mfs_client *c, struct stat *st, int *to_set)
{
    int rc = 0;
    if (c->opts.shown.has_uid && st->st_uid == c->opts.shown.uid)
        *to_set &= ~FUSE_SET_ATTR_UID;
    if (c->opts.shown.has_gid && st->st_gid == c->opts.shown.gid)
        *to_set &= ~FUSE_SET_ATTR_GID;
    if (*to_set & FUSE_SET_ATTR_UID)
        rc = mfs_idmap_there(&c->users, st->st_uid, &st->st_uid);
    if (rc == 0 && *to_set & FUSE_SET_ATTR_GID)
        rc = mfs_idmap_there(&c->groups, st->st_gid, &st->st_gid);
    return rc;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    int rc = map_new_owner(mfs_fuse_session(req)->client, st, &to_set);
    if (rc < 0) {
        mfs_fuse_error(req, rc);
        return;
    }
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_setattr_req m = {
        .node = mfs_session_swap_root(s, ino),
        .fh = fi ? mfs_fuse_opened(fi)->fh : 0,
        .valid = set_valid_of(to_set),
        .attr = {
            .mode = st->st_mode & 07777,
            .uid = st->st_uid,
            .gid = st->st_gid,
            .size = (uint64_t)st->st_size,
            .atime_sec = st->st_atim.tv_sec,
            .atime_nsec = (uint32_t)st->st_atim.tv_nsec,
            .mtime_sec = st->st_mtim.tv_sec,
            .mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
        },
    };
    struct mfs_known *known = mfs_session_known(s, ino);
    bool may_set_id = to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) || m.attr.mode & (S_ISUID | S_ISGID);
    if (known && may_set_id) /* of what is open for writing a change of owners can't be told from a write */
        mfs_deferred_end(s, known);
    struct mfs_caller asker = mfs_fuse_caller(req);
    if (mfs_assume_setattr(s, &asker, &m)) {
        struct mfs_known *n = mfs_session_known(s, ino);
        mfs_fuse_stat(s, n, &n->attr, st);
        fuse_reply_attr(req, st, 0.0);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_attr);
    if (!call)
        return;
    if (to_set & FUSE_SET_ATTR_SIZE && mfs_locks_are_held(mfs_session_known(s, ino)))
        m.valid |= MFS_SET_LOCKED;
    if (to_set & FUSE_SET_ATTR_SIZE)
        mfs_coherence_count_change(call->session, call->node);
    mfs_lease_write(call, call->node);
    mfs_lease_ask(call, call->node);
    SEND_CHANGE(setattr, call, call->node, &m, 0);
}

static int on_access(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    struct mfs_known *n = mfs_known_find(&call->session->nodes, call->node);
    bool is_one =
        !(call->flags & (call->flags - 1)); /* of several it isn't known which was refused */
    if (n && mfs_lease_is_clean(call) && (rc == 0 || (rc == -EACCES && is_one))) {
        n->access_known |= (uint8_t)call->flags;
        if (rc == 0)
            n->access_allowed |= (uint8_t)call->flags;
    }
    mfs_fuse_error(call->req, rc);
    return 0;
}

/* Asked only of who checks permissions at the server, where all callers are one user. */
static void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    struct mfs_session *s = mfs_fuse_session(req);
    const struct mfs_known *n = mfs_session_known(s, ino);
    int wanted = mask & 7;
    if (mfs_lease_attr(s, n) && (n->access_known & wanted) == wanted) {
        s->client->stats.cache_hits++;
        fuse_reply_err(req, (n->access_allowed & wanted) == wanted ? 0 : EACCES);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_access);
    if (!call)
        return;
    call->flags = (uint32_t)wanted;
    mfs_lease_ask(call, call->node);
    struct mfs_access_req m = { call->node, (uint32_t)wanted };
    SEND(access, call, &m, 0);
}

/* ---- inode flags ---- */

static int on_getflags(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_getflags_rep m = { 0 };
    if (rc == 0 && mfs_getflags_rep_get(body, &m) < 0)
        return -EPROTO;
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else
        fuse_reply_ioctl(call->req, 0, &m.iflags, sizeof m.iflags);
    return 0;
}

static int on_setflags(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    mfs_lease_changed(call);
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else
        fuse_reply_ioctl(call->req, 0, NULL, 0);
    return 0;
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
                     struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_bytes,
                     size_t out_bytes)
{
    (void)arg;
    (void)fi;
    (void)flags;
    bool is_get = cmd == FS_IOC_GETFLAGS && out_bytes >= sizeof(uint32_t);
    bool is_set = cmd == FS_IOC_SETFLAGS && in_bytes >= sizeof(uint32_t);
    if (!is_get && !is_set) {
        fuse_reply_err(req, ENOTTY);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, is_get ? on_getflags : on_setflags);
    if (!call)
        return;
    if (is_get) {
        struct mfs_getflags_req m = { call->node };
        SEND(getflags, call, &m, 0);
    } else {
        struct mfs_setflags_req m = { .node = call->node };
        mfs_lease_write(call, call->node);
        memcpy(&m.iflags, in, sizeof m.iflags);
        SEND(setflags, call, &m, 0);
    }
}

void mfs_fuse_attr(struct fuse_lowlevel_ops *ops)
{
    ops->getattr = op_getattr;
    ops->setattr = op_setattr;
    ops->access = op_access;
    ops->ioctl = op_ioctl;
}
