/* SPDX-License-Identifier: GPL-2.0-or-later */
/* entries.c: the kernel's requests about names: lookup and forget, making, linking, renaming
 * and removing, symbolic links. */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/clock.h"
#include "mrcfs/client/assume.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/profile/profile.h"
#include "mrcfs/client/paths.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
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
    if (mfs_lease_is_on(s->client)) {
        /* Names are asked of us; an invalidation could pass the first answer about a node. */
        bool is_granted = e->attr.valid_ms && n->nlookup > 1 && (!n->opens || n->is_held);
        p->entry_timeout = 0;
        p->attr_timeout = mfs_fuse_seconds(mfs_lease_kernel_ms(s->client, n, is_granted));
    }
    return 0;
}

void mfs_fuse_known_entry(struct mfs_session *s, struct mfs_known *n,
                          struct fuse_entry_param *p)
{
    n->nlookup++;
    *p = (struct fuse_entry_param){
        .ino = mfs_session_swap_root(s, n->number),
        .attr_timeout = mfs_fuse_seconds(mfs_lease_kernel_ms(
            s->client, n, n->nlookup > 1 && !n->is_assumed && !(n->opens && n->is_alone))),
    };
    mfs_fuse_stat(s, n, &n->attr, &p->attr);
}

void mfs_fuse_forget(struct mfs_session *s, uint64_t node, uint64_t nlookup)
{
    if (node == s->root)
        return;
    mfs_known_forget(&s->nodes, node, nlookup);
}

/* What an answer says of call->name in its directory. */
static void learn_name(struct mfs_call *call, const struct mfs_entry *e)
{
    struct mfs_known *dir = mfs_known_find(&call->session->nodes, call->node);
    if (call->op != MFS_OP_lookup && dir)
        mfs_listing_drop(dir);
    if (call->name)
        mfs_lease_learn_name(call, bytes_of(call->name), e);
    struct mfs_known *n = mfs_known_find(&call->session->nodes, e->node);
    if (call->op == MFS_OP_mkdir && n && n->has_attr && e->attr.flags & MFS_ATTR_EMPTY)
        n->is_complete = true;
}

/* lookup, mknod, mkdir, symlink and link answer alike. */
static int on_entry(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_lookup_rep m = { 0 };
    struct fuse_entry_param p;
    if (rc == 0 && mfs_lookup_rep_get(body, &m) < 0)
        return -EPROTO;
    mfs_lease_changed(call);
    if (rc == 0 && !m.entry.node && call->op == MFS_OP_lookup) { /* known to be absent */
        learn_name(call, &m.entry);
        mfs_used(call->session, mfs_known_find(&call->session->nodes, call->node),
                 MFS_USED_ABSENT);
        bool is_believed = call->client->opts.consistency == MFS_LOOSE;
        p = (struct fuse_entry_param){ .entry_timeout = is_believed
                                                            ? mfs_fuse_seconds(m.entry.valid_ms)
                                                            : 0 };
        fuse_reply_entry(call->req, &p);
        return 0;
    }
    if (rc == 0) {
        rc = mfs_fuse_take_entry(call->session, call->node, &m.entry, &p);
        if (rc == -EPROTO)
            return rc;
    }
    if (rc == 0) {
        learn_name(call, &m.entry);
        if (call->op == MFS_OP_lookup && call->name)
            mfs_covered_learn(call->session, call->node, call->name, m.entry.node,
                              &m.entry.attr);
        mfs_used(call->session, mfs_known_find(&call->session->nodes, m.entry.node), 0);
    }
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else if (fuse_reply_entry(call->req, &p) < 0)
        mfs_fuse_forget(call->session, m.entry.node, 1);
    return 0;
}

/* Answers a lookup by what is known under lease. */
static bool look_up_known(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_known *dir = mfs_session_known(s, parent);
    struct mfs_known *n;
    int rc = mfs_lease_name(s, dir, bytes_of(name), &n);
    if (rc < 0)
        return false;
    struct fuse_entry_param p = { 0 };
    s->client->stats.cache_hits++;
    mfs_client_waited(s->client, MFS_OP_list, dir->list_depth);
    if (rc == 0) {
        mfs_used(s, dir, MFS_USED_ABSENT);
        fuse_reply_err(req, ENOENT);
        return true;
    }
    mfs_used(s, n, 0);
    uint64_t node = n->number;
    mfs_fuse_known_entry(s, n, &p);
    mfs_covered_learn(s, mfs_session_swap_root(s, parent), name, node, &n->attr);
    if (fuse_reply_entry(req, &p) < 0)
        mfs_fuse_forget(s, node, 1);
    return true;
}

/* Answers one of a name that something is mounted on by what it was. */
static bool look_up_covered(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_session *s = mfs_fuse_session(req);
    const struct mfs_covered *x = mfs_covered_find(s, mfs_session_swap_root(s, parent), name);
    struct mfs_known *n = x ? mfs_known_look_up(&s->nodes, x->node) : NULL;
    if (!n)
        return false;
    struct fuse_entry_param p = { .ino = mfs_session_swap_root(s, x->node) };
    mfs_fuse_stat(s, n, &x->attr, &p.attr);
    s->client->stats.cache_hits++;
    if (fuse_reply_entry(req, &p) < 0)
        mfs_fuse_forget(s, x->node, 1);
    return true;
}

