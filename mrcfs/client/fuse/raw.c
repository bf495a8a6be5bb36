/* SPDX-License-Identifier: GPL-2.0-or-later */
/* raw.c: the kernel's requests that libfuse doesn't know: O_TMPFILE and syncfs. */
#include "mrcfs/client/fuse/fuse.h"

#include "mrcfs/client/opened.h"

#include <errno.h>

static void raw_reply(struct mfs_call *call, const void *body, size_t body_bytes, int *rc)
{
    *rc = mfs_raw_reply(call->session->fd, call->unique, *rc == 0 ? 0 : mfs_fuse_errno(*rc),
                        body, body_bytes);
}

static int on_raw_done(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    raw_reply(call, NULL, 0, &rc);
    return 0;
}

static int on_tmpfile(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_fuse_created new;
    struct mfs_raw_created out;
    if (mfs_fuse_take_created(call, &rc, body, &new) < 0)
        return -EPROTO;
    if (rc < 0) {
        raw_reply(call, NULL, 0, &rc);
        return 0;
    }
    size_t out_bytes = mfs_raw_created(
        &out, &(struct mfs_raw_entry){
                  .node = new.entry.ino,
                  .generation = new.entry.generation,
                  .entry_ms = new.m.entry.valid_ms,
                  .attr_ms = mfs_lease_is_on(call->client) ? 0 : new.m.entry.attr.valid_ms,
                  .st = new.entry.attr,
                  .fh = new.fi.fh,
                  .is_direct = new.fi.direct_io,
                  .may_keep = new.fi.keep_cache,
              });
    raw_reply(call, &out, out_bytes, &rc);
    if (rc < 0)
        mfs_fuse_undo_create(call, &new.m);
    return 0;
}

bool mfs_fuse_take_raw(struct mfs_session *s, const struct mfs_raw_request *in)
{
    bool is_tmpfile = in->op == MFS_RAW_TMPFILE;
    if (!is_tmpfile && in->op != MFS_RAW_SYNCFS)
        return false;
    struct mfs_call *call = mfs_call_new(s->client, is_tmpfile ? on_tmpfile : on_raw_done);
    struct mfs_caller who = mfs_fuse_mapped_caller(s->client, in->uid, in->gid, in->pid);
    int rc = -ENOMEM;
    if (call) {
        call->session = s;
        call->unique = in->unique;
        call->node = mfs_session_swap_root(s, in->node);
        call->flags = in->flags;
    }
    if (call && is_tmpfile) {
        struct mfs_tmpfile_req m = { call->node, in->mode, in->umask,
                                     mfs_oflags_from_host((int)in->flags) };
        if (in->mode & S_ISGID)
            who = mfs_fuse_member(s, who, call->node);
        call->file = mfs_opened_new(call);
        if (call->file)
            rc = mfs_send_tmpfile(call, &who, &m, 0);
        if (rc < 0)
            mfs_opened_free(call->file);
    } else if (call) {
        struct mfs_syncfs_req m = { call->node };
        rc = mfs_send_syncfs(call, &who, &m, 0);
    }
    if (rc < 0) {
        mfs_call_drop(call);
        rc = mfs_raw_reply(s->fd, in->unique, -rc, NULL, 0);
    }
    return true;
}
