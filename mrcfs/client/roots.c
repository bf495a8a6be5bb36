/* SPDX-License-Identifier: GPL-2.0-or-later */
/* roots.c: attributes of the exports' roots, asked for before anything is mounted: the mounts
 * of a view are made one after the other, and each begins with that question. Must not know:
 * FUSE (who waits is answered through its own fn). */
#include "mrcfs/client/roots.h"

#include "mrcfs/client/client.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct mfs_root {
    uint64_t node; /* 0: it was taken, or there is none */
    bool is_here, is_stale;
    uint64_t depth;
    struct link waiters; /* a call that is not sent, or none */
    uint8_t body[MFS_ATTR_BYTES];
};

static void answer(struct mfs_root *x, struct mfs_call *call, int rc, struct rd *body)
{
    mfs_client_waited(call->client, MFS_OP_getattr, x->depth);
    int ignored = call->fn(call, rc, rc < 0 ? NULL : body);
    (void)ignored; /* it was checked */
    mfs_call_drop(call);
}

static int on_root(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_root *x = call->file;
    struct mfs_getattr_rep m;
    if (rc == 0 && rd_left(body) != sizeof x->body)
        return -EPROTO;
    if (rc == 0) {
        struct rd look = *body;
        memcpy(x->body, body->at, sizeof x->body);
        if (mfs_getattr_rep_get(&look, &m) < 0 || !mfs_attr_is_valid(&m.attr))
            return -EPROTO;
        x->is_here = true;
        x->is_stale = x->is_stale || !m.attr.valid_ms;
    } else {
        x->node = 0;
    }
    if (list_is_empty(&x->waiters))
        return 0;
    struct mfs_call *waiter = LIST_ENTRY(x->waiters.next, struct mfs_call, link);
    list_remove(&waiter->link);
    answer(x, waiter, rc, body);
    x->node = 0;
    return 0;
}

void mfs_roots_ask(struct mfs_client *c)
{
    struct mfs_caller who = { c->opts.own_uid, c->opts.own_gid, 0 };
    c->roots = calloc(c->export_count, sizeof *c->roots);
    for (size_t i = 0; c->roots && i < c->export_count; i++) {
        struct mfs_root *x = &c->roots[i];
        struct mfs_call *call = mfs_call_new(c, on_root);
        list_init(&x->waiters);
        if (!call)
            return;
        call->file = x;
        call->is_unwaited = true;
        struct mfs_getattr_req m = { c->exports[i].node, 0 };
        if (mfs_send_getattr(call, &who, &m, 0) < 0) {
            mfs_call_drop(call);
            return;
        }
        x->node = m.node;
        x->depth = call->depth;
    }
}

static struct mfs_root *find(struct mfs_client *c, uint64_t node)
{
    for (size_t i = 0; node && c->roots && i < c->export_count; i++)
        if (c->roots[i].node == node)
            return &c->roots[i];
    return NULL;
}

bool mfs_roots_take(struct mfs_call *call)
{
    struct mfs_client *c = call->client;
    struct mfs_root *x = find(c, call->node);
    const struct mfs_known *n = mfs_known_find(&call->session->nodes, call->node);
    if (!x || !list_is_empty(&x->waiters))
        return false;
    if (x->is_stale || !n || n->own_changes || n->own_pending || n->behind ||
        (x->is_here && !mfs_lease_is_alive(c))) {
        if (x->is_here)
            x->node = 0;
        return false;
    }
    if (!x->is_here) {
        list_push_back(&x->waiters, &call->link);
        return true;
    }
    struct rd body = rd_of(x->body, sizeof x->body);
    x->node = 0;
    answer(x, call, 0, &body);
    return true;
}

void mfs_roots_changed(struct mfs_client *c, uint64_t node)
{
    for (size_t i = 0; c->roots && i < c->export_count; i++)
        if (!node || c->roots[i].node == node)
            c->roots[i].is_stale = true;
}

void mfs_roots_free(struct mfs_client *c)
{
    free(c->roots);
    c->roots = NULL;
}