static void send_lookup(struct mfs_call *call, const char *name)
{
    mfs_lease_ask(call, call->node);
    struct mfs_lookup_req m = { call->node, bytes_of(name) };
    SEND(lookup, call, &m, m.name.len);
}

/* A list of its directory has come. */
static void resume_lookup(struct mfs_call *call, struct mfs_landing *how)
{
    (void)how;
    if (look_up_known(call->req, mfs_session_swap_root(call->session, call->node), call->name))
        mfs_call_drop(call);
    else
        send_lookup(call, call->name);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (look_up_covered(req, parent, name) || look_up_known(req, parent, name))
        return;
    struct mfs_call *call = mfs_fuse_begin(req, parent, on_entry);
    if (!call)
        return;
    call->name = strdup(name);
    call->resume = resume_lookup;
    mfs_fuse_waiting(call);
    if (call->name && (mfs_scan_wait(call) || mfs_paths_wait(call)))
        return;
    struct mfs_session *s = call->session;
    struct mfs_caller who = mfs_fuse_caller(req);
    uint64_t dir = call->node;
    send_lookup(call, name);
    mfs_scan_missed(s, dir, &who);
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

/* The kernel is told of n, whose attributes are assumed. */
static void reply_assumed(fuse_req_t req, struct mfs_known *n)
{
    struct mfs_session *s = mfs_fuse_session(req);
    uint64_t node = n->number;
    struct fuse_entry_param p = { .ino = mfs_session_swap_root(s, node) };
    mfs_fuse_stat(s, n, &n->attr, &p.attr);
    if (fuse_reply_entry(req, &p) < 0)
        mfs_fuse_forget(s, node, 1);
}

/* A call that gives name in parent another meaning, or NULL, and req has been answered. */
static struct mfs_call *begin_named(fuse_req_t req, fuse_ino_t parent, const char *name,
                                    mfs_reply_fn fn)
{
    struct mfs_call *call = mfs_fuse_begin(req, parent, fn);
    if (!call)
        return NULL;
    call->name = strdup(name);
    mfs_lease_change(call, call->node);
    return call;
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t rdev)
{
    struct mfs_call *call = begin_named(req, parent, name, on_entry);
    if (!call)
        return;
    mfs_lease_ask(call, call->node);
    struct mfs_mknod_req m = { call->node,  bytes_of(name), mode, fuse_req_ctx(req)->umask,
                               major(rdev), minor(rdev) };
    if (mode & S_ISGID)
        SEND_CHANGE(mknod, call, call->node, &m, m.name.len);
    else
        SEND(mknod, call, &m, m.name.len);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_caller asker = mfs_fuse_caller(req);
    struct mfs_mkdir_req q = { mfs_session_swap_root(s, parent), bytes_of(name), mode,
                               fuse_req_ctx(req)->umask };
    struct mfs_known *made;
    if (mfs_assume_mkdir(s, &asker, &q, &made)) {
        reply_assumed(req, made);
        return;
    }
    struct mfs_call *call = begin_named(req, parent, name, on_entry);
    if (!call)
        return;
    mfs_lease_ask(call, call->node);
    SEND(mkdir, call, &q, q.name.len);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_caller asker = mfs_fuse_caller(req);
    struct mfs_symlink_req q = { mfs_session_swap_root(s, parent), bytes_of(name),
                                 bytes_of(target) };
    struct mfs_known *made;
    if (mfs_assume_symlink(s, &asker, &q, &made)) {
        reply_assumed(req, made);
        return;
    }
    struct mfs_call *call = begin_named(req, parent, name, on_entry);
    if (!call)
        return;
    mfs_lease_ask(call, call->node);
    SEND(symlink, call, &q, q.name.len + q.target.len);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_caller asker = mfs_fuse_caller(req);
    struct mfs_link_req q = { mfs_session_swap_root(s, ino), mfs_session_swap_root(s, parent),
                              bytes_of(name) };
    struct mfs_known *linked;
    if (mfs_assume_link(s, &asker, &q, &linked)) {
        reply_assumed(req, linked);
        return;
    }
    struct mfs_call *call = begin_named(req, parent, name, on_entry);
    if (!call)
        return;
    mfs_lease_change(call, mfs_session_swap_root(call->session, ino));
    mfs_lease_ask(call, call->node);
    SEND(link, call, &q, q.new_name.len);
}

/* What name in dir means after a change by us; node NULL: nothing. is_sure false: not known. */
static void set_name(struct mfs_session *s, uint64_t dir, const char *name,
                     struct mfs_known *node, bool is_sure)
{
    struct mfs_known *d = mfs_known_find(&s->nodes, dir);
    if (!d || !name)
        return;
    mfs_listing_drop(d);
    if (is_sure)
        mfs_dentry_set(&s->names, d, bytes_of(name), node);
    else
        mfs_dentry_drop(&s->names, d, bytes_of(name));
}

/* unlink and rmdir answer alike. */
static int on_removed(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    mfs_lease_changed(call);
    if (mfs_lease_is_on(call->client))
        set_name(call->session, call->node, call->name, NULL,
                 rc == 0 && mfs_lease_is_clean(call));
    mfs_fuse_error(call->req, rc);
    return 0;
}

/* The call changes the file that name in dir is known to be. */
static void change_named(struct mfs_call *call, uint64_t dir, const char *name)
{
    struct mfs_session *s = call->session;
    const struct mfs_known *d = mfs_known_find(&s->nodes, dir);
    const struct mfs_dentry *is =
        d && mfs_lease_is_on(s->client) ? mfs_dentry_find(&s->names, d, bytes_of(name)) : NULL;
    if (is && is->node)
        mfs_lease_change(call, is->node->number);
}

static struct mfs_call *begin_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_call *call = begin_named(req, parent, name, on_removed);
    if (!call)
        return NULL;
    change_named(call, call->node, name);
    mfs_lease_ask(call, call->node);
    return call;
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_caller asker = mfs_fuse_caller(req);
    struct mfs_unlink_req m = { mfs_session_swap_root(s, parent), bytes_of(name) };
    if (mfs_assume_unlink(s, &asker, &m)) {
        fuse_reply_err(req, 0);
        return;
    }
    struct mfs_call *call = begin_remove(req, parent, name);
    if (!call)
        return;
    SEND(unlink, call, &m, m.name.len);
    mfs_assume_claim_beside(s, &asker, mfs_session_known(s, parent));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_caller asker = mfs_fuse_caller(req);
    struct mfs_rmdir_req m = { mfs_session_swap_root(s, parent), bytes_of(name) };
    if (mfs_assume_rmdir(s, &asker, &m)) {
        fuse_reply_err(req, 0);
        return;
    }
    struct mfs_call *call = begin_remove(req, parent, name);
    if (!call)
        return;
    SEND(rmdir, call, &m, m.name.len);
}

