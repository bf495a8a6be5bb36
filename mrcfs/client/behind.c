/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.c: what is on the way although the kernel takes it for done, and what waits for it.
 * Must not know: libfuse.
 * A node with something on the way is kept known by a count of its names. */
#include "mrcfs/client/behind.h"

#include "mrcfs/client/client.h"
#include "mrcfs/client/join.h"
#include "mrcfs/client/own.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* A recall of a node, or a request of the kernel that waits for all that was on the way. */
struct mfs_waiting {
    struct link link;
    uint64_t serial; /* of a recall of node; 0: a request */
    uint64_t node;
    struct mfs_session *session;
    uint64_t number; /* the last that it waits for */
    size_t len_bytes;
    uint8_t bytes[];
};

/* ---- who waits ---- */

static bool is_behind(const struct mfs_session *s, uint64_t node)
{
    const struct mfs_known *n = node ? mfs_known_find(&s->nodes, node) : NULL;
    return n && n->behind;
}

bool mfs_behind_must_wait(struct mfs_session *s, const struct mfs_raw_request *in)
{
    bool is_lock =
        in->op == MFS_RAW_GETLK || in->op == MFS_RAW_SETLK || in->op == MFS_RAW_SETLKW;
    return is_lock && !list_is_empty(&s->client->behind);
}

static struct mfs_waiting *waiting_new(struct link *list, size_t len_bytes)
{
    struct mfs_waiting *w = malloc(sizeof *w + len_bytes);
    if (w) {
        *w = (struct mfs_waiting){ .len_bytes = len_bytes };
        list_push_back(list, &w->link);
    }
    return w;
}

/* Further failures of n in this order are one with what is to be told, or was. */
static bool is_failure_known(const struct mfs_client *c, const struct mfs_known *n)
{
    return n->behind_error || n->told_in_order == c->order + 1;
}

int mfs_behind_wait(struct mfs_session *s, const void *ptr, size_t len_bytes)
{
    struct mfs_waiting *w = waiting_new(&s->client->behind_waiting, len_bytes);
    if (!w)
        return -ENOMEM;
    w->session = s;
    w->number = s->client->behind_sent;
    memcpy(w->bytes, ptr, len_bytes);
    return 0;
}

void mfs_behind_leave(struct mfs_session *s)
{
    LIST_EACH(&s->client->behind, it, nx)
    {
        struct mfs_call *call = LIST_ENTRY(it, struct mfs_call, interrupted);
        const struct mfs_known *n =
            call->session == s ? mfs_known_find(&s->nodes, call->node) : NULL;
        call->is_failure_known = n && is_failure_known(s->client, n);
    }
    LIST_EACH(&s->client->behind_waiting, it, nx)
    {
        struct mfs_waiting *w = LIST_ENTRY(it, struct mfs_waiting, link);
        if (w->session != s)
            continue;
        w->session = NULL;
        if (w->serial)
            continue; /* it is answered all the same */
        list_remove(it);
        free(w);
    }
}

bool mfs_behind_put_off(struct mfs_session *s, struct mfs_known *n, uint64_t serial)
{
    struct mfs_client *c = s->client;
    struct mfs_waiting *w = list_is_empty(&c->behind) ? NULL : waiting_new(&c->behind_waiting, 0);
    if (w) {
        w->session = s;
        w->serial = serial;
        w->node = n->number;
        w->number = c->behind_sent;
    }
    return w != NULL;
}

static const struct mfs_call *oldest_of(const struct mfs_client *c)
{
    return list_is_empty(&c->behind) ? NULL
                                     : LIST_ENTRY(c->behind.next, struct mfs_call, interrupted);
}

static bool is_made(const struct mfs_client *c, uint64_t number)
{
    const struct mfs_call *oldest = oldest_of(c);
    return !oldest || oldest->behind_number > number;
}

/* Is n being copied, by what is on the way? */
static bool is_copied(const struct mfs_client *c, const struct mfs_known *n)
{
    return !is_made(c, n->copied_until);
}

