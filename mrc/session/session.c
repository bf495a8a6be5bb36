/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session.c: the session's state machine; what goes on beyond one stream is in resume.c.
 * Must not know: sockets, clocks (time is an argument), who owns the queued bytes.
 * Invariant: for each channel sent <= queued, sent <= send_limit, consumed <= received <=
 * granted; see mrc_session_check(). Source: docs/protocol-session.md. */
#include "mrc/session/parts.h"

#include <errno.h>
#include <string.h>

void mrc_session_init(struct mrc_session *s, const struct mrc_session_opts *o)
{
    memset(s, 0, sizeof *s);
    s->is_head = o->is_head;
    memcpy(s->session_id, o->session_id, sizeof s->session_id);
    memcpy(s->secret, o->secret, sizeof s->secret);
    strncpy(s->software, o->software ? o->software : "", sizeof s->software - 1);
    s->silence_ms = o->silence_ms ? o->silence_ms : MRC_SILENCE_MAX_MS;
    s->hello_ms = o->hello_ms ? o->hello_ms : s->silence_ms;
    s->wait_s = o->is_head ? o->wait_s : 0;
    s->next_id = o->is_head ? 1 : 2;
    s->now_ms = s->heard_ms = s->pinged_ms = o->now_ms;
}

static struct mrc_chan *find(struct mrc_session *s, uint32_t id)
{
    for (size_t i = 0; id && i < MRC_CHAN_MAX; i++)
        if (s->chans[i].id == id)
            return &s->chans[i];
    return NULL;
}

static struct mrc_chan *add(struct mrc_session *s, uint32_t id, uint8_t weight)
{
    for (size_t i = 0; i < MRC_CHAN_MAX; i++) {
        struct mrc_chan *c = &s->chans[i];
        if (c->id)
            continue;
        *c = (struct mrc_chan){ .id = id,
                                .weight = weight ? weight : 1,
                                .send_limit = MRC_WINDOW_FIRST,
                                .granted = MRC_WINDOW_FIRST,
                                .window = MRC_WINDOW_FIRST,
                                .fair.start = s->clock.now };
        return c;
    }
    return NULL;
}

static bool is_closed(const struct mrc_chan *c)
{
    return c->end_sent && c->end_received;
}

static bool wants_credit(const struct mrc_chan *c)
{
    if (c->end_received)
        return false;
    uint64_t limit = c->consumed + c->window;
    return limit > c->granted && limit - c->granted >= c->window / 4;
}

static bool has_control(const struct mrc_chan *c)
{
    return c->reset_pending || c->stop_pending || wants_credit(c) ||
           (c->wants_end && !c->end_sent && c->sent == c->queued);
}

static uint64_t sendable(const struct mrc_chan *c)
{
    uint64_t limit = c->send_limit < c->queued ? c->send_limit : c->queued;
    return limit > c->sent ? limit - c->sent : 0;
}

/* Writing */

static void put(struct mrc_action *act, const struct mrc_frame *f)
{
    mrc_session_put(act, f);
}

static void put_hello(struct mrc_session *s, struct mrc_action *act)
{
    if (s->hello_sent)
        return;
    mrc_resume_put_hello(s, act);
    s->hello_sent = true;
}

/* One control frame of c; the caller knows that there is one. */
static void put_control(struct mrc_session *s, struct mrc_chan *c, struct mrc_action *act)
{
    struct mrc_frame f = { 0 };
    if (c->reset_pending) {
        f.id = MRC_FRAME_reset;
        f.reset.chan = c->id;
        f.reset.code = (uint32_t)-c->reset_code;
        f.reset.text = bytes_of(s->reset_text);
        c->id = 0;
    } else if (c->stop_pending) {
        f.id = MRC_FRAME_stop;
        f.stop.chan = c->id;
        c->stop_pending = false;
        c->stop_sent = true;
    } else if (wants_credit(c)) {
        c->granted = c->consumed + c->window;
        f.id = MRC_FRAME_credit;
        f.credit.chan = c->id;
        f.credit.received = c->received;
        f.credit.limit = c->granted;
    } else {
        f.id = MRC_FRAME_eof;
        f.eof.chan = c->id;
        f.eof.offset = c->sent;
        c->end_sent = true;
        if (is_closed(c))
            c->id = 0;
    }
    put(act, &f);
}

static bool put_session_control(struct mrc_session *s, struct mrc_action *act)
{
    put_hello(s, act);
    mrc_resume_put_ack(s, act);
    if (s->ping_pending) {
        s->ping_pending = false;
        put(act, &(struct mrc_frame){ .id = MRC_FRAME_ping, .ping = { s->now_ms } });
    }
    if (s->pause_pending) {
        s->pause_pending = false;
        put(act, &(struct mrc_frame){ .id = MRC_FRAME_pause });
    }
    while (s->pong_count)
        put(act,
            &(struct mrc_frame){ .id = MRC_FRAME_pong, .pong = { s->pongs[--s->pong_count] } });
    return act->head_len > 0;
}

