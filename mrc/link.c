/* SPDX-License-Identifier: GPL-2.0-or-later */
/* link.c: session actions into system calls.
 * Must not know: SSH, jobs, files.
 * Invariant: what is handed to the transport waits in out, kept short so that a small channel
 * overtakes a big one. */
#include "mrc/link.h"

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
    OUT_MAX = OUT_LOW + 2 * MRC_FRAME_MAX + 4096,
    IN_SIZE = 256 * 1024,
    PAUSE_WAIT_MS = 1000,
};

struct mrc_link {
    struct loop *loop;
    int fd_in, fd_out;
    struct loop_fd watch_in, watch_out;
    bool is_same_fd, wants_out;
    struct loop_timer tick;
    struct mrc_session session;
    struct mrc_action act;
    struct buf out;
    struct mrc_port *ports;
    bool is_over;
    struct mrc_link_opts o;
    struct mrc_link_stats stats;
    uint8_t in[IN_SIZE];
};

static struct mrc_port *find(struct mrc_link *l, uint32_t chan)
{
    struct mrc_port *p = l->ports;
    while (p && p->chan != chan)
        p = p->next;
    return p;
}

static struct mrc_port *port_new(struct mrc_link *l, uint32_t chan)
{
    struct mrc_port *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->link = l;
    p->chan = chan;
    buf_init(&p->queue, MRC_PORT_QUEUE_MAX);
    p->next = l->ports;
    l->ports = p;
    return p;
}

static void port_drop(struct mrc_port *p, int code, struct bytes text)
{
    struct mrc_port **at = &p->link->ports;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    const struct mrc_port_ops *ops = p->ops;
    void *ctx = p->ctx;
    buf_fini(&p->queue);
    free(p);
    if (ops)
        ops->on_closed(ctx, code, text);
}

static void end(struct mrc_link *l, int code, const char *text)
{
    if (l->is_over)
        return;
    l->is_over = true;
    loop_fd_del(&l->watch_in);
    loop_fd_del(&l->watch_out);
    loop_timer_del(&l->tick);
    while (l->ports)
        port_drop(l->ports, code ? code : -ECANCELED, bytes_of(text));
    l->o.on_end(l->o.ctx, code, text);
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
    int rc = buf_append(&l->out, a->head, a->head_len);
    l->stats.frames_out++;
    if (rc == 0 && a->body_len) {
        struct mrc_port *p = find(l, a->chan);
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
            port_drop(p, 0, (struct bytes){ NULL, 0 });
            nx = l->ports; /* the owner may have changed the list */
            has_dropped = true;
        }
    }
    return has_dropped;
}

