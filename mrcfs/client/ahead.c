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

enum { AHEAD_KEPT_MS = 5000 }; /* how long one waits for being wanted */

static struct mfs_ahead_file *find(struct mfs_session *s, uint64_t node)
{
    for (size_t i = 0; node && i < MFS_AHEAD_MAX; i++)
        if (s->ahead.files[i].node == node)
            return &s->ahead.files[i];
    return NULL;
}

/* Gives up an answered one that nobody wanted. */
static void drop(struct mfs_session *s, struct mfs_ahead_file *a)
{
    mfs_opened_release_unheard(s->client, a->rep.fh, false);
    free(a->head);
    *a = (struct mfs_ahead_file){ 0 };
}

static struct mfs_ahead_file *room(struct mfs_session *s)
{
    struct mfs_ahead_file *oldest = NULL;
    for (size_t i = 0; i < MFS_AHEAD_MAX; i++) {
        struct mfs_ahead_file *a = &s->ahead.files[i];
        if (!a->node)
            return a;
        if (a->is_answered && (!oldest || a->asked_ms < oldest->asked_ms))
            oldest = a;
    }
    if (oldest && clock_mono_ms() - oldest->asked_ms < AHEAD_KEPT_MS && !oldest->is_stale)
        return NULL;
    if (oldest)
        drop(s, oldest);
    return oldest;
}

static void answer_waiter(struct mfs_ahead_file *a, int rc)
{
    struct mfs_call *waiter = a->waiter;
    if (!waiter)
        return;
    a->waiter = NULL;
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
        *a = (struct mfs_ahead_file){ 0 };
        return 0;
    }
    a->is_answered = true;
    if (a->rep.head.len && (a->head = malloc(a->rep.head.len)))
        memcpy(a->head, a->rep.head.ptr, a->rep.head.len);
    a->rep.head = (struct bytes){ a->head, a->head ? a->rep.head.len : 0 };
    if (a->is_stale || call->session->is_detached)
        drop(call->session, a);
    return 0;
}

static bool open_one(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    const struct mfs_known *n = mfs_known_find(&s->nodes, node);
    uint32_t changes = n ? n->changes : 0;
    struct mfs_ahead_file *a = room(s);
    struct mfs_call *call = a ? mfs_call_new(s->client, on_opened) : NULL;
    if (!call)
        return false;
    call->session = s;
    call->node = node;
    call->file = a;
    *a = (struct mfs_ahead_file){
        .node = node, .uid = who->uid, .changes = changes, .asked_ms = clock_mono_ms()
    };
    int rc =
        mfs_send_open(call, who, &(struct mfs_open_req){ node, MFS_O_RDONLY | MFS_O_HEAD }, 0);
    if (rc < 0) {
        *a = (struct mfs_ahead_file){ 0 };
        mfs_call_drop(call);
    }
    return rc >= 0;
}

void mfs_ahead_look(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    enum { SKIPPED_MAX = 4, RUN_MAX = 4 };
    const struct mfs_known *n = mfs_known_find(&s->nodes, s->ahead.last_opened);
    bool is_next = false;
    for (int i = 0; n && i < SKIPPED_MAX && !is_next; i++) {
        is_next = n->next_listed == node;
        n = mfs_known_find(&s->nodes, n->next_listed);
    }
    s->ahead.run = is_next ? s->ahead.run + (s->ahead.run < RUN_MAX) : 0;
    s->ahead.last_opened = node;
    if (s->ahead.run < 1)
        return;
    n = mfs_known_find(&s->nodes, node);
    for (int i = 0; n && i < 3 << s->ahead.run; i++) {
        n = mfs_known_find(&s->nodes, n->next_listed);
        if (n && n->is_small_file && !n->has_stamp && !find(s, n->number) &&
            !open_one(s, n->number, who))
            return;
    }
}

bool mfs_ahead_take(struct mfs_session *s, struct mfs_call *call, const struct mfs_caller *who)
{
    struct mfs_ahead_file *a = find(s, call->node);
    if (!a || a->uid != who->uid || a->is_stale || a->waiter ||
        clock_mono_ms() - a->asked_ms > AHEAD_KEPT_MS)
        return false;
    const struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (!n || n->changes != a->changes)
        return false;
    a->waiter = call;
    s->client->stats.cache_hits++;
    if (a->is_answered) {
        uint8_t *head = a->head;
        answer_waiter(a, 0);
        free(head);
        *a = (struct mfs_ahead_file){ 0 };
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