bool mfs_behind_is_copying(const struct mfs_client *c)
{
    return !is_made(c, c->copied_until);
}

void mfs_behind_reads(struct mfs_call *call, struct mfs_known *from)
{
    uint64_t number = call->behind_number ? call->behind_number : call->client->behind_sent + 1;
    from->copied_until = call->client->copied_until = number;
}

bool mfs_behind_recall(struct mfs_session *s, struct mfs_known *n, uint64_t serial)
{
    bool is_read = is_copied(s->client, n);
    mfs_own_end(n);
    n->is_sole = false;
    if (serial && !n->behind && is_read)
        return mfs_behind_put_off(s, n, serial);
    if (!n->behind || !serial)
        return false;
    struct mfs_waiting *w = waiting_new(&n->behind->waiting, 0);
    if (w)
        w->serial = serial;
    return w != NULL;
}

/* The name that is looked up is known to mean something that is on the way. */
static bool is_name_behind(const struct mfs_call *call)
{
    const struct mfs_session *s = call->session;
    const struct mfs_known *dir = mfs_known_find(&s->nodes, call->node);
    const struct mfs_dentry *d =
        dir && call->name ? mfs_dentry_find(&s->names, dir, bytes_of(call->name)) : NULL;
    return d && d->node && d->node->behind;
}

/* What is being closed is read by a copy that is on the way. */
static bool is_read_behind(const struct mfs_call *call)
{
    const struct mfs_known *n = mfs_known_find(&call->session->nodes, call->node);
    return n && is_copied(call->client, n);
}

/* The server is being told that it was closed: who opens it then finds it so. */
static bool is_closing(const struct mfs_session *s, uint64_t node)
{
    const struct mfs_known *n = node ? mfs_known_find(&s->nodes, node) : NULL;
    return n && n->closings;
}

bool mfs_behind_concerns(const struct mfs_call *call, enum mfs_op op, bool is_changing)
{
    const struct mfs_session *s = call->session;
    if (call->client->is_order_broken || op == MFS_OP_setlk || op == MFS_OP_getlk || op == MFS_OP_flock || op == MFS_OP_renew ||
        op == MFS_OP_recalled || op == MFS_OP_surrender || op == MFS_OP_supply)
        return false;
    if (call->is_in_order || (s && !s->is_detached && is_closing(s, call->node)))
        return true;
    if (list_is_empty(&call->client->behind))
        return false;
    if (is_changing || op == MFS_OP_syncfs || op == MFS_OP_statfs)
        return true;
    if (!s) /* the closing of a file whose opening may be on the way */
        return !call->is_unordered && (op == MFS_OP_release || op == MFS_OP_releasedir);
    if (op == MFS_OP_release && !s->is_detached && is_read_behind(call))
        return true;
    return !s->is_detached && (is_behind(s, call->node) || is_behind(s, call->new_node) ||
                               (op == MFS_OP_lookup && is_name_behind(call)));
}

/* ---- what is on the way ---- */

bool mfs_behind_is_in_order(struct mfs_client *c)
{
    if (!c->is_order_broken)
        return true;
    if (!list_is_empty(&c->behind) || c->behind_untold || c->is_refusing)
        return false;
    c->is_order_broken = false;
    c->begins_order = true;
    c->order++;
    return true;
}

bool mfs_behind_may(struct mfs_session *s, const struct mfs_known *n, int host_flags)
{
    return mfs_own_is_alone(s, n) &&
           !(host_flags & (O_APPEND | O_DIRECT | O_SYNC | O_DSYNC)) &&
           mfs_behind_is_in_order(s->client);
}

