/* SPDX-License-Identifier: GPL-2.0-or-later */
/* readahead.c: a file that is read in order is asked for ahead of the kernel's reads (window.h
 * says how far); what has come waits here, in pieces, until the kernel asks.
 *
 * Under a lease on the file what has come is good until it is recalled, or changed by us; where
 * the server can't have one, for a moment: a program there that writes a file while it is read
 * here is seen no later than by the kernel's own reading ahead. */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/clock.h"
#include "common/sys/mem.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"
#include "mrcfs/client/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNLEASED_KEPT_MS = 1000, /* how long a piece is good without a lease on the file */
    IDLE_MS = 5000,          /* then another file may have its room */
};

/* Of an open file. */
struct mfs_reading {
    struct link link; /* in the client's readings */
    struct mfs_session *session;
    struct mfs_opened *file;
    struct mfs_window window;
    bool is_whole;      /* the pieces are all of the file, which is read here and there */
    struct link pieces; /* each begins where the one before it ends */
    struct link
        waiters; /* the kernel's reads, calls that are not sent: in the order that they came */
    uint64_t used_ms;
};

struct mfs_piece {
    struct link link;
    struct mfs_reading *reading; /* NULL: nobody wants it any more, it is freed when it comes */
    struct mfs_session *session;
    uint64_t offset;
    size_t size;       /* asked for */
    size_t used_bytes; /* the kernel has got so many of it */
    bool is_here;
    bool is_asked; /* of the server; not: from the cache by names that were known */
    uint64_t asked_ms, depth;
    uint32_t changes, own_changes; /* of the node when it was asked for */
    struct mfs_rate_sample sample;
    struct mfs_piece_bytes bytes; /* fewer than were asked for: the file ends there */
};

/* ---- pieces ---- */

static bool is_current(const struct mfs_piece *p, const struct mfs_known *n)
{
    const struct mfs_client *c = p->session->client;
    if (!n || n->changes != p->changes || n->own_changes != p->own_changes || n->own_pending ||
        n->behind)
        return false;
    bool is_leased = n->is_held && mfs_lease_is_on(c) && mfs_lease_is_alive(c);
    return is_leased || mfs_own_is_alone(p->session, n) ||
           clock_mono_ms() - p->asked_ms < UNLEASED_KEPT_MS;
}

/* The reading has p no longer; if it is on the way, it is freed when it comes. */
static void piece_drop(struct mfs_piece *p)
{
    struct mfs_client *c = p->session->client;
    size_t len = p->is_here ? p->bytes.len_bytes : p->size;
    c->stats.ahead_in_vain += len > p->used_bytes ? len - p->used_bytes : 0;
    c->reading_bytes -= p->size;
    list_remove(&p->link);
    p->reading = NULL;
    if (!p->is_here)
        return;
    free(p->bytes.memory);
    free(p);
}

static void drop_pieces(struct mfs_reading *x)
{
    while (!list_is_empty(&x->pieces))
        piece_drop(LIST_ENTRY(x->pieces.next, struct mfs_piece, link));
}

/* Those from p on. */
static void drop_from(struct mfs_reading *x, struct mfs_piece *p)
{
    const struct link *before = p->link.prev;
    mfs_window_cut(&x->window, p->offset);
    while (x->pieces.prev != before)
        piece_drop(LIST_ENTRY(x->pieces.prev, struct mfs_piece, link));
}

struct mfs_opened *mfs_fuse_piece_file(const struct mfs_piece *p)
{
    return p->reading ? p->reading->file : NULL;
}

/* ---- the kernel's reads ---- */

static struct mfs_piece *piece_at(const struct mfs_reading *x, uint64_t offset)
{
    LIST_EACH(&x->pieces, it, nx)
    {
        struct mfs_piece *p = LIST_ENTRY(it, struct mfs_piece, link);
        if (offset >= p->offset && offset - p->offset < p->size)
            return p;
    }
    return NULL;
}

enum cover { ABSENT, COMING, HERE };

/* Are size bytes at offset here, or on the way? They are copied to out unless that is NULL;
 * *len: how many there are, fewer only at the file's end. */
static enum cover look(struct mfs_reading *x, uint64_t offset, size_t size, uint8_t *out,
                       size_t *len)
{
    const struct mfs_known *n = mfs_known_find(&x->session->nodes, x->file->node);
    size_t done = 0;
    enum cover is = HERE;
    while (done < size) {
        struct mfs_piece *p = piece_at(x, offset + done);
        if (!p || !is_current(p, n))
            return ABSENT;
        size_t at = (size_t)(offset + done - p->offset);
        size_t there = p->is_here ? p->bytes.len_bytes : p->size;
        size_t part = at < there ? there - at : 0;
        part = part < size - done ? part : size - done;
        if (!p->is_here)
            is = COMING;
        else if (out)
            memcpy(out + done, p->bytes.ptr + at, part);
        if (out) {
            p->used_bytes += part;
            mfs_client_waited(x->session->client, MFS_OP_read, p->depth);
        }
        done += part;
        if (there < p->size)
            break;
    }
    *len = done;
    return is;
}

