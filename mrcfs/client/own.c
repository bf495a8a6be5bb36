/* SPDX-License-Identifier: GPL-2.0-or-later */
/* own.c: what a client knows of a file because nobody but it can change it.
 * Must not know: libfuse.
 *
 * Contents are valid as of a number of changes of the node (n->changes): whatever else changes it, or reports that somebody did,
 * counts one more, and then they are not. They are believed while the file is ours alone, or, later, held. */
#include "mrcfs/client/own.h"

#include "mrcfs/client/assume.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/content.h"
#include "mrcfs/client/locks.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- alone ---- */

bool mfs_own_is_alone(const struct mfs_session *s, const struct mfs_known *n)
{
    return n && n->is_alone && !n->behind_error && mfs_lease_is_on(s->client) &&
           mfs_lease_is_alive(s->client);
}

bool mfs_own_is_shaped(const struct mfs_session *s, const struct mfs_known *n)
{
    return mfs_own_is_alone(s, n) && (n->has_attr || n->is_assumed) && !n->own_pending;
}

void mfs_own_end(struct mfs_known *n)
{
    n->is_alone = false;
}

/* ---- contents ---- */

void mfs_own_drop(struct mfs_session *s, struct mfs_known *n)
{
    if (!n->content)
        return;
    s->content_bytes -= n->content->room_bytes;
    list_remove(&n->with_content);
    mfs_content_fini(n->content);
    free(n->content);
    n->content = NULL;
}

static void begin(struct mfs_session *s, struct mfs_known *n)
{
    mfs_own_drop(s, n);
    n->content = calloc(1, sizeof *n->content);
    if (!n->content)
        return;
    n->content_changes = n->changes;
    list_push_back(&s->contents, &n->with_content);
}

static bool has_content(const struct mfs_known *n)
{
    return n->content && n->content_changes == n->changes;
}

/* After a change that was the next one after what is there; was: bytes of memory before. */
static void changed(struct mfs_session *s, struct mfs_known *n, size_t was, int rc)
{
    s->content_bytes += n->content->room_bytes - was;
    if (rc < 0) {
        mfs_own_drop(s, n);
        return;
    }
    n->content_changes = n->changes;
    list_remove(&n->with_content);
    list_push_back(&s->contents, &n->with_content);
    while (s->content_bytes > MFS_CONTENTS_MAX)
        mfs_own_drop(s, LIST_ENTRY(s->contents.next, struct mfs_known, with_content));
}

static bool is_next(const struct mfs_known *n)
{
    return n->content && n->content_changes + 1 == n->changes;
}

void mfs_own_written(struct mfs_session *s, struct mfs_known *n, uint64_t offset,
                     struct bytes what)
{
    if (!is_next(n)) {
        mfs_own_drop(s, n);
        return;
    }
    size_t was = n->content->room_bytes;
    changed(s, n, was, mfs_content_write(n->content, offset, what));
}

void mfs_own_cut(struct mfs_session *s, struct mfs_known *n, uint64_t size)
{
    if (size == 0)
        begin(s, n);
    else if (is_next(n)) {
        size_t was = n->content->room_bytes;
        changed(s, n, was, mfs_content_cut(n->content, size));
    } else {
        mfs_own_drop(s, n);
    }
}

bool mfs_own_is_steady(const struct mfs_session *s, const struct mfs_known *n)
{
    return n && n->has_attr && !n->own_pending && !n->behind &&
           ((n->is_held && mfs_lease_is_on(s->client) && mfs_lease_is_alive(s->client)) ||
            mfs_own_is_alone(s, n));
}

void mfs_own_fill(struct mfs_session *s, struct mfs_known *n, uint64_t offset, struct bytes part)
{
    if (offset == 0)
        begin(s, n);
    else if (!has_content(n) || n->content->size_bytes != offset)
        return;
    if (!n->content)
        return;
    size_t was = n->content->room_bytes;
    changed(s, n, was, mfs_content_write(n->content, offset, part));
}

