/* SPDX-License-Identifier: GPL-2.0-or-later */
/* request.c: one request of the kernel: who asks, its call of the server, and what becomes of
 * it when the process that asked is being killed. */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/mem.h"
#include "mrcfs/client/ahead.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"
#include "mrcfs/client/scan.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mfs_session *mfs_fuse_session(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

struct mfs_caller mfs_fuse_mapped_caller(const struct mfs_client *c, uint32_t uid, uint32_t gid,
                                         uint32_t pid)
{
    struct mfs_caller who = { MFS_NOBODY, MFS_NOBODY, pid };
    if (mfs_idmap_there(&c->users, uid, &who.uid) < 0 ||
        mfs_idmap_there(&c->groups, gid, &who.gid) < 0)
        who.uid = who.gid = MFS_NOBODY;
    return who;
}

struct mfs_caller mfs_fuse_caller(fuse_req_t req)
{
    const struct fuse_ctx *x = fuse_req_ctx(req);
    return mfs_fuse_mapped_caller(mfs_fuse_session(req)->client, x->uid, x->gid,
                                  (uint32_t)x->pid);
}

/* The kernel takes ENOSYS as "never ask again" and, for open, as success. */
int mfs_fuse_errno(int rc)
{
    return rc == -ENOSYS ? EOPNOTSUPP : -rc;
}

void mfs_fuse_error(fuse_req_t req, int rc)
{
    fuse_reply_err(req, mfs_fuse_errno(rc));
}

bool mfs_fuse_tell_behind(fuse_req_t req, struct mfs_known *n)
{
    int rc = mfs_behind_error(mfs_fuse_session(req), n);
    if (rc < 0)
        mfs_fuse_error(req, rc);
    return rc < 0;
}

static void on_interrupt(fuse_req_t req, void *ctx)
{
    (void)req;
    mfs_call_interrupt(ctx);
}

struct mfs_call *mfs_fuse_begin(fuse_req_t req, fuse_ino_t ino, mfs_reply_fn fn)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_call *call = mfs_call_new(s->client, fn);
    if (!call) {
        fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    call->session = s;
    call->req = req;
    call->node = mfs_session_swap_root(s, ino);
    call->pid = (uint32_t)fuse_req_ctx(req)->pid;
    return call;
}

void mfs_fuse_waiting(struct mfs_call *call)
{
    fuse_req_interrupt_func(call->req, on_interrupt, call);
}

void mfs_fuse_sent(struct mfs_call *call, int rc)
{
    if (rc < 0) {
        mfs_fuse_error(call->req, rc);
        mfs_lease_changed(call);
        mfs_call_drop(call);
        return;
    }
    fuse_req_interrupt_func(call->req, on_interrupt, call);
}

int mfs_fuse_done(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    mfs_lease_changed(call);
    mfs_fuse_error(call->req, rc);
    return 0;
}

/* ---- what /proc says of the caller ---- */

/* Is the thread in a group of this side by a supplementary one? */
static bool is_in_group(uint32_t pid, uint32_t gid)
{
    char path[64];
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    bool is_in = false;
    snprintf(path, sizeof path, "/proc/%u/status", pid);
    FILE *f = pid ? fopen(path, "re") : NULL;
    while (f && getline(&line, &room, f) > 0) {
        if (strncmp(line, "Groups:", 7))
            continue;
        char *at = line + 7, *end = at;
        for (unsigned long g = strtoul(at, &end, 10); end != at && !is_in;
             at = end, g = strtoul(at, &end, 10))
            is_in = g == gid;
        break;
    }
    if (f)
        fclose(f);
    return is_in;
}

struct mfs_caller mfs_fuse_member(const struct mfs_session *s, struct mfs_caller who,
                                  uint64_t node)
{
    const struct mfs_client *c = s->client;
    bool is_judged_there = c->features & MFS_FEATURE_PRIVILEGED && !c->opts.is_single_user;
    const struct mfs_known *n = is_judged_there ? mfs_known_find(&s->nodes, node) : NULL;
    if (n && n->told_set_gid && n->told_gid != who.gid &&
        is_in_group(who.pid, mfs_idmap_here(&c->groups, n->told_gid)))
        who.gid = n->told_gid;
    return who;
}