static int fill(struct mrc_link *l)
{
    struct mrc_event ev = { .kind = MRC_EV_WRITE };
    while (buf_len(&l->out) < OUT_LOW) {
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

static void flush(void *ctx)
{
    struct mrc_link *l = ctx;
    while (!l->is_over) {
        int rc = fill(l);
        if (rc < 0) {
            end(l, rc, "internal error: session and queues disagree");
            return;
        }
        if (drop_closed(l))
            continue; /* their owners may have had something to say */
        if (!buf_len(&l->out)) {
            want_out(l, false);
            return;
        }
        ssize_t n = fd_write(l->fd_out, buf_at(&l->out), buf_len(&l->out));
        if (n == -EAGAIN) {
            want_out(l, true);
            return;
        }
        if (n < 0) {
            /* What the other end said last may still be readable: end of file there ends the
             * link. */
            buf_consume(&l->out, buf_len(&l->out));
            want_out(l, false);
            if (n != -EPIPE && n != -ECONNRESET)
                end(l, (int)n, "the link to the other side broke");
            return;
        }
        l->stats.bytes_out += (uint64_t)n;
        buf_consume(&l->out, (size_t)n);
    }
}

/* Input */

static void opened(struct mrc_link *l)
{
    struct mrc_action *a = &l->act;
    struct mrc_port *p = port_new(l, a->chan);
    int rc = p ? -EOPNOTSUPP : -ENOMEM;
    if (p && l->o.on_open)
        rc = l->o.on_open(l->o.ctx, p, a->frame.open.service, a->frame.open.request);
    if (rc < 0) {
        struct mrc_event ev = { .kind = MRC_EV_RESET, .chan = a->chan, .code = rc };
        if (p) {
            p->ops = NULL;
            port_drop(p, rc, (struct bytes){ NULL, 0 });
        }
        if (mrc_session_step(&l->session, &ev, a) < 0)
            end(l, -EPROTO, "internal error: refused channel is unknown");
    }
}

static void act_on_input(struct mrc_link *l)
{
    struct mrc_action *a = &l->act;
    struct mrc_port *p = find(l, a->chan);
    switch (a->kind) {
    case MRC_ACT_HELLO:
        if (l->o.on_hello)
            l->o.on_hello(l->o.ctx, &a->frame.hello);
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
            port_drop(p, a->code ? a->code : -ECANCELED, a->body);
        break;
    case MRC_ACT_BYE: end_with(l, a->code, a->body); break;
    case MRC_ACT_LOST:
        end(l, -ETIMEDOUT,
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
    while (ev.input.len && !l->is_over) {
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

static void on_in(void *ctx, uint32_t events)
{
    struct mrc_link *l = ctx;
    if (l->is_same_fd && (events & EPOLLOUT) && !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return; /* flush runs at the end of the turn */
    ssize_t n = fd_read(l->fd_in, l->in, sizeof l->in);
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        end(l, n < 0 ? (int)n : -EPIPE, "the link to the other side was closed");
        return;
    }
    l->stats.bytes_in += (uint64_t)n;
    mrc_link_feed(l, (struct bytes){ l->in, (uint32_t)n });
}

static void on_out(void *ctx, uint32_t events)
{
    struct mrc_link *l = ctx;
    if (events & (EPOLLERR | EPOLLHUP)) {
        /* Nobody reads any more. */
        loop_fd_del(&l->watch_out);
        if (!l->is_over)
            end(l, -EPIPE, "the link to the other side was closed");
    }
}

static void on_tick(void *ctx)
{
    struct mrc_link *l = ctx;
    struct mrc_event ev = { .kind = MRC_EV_TICK, .now_ms = clock_mono_ms() };
    int rc = mrc_session_step(&l->session, &ev, &l->act);
    if (rc == 0)
        act_on_input(l);
    if (!l->is_over)
        loop_timer_set(l->loop, &l->tick, mrc_session_next_ms(&l->session), on_tick, l);
}

/* Life */

int mrc_link_early(struct mrc_link *l, uint8_t *out, size_t size_bytes)
{
    int rc = fill(l);
    if (rc < 0)
        return rc;
    size_t n = buf_len(&l->out) < size_bytes ? buf_len(&l->out) : size_bytes;
    memcpy(out, buf_at(&l->out), n);
    buf_consume(&l->out, n);
    l->stats.bytes_out += n;
    return (int)n;
}

int mrc_link_attach(struct mrc_link *l, int fd_in, int fd_out)
{
    l->fd_in = fd_in;
    l->fd_out = fd_out;
    l->is_same_fd = fd_in == fd_out;
    l->session.heard_ms = clock_mono_ms();
    int rc = fd_set_nonblock(l->fd_in, true);
    if (rc == 0)
        rc = fd_set_nonblock(l->fd_out, true);
    if (rc == 0)
        rc = loop_fd_add(l->loop, &l->watch_in, l->fd_in, EPOLLIN, on_in, l);
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
    loop_fd_del(&l->watch_in);
    loop_fd_del(&l->watch_out);
    loop_timer_del(&l->tick);
    loop_set_idle(l->loop, NULL, NULL);
    while (l->ports)
        port_drop(l->ports, -ECANCELED, (struct bytes){ NULL, 0 });
    buf_fini(&l->out);
    if (!l->is_same_fd)
        fd_close(&l->fd_out);
    fd_close(&l->fd_in);
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
    struct mrc_port *p = port_new(l, l->act.chan);
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
    return l->is_over ||
           (!buf_len(&l->out) && (!l->session.bye_pending || l->session.bye_sent));
}

size_t mrc_port_room(const struct mrc_port *p)
{
    return p->is_ended ? 0 : buf_room(&p->queue);
}

int mrc_port_send(struct mrc_port *p, const void *ptr, size_t len_bytes)
{
    if (p->is_ended)
        return -EPIPE;
    int rc = buf_append(&p->queue, ptr, len_bytes);
    if (rc == 0)
        mrc_port_queued(p, len_bytes);
    return rc;
}

static void wish(struct mrc_port *p, const struct mrc_event *ev)
{
    struct mrc_action ignored;
    int rc = mrc_session_step(&p->link->session, ev, &ignored);
    (void)rc; /* -EINVAL: the channel ended meanwhile, and the port is about to be told */
}

void mrc_port_queued(struct mrc_port *p, size_t len_bytes)
{
    wish(p, &(struct mrc_event){ .kind = MRC_EV_QUEUED, .chan = p->chan, .amount = len_bytes });
}

void mrc_port_end(struct mrc_port *p)
{
    if (p->is_ended)
        return;
    p->is_ended = true;
    wish(p, &(struct mrc_event){ .kind = MRC_EV_END, .chan = p->chan });
}

void mrc_port_consumed(struct mrc_port *p, size_t len_bytes)
{
    wish(p,
         &(struct mrc_event){ .kind = MRC_EV_CONSUMED, .chan = p->chan, .amount = len_bytes });
}

void mrc_port_stop(struct mrc_port *p)
{
    wish(p, &(struct mrc_event){ .kind = MRC_EV_STOP, .chan = p->chan });
}

void mrc_port_reset(struct mrc_port *p, int code, const char *text)
{
    wish(p, &(struct mrc_event){
                .kind = MRC_EV_RESET, .chan = p->chan, .code = code, .text = bytes_of(text) });
    p->is_ended = true;
}

int mrc_port_window(struct mrc_port *p, uint64_t window_bytes)
{
    return mrc_session_window(&p->link->session, p->chan, window_bytes);
}

void mrc_link_stats(const struct mrc_link *l, struct mrc_link_stats *out)
{
    *out = l->stats;
}
