/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.c: streams of files that are read ahead, where the body is.
 * Must not know: what a file is.
 * What has come is given only for a while after home was asked, which then keeps the file as it
 * is for longer than that: so no more has to be known of home, or of its clock. */
#include "mosix-core/guest/ahead.h"

#include "common/sys/clock.h"
#include "mosix-core/guest/body.h"
#include "mosix-core/guest/parts.h"

#include <errno.h>
#include <string.h>

void mx_ahead_fini(struct mx_ahead *a)
{
    for (unsigned i = 0; i < MX_AHEAD_STREAMS; i++)
        if (a->streams[i].number)
            buf_fini(&a->streams[i].bytes);
    *a = (struct mx_ahead){ 0 };
}

static struct mx_ahead_stream *find(struct mx_ahead *a, uint32_t number)
{
    for (unsigned i = 0; i < MX_AHEAD_STREAMS; i++)
        if (a->streams[i].number == number)
            return &a->streams[i];
    return NULL;
}

static struct mx_ahead_stream *find_fd(struct mx_ahead *a, int fd)
{
    for (unsigned i = 0; i < MX_AHEAD_STREAMS; i++)
        if (a->streams[i].number && a->streams[i].fd == fd)
            return &a->streams[i];
    return NULL;
}

bool mx_ahead_has(const struct mx_ahead *a, int fd)
{
    for (unsigned i = 0; i < MX_AHEAD_STREAMS; i++)
        if (a->streams[i].number && a->streams[i].fd == fd)
            return true;
    return false;
}

/* ---- to home ---- */

static int tell(struct guest *g, struct mx_body *b, struct mx_ahead_stream *s, uint64_t wanted,
                uint64_t now)
{
    struct wr *w = mx_link_begin(&g->link, MX_TALK_AHEAD_TAKEN, b->who);
    put_u32(w, s->number);
    put_u64(w, s->taken);
    put_u64(w, wanted);
    put_u64(w, now);
    s->reported = s->taken;
    s->wanted = wanted;
    s->asked_ms = now;
    return mx_link_send(&g->link);
}

static int tell_left(struct guest *g, struct mx_body *b, uint32_t number, uint64_t taken)
{
    struct wr *w = mx_link_begin(&g->link, MX_TALK_AHEAD_LEFT, b->who);
    put_u32(w, number);
    put_u64(w, taken);
    return mx_link_send(&g->link);
}

static int leave(struct guest *g, struct mx_body *b, struct mx_ahead_stream *s)
{
    int rc = tell_left(g, b, s->number, s->taken);
    buf_fini(&s->bytes);
    *s = (struct mx_ahead_stream){ 0 };
    return rc;
}

int mx_ahead_leave(struct guest *g, struct mx_body *b, bool *is_again)
{
    int rc = 0;
    *is_again = b->ahead.waiting != NULL;
    b->ahead.waiting = NULL;
    for (unsigned i = 0; rc == 0 && i < MX_AHEAD_STREAMS; i++)
        if (b->ahead.streams[i].number)
            rc = leave(g, b, &b->ahead.streams[i]);
    return rc;
}

/* ---- reading ---- */

int mx_ahead_look(struct guest *g, struct mx_body *b, const struct mx_call_line *line,
                  const uint64_t args[MX_CALL_ARGS])
{
    int rc = 0;
    b->ahead.called_ms = clock_mono_ms();
    b->ahead.waiting = NULL;
    for (unsigned i = 0; rc == 0 && i < MX_AHEAD_STREAMS; i++) {
        struct mx_ahead_stream *s = &b->ahead.streams[i];
        if (s->number && mx_ahead_effect(line, args, s->fd) != MX_AHEAD_STAYS)
            rc = leave(g, b, s);
    }
    return rc;
}

static bool is_good(const struct mx_ahead_stream *s, uint64_t now)
{
    return now - s->good_ms < MX_AHEAD_GOOD_MS;
}

static bool is_there(const struct mx_ahead_stream *s, uint64_t len_bytes)
{
    return s->is_whole || buf_len(&s->bytes) >= len_bytes;
}

/* Is it worth a try? Home may have to be asked again. */
static bool may_try(const struct mx_ahead_stream *s, uint64_t len_bytes)
{
    return is_there(s, len_bytes) && (is_good(s, clock_mono_ms()) || s->asked_ms == s->good_ms);
}

