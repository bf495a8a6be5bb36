/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resume.c: a session that goes on with another stream when its own has died: each end counts the bytes of
 * both directions, keeps what it sent until it is confirmed, and on a new stream begins with what the
 * other end has not got. So every frame arrives once, in order, whatever it is.
 * Must not know: sockets, how a new stream is made.
 * Invariant: out_acked <= out_total, in_told <= in_total; the driver keeps the bytes between the first two.
 * Source: docs/resume.md. */
#include "mrc/session/parts.h"

#include <errno.h>
#include <string.h>

void mrc_session_put(struct mrc_action *act, const struct mrc_frame *f)
{
    struct wr w = wr_of(act->head + act->head_len, sizeof act->head - act->head_len);
    mrc_frame_put(&w, f);
    act->head_len += (uint32_t)wr_len(&w);
}

bool mrc_resume_get(struct bytes field, uint32_t *wait_s, uint64_t *attempt, uint64_t *received)
{
    struct rd r = rd_of(field.ptr, field.len);
    return field.len && get_u32(&r, wait_s) == 0 && get_u64(&r, attempt) == 0 &&
           get_u64(&r, received) == 0 && !rd_left(&r);
}

void mrc_resume_put_hello(struct mrc_session *s, struct mrc_action *act)
{
    uint8_t space[20];
    struct wr w = wr_of(space, sizeof space);
    put_u32(&w, s->wait_s);
    put_u64(&w, s->attempt);
    put_u64(&w, s->in_total);
    struct mrc_frame f = { .id = MRC_FRAME_hello };
    f.hello.version = MRC_SESSION_VERSION;
    f.hello.session = (struct bytes){ s->session_id, sizeof s->session_id };
    f.hello.secret = (struct bytes){ s->secret, s->is_head ? sizeof s->secret : 0 };
    f.hello.resume = (struct bytes){ space, s->wait_s ? (uint32_t)wr_len(&w) : 0 };
    f.hello.software = bytes_of(s->software);
    mrc_session_put(act, &f);
}

/* The agent learns what the session is called, and for how long it is worth waiting. */
void mrc_resume_got_hello(struct mrc_session *s, const struct mrc_hello *hello)
{
    uint32_t wait_s;
    uint64_t attempt, received;
    if (s->is_head || hello->session.len != sizeof s->session_id ||
        hello->secret.len != sizeof s->secret ||
        !mrc_resume_get(hello->resume, &wait_s, &attempt, &received))
        return;
    s->is_foreign = attempt != 0;
    if (s->is_foreign)
        return;
    memcpy(s->session_id, hello->session.ptr, sizeof s->session_id);
    memcpy(s->secret, hello->secret.ptr, sizeof s->secret);
    s->wait_s = wait_s;
}

bool mrc_session_is_resumable(const struct mrc_session *s)
{
    return s->wait_s && (s->hello_received || s->is_anew) && (s->is_head || s->out_acked) && !s->is_over;
}

/* The agent said hello and was not heard any more: it confirms our hello before all else, so it has got nothing of ours, or the
 * stream died in that moment; and it doesn't wait for a head that it hasn't heard. All that we wrote is kept still. */
static bool is_unheard(const struct mrc_session *s)
{
    return s->is_head && !s->out_acked;
}

static void begin_anew(struct mrc_session *s, struct mrc_action *act)
{
    s->wants_anew = false;
    s->is_anew = true;
    s->hello_received = false;
    s->in_total = s->in_told = 0;
    s->in_len = 0;
    s->line = MRC_LINE_UP;
    act->kind = MRC_ACT_ANEW;
}

/* The first one says that we have heard the other end: from then on it may wait for us. */
void mrc_resume_put_ack(struct mrc_session *s, struct mrc_action *act)
{
    if (!s->hello_received || s->is_foreign || (s->in_told && s->in_total - s->in_told < MRC_ACK_BYTES))
        return;
    s->in_told = s->in_total;
    mrc_session_put(act, &(struct mrc_frame){ .id = MRC_FRAME_ack, .ack = { s->in_told } });
}

/* Is what the other end says that it has possible? */
static bool can_have(const struct mrc_session *s, uint64_t received)
{
    return received >= s->out_acked && received <= s->out_total;
}

static void acked(struct mrc_session *s, uint64_t received, enum mrc_act_kind kind,
                  struct mrc_action *act)
{
    act->kind = kind;
    act->amount = received - s->out_acked;
    s->out_acked = received;
}

int mrc_resume_got_ack(struct mrc_session *s, uint64_t received, struct mrc_action *act)
{
    if (received > s->out_total)
        return -EPROTO;
    if (received > s->out_acked) /* else written before a newer greeting, and written again */
        acked(s, received, MRC_ACT_ACKED, act);
    return 0;
}

bool mrc_resume_is_full(const struct mrc_session *s)
{
    return s->out_total - s->out_acked >= MRC_RESEND_MAX;
}

