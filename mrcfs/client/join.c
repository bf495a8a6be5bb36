/* SPDX-License-Identifier: GPL-2.0-or-later */
/* join.c: see join.h.
 * Must not know: libfuse, chunks but their size.
 * Invariant: while there is a run, its call is the last of those behind, and its number the
 * last that was given. */
#include "mrcfs/client/join.h"

#include "mrcfs/chunks/chunk.h"
#include "mrcfs/client/behind.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct mfs_join {
    struct mfs_call *call; /* NULL: there is no run */
    struct mfs_caller who;
    struct mfs_write_req m;
    mfs_join_send_fn send;
    struct loop_timer timer;
    size_t looked_bytes; /* how long it was then */
    unsigned looks;
    /* What it was answered under. */
    uint32_t order, expiries;
    uint8_t bytes[MFS_CHUNK_BYTES];
};

static void on_look(void *ctx)
{
    struct mfs_client *c = ctx;
    struct mfs_join *j = c->join;
    bool has_grown = j->m.body.len > j->looked_bytes;
    j->looked_bytes = j->m.body.len;
    if (has_grown && ++j->looks < MFS_JOIN_LOOKS) {
        loop_timer_set(c->loop, &j->timer, MFS_JOIN_LOOK_MS, on_look, c);
        return;
    }
    mfs_join_flush(c);
    mfs_client_flush(c);
}

int mfs_join_begin(struct mfs_call *call, const struct mfs_caller *who,
                   const struct mfs_write_req *m, mfs_join_send_fn send)
{
    struct mfs_client *c = call->client;
    if (!c->join && !(c->join = calloc(1, sizeof *c->join)))
        return -ENOMEM;
    struct mfs_join *j = c->join;
    if (j->call || m->body.len > sizeof j->bytes)
        return -EINVAL;
    memcpy(j->bytes, m->body.ptr, m->body.len);
    j->call = call;
    j->who = *who;
    j->m = *m;
    j->m.body.ptr = j->bytes;
    j->send = send;
    j->order = c->order;
    j->expiries = c->lease.expiries;
    j->looked_bytes = m->body.len;
    j->looks = 0;
    loop_timer_set(c->loop, &j->timer, MFS_JOIN_LOOK_MS, on_look, c);
    return 0;
}

uint64_t mfs_join_end(const struct mfs_client *c, const struct mfs_caller *who,
                      const struct mfs_write_req *m)
{
    const struct mfs_join *j = c->join;
    bool goes_on = j && j->call && j->m.fh == m->fh && j->m.oflags == m->oflags &&
                   j->who.uid == who->uid && j->who.gid == who->gid;
    return goes_on ? j->m.offset + j->m.body.len : UINT64_MAX;
}

int mfs_join_add(struct mfs_client *c, struct bytes more)
{
    struct mfs_join *j = c->join;
    if (!j || !j->call || more.len > sizeof j->bytes - j->m.body.len)
        return -EINVAL;
    memcpy(j->bytes + j->m.body.len, more.ptr, more.len);
    j->m.body.len += more.len;
    j->call->behind_bytes += more.len;
    c->behind_bytes += more.len;
    if (j->m.body.len == sizeof j->bytes)
        mfs_join_flush(c);
    return 0;
}

void mfs_join_flush(struct mfs_client *c)
{
    struct mfs_join *j = c->join;
    struct mfs_call *call = j ? j->call : NULL;
    if (!call)
        return;
    j->call = NULL;
    loop_timer_del(&j->timer);
    call->size = j->m.body.len;
    int rc = 0;
    /* What it relied on is over, as with what was sent in that time and the server refuses. */
    if (c->is_order_broken || c->order != j->order)
        rc = -ECANCELED;
    else if (c->lease.expiries != j->expiries)
        rc = -ESTALE;
    struct mfs_session *s = call->session;
    struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, call->node);
    if (n)
        n->changed_by = c->last_id + 1; /* reads of other files may have come between */
    if (rc == 0)
        rc = j->send(call, &j->who, &j->m);
    if (rc == 0)
        return;
    list_remove(&call->interrupted);
    rc = call->fn(call, c->is_lost ? -EIO : rc, NULL);
    (void)rc; /* only decoding fails */
    mfs_call_drop(call);
}

void mfs_join_free(struct mfs_client *c)
{
    if (c->join)
        loop_timer_del(&c->join->timer);
    free(c->join);
    c->join = NULL;
}