static int step_write(struct mrc_session *s, struct mrc_action *act)
{
    if (s->is_over)
        return 0;
    if (s->line != MRC_LINE_UP)
        return mrc_resume_write(s, act);
    bool is_held = mrc_resume_is_full(s);
    if (put_session_control(s, act)) {
        act->kind = MRC_ACT_WRITE;
        return 0;
    }
    struct mrc_chan *best = NULL;
    for (size_t i = 0; i < MRC_CHAN_MAX; i++) {
        struct mrc_chan *c = &s->chans[i];
        if (!c->id)
            continue;
        if (has_control(c)) {
            put_control(s, c, act);
            act->kind = MRC_ACT_WRITE;
            return 0;
        }
        uint64_t n = is_held ? 0 : sendable(c);
        c->is_starved = !n && c->queued > c->sent;
        fair_update(&s->clock, &c->fair, n > 0);
        if (n && (!best || c->fair.start < best->fair.start))
            best = c;
    }
    if (!best) {
        if (s->bye_pending) {
            struct mrc_frame f = { .id = MRC_FRAME_bye };
            f.bye.code = (uint32_t)-s->bye_code;
            f.bye.text = bytes_of(s->bye_text);
            put(act, &f);
            act->kind = MRC_ACT_WRITE;
            s->is_over = s->bye_sent = true;
        }
        return 0;
    }
    uint64_t n = sendable(best);
    struct mrc_frame f = { .id = MRC_FRAME_data };
    f.data.chan = best->id;
    f.data.offset = best->sent;
    f.data.body = (struct bytes){ NULL, (uint32_t)(n < MRC_CHUNK ? n : MRC_CHUNK) };
    put(act, &f);
    act->kind = MRC_ACT_WRITE;
    act->chan = best->id;
    act->body_len = f.data.body.len;
    best->sent += f.data.body.len;
    fair_charge(&s->clock, &best->fair, f.data.body.len, best->weight);
    return 0;
}

/* Input */

static int got_hello(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    if (s->hello_received)
        return -EPROTO;
    act->frame = *f;
    if (f->hello.version != MRC_SESSION_VERSION)
        return -EPROTONOSUPPORT;
    s->hello_received = true;
    mrc_resume_got_hello(s, &f->hello);
    act->kind = MRC_ACT_HELLO;
    return 0;
}

static int got_open(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    /* Ids of the other end have the other parity, so the two never choose the same. */
    if (!f->open.chan || (f->open.chan % 2 == 1) == s->is_head || find(s, f->open.chan))
        return -EPROTO;
    if (!add(s, f->open.chan, f->open.weight))
        return -EPROTO; /* an honest peer has the same bound */
    act->kind = MRC_ACT_OPENED;
    act->chan = f->open.chan;
    act->frame = *f;
    return 0;
}

/* Frames for channels that ended here may still be on their way: they are dropped. */
static int got_data(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    struct mrc_chan *c = find(s, f->data.chan);
    if (!c)
        return 0;
    if (c->end_received || f->data.offset != c->received ||
        f->data.body.len > c->granted - c->received)
        return -EPROTO;
    c->received += f->data.body.len;
    if (c->stop_sent || c->stop_pending || !f->data.body.len) {
        c->consumed = c->received;
        return 0;
    }
    act->kind = MRC_ACT_DATA;
    act->chan = c->id;
    act->body = f->data.body;
    return 0;
}

static int got_credit(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    struct mrc_chan *c = find(s, f->credit.chan);
    if (!c)
        return 0;
    if (f->credit.received > c->sent || f->credit.limit < c->send_limit)
        return -EPROTO;
    c->send_limit = f->credit.limit;
    if (c->is_starved) {
        c->is_starved = false;
        act->kind = MRC_ACT_ROOM;
        act->chan = c->id;
    }
    return 0;
}

static int got_eof(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    struct mrc_chan *c = find(s, f->eof.chan);
    if (!c)
        return 0;
    if (c->end_received || f->eof.offset != c->received)
        return -EPROTO;
    c->end_received = true;
    act->kind = MRC_ACT_EOF;
    act->chan = c->id;
    if (is_closed(c))
        c->id = 0;
    return 0;
}

static int got_stop(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    struct mrc_chan *c = find(s, f->stop.chan);
    if (!c)
        return 0;
    act->kind = MRC_ACT_STOP;
    act->chan = c->id;
    return 0;
}