/* All of n is made: its recalls go on. */
static void settle(struct mfs_session *s, struct mfs_known *n)
{
    struct link list;
    struct mfs_behind *b = n->behind;
    list_init(&list);
    while (!list_is_empty(&b->waiting)) {
        struct link *l = b->waiting.next;
        list_remove(l);
        list_push_back(&list, l);
    }
    n->behind = NULL;
    free(b);
    mfs_lease_count_change(s, n);
    uint64_t number = n->number;
    LIST_EACH(&list, it, nx)
    {
        struct mfs_waiting *w = LIST_ENTRY(it, struct mfs_waiting, link);
        list_remove(it);
        mfs_lease_recall(s->client, &(struct mfs_recall_notice){ w->serial, number });
        free(w);
    }
    n->names--;
    mfs_known_drop_unused(&s->nodes, n);
}

/* Requests and recalls that waited for what is made go on, in order. */
static void resume(struct mfs_call *made)
{
    struct mfs_client *c = made->client;
    const struct mfs_call *oldest = oldest_of(c);
    LIST_EACH(&c->behind_waiting, it, nx)
    {
        struct mfs_waiting *w = LIST_ENTRY(it, struct mfs_waiting, link);
        if (oldest && oldest->behind_number <= w->number)
            continue;
        list_remove(it);
        if (w->serial) {
            mfs_lease_recall(c, &(struct mfs_recall_notice){ w->serial, w->node });
        } else {
            mfs_client_waited(c, (enum mfs_op)made->op, made->depth);
            mfs_session_take(w->session, w->bytes, w->len_bytes);
        }
        free(w);
    }
}

static void detach(struct mfs_call *call)
{
    struct mfs_session *s = call->session;
    for (unsigned i = 0; i < call->behind_count; i++) {
        struct mfs_known *n =
            s->is_detached ? NULL : mfs_known_find(&s->nodes, call->behind_nodes[i]);
        if (n && n->behind && --n->behind->calls == 0)
            settle(s, n);
    }
    call->behind_count = 0;
}

int mfs_behind_begin(struct mfs_call *call, struct mfs_known *const *nodes, unsigned count)
{
    mfs_join_flush(call->client); /* it has the next number */
    for (unsigned i = 0; i < count && i < MFS_CHANGED_MAX; i++) {
        struct mfs_known *n = nodes[i];
        if (!n->behind) {
            n->behind = calloc(1, sizeof *n->behind);
            if (!n->behind) {
                detach(call);
                return -ENOMEM;
            }
            list_init(&n->behind->waiting);
            n->names++;
        }
        n->behind->calls++;
        n->changed_by = call->client->last_id + 1; /* it is sent next */
        mfs_lease_count_new_change(call->session, n);
        call->behind_nodes[call->behind_count++] = n->number;
    }
    call->is_behind = call->is_unwaited = true;
    return 0;
}

void mfs_behind_undo(struct mfs_call *call)
{
    call->is_behind = call->is_unwaited = false;
    detach(call);
}

void mfs_behind_sent(struct mfs_call *call, size_t dirty_bytes)
{
    struct mfs_client *c = call->client;
    call->behind_bytes = dirty_bytes;
    c->behind_bytes += dirty_bytes;
    call->behind_number = ++c->behind_sent;
    list_push_back(&c->behind, &call->interrupted);
    if (c->opts.behind)
        atomic_store(&c->opts.behind->sent, c->behind_sent);
}

static bool is_data(unsigned op)
{
    return op == MFS_OP_write || op == MFS_OP_put || op == MFS_OP_copy_file_range;
}

/* What is lost, unless somebody is told. n: NULL if it is not known (any more). */
static void note_failure(struct mfs_call *call, struct mfs_known *n, int rc)
{
    struct mfs_client *c = call->client;
    if (c->behind_untold++)
        return;
    const struct mfs_dentry *d =
        n && !call->name ? mfs_dentry_of(&call->session->names, n) : NULL;
    const char *name = call->name ? call->name : d ? (const char *)d->name : "";
    int len = call->name ? (int)strlen(call->name) : d ? (int)d->len : 0;
    c->behind_error = rc;
    if (is_data(call->op))
        err_set(&c->behind_words, -rc, "what was written last%s%.*s%s is lost",
                len ? " to \"" : "", len, name, len ? "\"" : "");
    else
        err_set(&c->behind_words, -rc, "%s%s%.*s%s failed after the job was told it is done",
                mfs_op_name(call->op), len ? " of \"" : "", len, name, len ? "\"" : "");
}

