/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive.c: messages of the file server: answers to calls, notices, and messages in messages.
 * Must not know: FUSE, sockets. Threads: the loop's only. */
#include "mrcfs/client/client.h"

#include "common/base/wire_errors.h"
#include "common/sys/clock.h"
#include "mrcfs/client/notify.h"
#include "mrcfs/client/roots.h"

#include <errno.h>
#include <stdlib.h>

static int on_reply(struct mfs_client *c, const struct mfs_head *h, struct rd *body,
                    struct err *e)
{
    struct mfs_call *call = mfs_call_find(c, h->id);
    if (!call)
        return err_set(e, EPROTO, "file server answered request %llu, which is not waiting",
                       (unsigned long long)h->id);
    mfs_call_leave(call);
    if (call->op == MFS_OP_lookup || call->op == MFS_OP_getattr)
        mfs_rate_echo(&c->rate, clock_mono_us() - call->sent_us);
    if (!call->is_unwaited)
        mfs_client_waited(c, (enum mfs_op)call->op, call->depth);
    int rc = wire_error_to(h->error);
    if (rc == -EAGAIN && call->is_ordered && !call->is_behind && mfs_call_send_again(call))
        return 0;
    if (rc == -ECANCELED && call->is_ordered && !call->is_behind)
        rc = -EIO; /* what came before it failed */
    if (rc < 0 && rd_left(body) > 0)
        rc = -EPROTO;
    else
        rc = call->fn(call, rc, rc < 0 ? NULL : body);
    if (rc == -EPROTO) {
        err_set(e, EPROTO, "file server sent a malformed answer to %s", mfs_op_name(call->op));
        int ignored = call->fn(call, -EIO, NULL);
        (void)ignored;
    }
    mfs_call_drop(call);
    return rc;
}

static int on_inval_node(struct mfs_client *c, const struct mfs_head *h UNUSED, struct rd *body)
{
    struct mfs_inval_node_notice n;
    int rc = mfs_inval_node_notice_get(body, &n);
    if (rc < 0)
        return rc;
    if (n.offset > INT64_MAX || n.length > INT64_MAX)
        return -EPROTO;
    mfs_roots_changed(c, n.node);
    LIST_EACH(&c->sessions, it, nx)
    mfs_session_inval_node(mfs_session_of(it), &n);
    return 0;
}

static int on_inval_entry(struct mfs_client *c, const struct mfs_head *h UNUSED,
                          struct rd *body)
{
    struct mfs_inval_entry_notice n;
    int rc = mfs_inval_entry_notice_get(body, &n);
    if (rc < 0)
        return rc;
    if (!mfs_name_is_valid(n.name))
        return -EPROTO;
    mfs_roots_changed(c, n.node);
    LIST_EACH(&c->sessions, it, nx)
    mfs_session_inval_entry(mfs_session_of(it), &n);
    return 0;
}

static int on_recall(struct mfs_client *c, const struct mfs_head *h UNUSED, struct rd *body)
{
    struct mfs_recall_notice n;
    int rc = mfs_recall_notice_get(body, &n);
    if (rc < 0)
        return rc;
    mfs_roots_changed(c, n.node);
    mfs_lease_recall(c, &n);
    return c->lease.recalls > MFS_RECALLS_MAX ? -ENOSPC : rc;
}

static int on_told(struct mfs_client *c, const struct mfs_head *h, struct rd *body)
{
    struct mfs_told_notice n;
    int rc = mfs_told_notice_get(body, &n);
    if (rc < 0 || !mfs_attr_is_valid(&n.attr))
        return -EPROTO;
    mfs_lease_told(c, h->id, &n);
    return 0;
}

static int on_expired(struct mfs_client *c, const struct mfs_head *h UNUSED, struct rd *body)
{
    struct mfs_expired_notice n;
    int rc = mfs_expired_notice_get(body, &n);
    c->lease.expiries++;
    mfs_roots_changed(c, 0);
    if (rc == 0)
        mfs_lease_expire(c);
    return rc;
}

static int on_mark(struct mfs_client *c, const struct mfs_head *h UNUSED, struct rd *body)
{
    struct mfs_mark_notice n;
    int rc = mfs_mark_notice_get(body, &n);
    if (rc == 0)
        mfs_mark_take(c, n.mark);
    return rc;
}

static int (*const notices[])(struct mfs_client *c, const struct mfs_head *h,
                              struct rd *body) = {
    [MFS_NOTICE_inval_node] = on_inval_node,
    [MFS_NOTICE_inval_entry] = on_inval_entry,
    [MFS_NOTICE_recall] = on_recall,
    [MFS_NOTICE_expired] = on_expired,
    [MFS_NOTICE_told] = on_told,
    [MFS_NOTICE_mark] = on_mark,
    [MFS_NOTICE_wanted] = mfs_behind_wanted,
};

static int on_notice(struct mfs_client *c, const struct mfs_head *h, struct rd *body,
                     struct err *e)
{
    int rc = 0;
    c->notices++;
    /* An unknown notice is a newer server's; there is nothing to answer. */
    if (h->notice < ARRAY_LEN(notices) && notices[h->notice])
        rc = notices[h->notice](c, h, body);
    if (rc == -ENOSPC)
        return err_say(e, ENOSPC, "file server recalls more than it hears answers of");
    if (rc < 0)
        return err_set(e, EPROTO, "file server sent a malformed notice %u", h->notice);
    if (mfs_notifier_is_full(c->notifier) || mfs_notifier_is_full(c->lock_notifier))
        return err_say(e, ENOSPC, "file server sends notices faster than the kernel takes");
    return 0;
}

/* A message in a message. */
static int on_packed(struct mfs_client *c, const struct mfs_head *h, const struct rd *body,
                     size_t len_bytes, struct err *e)
{
    uint8_t *plain;
    int rc = c->opts.compress == MFS_COMPRESS_NO ? -EPROTO
                                                 : mfs_unpack(body, h->plain_bytes, &plain);
    if (rc == 0 && plain[0] == MFS_PACKED) {
        free(plain);
        rc = -EPROTO;
    }
    if (rc < 0)
        return err_set(e, -rc, "unpack a message of the file server");
    c->stats.packed_in += 4 + len_bytes;
    c->stats.packed_in_plain += 4 + (uint64_t)h->plain_bytes;
    rc = mfs_client_message(c, (struct bytes){ plain, h->plain_bytes }, e);
    free(plain);
    return rc;
}

int mfs_client_message(struct mfs_client *c, struct bytes message, struct err *e)
{
    struct rd r = rd_of(message.ptr, message.len);
    struct mfs_head h;
    int rc = mfs_head_get(&r, &h);
    if (rc < 0)
        return err_set(e, EPROTO, "file server sent a malformed message");
    if (h.kind == MFS_REPLY)
        return on_reply(c, &h, &r, e);
    if (h.kind == MFS_NOTIFY)
        return on_notice(c, &h, &r, e);
    if (h.kind == MFS_PACKED)
        return on_packed(c, &h, &r, message.len, e);
    return err_set(e, EPROTO, "file server sent a message of kind %u", h.kind);
}