/* What lies before offset is not wanted any more. */
static void drop_before(struct mfs_reading *x, uint64_t offset)
{
    while (!list_is_empty(&x->pieces)) {
        struct mfs_piece *p = LIST_ENTRY(x->pieces.next, struct mfs_piece, link);
        if (p->offset + p->size > offset)
            break;
        piece_drop(p);
    }
}

/* Answers req if all of it is here. */
static enum cover answer(struct mfs_reading *x, fuse_req_t req, uint64_t offset, size_t size)
{
    size_t len = 0;
    enum cover is = look(x, offset, size, NULL, &len);
    if (is != HERE)
        return is;
    uint8_t *room = malloc(len + 1);
    if (!room)
        return ABSENT;
    is = look(x, offset, size, room, &len);
    fuse_reply_buf(req, (const char *)room, len);
    free(room);
    x->session->client->stats.cache_hits++;
    return HERE;
}

/* Asks the server for what the kernel wants. */
static void ask_now(fuse_req_t req, fuse_ino_t ino, struct mfs_opened *f, size_t size,
                    uint64_t offset)
{
    if (!mfs_fuse_fetch(req, ino, f, size, (off_t)offset))
        mfs_fuse_read(req, ino, mfs_opened_fh(f), size, offset);
}

/* What came changes what the waiting reads find. */
static void serve_waiters(struct mfs_reading *x)
{
    uint64_t from = x->window.next;
    LIST_EACH(&x->waiters, it, nx)
    {
        struct mfs_call *call = LIST_ENTRY(it, struct mfs_call, link);
        fuse_req_t req = call->req;
        enum cover is = answer(x, req, call->offset, call->size);
        if (is == COMING) {
            from = call->offset < from ? call->offset : from;
            continue;
        }
        list_remove(it);
        if (is == ABSENT) {
            x->session->client->stats.ahead_twice += call->size;
            ask_now(req, mfs_session_swap_root(x->session, call->node), x->file, call->size,
                    call->offset);
        }
        mfs_call_drop(call);
    }
    if (!x->is_whole)
        drop_before(x, from);
}

/* Nothing that was asked for is of use any more. */
static void start_anew(struct mfs_reading *x)
{
    drop_pieces(x);
    x->is_whole = false;
    mfs_window_cut(&x->window, 0);
    serve_waiters(x);
}

static bool wait_for_piece(struct mfs_reading *x, fuse_req_t req, fuse_ino_t ino, size_t size,
                           uint64_t offset)
{
    struct mfs_call *call = mfs_fuse_begin(req, ino, NULL);
    if (!call)
        return false;
    call->size = size;
    call->offset = offset;
    list_push_back(&x->waiters, &call->link);
    mfs_fuse_waiting(call);
    return true;
}

/* All of the file is here: it is kept with what is known of the file (own.h), and reads find it there. */
static void keep_whole(struct mfs_reading *x)
{
    struct mfs_known *n = mfs_known_find(&x->session->nodes, x->file->node);
    bool is_good = mfs_own_is_steady(x->session, n);
    uint64_t end = 0;
    LIST_EACH(&x->pieces, it, nx)
    {
        struct mfs_piece *p = LIST_ENTRY(it, struct mfs_piece, link);
        if (!p->is_here)
            return;
        is_good = is_good && is_current(p, n) && p->offset == end;
        end = p->offset + p->bytes.len_bytes;
    }
    LIST_EACH(&x->pieces, at, after)
    {
        struct mfs_piece *p = LIST_ENTRY(at, struct mfs_piece, link);
        if (!is_good || end != n->attr.size)
            break;
        mfs_own_fill(x->session, n, p->offset,
                     (struct bytes){ p->bytes.ptr, (uint32_t)p->bytes.len_bytes });
        p->used_bytes = p->bytes.len_bytes;
    }
    start_anew(x);
}

/* ---- asking ahead ---- */