/* What home should know of now. */
static int tell_if_need_be(struct guest *g, struct mx_body *b, struct mx_ahead_stream *s,
                           uint64_t wanted, uint64_t now)
{
    bool is_new = wanted && (s->taken != s->reported || wanted != s->wanted);
    bool is_old = now - s->good_ms >= MX_AHEAD_GOOD_MS / 2 && s->asked_ms == s->good_ms;
    bool is_much = s->taken - s->reported >= MX_AHEAD_REPORT_BYTES;
    return is_new || is_old || is_much ? tell(g, b, s, wanted, now) : 0;
}

int mx_ahead_read(struct guest *g, struct mx_body *b, const struct mx_call_line *line,
                  const uint64_t args[MX_CALL_ARGS], const struct mx_call_memory *m,
                  int64_t *result)
{
    struct mx_ahead_stream *s =
        strcmp(line->name, "read") == 0 ? find_fd(&b->ahead, (int)args[0]) : NULL;
    if (!s)
        return 0;
    uint64_t now = clock_mono_ms(), len_bytes = args[2];
    if (len_bytes > MX_CALL_BYTES_MAX)
        len_bytes = MX_CALL_BYTES_MAX;
    if (!is_good(s, now) || !is_there(s, len_bytes)) {
        b->ahead.waiting = s;
        b->ahead.waiting_bytes = len_bytes;
        int rc = tell_if_need_be(g, b, s, s->taken + len_bytes, now);
        return rc < 0 ? rc : 2;
    }
    if (len_bytes > buf_len(&s->bytes))
        len_bytes = buf_len(&s->bytes);
    if (len_bytes && m->write(m->ctx, args[1], buf_at(&s->bytes), (size_t)len_bytes) < 0)
        return leave(g, b, s); /* home's kernel knows what becomes of it */
    buf_consume(&s->bytes, (size_t)len_bytes);
    s->taken += len_bytes;
    *result = (int64_t)len_bytes;
    int rc = tell_if_need_be(g, b, s, 0, now);
    return rc < 0 ? rc : 1;
}

/* ---- from home ---- */

static int on_open(struct guest *g, struct mx_body *b, uint32_t number, struct rd *r)
{
    uint32_t fd;
    struct mx_ahead_stream *s = find(&b->ahead, 0);
    if (get_u32(r, &fd) < 0 || rd_left(r) || find(&b->ahead, number))
        return -EPROTO;
    if (!s || find_fd(&b->ahead, (int)fd) || g->is_pausing || b->back != MX_BACK_NONE)
        return tell_left(g, b, number, 0);
    s->number = number;
    s->fd = (int)fd;
    s->good_ms = s->asked_ms = b->ahead.called_ms; /* of the read that it comes with */
    buf_init(&s->bytes, MX_AHEAD_WINDOW_MAX + MX_AHEAD_PIECE_MAX);
    return 0;
}

static int on_bytes(struct mx_ahead_stream *s, struct rd *r)
{
    if (s->is_whole)
        return -EPROTO;
    s->is_whole = rd_left(r) == 0;
    return buf_append(&s->bytes, r->at, rd_left(r)) < 0 ? -EPROTO : 0;
}

static int on_stamp(struct mx_ahead_stream *s, struct rd *r)
{
    uint64_t time;
    if (get_u64(r, &time) < 0 || time > s->asked_ms || time < s->good_ms)
        return -EPROTO;
    s->good_ms = time;
    return 0;
}

int mx_ahead_frame(struct guest *g, struct mx_body *b, struct mx_talk_frame *f, bool *is_again)
{
    uint32_t number;
    *is_again = false;
    if (get_u32(&f->body, &number) < 0 || number == 0)
        return -EPROTO;
    if (f->kind == MX_TALK_AHEAD_OPEN)
        return on_open(g, b, number, &f->body);
    struct mx_ahead_stream *s = find(&b->ahead, number);
    if (!s)
        return 0; /* it was left meanwhile */
    bool is_waited_for = b->ahead.waiting == s;
    bool is_stamp = f->kind == MX_TALK_AHEAD_STAMP;
    int rc = 0;
    if (is_stamp || f->kind == MX_TALK_AHEAD_BYTES)
        rc = is_stamp ? on_stamp(s, &f->body) : on_bytes(s, &f->body);
    /* To be asked takes home longer than what it says is good for. */
    bool is_vain = is_stamp && rc == 0 && !is_good(s, clock_mono_ms());
    if (is_vain || f->kind == MX_TALK_AHEAD_REVOKE)
        rc = leave(g, b, s);
    *is_again = rc == 0 && is_waited_for && (!s->number || may_try(s, b->ahead.waiting_bytes));
    if (*is_again)
        b->ahead.waiting = NULL;
    return rc;
}
