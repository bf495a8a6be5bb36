/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deferred.c: files that are closed here and not yet at the server.
 * Must not know: libfuse. */
#include "mrcfs/client/deferred.h"

#include "common/sys/clock.h"
#include "mrcfs/client/assume.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/locks.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* How a file is open; what else open() was asked for is done with. */
enum { HOW = O_ACCMODE | O_APPEND | O_DIRECT | O_SYNC | O_DSYNC | O_NOATIME };

static struct mfs_opened *opened_of(struct link *l)
{
    return LIST_ENTRY(l, struct mfs_opened, parked);
}

void mfs_deferred_init(struct mfs_deferred *d)
{
    *d = (struct mfs_deferred){ 0 };
    list_init(&d->files);
}

void mfs_deferred_fini(struct mfs_deferred *d)
{
    loop_timer_del(&d->timer);
    while (!list_is_empty(&d->files))
        list_remove(d->files.next);
    d->count = 0;
}

static void take_out(struct mfs_session *s, struct mfs_opened *f)
{
    list_remove(&f->parked);
    s->deferred.count--;
}

/* ---- closing ---- */

static int on_closed(struct mfs_call *call, int rc, struct rd *body)
{
    if (rc == 0 && rd_left(body))
        return -EPROTO;
    struct mfs_known *n =
        call->session->is_detached ? NULL : mfs_known_find(&call->session->nodes, call->node);
    if (n && n->closings)
        n->closings--;
    if (call->size)
        mfs_lease_recall(call->client, &(struct mfs_recall_notice){ call->size, call->node });
    return 0;
}

/* The server is told; serial: of the recall that waits for its answer, 0: none. Without memory
 * the file stays open there. */
static bool tell(struct mfs_session *s, struct mfs_opened *f, uint64_t serial)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    struct mfs_call *call = mfs_call_new(s->client, on_closed);
    struct mfs_caller who = { f->uid, f->gid, 0 };
    bool is_told = false;
    take_out(s, f);
    if (call) {
        call->session = s;
        call->node = f->node;
        call->size = serial;
        call->is_unwaited = call->is_in_order = true;
        is_told = mfs_send_release(call, &who, &(struct mfs_release_req){ f->fh }, 0) == 0;
        if (!is_told)
            mfs_call_drop(call);
        else if (n)
            n->closings++;
    }
    if (n && serial)
        mfs_own_end(n);
    if (n && !n->is_going)
        mfs_own_closed(s, n, f);
    mfs_opened_free(f);
    return is_told;
}

static struct mfs_opened *find(struct mfs_session *s, const struct mfs_known *n)
{
    LIST_EACH(&s->deferred.files, it, nx)
    {
        if (opened_of(it)->node == n->number)
            return opened_of(it);
    }
    return NULL;
}

void mfs_deferred_end(struct mfs_session *s, struct mfs_known *n)
{
    struct mfs_opened *f = s->is_detached ? NULL : find(s, n);
    if (f)
        (void)tell(s, f, 0);
}

bool mfs_deferred_recall(struct mfs_session *s, struct mfs_known *n, uint64_t serial)
{
    struct mfs_opened *f = s->is_detached ? NULL : find(s, n);
    return f && tell(s, f, serial) && serial;
}

void mfs_deferred_end_all(struct mfs_client *c)
{
    LIST_EACH(&c->sessions, it, nx)
    {
        struct mfs_session *s = LIST_ENTRY(it, struct mfs_session, link);
        while (!s->is_detached && !list_is_empty(&s->deferred.files))
            (void)tell(s, opened_of(s->deferred.files.next), 0);
    }
}

void mfs_deferred_leave(struct mfs_session *s)
{
    while (!list_is_empty(&s->deferred.files)) {
        struct mfs_opened *f = opened_of(s->deferred.files.next);
        struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
        if (n)
            mfs_own_end(n); /* nobody will read it */
        (void)tell(s, f, 0);
    }
}

static void on_timer(void *ctx)
{
    struct mfs_session *s = ctx;
    uint64_t now_ms = clock_mono_ms();
    while (!s->is_detached && !list_is_empty(&s->deferred.files)) {
        struct mfs_opened *f = opened_of(s->deferred.files.next);
        if (f->parked_ms + MFS_DEFERRED_MS > now_ms) {
            loop_timer_set(s->client->loop, &s->deferred.timer,
                           f->parked_ms + MFS_DEFERRED_MS - now_ms, on_timer, s);
            break;
        }
        (void)tell(s, f, 0);
    }
    mfs_client_flush(s->client);
}

/* ---- keeping, and going on ---- */

bool mfs_deferred_keep(struct mfs_session *s, struct mfs_opened *f)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (!n || s->is_detached || !f->fh || !f->is_alone || f->is_written || n->opens ||
        !n->attr.nlink || !mfs_own_is_shaped(s, n) || !S_ISREG(n->attr.mode) ||
        n->attr.mode & (S_ISUID | S_ISGID) || (f->host_flags & (HOW & ~(O_ACCMODE | O_APPEND))))
        return false;
    /* Who opens a file that is open for writing here, without waiting for that (O_NONBLOCK: grep -r
     * does), is told to come again. So only what is opened again and again stays open. */
    bool is_first = !n->had_writer;
    n->had_writer = true;
    if (is_first || f->had_locks || f->are_locks_lost || n->had_locks || n->own_locks ||
        n->had_mapped_writes)
        return false;
    mfs_session_end_reading(f);
    f->parked_ms = clock_mono_ms();
    list_push_back(&s->deferred.files, &f->parked);
    s->deferred.count++;
    if (s->deferred.count > MFS_DEFERRED_MAX)
        (void)tell(s, opened_of(s->deferred.files.next), 0);
    if (s->deferred.count == 1)
        loop_timer_set(s->client->loop, &s->deferred.timer, MFS_DEFERRED_MS, on_timer, s);
    return true;
}

struct mfs_opened *mfs_deferred_take(struct mfs_session *s, struct mfs_known *n,
                                     const struct mfs_caller *who, int flags)
{
    struct mfs_opened *f = s->deferred.count ? find(s, n) : NULL;
    mode_t wanted = S_IWUSR | ((flags & O_ACCMODE) == O_RDWR ? S_IRUSR : 0);
    if (!f || (f->host_flags & HOW) != (flags & HOW) || f->uid != who->uid ||
        f->gid != who->gid || !mfs_own_is_shaped(s, n) || (n->attr.mode & wanted) != wanted ||
        !mfs_assume_is_own(s, who, &n->attr))
        return NULL;
    const struct mfs_setattr_req empty = { .node = n->number,
                                           .fh = f->fh,
                                           .valid = MFS_SET_SIZE };
    if (flags & O_TRUNC && !mfs_assume_setattr(s, who, &empty))
        return NULL;
    take_out(s, f);
    mfs_locks_begin(n, f->fh);
    f->changes = n->changes;
    f->size = n->attr.size;
    f->host_flags = flags;
    return f;
}
