/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.c: opening ahead: when the small files of a directory are read one after the other, the
 * next ones are opened before anybody asks.
 * Must not know: FUSE (an open that waits is answered through mfs_session_answer_open). */
#include "mrcfs/client/ahead.h"

#include "common/sys/clock.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD_KEPT_MS = 5000 }; /* how long one waits for being wanted; under lease, until others need its place */

static struct mfs_ahead_file *find(struct mfs_session *s, uint64_t node)
{
    for (size_t i = 0; node && i < MFS_AHEAD_MAX; i++)
        if (s->ahead.files[i].node == node)
            return &s->ahead.files[i];
    return NULL;
}

/* Nothing is opened ahead in its place any more. */
static void clear(struct mfs_session *s, struct mfs_ahead_file *a)
{
    s->ahead.bytes -= a->bytes;
    *a = (struct mfs_ahead_file){ 0 };
}

/* Gives up an answered one that nobody wanted. */
static void drop(struct mfs_session *s, struct mfs_ahead_file *a)
{
    mfs_opened_release_unheard(s->client, a->rep.fh, false);
    free(a->head);
    clear(s, a);
}

/* A place for a file of so many bytes, or NULL. */
static struct mfs_ahead_file *room(struct mfs_session *s, size_t bytes)
{
    bool is_leased = mfs_lease_is_on(s->client);
    size_t count = is_leased ? MFS_AHEAD_MAX : MFS_AHEAD_UNLEASED_MAX;
    for (;;) {
        struct mfs_ahead_file *oldest = NULL, *unused = NULL;
        for (size_t i = 0; i < count; i++) {
            struct mfs_ahead_file *a = &s->ahead.files[i];
            if (!a->node)
                unused = a;
            else if (a->is_answered && (!oldest || a->asked_ms < oldest->asked_ms))
                oldest = a;
        }
        if (unused && (!is_leased || s->ahead.bytes + bytes <= MFS_AHEAD_BYTES_MAX))
            return unused;
        if (!oldest ||
            (clock_mono_ms() - oldest->asked_ms < AHEAD_KEPT_MS && !oldest->is_stale))
            return NULL;
        drop(s, oldest);
    }
}

static void answer_waiter(struct mfs_ahead_file *a, int rc)
{
    struct mfs_call *waiter = a->waiter;
    if (!waiter)
        return;
    a->waiter = NULL;
    mfs_client_waited(waiter->client, a->depth);
    mfs_session_answer_open(waiter, rc, &a->rep);
    mfs_call_drop(waiter);
}

static int on_opened(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_ahead_file *a = call->file;
    if (rc == 0 &&
        (mfs_open_rep_get(body, &a->rep) < 0 || !a->rep.fh || !mfs_attr_is_valid(&a->rep.attr)))
        return -EPROTO;
    if (rc < 0 || a->waiter) {
        answer_waiter(a, rc);
        clear(call->session, a);
        return 0;
    }
    a->is_clean = mfs_lease_is_clean(call);
    a->is_answered = true;
    if (a->rep.head.len && (a->head = malloc(a->rep.head.len)))
        memcpy(a->head, a->rep.head.ptr, a->rep.head.len);
    a->rep.head = (struct bytes){ a->head, a->head ? a->rep.head.len : 0 };
    if (a->is_stale || call->session->is_detached)
        drop(call->session, a);
    return 0;
}

static bool open_one(struct mfs_session *s, const struct mfs_known *n,
                     const struct mfs_caller *who)
{
    struct mfs_ahead_file *a = room(s, n->told_size);
    struct mfs_call *call = a ? mfs_call_new(s->client, on_opened) : NULL;
    if (!call)
        return false;
    call->session = s;
    call->node = n->number;
    call->file = a;
    call->is_unwaited = true;
    mfs_lease_ask(call, n->number);
    *a = (struct mfs_ahead_file){ .node = n->number,
                                  .uid = who->uid,
                                  .changes = n->changes,
                                  .own_changes = n->own_changes,
                                  .told_count = n->told_count,
                                  .bytes = n->told_size,
                                  .asked_ms = clock_mono_ms() };
    s->ahead.bytes += a->bytes;
    int rc = mfs_send_open(call, who,
                           &(struct mfs_open_req){ n->number, MFS_O_RDONLY | MFS_O_HEAD }, 0);
    a->depth = call->depth;
    if (rc < 0) {
        clear(s, a);
        mfs_call_drop(call);
    }
    return rc >= 0;
}

void mfs_ahead_look(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    enum { SKIPPED_MAX = 4, RUN_MAX = 4 };
    bool is_leased = mfs_lease_is_on(s->client);
    const struct mfs_known *n = mfs_known_find(&s->nodes, s->ahead.last_opened);
    bool is_next = false;
    for (int i = 0; n && i < SKIPPED_MAX && !is_next; i++) {
        n = mfs_scan_next(s, n);
        is_next = n && n->number == node;
    }
    s->ahead.run = is_next ? s->ahead.run + (s->ahead.run < RUN_MAX) : 0;
    s->ahead.last_opened = node;
    if (s->ahead.run < 1)
        return;
    n = mfs_known_find(&s->nodes, node);
    int reach = is_leased ? 4 << 2 * s->ahead.run : 3 << s->ahead.run;
    for (int i = 0; n && i < reach; i++) {
        n = mfs_scan_next(s, n);
        if (n && n->is_small_file && !n->has_stamp && !n->own_pending && !n->reader &&
            !find(s, n->number) && !open_one(s, n, who))
            return;
    }
}

bool mfs_ahead_take(struct mfs_session *s, struct mfs_call *call, const struct mfs_caller *who)
{
    struct mfs_ahead_file *a = find(s, call->node);
    bool is_leased = mfs_lease_is_on(s->client);
    if (!a || a->uid != who->uid || a->is_stale || a->waiter ||
        (!is_leased && clock_mono_ms() - a->asked_ms > AHEAD_KEPT_MS))
        return false;
    const struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (!n || n->changes != a->changes)
        return false;
    if (is_leased &&
        (n->own_pending || n->own_changes != a->own_changes || n->told_count != a->told_count ||
         !mfs_lease_is_alive(s->client) ||
         (a->is_answered && (!a->is_clean || !a->rep.attr.valid_ms))))
        return false; /* it may be older than this open */
    a->waiter = call;
    s->client->stats.cache_hits++;
    if (a->is_answered) {
        uint8_t *head = a->head;
        answer_waiter(a, 0);
        free(head);
        clear(s, a);
    }
    return true;
}

void mfs_ahead_changed(struct mfs_session *s, uint64_t node)
{
    struct mfs_ahead_file *a = find(s, node);
    if (a && a->is_answered)
        drop(s, a);
    else if (a)
        a->is_stale = true;
}

void mfs_ahead_drop_all(struct mfs_session *s)
{
    for (size_t i = 0; i < MFS_AHEAD_MAX; i++)
        if (s->ahead.files[i].node && s->ahead.files[i].is_answered)
            drop(s, &s->ahead.files[i]);
}

void mfs_ahead_fini(struct mfs_ahead *a)
{
    for (size_t i = 0; i < MFS_AHEAD_MAX; i++)
        free(a->files[i].head);
}
