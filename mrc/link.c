/* SPDX-License-Identifier: GPL-2.0-or-later */
/* link.c: session actions into system calls.
 * Must not know: SSH, jobs, files.
 * Invariant: what is handed to the transport ahead of what it takes is kept short, so that a small channel
 * overtakes a big one; what it took stays in out until the other end has it. */
#include "mrc/linkparts.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    OUT_LOW = 64 * 1024, /* bytes handed to the transport ahead of what it takes */
    OUT_MAX = MRC_RESEND_MAX + 2 * MRC_FRAME_MAX + (1 << 20), /* control frames beyond what holds data back */
    PAUSE_WAIT_MS = 1000,
    EOF_GRACE_MS = 300, /* see judge_end */
};

static void unwatch(struct mrc_link *l)
{
    loop_fd_del(&l->watch_in);
    loop_fd_del(&l->watch_out);
    loop_timer_del(&l->tick);
    loop_timer_del(&l->eof_timer);
}

static void close_stream(struct mrc_link *l)
{
    unwatch(l);
    if (!l->is_same_fd)
        fd_close(&l->fd_out);
    fd_close(&l->fd_in);
    l->fd_out = -1;
    l->is_same_fd = l->wants_out = l->is_write_broken = false;
    l->out_was_sent = l->out_sent > l->out_was_sent ? l->out_sent : l->out_was_sent;
    l->out_sent = l->greeting_len = 0;
}

static void end(struct mrc_link *l, int code, const char *text)
{
    if (l->is_over)
        return;
    l->is_over = true;
    unwatch(l);
    while (l->ports)
        mrc_port_drop(l->ports, code ? code : -ECANCELED, bytes_of(text));
    l->o.on_end(l->o.ctx, code, text);
}

/* The stream has died: the session may go on with another one. */
static void lost(struct mrc_link *l, int code, const char *text)
{
    if (!l->o.on_lost || !mrc_session_is_resumable(&l->session)) {
        end(l, code, text);
        return;
    }
    if (l->is_over || l->is_down)
        return;
    close_stream(l);
    l->is_down = true;
    int rc = mrc_session_step(&l->session, &(struct mrc_event){ .kind = MRC_EV_DOWN }, &l->act);
    (void)rc; /* DOWN can't fail */
    l->o.on_lost(l->o.ctx, code, text);
}

/* It came from the other side and may go to a terminal. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((uint8_t)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void end_with(struct mrc_link *l, int code, struct bytes text)
{
    char words[MRC_TEXT_MAX];
    uint32_t n = text.len < sizeof words - 1 ? text.len : sizeof words - 1;
    if (n)
        memcpy(words, text.ptr, n);
    words[n] = 0;
    clean(words);
    end(l, code, words);
}

/* Output */

static int append_written(struct mrc_link *l)
{
    struct mrc_action *a = &l->act;
    l->stats.frames_out++;
    if (a->is_outside) {
        memcpy(l->greeting, a->head, a->head_len);
        l->greeting_len = a->head_len;
        return 0;
    }
    int rc = buf_append(&l->out, a->head, a->head_len);
    if (rc == 0 && a->body_len) {
        struct mrc_port *p = mrc_port_find(l, a->chan);
        if (!p || buf_len(&p->queue) < a->body_len)
            return -EINVAL;
        rc = buf_append(&l->out, buf_at(&p->queue), a->body_len);
        size_t before = buf_len(&p->queue);
        buf_consume(&p->queue, a->body_len);
        if (before >= MRC_PORT_LOW && buf_len(&p->queue) < MRC_PORT_LOW && p->ops &&
            p->ops->on_room)
            p->ops->on_room(p->ctx);
    }
    return rc;
}

/* Ports whose channel the session has forgotten are told so; only a port that ended its sending
 * can be. */
static bool drop_closed(struct mrc_link *l)
{
    bool has_dropped = false;
    for (struct mrc_port *p = l->ports, *nx; p; p = nx) {
        nx = p->next;
        if (p->is_ended && !mrc_session_has(&l->session, p->chan)) {
            mrc_port_drop(p, 0, (struct bytes){ NULL, 0 });
            nx = l->ports; /* the owner may have changed the list */
            has_dropped = true;
        }
    }
    return has_dropped;
}

static size_t unsent(const struct mrc_link *l)
{
    return l->greeting_len + buf_len(&l->out) - l->out_sent;
}