static int on_renamed(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    struct mfs_session *s = call->session;
    mfs_lease_changed(call);
    if (mfs_lease_is_on(call->client)) {
        struct mfs_known *from = mfs_known_find(&s->nodes, call->node);
        const struct mfs_dentry *was =
            from && call->name ? mfs_dentry_find(&s->names, from, bytes_of(call->name)) : NULL;
        struct mfs_known *moved = was ? was->node : NULL;
        /* flags: an exchange, say: the old name means something still. */
        bool is_sure = rc == 0 && mfs_lease_is_clean(call) && !call->flags;
        if (moved)
            moved->names++; /* it keeps its place in between */
        set_name(s, call->node, call->name, NULL, is_sure);
        set_name(s, call->new_node, call->new_name, moved, is_sure && moved);
        if (moved)
            moved->names--;
        mfs_known_drop_unused(&s->nodes, moved);
    }
    mfs_fuse_error(call->req, rc);
    return 0;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
                      const char *new_name, unsigned flags)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_caller asker = mfs_fuse_caller(req);
    struct mfs_rename_req m = { mfs_session_swap_root(s, parent), bytes_of(name),
                                mfs_session_swap_root(s, to), bytes_of(new_name),
                                mfs_rename_from_host(flags) };
    if (mfs_assume_rename(s, &asker, &m)) {
        fuse_reply_err(req, 0);
        return;
    }
    struct mfs_call *call = begin_named(req, parent, name, on_renamed);
    if (!call)
        return;
    call->new_name = strdup(new_name);
    call->new_node = mfs_session_swap_root(call->session, to);
    call->flags = mfs_rename_from_host(flags) & ~(uint32_t)MFS_RENAME_NOREPLACE;
    if (call->new_node != call->node)
        mfs_lease_change(call, call->new_node);
    change_named(call, call->node, name);
    change_named(call, call->new_node, new_name);
    mfs_lease_ask(call, call->node);
    SEND(rename, call, &m, m.name.len + m.new_name.len);
}

static int on_readlink(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_readlink_rep m = { 0 };
    char text[MFS_TARGET_MAX + 1];
    if (rc == 0 && (mfs_readlink_rep_get(body, &m) < 0 || m.target.len == 0 ||
                    bytes_to_text(m.target, text, sizeof text) < 0))
        return -EPROTO;
    if (rc < 0) {
        mfs_fuse_error(call->req, rc);
        return 0;
    }
    struct mfs_known *n = mfs_known_find(&call->session->nodes, call->node);
    if (n && !n->target && mfs_lease_is_on(call->client))
        n->target = strdup(text); /* a link's target never changes */
    fuse_reply_readlink(call->req, text);
    return 0;
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_known *n = mfs_session_known(s, ino);
    mfs_used(s, n, MFS_PROFILE_LINK);
    if (n && n->target) {
        s->client->stats.cache_hits++;
        fuse_reply_readlink(req, n->target);
        return;
    }
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
