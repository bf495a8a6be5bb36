/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.c: writes on the way, and what waits for them.
 * Must not know: libfuse.
 * A node with writes on the way is kept known by a count of its names. */
#include "mrcfs/client/behind.h"

#include "mrcfs/client/client.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request of the kernel, or a recall (serial not 0). */
struct mfs_waiting {
    struct link link;
    uint64_t serial;
    size_t len_bytes;
    uint8_t bytes[];
};

/* ---- who waits ---- */

/* The node whose writes matter to a request. */
static struct mfs_known *concerned(struct mfs_session *s, const struct mfs_raw_request *in)
{
    struct mfs_known *n = mfs_session_known(s, in->node);
    if (in->op != MFS_RAW_LOOKUP || !n || !in->name)
        return n;
    const struct mfs_dentry *d = mfs_dentry_find(&s->names, n, bytes_of(in->name));
    return d ? d->node : NULL;
}

bool mfs_behind_must_wait(struct mfs_session *s, const struct mfs_raw_request *in)
{
    if (!s->client->behind_bytes || in->op == MFS_RAW_FORGET ||
        in->op == MFS_RAW_BATCH_FORGET || in->op == MFS_RAW_INTERRUPT)
        return false;
    const struct mfs_known *n = concerned(s, in);
    if (!n || !n->behind)
        return false;
    if (!list_is_empty(&n->behind->waiting))
        return true;
    if (in->op == MFS_RAW_WRITE)
        return in->is_writepage || !mfs_behind_may(s, n, in->offset, in->size, (int)in->flags);
    return in->op != MFS_RAW_FLUSH || n->had_locks;
}

static struct mfs_waiting *waiting_new(struct mfs_known *n, size_t len_bytes)
{
    struct mfs_waiting *w = malloc(sizeof *w + len_bytes);
    if (w) {
        *w = (struct mfs_waiting){ .len_bytes = len_bytes };
        list_push_back(&n->behind->waiting, &w->link);
    }
    return w;
}

int mfs_behind_wait(struct mfs_session *s, const struct mfs_raw_request *in, const void *ptr,
                    size_t len_bytes)
{
    struct mfs_waiting *w = waiting_new(concerned(s, in), len_bytes);
    if (!w)
        return -ENOMEM;
    memcpy(w->bytes, ptr, len_bytes);
    return 0;
}

bool mfs_behind_recall(struct mfs_session *s, struct mfs_known *n, uint64_t serial)
{
    (void)s;
    n->is_alone = false;
    if (!n->behind || !serial)
        return false;
    struct mfs_waiting *w = waiting_new(n, 0);
    if (w)
        w->serial = serial;
    return w != NULL;
}

/* ---- writes ---- */

bool mfs_behind_may(struct mfs_session *s, const struct mfs_known *n, uint64_t offset,
                    size_t size, int host_flags)
{
    if (!n || !n->is_alone || n->behind_error || !mfs_lease_is_alive(s->client) ||
        (host_flags & (O_APPEND | O_DIRECT | O_SYNC | O_DSYNC)))
        return false;
    const struct mfs_behind *b = n->behind;
    return !b ||
           (list_is_empty(&b->waiting) && (offset >= b->end || offset + size <= b->start));
}

int mfs_behind_sent(struct mfs_call *call, uint64_t offset)
{
    struct mfs_known *n = mfs_known_find(&call->session->nodes, call->node);
    if (!n->behind) {
        n->behind = calloc(1, sizeof *n->behind);
        if (!n->behind)
            return -ENOMEM;
        list_init(&n->behind->waiting);
        n->behind->start = offset;
        n->names++;
    }
    struct mfs_behind *b = n->behind;
    b->writes++;
    b->start = offset < b->start ? offset : b->start;
    b->end = offset + call->size > b->end ? offset + call->size : b->end;
    call->is_behind = call->is_unwaited = true;
    struct mfs_client *c = call->client;
    c->behind_bytes += call->size;
    call->behind_number = ++c->behind_sent;
    list_push_back(&c->behind, &call->interrupted);
    if (c->opts.behind)
        atomic_store(&c->opts.behind->sent, c->behind_sent);
    return 0;
}