/* The agent knows what the head has before it greets; the head waits for the answer. */
int mrc_resume_write(struct mrc_session *s, struct mrc_action *act)
{
    if (s->line != MRC_LINE_GREETING || !s->greeting_pending)
        return 0;
    s->greeting_pending = false;
    mrc_resume_put_hello(s, act);
    s->in_told = s->in_total;
    act->kind = MRC_ACT_WRITE;
    act->is_outside = true;
    if (!s->is_head)
        s->line = MRC_LINE_UP;
    return 0;
}

/* A new agent says hello for itself before the one that it is not finds its stream: skipped. */
static int got_greeting(struct mrc_session *s, const struct mrc_frame *f, struct mrc_action *act)
{
    uint32_t wait_s;
    uint64_t attempt, received;
    if (f->id == MRC_FRAME_bye && f->bye.code == MRC_BYE_NO_SESSION && is_unheard(s)) {
        s->wants_anew = true;
        act->kind = MRC_ACT_ANEW;
        return 0;
    }
    if (f->id == MRC_FRAME_bye) {
        s->is_over = true;
        act->kind = MRC_ACT_BYE;
        act->code = f->bye.code && f->bye.code <= 4095 ? -(int)f->bye.code : -EIO;
        act->body = f->bye.text;
        return 0;
    }
    if (f->id != MRC_FRAME_hello)
        return -EPROTO;
    if (!f->hello.resume.len)
        return 0;
    if (!mrc_resume_get(f->hello.resume, &wait_s, &attempt, &received) ||
        attempt != s->attempt || !can_have(s, received))
        return -EPROTO;
    acked(s, received, MRC_ACT_RESUMED, act);
    s->line = MRC_LINE_UP;
    return 0;
}

/* Frames that are none of the session's: they are gathered apart from a frame of the session's
 * that the end of the old stream may have cut. */
int mrc_resume_input(struct mrc_session *s, const struct mrc_event *ev, struct mrc_action *act)
{
    const uint8_t *p = ev->input.ptr;
    size_t left = ev->input.len;
    if (s->line == MRC_LINE_DOWN || s->is_over)
        return 0; /* of a stream that is given up */
    s->heard_ms = ev->now_ms > s->heard_ms ? ev->now_ms : s->heard_ms;
    uint32_t len = 0;
    for (;; left--) {
        struct rd r = rd_of(s->greeting, 4);
        if (s->greeting_len >= 4 && (get_u32(&r, &len) < 0 || len < 1 || len > sizeof s->greeting - 4))
            return -EPROTO;
        if (!left || (s->greeting_len >= 4 && s->greeting_len == 4 + len))
            break;
        s->greeting[s->greeting_len++] = *p++;
    }
    act->input_left = left;
    if (s->greeting_len < 4 || s->greeting_len < 4 + len)
        return 0;
    s->greeting_len = 0;
    struct mrc_frame f;
    int rc = mrc_frame_get(rd_of(s->greeting + 4, len), &f);
    return rc < 0 ? -EPROTO : got_greeting(s, &f, act);
}

/* In a time that does not tell where the first difference is. */
static bool is_secret(const struct mrc_session *s, struct bytes b)
{
    uint8_t differs = b.len != sizeof s->secret;
    for (size_t i = 0; i < sizeof s->secret && i < b.len; i++)
        differs = (uint8_t)(differs | (s->secret[i] ^ b.ptr[i]));
    return !differs;
}

static int take(struct mrc_session *s, const struct mrc_hello *hello, struct mrc_action *act)
{
    uint32_t wait_s;
    uint64_t attempt, received;
    if (s->is_head || !mrc_session_is_resumable(s) ||
        hello->session.len != sizeof s->session_id ||
        memcmp(hello->session.ptr, s->session_id, sizeof s->session_id) != 0 ||
        !is_secret(s, hello->secret))
        return -EACCES;
    if (hello->version != MRC_SESSION_VERSION ||
        !mrc_resume_get(hello->resume, &wait_s, &attempt, &received))
        return -EPROTO;
    if (attempt <= s->attempt)
        return -ESTALE;
    if (!can_have(s, received))
        return -EPROTO;
    s->attempt = attempt;
    s->line = MRC_LINE_GREETING;
    s->greeting_pending = true;
    acked(s, received, MRC_ACT_RESUMED, act);
    return 0;
}

int mrc_resume_step(struct mrc_session *s, const struct mrc_event *ev, struct mrc_action *act)
{
    switch (ev->kind) {
    case MRC_EV_DOWN:
        s->line = MRC_LINE_DOWN;
        s->greeting_pending = s->ping_pending = false;
        s->pong_count = 0;
        return 0;
    case MRC_EV_REDIAL:
        if (!s->is_head || !mrc_session_is_resumable(s))
            return -EINVAL;
        if (s->wants_anew || (s->is_anew && !s->hello_received)) {
            begin_anew(s, act);
            return 0;
        }
        s->line = MRC_LINE_GREETING;
        s->greeting_pending = true;
        s->greeting_len = 0;
        s->attempt++;
        return 0;
    case MRC_EV_TAKE: {
        int rc = take(s, ev->hello, act);
        if (rc == 0 && ev->now_ms > s->heard_ms)
            s->heard_ms = s->pinged_ms = ev->now_ms;
        return rc;
    }
    default: return -EINVAL;
    }
}