struct mfs_caller mfs_fuse_caller_of(fuse_req_t req, uint64_t node)
{
    return mfs_fuse_member(mfs_fuse_session(req), mfs_fuse_caller(req), node);
}

/* ---- processes that are being killed ---- */

/* Has the thread been sent SIGKILL, or a signal that ends it? The kernel makes the second the
 * first. */
static bool is_dying(uint32_t pid)
{
    char path[64], line[128];
    snprintf(path, sizeof path, "/proc/%u/status", pid);
    FILE *f = pid ? fopen(path, "re") : NULL;
    bool is_killed = false;
    while (f && fgets(line, sizeof line, f)) {
        unsigned long long set;
        if (sscanf(line, "SigPnd: %llx", &set) == 1 || sscanf(line, "ShdPnd: %llx", &set) == 1)
            is_killed = is_killed || set >> (SIGKILL - 1) & 1;
    }
    if (f)
        fclose(f);
    return is_killed;
}

/* The answer that nobody waits for any more: what it brings is given back. */
static int on_abandoned(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_lookup_rep entry = { 0 };
    struct mfs_create_rep created = { 0 };
    struct mfs_open_rep opened = { 0 };
    struct mfs_opendir_rep dir = { 0 };
    struct mfs_readdir_rep list = { 0 };
    mfs_lease_changed(call);
    if (rc < 0)
        return 0;
    switch (call->op) {
    case MFS_OP_lookup:
    case MFS_OP_mknod:
    case MFS_OP_mkdir:
    case MFS_OP_symlink:
    case MFS_OP_link: rc = mfs_lookup_rep_get(body, &entry); break;
    case MFS_OP_create:
        rc = mfs_create_rep_get(body, &created);
        entry.entry = created.entry;
        break;
    case MFS_OP_open: rc = mfs_open_rep_get(body, &opened); break;
    case MFS_OP_opendir: rc = mfs_opendir_rep_get(body, &dir); break;
    case MFS_OP_readdir: rc = mfs_readdir_rep_get(body, &list); break;
    default: break;
    }
    mfs_fuse_drop_entries(call->session, rd_of(list.entries.ptr, list.entries.len));
    if (entry.entry.node)
        mfs_client_forget(call->client, entry.entry.node, 1);
    if (call->name &&
        mfs_lease_is_on(call->client)) { /* what it made or removed was not noted */
        const uint64_t dirs[] = { call->node, call->new_node };
        for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
            struct mfs_known *n = mfs_known_find(&call->session->nodes, dirs[i]);
            if (n)
                mfs_dentries_drop(&call->session->names, n);
        }
    }
    if (created.fh || opened.fh)
        mfs_opened_release_unheard(call->client, created.fh ? created.fh : opened.fh, false);
    if (dir.fh)
        mfs_opened_release_unheard(call->client, dir.fh, true);
    return rc;
}

void mfs_session_abandon(struct mfs_call *call)
{
    if (!call->req || !is_dying(call->pid))
        return;
    list_remove(&call->interrupted);
    if (!call->id) { /* it waits for what another one brings */
        mfs_scan_leave(call);
        mfs_ahead_leave(call);
        mfs_opened_free(call->file);
        fuse_reply_err(call->req, EINTR);
        mfs_lease_changed(call);
        mfs_call_drop(call);
        return;
    }
    if (call->op == MFS_OP_open || call->op == MFS_OP_create || call->op == MFS_OP_opendir)
        mfs_opened_free(call->file); /* of nobody yet; a readdir's is the kernel's */
    call->fn = on_abandoned;
    fuse_reply_err(call->req, EINTR);
    call->req = NULL;
    mfs_own_write_opened(call); /* nobody need wait for it */
}