/* Everything that waited goes on, in order; what writes behind anew makes the rest wait again.
 */
static void resume(struct mfs_session *s, struct mfs_known *n, uint64_t depth)
{
    struct link list;
    struct mfs_behind *b = n->behind;
    list_init(&list);
    if (!list_is_empty(&b->waiting))
        mfs_client_waited(s->client, MFS_OP_write, depth);
    while (!list_is_empty(&b->waiting)) {
        struct link *l = b->waiting.next;
        list_remove(l);
        list_push_back(&list, l);
    }
    n->behind = NULL;
    free(b);
    uint64_t number = n->number;
    LIST_EACH(&list, it, nx)
    {
        struct mfs_waiting *w = LIST_ENTRY(it, struct mfs_waiting, link);
        list_remove(it);
        if (w->serial)
            mfs_lease_recall(s->client, &(struct mfs_recall_notice){ w->serial, number });
        else
            mfs_session_take(s, w->bytes, w->len_bytes);
        free(w);
    }
    n->names--;
    mfs_known_drop_unused(&s->nodes, n);
}

/* n: NULL if the file system is no longer there. */
static void failed(struct mfs_session *s, struct mfs_known *n, int rc)
{
    struct mfs_client *c = s->client;
    if (n)
        n->behind_error = rc;
    if (c->behind_untold++)
        return;
    const struct mfs_dentry *d = n ? mfs_dentry_of(&s->names, n) : NULL;
    c->behind_error = rc;
    snprintf(c->behind_name, sizeof c->behind_name, "%.*s", d ? (int)d->len : 0,
             d ? (const char *)d->name : "");
}

void mfs_behind_made(struct mfs_call *call, int rc)
{
    struct mfs_session *s = call->session;
    struct mfs_client *c = call->client;
    c->behind_bytes -= call->size;
    if (c->opts.behind) { /* the call has left the list */
        const struct mfs_call *oldest =
            list_is_empty(&c->behind)
                ? NULL
                : LIST_ENTRY(c->behind.next, struct mfs_call, interrupted);
        atomic_store(&c->opts.behind->made,
                     oldest ? oldest->behind_number - 1 : c->behind_sent);
    }
    struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, call->node);
    if (rc < 0 && (!n || !n->behind_error))
        failed(s, n, rc);
    if (!n || !n->behind)
        return;
    if (--n->behind->writes == 0)
        resume(s, n, call->depth);
}

int mfs_behind_error(struct mfs_session *s, struct mfs_known *n)
{
    int rc = n ? n->behind_error : 0;
    if (rc) {
        n->behind_error = 0;
        n->is_alone = false; /* from now on each write is told what became of it */
        if (s->client->behind_untold) /* 0: a job that has ended was told */
            s->client->behind_untold--;
    }
    return rc;
}

int mfs_client_take_lost(struct mfs_client *c, struct err *e)
{
    if (!c->behind_untold)
        return 0;
    c->behind_untold = 0;
    if (c->behind_name[0])
        return err_set(e, -c->behind_error, "what was written last to \"%s\" is lost",
                       c->behind_name);
    return err_set(e, -c->behind_error, "what was written last is lost");
}

uint64_t mfs_behind_size(const struct mfs_known *n, uint64_t size)
{
    return n && n->behind && n->behind->end > size ? n->behind->end : size;
}

void mfs_behind_free(struct mfs_known *n)
{
    if (!n->behind)
        return;
    LIST_EACH(&n->behind->waiting, it, nx)
    free(LIST_ENTRY(it, struct mfs_waiting, link));
    free(n->behind);
    n->behind = NULL;
}