bool mfs_own_read(struct mfs_session *s, struct mfs_known *n, uint64_t offset,
                  size_t size_bytes, struct bytes *out)
{
    bool is_held = n && n->is_held && !n->own_pending && mfs_lease_is_on(s->client) &&
                   mfs_lease_is_alive(s->client);
    if (!n || !has_content(n) || !(is_held || mfs_own_is_shaped(s, n)))
        return false;
    *out = mfs_content_read(n->content, offset, size_bytes);
    list_remove(&n->with_content);
    list_push_back(&s->contents, &n->with_content);
    s->client->stats.cache_hits++;
    return true;
}

/* ---- opening and closing ---- */

static bool has_same_times(const struct mfs_attr *x, const struct mfs_attr *y)
{
    return x->mtime_sec == y->mtime_sec && x->mtime_nsec == y->mtime_nsec &&
           x->ctime_sec == y->ctime_sec && x->ctime_nsec == y->ctime_nsec;
}

void mfs_own_made(struct mfs_session *s, struct mfs_known *n, struct mfs_opened *f)
{
    n->is_alone = f->is_alone = true;
    begin(s, n);
}

void mfs_own_opened(struct mfs_session *s, struct mfs_known *n, struct mfs_opened *f,
                    const struct mfs_attr *a, bool is_clean, const struct mfs_attr *before)
{
    bool is_other = before && !has_same_times(before, a);
    n->is_held = is_clean && n->has_attr && a->flags & MFS_ATTR_HELD;
    /* Whatever was reported of its attributes meanwhile: who would make that untrue is waiting for the answer to a recall, which
     * has not come. */
    n->is_alone = f->is_alone = a->flags & MFS_ATTR_ALONE && mfs_lease_is_alive(s->client);
    if (n->is_alone)
        mfs_locks_begin(n, f->fh);
    if (n->is_alone && is_clean && !a->size)
        begin(s, n);
    else if (n->content && (is_other || a->size != n->content->size_bytes))
        mfs_own_drop(s, n);
}

static void resume_all(struct mfs_known *n)
{
    LIST_EACH(&n->reopen_waiting, it, nx)
    {
        struct mfs_call *call = LIST_ENTRY(it, struct mfs_call, link);
        list_remove(it);
        call->resume(call, NULL);
    }
}

bool mfs_own_wait(struct mfs_session *s, struct mfs_call *call)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, call->node);
    if (!n || (!n->reopen_id && !n->write_opens))
        return false;
    list_push_back(&n->reopen_waiting, &call->link);
    return true;
}

void mfs_own_write_opened(struct mfs_call *call)
{
    struct mfs_session *s = call->session;
    struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, call->node);
    bool is_one = call->is_write_open;
    call->is_write_open = false;
    if (!is_one || !n || --n->write_opens || n->reopen_id)
        return;
    if (!list_is_empty(&n->reopen_waiting))
        mfs_client_waited(call->client, MFS_OP_open, call->depth);
    resume_all(n);
}

/* Can what the answer to an open says be that which we closed? What of ours came between is in its times. */
static bool is_as_closed(const struct mfs_call *call, const struct mfs_known *n,
                         const struct mfs_attr *a)
{
    bool is_last = n->has_attr && n->changed_by < call->id;
    bool is_same = has_same_times(&n->attr, a);
    return has_content(n) && a->size == n->content->size_bytes && (!is_last || is_same);
}

static int on_reopened(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_open_rep m = { 0 };
    if (rc == 0 && (mfs_open_rep_get(body, &m) < 0 || !m.fh || !mfs_attr_is_valid(&m.attr)))
        return -EPROTO;
    struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, call->node);
    bool is_ours = n && n->reopen_id == call->id;
    if (rc == 0 && is_ours && m.attr.valid_ms && m.attr.flags & MFS_ATTR_HELD &&
        n->handle_drops == call->flags && n->changes == call->size &&
        is_as_closed(call, n, &m.attr) && mfs_handle_set(s, n, m.fh, (uint32_t)call->offset)) {
        n->is_held = true;
        m.fh = 0;
    }
    if (m.fh)
        mfs_opened_release_unheard(call->client, m.fh, false);
    if (is_ours)
        n->reopen_id = 0;
    if (is_ours && !n->write_opens) {
        if (!list_is_empty(&n->reopen_waiting))
            mfs_client_waited(call->client, MFS_OP_open, call->depth);
        resume_all(n);
    }
    return 0;
}