void mfs_fuse_piece_came(struct mfs_piece *p, int rc, const struct mfs_piece_bytes *came)
{
    struct mfs_session *s = p->session;
    struct mfs_client *c = s->client;
    struct mfs_reading *x = p->reading;
    if (p->is_asked && rc == 0)
        mfs_rate_came(&c->rate, &p->sample, came->len_bytes, clock_mono_us());
    p->is_here = true;
    if (came)
        p->bytes = *came;
    if (!x) {
        free(p->bytes.memory);
        free(p);
        return;
    }
    if (rc < 0 || !is_current(p, mfs_known_find(&s->nodes, x->file->node)))
        drop_from(x, p);
    serve_waiters(x);
    if (x->is_whole)
        keep_whole(x);
}

static int on_piece(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_piece *p = call->file;
    struct mfs_read_rep m = { 0 };
    if (rc == 0 && (mfs_read_rep_get(body, &m) < 0 || m.body.len > call->size))
        return -EPROTO;
    uint8_t *copy = rc == 0 ? malloc(m.body.len + 1) : NULL;
    if (rc == 0 && !copy)
        rc = -ENOMEM;
    if (rc == 0)
        memcpy(copy, m.body.ptr, m.body.len);
    mfs_fuse_piece_came(p, rc,
                        rc < 0 ? NULL : &(struct mfs_piece_bytes){ copy, copy, m.body.len });
    return 0;
}

static bool send_read(struct mfs_piece *p, const struct mfs_caller *who, struct mfs_opened *f,
                      uint64_t *depth)
{
    struct mfs_call *call = mfs_call_new(p->session->client, on_piece);
    if (!call)
        return false;
    call->session = p->session;
    call->node = f->node;
    call->file = p;
    call->size = p->size;
    call->is_unwaited = true;
    struct mfs_read_req m = { mfs_opened_fh(f), p->offset, (uint32_t)p->size };
    if (mfs_send_read(call, who, &m, 0) < 0) {
        mfs_call_drop(call);
        return false;
    }
    *depth = call->depth;
    return true;
}

/* False: no further ones can be asked for. */
static bool ask_piece(struct mfs_reading *x, const struct mfs_piece_range *at,
                      const struct mfs_caller *who)
{
    struct mfs_session *s = x->session;
    struct mfs_client *c = s->client;
    const struct mfs_known *n = mfs_known_find(&s->nodes, x->file->node);
    struct mfs_piece *p = n ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return false;
    *p = (struct mfs_piece){ .reading = x,
                             .session = s,
                             .offset = at->offset,
                             .size = at->size,
                             .asked_ms = clock_mono_ms(),
                             .changes = n->changes,
                             .own_changes = n->own_changes };
    mfs_rate_sent(&c->rate, &p->sample, clock_mono_us());
    list_push_back(&x->pieces, &p->link);
    c->reading_bytes += p->size;
    c->stats.ahead_bytes += at->size;
    uint64_t depth = 0;
    bool is_sent = mfs_fuse_may_fetch(s, x->file)
                       ? mfs_fuse_fetch_piece(s, who, x->file, at, p, &depth)
                       : send_read(p, who, x->file, &depth);
    if (depth) { /* it has not come yet */
        p->depth = depth;
        p->is_asked = true;
    }
    if (is_sent)
        return true;
    c->stats.ahead_bytes -= at->size;
    c->reading_bytes -= p->size;
    list_remove(&p->link);
    free(p);
    return false;
}

static void ask_ahead(struct mfs_reading *x, struct mfs_range ask, const struct mfs_caller *who)
{
    bool is_waited_for = list_is_empty(&x->pieces);
    while (ask.first < ask.end) {
        size_t size = mfs_window_piece(&ask, is_waited_for);
        struct mfs_piece_range at = { ask.first, size, ask.first + size == ask.end };
        if (!ask_piece(x, &at, who)) {
            mfs_window_cut(&x->window, ask.first);
            return;
        }
        ask.first += size;
    }
}

/* ---- readings ---- */

static struct mfs_reading *reading_of(struct mfs_session *s, struct mfs_opened *f)
{
    struct mfs_reading *x = f->reading;
    if (x || !(x = calloc(1, sizeof *x)))
        return x;
    *x = (struct mfs_reading){ .session = s, .file = f };
    list_init(&x->pieces);
    list_init(&x->waiters);
    f->reading = x;
    return x;
}

void mfs_session_end_reading(struct mfs_opened *f)
{
    struct mfs_reading *x = f->reading;
    if (!x)
        return;
    f->reading = NULL;
    drop_pieces(x);
    LIST_EACH(&x->waiters, it, nx) /* the kernel is gone: nobody waits */
    {
        list_remove(it);
        mfs_call_drop(LIST_ENTRY(it, struct mfs_call, link));
    }
    list_remove(&x->link);
    free(x);
}