static int fill(struct mrc_link *l)
{
    struct mrc_event ev = { .kind = MRC_EV_WRITE };
    while (l->session.line != MRC_LINE_UP || unsent(l) < OUT_LOW) {
        int rc = mrc_session_step(&l->session, &ev, &l->act);
        if (rc < 0)
            return rc;
        if (l->act.kind != MRC_ACT_WRITE)
            break;
        rc = append_written(l);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void want_out(struct mrc_link *l, bool wants)
{
    l->wants_out = wants;
    if (l->is_same_fd)
        loop_fd_set(&l->watch_in, EPOLLIN | (wants ? EPOLLOUT : 0));
    else
        loop_fd_set(&l->watch_out, wants ? EPOLLOUT : 0);
}

static ssize_t write_some(struct mrc_link *l)
{
    if (l->greeting_len) {
        ssize_t n = fd_write(l->fd_out, l->greeting, l->greeting_len);
        if (n > 0) {
            l->greeting_len -= (size_t)n;
            memmove(l->greeting, l->greeting + n, l->greeting_len);
        }
        return n;
    }
    ssize_t n = fd_write(l->fd_out, buf_at(&l->out) + l->out_sent, unsent(l));
    l->out_sent += n > 0 ? (size_t)n : 0;
    return n;
}

static void flush(void *ctx)
{
    struct mrc_link *l = ctx;
    while (!l->is_over) {
        int rc = fill(l);
        if (rc < 0) {
            end(l, rc,
                rc == -ENOSPC ? "the other side does not confirm what it gets"
                              : "internal error: session and queues disagree");
            return;
        }
        if (drop_closed(l))
            continue; /* their owners may have had something to say */
        if (l->is_down || l->is_lent)
            return;
        if (!unsent(l) || l->is_write_broken || (l->session.line != MRC_LINE_UP && !l->greeting_len)) {
            want_out(l, false);
            return;
        }
        ssize_t n = write_some(l);
        if (n == -EAGAIN) {
            want_out(l, true);
            return;
        }
        if (n < 0) {
            /* What the other end said last may still be readable: end of file there ends the
             * link. */
            l->is_write_broken = true;
            if (n != -EPIPE && n != -ECONNRESET)
                lost(l, (int)n, "the link to the other side broke");
            continue;
        }
        l->stats.bytes_out += (uint64_t)n;
    }
}

/* Input */

static void opened(struct mrc_link *l)
{
    struct mrc_action *a = &l->act;
    struct mrc_port *p = mrc_port_new(l, a->chan);
    int rc = p ? -EOPNOTSUPP : -ENOMEM;
    if (p && l->o.on_open)
        rc = l->o.on_open(l->o.ctx, p, a->frame.open.service, a->frame.open.request);
    if (rc < 0) {
        struct mrc_event ev = { .kind = MRC_EV_RESET, .chan = a->chan, .code = rc };
        if (p) {
            p->ops = NULL;
            mrc_port_drop(p, rc, (struct bytes){ NULL, 0 });
        }
        if (mrc_session_step(&l->session, &ev, a) < 0)
            end(l, -EPROTO, "internal error: refused channel is unknown");
    }
}

static void forget(struct mrc_link *l, uint64_t amount)
{
    buf_consume(&l->out, (size_t)amount);
    l->out_sent -= amount < l->out_sent ? (size_t)amount : l->out_sent;
}

/* The session goes on: what was written to the stream before and did not arrive is written again. */
static void begin_again(struct mrc_link *l, uint64_t amount)
{
    forget(l, amount);
    l->stats.bytes_again += amount < l->out_was_sent ? l->out_was_sent - amount : 0;
    l->out_sent = l->out_was_sent = 0;
}

static void act_on_input(struct mrc_link *l)
{
    struct mrc_action *a = &l->act;
    struct mrc_port *p = mrc_port_find(l, a->chan);
    switch (a->kind) {
    case MRC_ACT_HELLO:
        if (l->o.on_hello)
            l->o.on_hello(l->o.ctx, &a->frame.hello);
        if (l->session.is_anew && l->o.on_resumed)
            l->o.on_resumed(l->o.ctx);
        break;
    case MRC_ACT_OPENED: opened(l); break;
    case MRC_ACT_DATA:
        if (p && p->ops && p->ops->on_data)
            p->ops->on_data(p->ctx, a->body);
        else if (p)
            mrc_port_consumed(p, a->body.len);
        break;
    case MRC_ACT_EOF:
        if (p && p->ops && p->ops->on_eof)
            p->ops->on_eof(p->ctx);
        drop_closed(l);
        break;
    case MRC_ACT_STOP:
        if (p && p->ops && p->ops->on_stop)
            p->ops->on_stop(p->ctx);
        break;
    case MRC_ACT_RESET:
        if (p)
            mrc_port_drop(p, a->code ? a->code : -ECANCELED, a->body);
        break;
    case MRC_ACT_BYE: end_with(l, a->code, a->body); break;
    case MRC_ACT_ACKED: forget(l, a->amount); break;
    case MRC_ACT_RESUMED:
        begin_again(l, a->amount);
        if (l->o.on_resumed)
            l->o.on_resumed(l->o.ctx);
        break;
    case MRC_ACT_ANEW: lost(l, -ENXIO, "the agent that was to take the job has never heard of it"); break;
    case MRC_ACT_LOST:
        lost(l, -ETIMEDOUT,
            "the other side was silent for too long: is it, or the network, down?");
        break;
    default: break;
    }
}

static void end_malformed(struct mrc_link *l, int rc)
{
    if (rc != -EPROTONOSUPPORT) {
        end(l, rc,
            "the other side sent something that is none of the session's messages: is it an "
            "mrc-agent?");
        return;
    }
    const struct mrc_hello *hello = &l->act.frame.hello;
    char software[40], text[MRC_TEXT_MAX];
    if (bytes_to_text(hello->software, software, sizeof software) < 0)
        snprintf(software, sizeof software, "unknown software");
    clean(software);
    snprintf(text, sizeof text,
             "%s there speaks version %u of the session protocol, %s here version %d: both "
             "must be of one version (is $MRC_AGENT set?)",
             software, hello->version, l->session.software, MRC_SESSION_VERSION);
    end(l, rc, text);
}

void mrc_link_feed(struct mrc_link *l, struct bytes input)
{
    struct mrc_event ev = { .kind = MRC_EV_INPUT, .now_ms = clock_mono_ms(), .input = input };
    while (ev.input.len && !l->is_over && !l->is_down && !l->is_lent) {
        int rc = mrc_session_step(&l->session, &ev, &l->act);
        if (rc < 0) {
            end_malformed(l, rc);
            return;
        }
        uint32_t used = ev.input.len - (uint32_t)l->act.input_left;
        ev.input.ptr += used;
        ev.input.len -= used;
        l->stats.frames_in += l->act.kind != MRC_ACT_NONE;
        act_on_input(l);
    }
}

/* The head that ends, whether it wants to or is killed, leaves a stream that is closed in its direction only:
 * who carries it sees to that. A stream that broke is closed in both. */
static void judge_end(void *ctx)
{
    struct mrc_link *l = ctx;
    struct pollfd pf = { .fd = l->fd_out };
    bool is_broken = l->is_write_broken ||
                     (poll(&pf, 1, 0) > 0 && (pf.revents & (POLLERR | POLLHUP)));
    if (is_broken)
        lost(l, -EPIPE, "the link to the other side was closed");
    else
        end(l, -EPIPE, "the link to the other side was closed");
}

static void got_eof(struct mrc_link *l, int code)
{
    if (l->o.is_head || !l->o.on_lost || !mrc_session_is_resumable(&l->session)) {
        lost(l, code, "the link to the other side was closed");
        return;
    }
    loop_fd_del(&l->watch_in);
    l->is_write_broken = l->is_write_broken || code != -EPIPE;
    loop_timer_set(l->loop, &l->eof_timer, l->is_write_broken ? 0 : EOF_GRACE_MS, judge_end, l);
}

static void on_in(void *ctx, uint32_t events)
{
    struct mrc_link *l = ctx;
    if (l->is_same_fd && (events & EPOLLOUT) && !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return; /* flush runs at the end of the turn */
    ssize_t n = fd_read(l->fd_in, l->in, sizeof l->in);
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        got_eof(l, n < 0 ? (int)n : -EPIPE);
        return;
    }
    l->stats.bytes_in += (uint64_t)n;
    mrc_link_feed(l, (struct bytes){ l->in, (uint32_t)n });
}

static void on_out(void *ctx, uint32_t events)
{
    struct mrc_link *l = ctx;
    if (!(events & (EPOLLERR | EPOLLHUP)) || l->is_over)
        return;
    /* Nobody reads any more; what was said before may still have to be read. */
    loop_fd_del(&l->watch_out);
    l->is_write_broken = true;
    if (l->o.on_lost)
        loop_timer_set(l->loop, &l->eof_timer, EOF_GRACE_MS, judge_end, l);
    else
        end(l, -EPIPE, "the link to the other side was closed");
}

static void on_tick(void *ctx)
{
    struct mrc_link *l = ctx;
    struct mrc_event ev = { .kind = MRC_EV_TICK, .now_ms = clock_mono_ms() };
    int rc = mrc_session_step(&l->session, &ev, &l->act);
    if (rc == 0)
        act_on_input(l);
    if (!l->is_over && !l->is_down)
        loop_timer_set(l->loop, &l->tick, mrc_session_next_ms(&l->session), on_tick, l);
}

/* Life */

int mrc_link_early(struct mrc_link *l, uint8_t *out, size_t size_bytes)
{
    int rc = fill(l);
    if (rc < 0)
        return rc;
    size_t n = unsent(l) < size_bytes ? unsent(l) : size_bytes;
    memcpy(out, buf_at(&l->out) + l->out_sent, n);
    l->out_sent += n;
    l->stats.bytes_out += n;
    return (int)n;
}

/* Reads and writes what is attached, on the loop. */
static int watch(struct mrc_link *l)
{
    int rc = loop_fd_add(l->loop, &l->watch_in, l->fd_in, EPOLLIN, on_in, l);
    if (rc == 0 && !l->is_same_fd)
        rc = loop_fd_add(l->loop, &l->watch_out, l->fd_out, 0, on_out, l);
    if (rc < 0) {
        loop_fd_del(&l->watch_in);
        return rc;
    }
    loop_timer_set(l->loop, &l->tick, mrc_session_next_ms(&l->session), on_tick, l);
    loop_set_idle(l->loop, flush, l);
    return 0;
}

int mrc_link_attach(struct mrc_link *l, int fd_in, int fd_out)
{
    l->fd_in = fd_in;
    l->fd_out = fd_out;
    l->is_same_fd = fd_in == fd_out;
    l->is_down = false;
    l->session.heard_ms = clock_mono_ms();
    int rc = fd_set_nonblock(l->fd_in, true);
    if (rc == 0)
        rc = fd_set_nonblock(l->fd_out, true);
    return rc < 0 ? rc : watch(l);
}

int mrc_link_redial(struct mrc_link *l, uint8_t *out, size_t size_bytes)
{
    if (l->is_over || !l->is_down)
        return -EINVAL;
    int rc = mrc_session_step(&l->session, &(struct mrc_event){ .kind = MRC_EV_REDIAL }, &l->act);
    if (rc == 0 && l->act.kind == MRC_ACT_ANEW) {
        begin_again(l, 0);
        return mrc_link_early(l, out, size_bytes);
    }
    if (rc == 0)
        rc = fill(l);
    if (rc < 0)
        return rc;
    size_t n = l->greeting_len;
    l->greeting_len = 0;
    if (!n || n > size_bytes)
        return -EINVAL;
    memcpy(out, l->greeting, n);
    l->stats.bytes_out += n;
    return (int)n;
}

int mrc_link_take(struct mrc_link *l, const struct mrc_hello *hello, int fd_in, int fd_out)
{
    AUTO_FD in = fd_in;
    AUTO_FD out = fd_in == fd_out ? -1 : fd_out;
    struct mrc_event ev = { .kind = MRC_EV_TAKE, .now_ms = clock_mono_ms(), .hello = hello };
    int rc = l->is_over ? -EPIPE : mrc_session_step(&l->session, &ev, &l->act);
    if (rc < 0)
        return rc;
    close_stream(l);
    l->is_down = true;
    begin_again(l, l->act.amount);
    bool is_same = fd_in == fd_out;
    int first = take_fd(&in);
    return mrc_link_attach(l, first, is_same ? first : take_fd(&out));
}

int mrc_link_lend(struct mrc_link *l, int *fd_in, int *fd_out)
{
    flush(l);
    if (l->is_over || l->is_down || unsent(l))
        return -EAGAIN;
    unwatch(l);
    l->is_lent = true;
    *fd_in = l->fd_in;
    *fd_out = l->fd_out;
    return 0;
}

void mrc_link_unlend(struct mrc_link *l)
{
    if (!l->is_lent || l->is_over)
        return;
    l->is_lent = false;
    if (watch(l) < 0)
        end(l, -EPIPE, "the stream can't be watched");
}

void mrc_link_forget_stream(struct mrc_link *l)
{
    close_stream(l);
    l->is_over = true;
}

void mrc_link_give_up(struct mrc_link *l, int code, const char *text)
{
    end(l, code, text);
}

int mrc_link_new(const struct mrc_link_opts *o, struct mrc_link **out, struct err *e)
{
    struct mrc_link *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ENOMEM, "link");
    l->o = *o;
    l->loop = o->loop;
    l->fd_in = o->fd_in;
    l->fd_out = o->fd_out;
    buf_init(&l->out, OUT_MAX);
    struct mrc_session_opts so = { .is_head = o->is_head,
                                   .software = o->software,
                                   .silence_ms = (uint64_t)o->silence_ms,
                                   .hello_ms = (uint64_t)o->hello_ms,
                                   .wait_s = o->on_lost ? o->wait_s : 0,
                                   .now_ms = clock_mono_ms() };
    if (getrandom(so.session_id, sizeof so.session_id, 0) < 0 ||
        getrandom(so.secret, sizeof so.secret, 0) < 0) {
        free(l);
        return err_set(e, errno, "random numbers");
    }
    mrc_session_init(&l->session, &so);
    int rc = o->fd_in < 0 ? 0 : mrc_link_attach(l, o->fd_in, o->fd_out);
    if (rc < 0) {
        free(l);
        return err_set(e, -rc, "watch the link");
    }
    *out = l;
    return 0;
}

void mrc_link_free(struct mrc_link *l)
{
    if (!l)
        return;
    loop_set_idle(l->loop, NULL, NULL);
    while (l->ports)
        mrc_port_drop(l->ports, -ECANCELED, (struct bytes){ NULL, 0 });
    buf_fini(&l->out);
    close_stream(l);
    free(l);
}

int mrc_link_open(struct mrc_link *l, const char *service, struct bytes request, uint8_t weight,
                  uint64_t window_bytes, const struct mrc_port_ops *ops, void *ctx,
                  struct mrc_port **out)
{
    if (l->is_over)
        return -EPIPE;
    struct mrc_event ev = {
        .kind = MRC_EV_OPEN, .weight = weight, .service = bytes_of(service), .request = request
    };
    int rc = mrc_session_step(&l->session, &ev, &l->act);
    if (rc < 0)
        return rc;
    rc = buf_append(&l->out, l->act.head, l->act.head_len);
    if (rc < 0)
        return rc;
    struct mrc_port *p = mrc_port_new(l, l->act.chan);
    if (!p)
        return -ENOMEM;
    p->ops = ops;
    p->ctx = ctx;
    rc = mrc_session_window(&l->session, p->chan, window_bytes);
    *out = p;
    return rc;
}

void mrc_link_bye(struct mrc_link *l, int code, const char *text)
{
    struct mrc_event ev = { .kind = MRC_EV_BYE, .code = code, .text = bytes_of(text) };
    int rc = mrc_session_step(&l->session, &ev, &l->act);
    (void)rc; /* BYE can't fail */
}

void mrc_link_pause(struct mrc_link *l)
{
    struct mrc_event ev = { .kind = MRC_EV_PAUSE };
    uint64_t end_ms = clock_mono_ms() + PAUSE_WAIT_MS;
    int rc = mrc_session_step(&l->session, &ev, &l->act);
    (void)rc; /* PAUSE can't fail */
    flush(l);
    while (!l->is_over && l->wants_out && clock_mono_ms() < end_ms) {
        struct pollfd pf = { .fd = l->fd_out, .events = POLLOUT };
        if (poll(&pf, 1, PAUSE_WAIT_MS) <= 0)
            break;
        flush(l);
    }
}

bool mrc_link_is_flushed(const struct mrc_link *l)
{
    return l->is_over || l->is_down || l->is_write_broken ||
           (!unsent(l) && (!l->session.bye_pending || l->session.bye_sent));
}

void mrc_link_stats(const struct mrc_link *l, struct mrc_link_stats *out)
{
    *out = l->stats;
}
