/* SPDX-License-Identifier: GPL-2.0-or-later */
/* entries.c: the kernel's requests about names: lookup and forget, making, linking, renaming
 * and removing, symbolic links. */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/clock.h"
#include "mrcfs/client/coherence.h"

#include <errno.h>
#include <sys/sysmacros.h>

int mfs_fuse_take_entry(struct mfs_session *s, uint64_t parent, const struct mfs_entry *e,
                        struct fuse_entry_param *p)
{
    if (!e->node || !mfs_attr_is_valid(&e->attr))
        return -EPROTO;
    struct mfs_known *n = mfs_known_look_up(&s->nodes, e->node);
    if (!n) {
        mfs_client_forget(s->client, e->node, 1);
        return -ENOMEM;
    }
    if (n->nlookup == 1)
        n->since_ms = clock_mono_ms();
    mfs_coherence_learn(s, n, mfs_known_find(&s->nodes, parent), &e->attr);
    *p = (struct fuse_entry_param){
        .ino = mfs_session_swap_root(s, e->node),
        .generation = e->generation,
        .attr_timeout = mfs_fuse_seconds(e->attr.valid_ms),
        .entry_timeout = mfs_fuse_seconds(e->valid_ms),
    };
    mfs_fuse_stat(s, n, &e->attr, &p->attr);
    return 0;
}

void mfs_fuse_forget(struct mfs_session *s, uint64_t node, uint64_t nlookup)
{
    if (node == s->root)
        return;
    mfs_known_forget(&s->nodes, node, nlookup);
    mfs_client_forget(s->client, node, nlookup);
}

/* lookup, mknod, mkdir, symlink and link answer alike. */
static int on_entry(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_lookup_rep m = { 0 };
    struct fuse_entry_param p;
    if (rc == 0) {
        rc = mfs_lookup_rep_get(body, &m);
        if (rc < 0)
            return rc;
        if (!m.entry.node && call->op == MFS_OP_lookup) { /* known to be absent */
            p = (struct fuse_entry_param){ .entry_timeout =
                                               mfs_fuse_seconds(m.entry.valid_ms) };
            fuse_reply_entry(call->req, &p);
            return 0;
        }
        rc = mfs_fuse_take_entry(call->session, call->node, &m.entry, &p);
        if (rc == -EPROTO)
            return rc;
    }
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else if (fuse_reply_entry(call->req, &p) < 0)
        mfs_fuse_forget(call->session, m.entry.node, 1);
    return 0;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = mfs_fuse_begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_lookup_req m = { call->node, bytes_of(name) };
    SEND(lookup, call, &m, m.name.len);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
    struct mfs_session *s = mfs_fuse_session(req);
    mfs_fuse_forget(s, mfs_session_swap_root(s, ino), nlookup);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct mfs_session *s = mfs_fuse_session(req);
    for (size_t i = 0; i < count; i++)
        mfs_fuse_forget(s, mfs_session_swap_root(s, forgets[i].ino), forgets[i].nlookup);
    fuse_reply_none(req);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t rdev)
{
    struct mfs_call *call = mfs_fuse_begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_mknod_req m = { call->node,  bytes_of(name), mode, fuse_req_ctx(req)->umask,
                               major(rdev), minor(rdev) };
    if (mode & S_ISGID)
        SEND_CHANGE(mknod, call, call->node, &m, m.name.len);
    else
        SEND(mknod, call, &m, m.name.len);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct mfs_call *call = mfs_fuse_begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_mkdir_req m = { call->node, bytes_of(name), mode, fuse_req_ctx(req)->umask };
    SEND(mkdir, call, &m, m.name.len);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = mfs_fuse_begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_symlink_req m = { call->node, bytes_of(name), bytes_of(target) };
    SEND(symlink, call, &m, m.name.len + m.target.len);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = mfs_fuse_begin(req, parent, on_entry);
    if (!call)
        return;
    struct mfs_link_req m = { mfs_session_swap_root(call->session, ino), call->node,
                              bytes_of(name) };
    SEND(link, call, &m, m.new_name.len);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = mfs_fuse_begin(req, parent, mfs_fuse_done);
    if (!call)
        return;
    struct mfs_unlink_req m = { call->node, bytes_of(name) };
    SEND(unlink, call, &m, m.name.len);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = mfs_fuse_begin(req, parent, mfs_fuse_done);
    if (!call)
        return;
    struct mfs_rmdir_req m = { call->node, bytes_of(name) };
    SEND(rmdir, call, &m, m.name.len);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
                      const char *new_name, unsigned flags)
{
    struct mfs_call *call = mfs_fuse_begin(req, parent, mfs_fuse_done);
    if (!call)
        return;
    struct mfs_rename_req m = { call->node, bytes_of(name),
                                mfs_session_swap_root(call->session, to), bytes_of(new_name),
                                mfs_rename_from_host(flags) };
    SEND(rename, call, &m, m.name.len + m.new_name.len);
}

static int on_readlink(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_readlink_rep m = { 0 };
    char text[MFS_TARGET_MAX + 1];
    if (rc == 0) {
        rc = mfs_readlink_rep_get(body, &m);
        if (rc < 0 || m.target.len == 0 || bytes_to_text(m.target, text, sizeof text) < 0)
            return -EPROTO;
    }
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else
        fuse_reply_readlink(call->req, text);
    return 0;
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_readlink);
    if (!call)
        return;
    struct mfs_readlink_req m = { call->node };
    SEND(readlink, call, &m, 0);
}

void mfs_fuse_entries(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = op_lookup;
    ops->forget = op_forget;
    ops->forget_multi = op_forget_multi;
    ops->mknod = op_mknod;
    ops->mkdir = op_mkdir;
    ops->symlink = op_symlink;
    ops->link = op_link;
    ops->unlink = op_unlink;
    ops->rmdir = op_rmdir;
    ops->rename = op_rename;
    ops->readlink = op_readlink;
}