void mfs_session_drop_read(struct mfs_session *s, uint64_t node)
{
    LIST_EACH(&s->client->readings, it, nx)
    {
        struct mfs_reading *x = LIST_ENTRY(it, struct mfs_reading, link);
        if (x->session != s || x->file->node != node)
            continue;
        start_anew(x);
    }
}

/* How many bytes x may have ahead: what the way holds, as far as there is room beside others.
 */
static size_t limit_of(struct mfs_client *c, struct mfs_reading *x)
{
    uint64_t now_ms = clock_mono_ms();
    size_t want = mfs_rate_window(&c->rate), own = 0;
    LIST_EACH(&x->pieces, it, nx)
    own += LIST_ENTRY(it, struct mfs_piece, link)->size;
    x->used_ms = now_ms;
    list_remove(&x->link);
    list_push_back(&c->readings, &x->link);
    LIST_EACH(&c->readings, it, nx)
    {
        struct mfs_reading *idle = LIST_ENTRY(it, struct mfs_reading, link);
        if (c->reading_bytes - own + want <= MFS_READ_WINDOW_MAX ||
            now_ms - idle->used_ms < IDLE_MS)
            break;
        start_anew(idle);
    }
    size_t others = c->reading_bytes - own;
    size_t room = others < MFS_READ_WINDOW_MAX ? MFS_READ_WINDOW_MAX - others : 0;
    return want < room ? want : room;
}

static bool may_read_ahead(struct mfs_session *s, const struct mfs_opened *f)
{
    const struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    return n && !n->own_pending && !n->behind && f->size > MFS_READ_STEP_BYTES &&
           mfs_lease_or_loose(s->client);
}

/* A read that is to be asked for is one of those for which all of the file is asked for. */
static bool wants_whole(struct mfs_session *s, struct mfs_reading *x, uint64_t offset)
{
    const struct mfs_client *c = s->client;
    const struct mfs_known *n = mfs_known_find(&s->nodes, x->file->node);
    return mfs_own_is_steady(s, n) &&
           c->reading_bytes + MFS_READ_WHOLE_MAX <= MFS_READ_WINDOW_MAX &&
           mfs_window_wants_whole(&x->window, &c->rate, offset, n->attr.size);
}

static void ask_whole(struct mfs_reading *x, const struct mfs_caller *who)
{
    const struct mfs_known *n = mfs_known_find(&x->session->nodes, x->file->node);
    uint64_t steps = (n->attr.size + MFS_READ_STEP_BYTES - 1) / MFS_READ_STEP_BYTES;
    x->is_whole = true;
    x->window.end = steps * MFS_READ_STEP_BYTES; /* beyond the end, so that the last one shows it */
    ask_ahead(x, (struct mfs_range){ 0, x->window.end }, who);
}

void mfs_fuse_read_on(fuse_req_t req, fuse_ino_t ino, struct mfs_opened *f, size_t size,
                      off_t offset)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_client *c = s->client;
    struct mfs_caller who = mfs_fuse_caller(req);
    uint64_t at = (uint64_t)offset;
    struct mfs_reading *x = offset >= 0 && may_read_ahead(s, f) ? reading_of(s, f) : NULL;
    if (!x) {
        ask_now(req, ino, f, size, at);
        return;
    }
    struct mfs_range ask;
    bool was_ahead = x->window.end > x->window.next;
    enum mfs_read_order order = mfs_window_judge(&x->window, at);
    enum cover is = answer(x, req, at, size);
    if (x->is_whole && is != ABSENT) {
        if (is == COMING)
            wait_for_piece(x, req, ino, size, at);
        return;
    }
    if (is == ABSENT && wants_whole(s, x, at)) {
        start_anew(x);
        ask_now(req, ino, f, size, at);
        ask_whole(x, &who);
        return;
    }
    if (is == ABSENT && order != MFS_READ_STRAY)
        start_anew(x);
    mfs_window_read(&x->window, at, size, f->size, limit_of(c, x), &ask);
    if (order == MFS_READ_ANEW && !list_is_empty(&x->pieces)) { /* … within what is there */
        const struct mfs_piece *last = LIST_ENTRY(x->pieces.prev, struct mfs_piece, link);
        x->window.end = last->offset + last->size;
        ask = (struct mfs_range){ 0, 0 };
    }
    c->stats.ahead_late += is == ABSENT && order == MFS_READ_NEXT && was_ahead;
    if (is == ABSENT)
        ask_now(req, ino, f, size, at);
    else if (is == COMING && !wait_for_piece(x, req, ino, size, at))
        return;
    if (list_is_empty(&x->waiters))
        drop_before(x, x->window.next);
    ask_ahead(x, ask, &who);
}