static int got_reset(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    struct mrc_chan *c = find(s, f->reset.chan);
    if (!c)
        return 0;
    act->kind = MRC_ACT_RESET;
    act->chan = c->id;
    act->code = f->reset.code <= 4095 ? -(int)f->reset.code : -EIO;
    act->body = f->reset.text;
    c->id = 0;
    return 0;
}

static int got_ping(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    (void)act;
    if (s->pong_count < MRC_PONGS_MAX)
        s->pongs[s->pong_count++] = f->ping.stamp;
    return 0;
}

static int got_pong(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    (void)s, (void)f, (void)act; /* that it came is all: heard_ms is set */
    return 0;
}

static int got_ack(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    return mrc_resume_got_ack(s, f->ack.received, act);
}

static int got_pause(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    (void)f, (void)act;
    s->is_peer_paused = true;
    return 0;
}

static int got_bye(struct mrc_session *s, struct mrc_frame *f, struct mrc_action *act)
{
    s->is_over = true;
    act->kind = MRC_ACT_BYE;
    act->code = f->bye.code <= 4095 ? -(int)f->bye.code : -EIO;
    act->body = f->bye.text;
    return 0;
}

static int got_frame(struct mrc_session *s, struct rd body, struct mrc_action *act)
{
    struct mrc_frame f;
    int rc = mrc_frame_get(body, &f);
    if (rc == -ENOENT)
        return 0; /* a later version's */
    if (rc < 0)
        return rc;
    if (!s->hello_received && f.id != MRC_FRAME_hello)
        return -EPROTO;
    s->is_peer_paused = false;
    switch (f.id) {
#define FRAME(id, name, fields)                                                                \
    case id:                                                                                   \
        return got_##name(s, &f, act);
#include "mrc/session/frames.def"
#undef FRAME
    default: return -EPROTO;
    }
}

/* Takes at most one frame. Whole frames are read in place; only pieces are copied together. */
static int take_frame(struct mrc_session *s, const struct mrc_event *ev, struct mrc_action *act)
{
    const uint8_t *p = ev->input.ptr;
    size_t left = ev->input.len;
    act->input_left = left;
    if (!left)
        return 0;
    if (s->is_over) {
        act->input_left = 0;
        return 0;
    }
    s->heard_ms = ev->now_ms > s->heard_ms ? ev->now_ms : s->heard_ms;
    while (s->in_len < 4 && left) {
        s->in[s->in_len++] = *p++;
        left--;
    }
    act->input_left = left;
    if (s->in_len < 4)
        return 0;
    struct rd r = rd_of(s->in, 4);
    uint32_t len;
    int rc = get_u32(&r, &len);
    if (rc < 0)
        return rc;
    if (len < 1 || len > MRC_FRAME_MAX)
        return -EPROTO;
    if (s->in_len == 4 && left >= len) {
        s->in_len = 0;
        act->input_left = left - len;
        return got_frame(s, rd_of(p, len), act);
    }
    size_t want = 4 + (size_t)len - s->in_len;
    size_t take = left < want ? left : want;
    memcpy(s->in + s->in_len, p, take);
    s->in_len += (uint32_t)take;
    act->input_left = left - take;
    if (take < want)
        return 0;
    s->in_len = 0;
    return got_frame(s, rd_of(s->in + 4, len), act);
}

static int step_input(struct mrc_session *s, const struct mrc_event *ev, struct mrc_action *act)
{
    if (s->line != MRC_LINE_UP)
        return mrc_resume_input(s, ev, act);
    int rc = take_frame(s, ev, act);
    s->in_total += ev->input.len - act->input_left;
    return rc;
}

/* Wishes of the driver */

static int step_open(struct mrc_session *s, const struct mrc_event *ev, struct mrc_action *act)
{
    if ((uint64_t)ev->service.len + ev->request.len > MRC_OPEN_MAX)
        return -E2BIG;
    struct mrc_chan *c = add(s, s->next_id, ev->weight);
    if (!c)
        return -ENOSPC;
    s->next_id += 2;
    put_hello(s, act);
    struct mrc_frame f = { .id = MRC_FRAME_open };
    f.open.chan = c->id;
    f.open.weight = c->weight;
    f.open.service = ev->service;
    f.open.request = ev->request;
    put(act, &f);
    act->kind = MRC_ACT_CHAN;
    act->chan = c->id;
    return 0;
}

static void keep_text(char *to, struct bytes text)
{
    uint32_t n = text.len < MRC_TEXT_MAX - 1 ? text.len : MRC_TEXT_MAX - 1;
    if (n)
        memcpy(to, text.ptr, n);
    to[n] = 0;
}

