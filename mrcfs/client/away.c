/* SPDX-License-Identifier: GPL-2.0-or-later */
/* away.c: see away.h.
 * Must not know: FUSE.
 * Invariant: while it is away nothing but a greeting is in flight. */
#include "mrcfs/client/away.h"

#include "common/sys/fd.h"
#include "mrcfs/client/hello.h"
#include "mrcfs/client/join.h"
#include "mrcfs/client/locks.h"
#include "mrcfs/client/roots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool mfs_away_may_repeat(unsigned op)
{
    /* A walk's answers have numbers of their own; the others concern the old server only. */
    return !mfs_op_changes(op) && op != MFS_OP_walk && op != MFS_OP_supply && op != MFS_OP_surrender && op != MFS_OP_recalled &&
           op != MFS_OP_renew && op != MFS_OP_hello;
}

void mfs_away_park(struct mfs_call *call)
{
    call->id = 0; /* not sent */
    list_push_back(&call->client->parked, &call->link);
}

static void set_away(struct mfs_client *c, bool is_away)
{
    c->is_away = is_away;
    if (c->opts.behind)
        atomic_store(&c->opts.behind->is_away, is_away);
}

static void close_stream(struct mfs_stream *s)
{
    loop_fd_del(&s->watch);
    fd_close(&s->fd);
    buf_consume(&s->in, buf_len(&s->in));
    buf_consume(&s->out, buf_len(&s->out));
    s->message_left = 0;
    s->busy_since_us = 0;
}

/* It was asked, and perhaps done: nobody knows. */
static void doubt(struct mfs_call *call)
{
    if (call->op != MFS_OP_hello) {
        int rc = call->fn(call, -EIO, NULL);
        (void)rc; /* only decoding fails */
    }
    mfs_call_drop(call);
}

void mfs_away_begin(struct mfs_client *c, const struct err *why)
{
    struct link broken;
    bool was_away = c->is_away;
    list_init(&broken);
    mfs_join_flush(c); /* it shares what becomes of what was sent */
    close_stream(&c->meta);
    close_stream(&c->bulk);
    set_away(c, true);
    for (size_t i = 0; i < MFS_CALL_BUCKETS; i++)
        while (!list_is_empty(&c->calls[i])) {
            struct mfs_call *call = LIST_ENTRY(c->calls[i].next, struct mfs_call, link);
            mfs_call_leave(call);
            bool waits = call->body && !call->is_behind && mfs_away_may_repeat(call->op);
            if (waits)
                mfs_away_park(call);
            else
                list_push_back(&broken, &call->link);
        }
    /* Their owners may ask for other things, which wait as well, or fail. */
    while (!list_is_empty(&broken)) {
        struct mfs_call *call = LIST_ENTRY(broken.next, struct mfs_call, link);
        list_remove(&call->link);
        doubt(call);
    }
    if (!was_away) {
        mfs_locks_lose(c);
        mfs_lease_expire(c);
        mfs_roots_changed(c, 0);
    }
    mfs_client_flush(c);
    if (!was_away && c->opts.on_away)
        c->opts.on_away(c->opts.ctx, true, why->text);
}

void mfs_client_give_up(struct mfs_client *c)
{
    c->opts.is_patient = false;
    if (c->is_away)
        mfs_client_lose(c, &(struct err){ "no file server has come back" });
}

static void go_on(struct mfs_client *c)
{
    struct link waiting;
    set_away(c, false);
    c->lease.expiries = 0; /* of the new server */
    list_init(&waiting);
    while (!list_is_empty(&c->parked)) {
        struct link *l = c->parked.next;
        list_remove(l);
        list_push_back(&waiting, l);
    }
    while (!list_is_empty(&waiting)) {
        struct mfs_call *call = LIST_ENTRY(waiting.next, struct mfs_call, link);
        list_remove(&call->link);
        if (!mfs_call_send_again(call))
            doubt(call);
    }
    mfs_lease_again(c);
    mfs_client_flush(c);
    if (c->opts.on_away)
        c->opts.on_away(c->opts.ctx, false, "");
}

static int on_hello(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_client *c = call->client;
    struct err e = { "" };
    if (rc < 0) /* the connection's end is told otherwise */
        err_set(&e, -rc, "the head's new file server refused the connection");
    else
        rc = mfs_hello_compare(c, body, &e);
    if (rc == 0)
        go_on(c);
    else
        mfs_client_lose(c, &e);
    return 0; /* the words are better than "malformed" */
}

int mfs_client_resume(struct mfs_client *c, int meta_fd, int bulk_fd)
{
    AUTO_FD meta = meta_fd;
    AUTO_FD bulk = bulk_fd;
    struct err e = { "another server has come" };
    if (c->is_lost || !c->opts.is_patient)
        return -ENOTCONN;
    mfs_away_begin(c, &e); /* also one that is greeting */
    int rc = mfs_client_watch(c, take_fd(&meta), take_fd(&bulk));
    struct mfs_call *call = rc == 0 ? mfs_call_new(c, on_hello) : NULL;
    if (rc == 0 && !call)
        rc = -ENOMEM;
    if (rc == 0)
        rc = mfs_hello_send(call, &e);
    if (rc < 0) {
        mfs_call_drop(call);
        mfs_away_begin(c, &e);
        return rc;
    }
    mfs_client_flush(c);
    return 0;
}