/* Nothing is taken for done any more, and nothing that was learned from what was is believed.
 * If somebody else holds what the job believes it has made, it must not act on that. */
static void fail(struct mfs_call *call, struct mfs_known *n, int rc)
{
    struct mfs_client *c = call->client;
    bool is_name = !is_data(call->op) && call->op != MFS_OP_setattr;
    bool is_first = is_name && rc == -EEXIST;
    rc = rc == -ECANCELED ? -EIO : rc; /* what came before it failed */
    if (is_name || (!n && !call->is_failure_known)) {
        note_failure(call, n, rc);
    } else if (n && !is_failure_known(c, n)) {
        note_failure(call, n, rc);
        n->behind_error = rc;
    }
    if (c->is_order_broken)
        return;
    c->is_order_broken = true;
    c->is_refusing = is_first;
    if (!c->is_lost)
        mfs_lease_expire(c);
}

void mfs_behind_made(struct mfs_call *call, int rc)
{
    struct mfs_session *s = call->session;
    struct mfs_client *c = call->client;
    c->behind_bytes -= call->behind_bytes;
    if (c->opts.behind) { /* the call has left the list */
        const struct mfs_call *oldest = oldest_of(c);
        atomic_store(&c->opts.behind->made,
                     oldest ? oldest->behind_number - 1 : c->behind_sent);
    }
    if (rc < 0)
        fail(call, s->is_detached ? NULL : mfs_known_find(&s->nodes, call->node), rc);
    detach(call);
    resume(call);
}

int mfs_behind_error(struct mfs_session *s, struct mfs_known *n)
{
    int rc = n ? n->behind_error : 0;
    if (rc) {
        n->behind_error = 0;
        n->told_in_order = s->client->order + 1;
        mfs_own_end(n); /* from now on each write is told what became of it */
        if (s->client->behind_untold) /* 0: a job that has ended was told */
            s->client->behind_untold--;
    }
    return rc;
}

int mfs_client_take_lost(struct mfs_client *c, struct err *e)
{
    c->is_refusing = false; /* who acted on what is not so has ended */
    if (!c->behind_untold)
        return 0;
    c->behind_untold = 0;
    if (e)
        *e = c->behind_words;
    return c->behind_error;
}

void mfs_behind_grows(struct mfs_known *n, uint64_t end)
{
    if (end > n->behind->end)
        n->behind->end = end;
}

uint64_t mfs_behind_size(const struct mfs_known *n, uint64_t size)
{
    return n && n->behind && n->behind->end > size ? n->behind->end : size;
}

static int on_supplied(struct mfs_call *call, int rc, struct rd *body)
{
    (void)call;
    (void)rc; /* if nobody waits for it any more, the put has failed */
    (void)body;
    return 0;
}

int mfs_behind_wanted(struct mfs_client *c, const struct mfs_head *h, struct rd *body)
{
    (void)h;
    struct mfs_wanted_notice n;
    int rc = mfs_wanted_notice_get(body, &n);
    const struct mfs_call *put = NULL;
    if (rc < 0)
        return rc;
    LIST_EACH(&c->behind, it, nx)
    {
        const struct mfs_call *call = LIST_ENTRY(it, struct mfs_call, interrupted);
        if (call->id == n.request && call->op == MFS_OP_put && call->body)
            put = call;
    }
    if (!put)
        return 0;
    struct mfs_call *call = mfs_call_new(c, on_supplied);
    struct mfs_caller who = { c->opts.own_uid, c->opts.own_gid, 0 };
    struct mfs_supply_req m = { n.request, { put->body, (uint32_t)put->body_bytes } };
    if (!call || mfs_send_supply(call, &who, &m, put->body_bytes) < 0) {
        mfs_call_drop(call);
        return -ENOMEM; /* the server would wait in vain */
    }
    c->stats.puts_wanted++;
    return 0;
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