static int step_wish(struct mrc_session *s, const struct mrc_event *ev)
{
    struct mrc_chan *c = find(s, ev->chan);
    if (!c)
        return -EINVAL;
    switch (ev->kind) {
    case MRC_EV_QUEUED:
        if (c->wants_end)
            return -EINVAL;
        c->queued += ev->amount;
        return 0;
    case MRC_EV_END: c->wants_end = true; return 0;
    case MRC_EV_CONSUMED:
        if (ev->amount > c->received - c->consumed)
            return -EINVAL;
        c->consumed += ev->amount;
        return 0;
    case MRC_EV_STOP:
        if (!c->stop_sent && !c->end_received)
            c->stop_pending = true;
        c->consumed = c->received;
        return 0;
    case MRC_EV_RESET:
        c->reset_pending = true;
        c->reset_code = ev->code;
        keep_text(s->reset_text, ev->text);
        return 0;
    default: return -EINVAL;
    }
}

static int step_tick(struct mrc_session *s, const struct mrc_event *ev, struct mrc_action *act)
{
    /* We ourselves were stopped or asleep: the silence says nothing about the other end. */
    uint64_t ping_ms = s->silence_ms / MRC_PINGS;
    if (ev->now_ms - s->now_ms > ping_ms)
        s->heard_ms = ev->now_ms;
    s->now_ms = ev->now_ms;
    if (s->is_peer_paused || s->line == MRC_LINE_DOWN) {
        s->heard_ms = s->now_ms;
    } else if (s->now_ms - s->heard_ms >= (s->hello_received ? s->silence_ms : s->hello_ms)) {
        act->kind = MRC_ACT_LOST;
        s->is_over = !mrc_session_is_resumable(s);
    } else if (s->hello_received && s->now_ms - s->heard_ms >= ping_ms &&
               s->now_ms - s->pinged_ms >= ping_ms) {
        s->ping_pending = true;
        s->pinged_ms = s->now_ms;
    }
    return 0;
}

static int step(struct mrc_session *s, const struct mrc_event *ev, struct mrc_action *act)
{
    act->kind = MRC_ACT_NONE;
    act->chan = 0;
    act->code = 0;
    act->body = (struct bytes){ NULL, 0 };
    act->head_len = act->body_len = 0;
    act->input_left = 0;
    act->amount = 0;
    act->is_outside = false;
    switch (ev->kind) {
    case MRC_EV_INPUT: return step_input(s, ev, act);
    case MRC_EV_WRITE: return step_write(s, act);
    case MRC_EV_OPEN: return step_open(s, ev, act);
    case MRC_EV_TICK: return step_tick(s, ev, act);
    case MRC_EV_PAUSE: s->pause_pending = true; return 0;
    case MRC_EV_DOWN:
    case MRC_EV_REDIAL:
    case MRC_EV_TAKE: return mrc_resume_step(s, ev, act);
    case MRC_EV_BYE:
        s->bye_pending = true;
        s->bye_code = ev->code;
        keep_text(s->bye_text, ev->text);
        return 0;
    default: return step_wish(s, ev);
    }
}

int mrc_session_step(struct mrc_session *s, const struct mrc_event *ev, struct mrc_action *act)
{
    int rc = step(s, ev, act);
    if (!act->is_outside)
        s->out_total += act->head_len + act->body_len;
    return rc;
}

int mrc_session_window(struct mrc_session *s, uint32_t chan, uint64_t window_bytes)
{
    struct mrc_chan *c = find(s, chan);
    if (!c)
        return -EINVAL;
    c->window = window_bytes;
    return 0;
}

bool mrc_session_has(const struct mrc_session *s, uint32_t chan)
{
    for (size_t i = 0; chan && i < MRC_CHAN_MAX; i++)
        if (s->chans[i].id == chan)
            return true;
    return false;
}

uint64_t mrc_session_next_ms(const struct mrc_session *s)
{
    return s->silence_ms / MRC_PINGS / 3;
}

bool mrc_session_check(const struct mrc_session *s)
{
    for (size_t i = 0; i < MRC_CHAN_MAX; i++) {
        const struct mrc_chan *c = &s->chans[i];
        if (!c->id)
            continue;
        if (c->sent > c->queued || c->sent > c->send_limit || c->consumed > c->received ||
            c->received > c->granted || is_closed(c))
            return false;
        for (size_t j = 0; j < i; j++)
            if (s->chans[j].id == c->id)
                return false;
    }
    return s->in_len <= sizeof s->in && s->pong_count <= MRC_PONGS_MAX &&
           s->out_acked <= s->out_total && s->in_told <= s->in_total;
}