/* Opens n for reading, before anybody asks: who made a file to read it, too, often does so again. */
static void reopen(struct mfs_session *s, struct mfs_known *n, const struct mfs_opened *f)
{
    struct mfs_call *call = mfs_call_new(s->client, on_reopened);
    if (!call)
        return;
    struct mfs_caller who = { f->uid, f->gid, 0 };
    call->session = s;
    call->node = n->number;
    call->is_unwaited = true;
    call->flags = n->handle_drops;
    call->size = n->changes;
    call->offset = f->uid;
    mfs_lease_ask(call, n->number);
    if (mfs_send_open(call, &who, &(struct mfs_open_req){ n->number, MFS_O_RDONLY }, 0) < 0)
        mfs_call_drop(call);
    else
        n->reopen_id = call->id;
}

void mfs_own_closed(struct mfs_session *s, struct mfs_known *n, const struct mfs_opened *f)
{
    if (!f->is_alone)
        return;
    bool may = f->is_readable && mfs_own_is_shaped(s, n) && has_content(n) && n->is_sole &&
               n->attr.nlink && !n->opens && !n->reader && !n->reopen_id && !f->had_locks;
    n->is_alone = false; /* the kernel's lease at the server ends with what it was opened by */
    if (may)
        reopen(s, n, f);
    mfs_session_open_later(s, n);
}

/* ---- attributes ---- */

void mfs_own_show(const struct mfs_known *n, struct mfs_attr *a)
{
    if (n->shown_ino)
        a->ino = n->shown_ino;
    if (n->has_shown_ctime && n->has_real_ctime && a->ctime_sec == n->real_ctime_sec &&
        a->ctime_nsec == n->real_ctime_nsec) {
        a->ctime_sec = n->shown_ctime_sec;
        a->ctime_nsec = n->shown_ctime_nsec;
    }
}

void mfs_own_learn(struct mfs_known *n, const struct mfs_attr *a)
{
    n->is_time_vague = false;
    mfs_own_learn_time(n, a);
}

void mfs_own_learn_time(struct mfs_known *n, const struct mfs_attr *a)
{
    if (!n->has_shown_ctime || n->has_real_ctime)
        return;
    n->has_real_ctime = true;
    n->real_ctime_sec = a->ctime_sec;
    n->real_ctime_nsec = a->ctime_nsec;
}

void mfs_own_pin_number(struct mfs_known *n)
{
    if (!n->shown_ino) /* after the server's number came, what was shown before it is still shown */
        n->shown_ino = n->attr.ino;
}

bool mfs_own_vouch(struct mfs_session *s, struct mfs_known *n)
{
    /* Whoever looks at an open file is about to read it: as in mfs_lease_attr. */
    if (!n->is_assumed || !n->attr.nlink || (n->opens && !n->is_held && !n->is_alone))
        return false;
    struct mfs_setattr_req m = { .node = n->number,
                                 .valid = MFS_SET_MTIME,
                                 .attr = { .mtime_sec = n->attr.mtime_sec,
                                           .mtime_nsec = n->attr.mtime_nsec } };
    struct mfs_caller who = { n->attr.uid, n->attr.gid, 0 };
    if (n->is_time_vague ? !mfs_assume_setattr(s, &who, &m) : !mfs_assume_may_change(s, &who, n))
        return false;
    mfs_own_pin_number(n);
    n->has_shown_ctime = true;
    n->has_real_ctime = false;
    n->shown_ctime_sec = n->attr.ctime_sec;
    n->shown_ctime_nsec = n->attr.ctime_nsec;
    return true;
}
