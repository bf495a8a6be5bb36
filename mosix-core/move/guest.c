/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guest.c: mx_holder_step on a host: orders come from the home, actions become notes to the
 * hands. Must not know: other places, the network. When the home's connection ends everything
 * of the guest ends with this process. */
#include "mosix-core/move/guest.h"

#include "common/sys/buf.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/loop.h"
#include "mosix-core/move/hands.h"
#include "mosix-core/net/prompt.h"
#include "mosix-core/plan/messages.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream {
    int fd; /* -1: none */
    uint32_t move;
    struct mx_clocks ahead;
    bool is_at_once; /* an image without rounds */
};

struct guest {
    struct loop *loop;
    int orders, listener;
    struct loop_fd on_orders, on_listener, on_hands;
    struct loop_timer timer;
    struct mx_holder holder;
    struct mx_guest_limits limits;
    struct mx_hands hands;
    uint64_t memory_kills; /* before they were there */
    struct stream calls, image;
    bool is_image_wanted;         /* to build from, or to send into, when it comes */
    bool has_calls;               /* the hands have a stream for calls */
    bool is_run_wanted;           /* when that has come */
    bool is_copy_wanted;          /* when there is a stream for it */
    bool has_rounds;              /* the hands have that */
    bool is_ended;                /* the job has ended by itself: the home knows best */
    char leave[MX_WORDS_MAX + 1]; /* why it should be elsewhere; empty: it may stay */
    uint8_t in[2 * MX_MESSAGE_MAX];
    size_t in_bytes;
};

static void step(struct guest *g, struct mx_holder_in in);

static void end_guest(struct guest *g, int rc)
{
    loop_stop(g->loop, rc);
}

static void happened(struct guest *g, enum mx_holder_event what, enum mx_why why)
{
    step(g, (struct mx_holder_in){ .what = what, .why = why, .move = g->holder.move });
}

static void send_message(struct guest *g, const struct mx_message *m)
{
    uint8_t space[MX_MESSAGE_MAX];
    struct wr w = wr_of(space, sizeof space);
    mx_plan_put(&w, m);
    if (fd_write_full(g->orders, space, wr_len(&w)) < 0)
        end_guest(g, -EPIPE);
}

static void send_words(struct guest *g, int signal, const char *text)
{
    struct mx_message m = { .number = MX_MESSAGE_words };
    m.words.signal = (uint8_t)signal;
    snprintf(m.words.text, sizeof m.words.text, "%s", text);
    send_message(g, &m);
}

/* With each report, in case that the home is not able to just now. */
static void send_leave(struct guest *g)
{
    struct mx_message m = { .number = MX_MESSAGE_leave };
    if (!g->leave[0] || g->holder.is != MX_IS_RUNNING)
        return;
    snprintf(m.leave.text, sizeof m.leave.text, "%s", g->leave);
    send_message(g, &m);
}

static void fail(struct guest *g, enum mx_why why, const char *text)
{
    send_words(g, 0, text);
    happened(g, MX_HOLD_FAILED, why);
}

/* ---- hands ---- */

/* When there is so little memory that not even the end of the body is waited for. */
static void supervisor_died(struct guest *g)
{
    bool is_for_memory = mx_sandbox_memory_kills() > g->memory_kills;
    fail(g, MX_WHY_DIED,
         is_for_memory
             ? "its supervisor was killed, probably because there is too little memory"
             : "its supervisor has died");
}

/* What it has said at last is still to be heard, and then its end. */
static void not_told(struct guest *g)
{
    if (g->hands.pid <= 0)
        supervisor_died(g);
}

static void tell(struct guest *g, enum mx_hands_ask what, int fd, int64_t big)
{
    if (mx_hands_tell(&g->hands, what, fd, 0, big) < 0)
        not_told(g);
}

static void tell_restore(struct guest *g)
{
    const struct mx_note n = { .what = MX_HANDS_RESTORE,
                               .big = g->image.ahead.mono_ns,
                               .also = g->image.ahead.boot_ns };
    int fd = take_fd(&g->image.fd);
    if (mx_note_send(g->hands.sock, &n, fd) < 0)
        not_told(g);
    fd_close(&fd);
}

static enum mx_why why_of(int rc)
{
    switch (rc) {
    case -ENOMEM:
    case -EAGAIN:
    case -ENOSPC: return MX_WHY_NO_ROOM;
    case -ENOTSUP: return MX_WHY_REFUSED;
    default: return MX_WHY_BAD_IMAGE;
    }
}

static void on_note(struct guest *g, const struct mx_note *n)
{
    switch (n->what) {
    case MX_HANDS_RESTORE:
        if (n->rc < 0)
            fail(g, why_of(n->rc), n->text);
        else
            happened(g, MX_HOLD_WHOLE, MX_WHY_NOT);
        break;
    case MX_HANDS_SOME: happened(g, MX_HOLD_ARRIVING, MX_WHY_NOT); break;
    case MX_HANDS_STOP:
        if (n->rc < 0)
            fail(g, MX_WHY_REFUSED, n->text);
        else
            happened(g, MX_HOLD_STOPPED, MX_WHY_NOT);
        break;
    case MX_HANDS_COPY:
        if (n->rc < 0)
            fail(g, MX_WHY_REFUSED, n->text);
        break;
    case MX_HANDS_ROUND:
        if (mx_hands_is_cut(n->rc)) /* the other place says why, or that it is cut */
            log_at(LOG_VERBOSE, "an image was cut: %s", n->text);
        else if (n->rc < 0)
            fail(g, MX_WHY_REFUSED, n->text);
        else
            step(g, (struct mx_holder_in){ .what = MX_HOLD_ROUND,
                                           .move = g->holder.move,
                                           .left_ms = (uint32_t)n->number });
        break;
    case MX_HANDS_SEND:
        if (n->rc < 0) /* the other place finds its image cut, and says so */
            send_words(g, 0, n->text);
        break;
    case MX_HANDS_ENDED: g->is_ended = true; break;
    case MX_HANDS_DIED:
        send_words(g, n->number, n->text);
        happened(g, MX_HOLD_FAILED, MX_WHY_DIED);
        break;
    case MX_HANDS_LOST:
        log_at(LOG_NORMAL, "calls of a guest: %s", n->text);
        fail(g, MX_WHY_CUT, "the connection for its calls was lost");
        break;
    default: break;
    }
}

static void on_hands(void *ctx, uint32_t events UNUSED)
{
    struct guest *g = ctx;
    struct mx_note n;
    int fd, rc = mx_note_receive(g->hands.sock, &n, &fd, false);
    fd_close(&fd);
    if (rc > 0) {
        on_note(g, &n);
    } else if (rc < 0) {
        loop_fd_del(&g->on_hands);
        if (!g->is_ended)
            supervisor_died(g);
    }
}

static int start_hands(struct guest *g, struct err *e)
{
    g->memory_kills = mx_sandbox_memory_kills();
    int rc = mx_hands_on_host(&g->hands, &g->limits, e);
    if (rc == 0)
        rc = loop_fd_add(g->loop, &g->on_hands, g->hands.sock, EPOLLIN, on_hands, g);
    return rc;
}

static void drop_hands(struct guest *g)
{
    loop_fd_del(&g->on_hands);
    mx_hands_end(&g->hands);
    fd_close(&g->calls.fd);
    fd_close(&g->image.fd);
    g->is_image_wanted = g->has_calls = g->is_run_wanted = g->is_ended = false;
    g->is_copy_wanted = g->has_rounds = false;
}

/* ---- what is to be done ---- */

/* An image stream and what it is for have met. */
static void use_image(struct guest *g)
{
    bool is_building = g->holder.is == MX_IS_BUILDING;
    if (!g->is_image_wanted || g->image.fd < 0 || g->image.move != g->holder.move)
        return;
    g->is_image_wanted = false;
    if (is_building)
        tell_restore(g);
    else
        tell(g, MX_HANDS_SEND, take_fd(&g->image.fd), 0);
}

static void do_send_rest(struct guest *g)
{
    g->is_image_wanted = !g->has_rounds;
    if (g->has_rounds)
        tell(g, MX_HANDS_SEND, -1, 0);
    else
        use_image(g);
}

/* The namespaces are made while the job still runs elsewhere. */
static void do_build(struct guest *g)
{
    struct err e = { "" };
    if (g->leave[0]) { /* by another connection it is asked whether it is taken */
        fail(g, MX_WHY_REFUSED, "it was asked to leave a moment ago");
        return;
    }
    g->is_image_wanted = true;
    if (start_hands(g, &e) < 0)
        fail(g, MX_WHY_NO_ROOM, e.text);
    else
        use_image(g);
}

/* Nothing is done before there is a way. */
static void do_copy(struct guest *g)
{
    g->is_copy_wanted = g->image.fd < 0 || g->image.move != g->holder.move;
    if (g->is_copy_wanted)
        return;
    g->has_rounds = !g->image.is_at_once;
    if (g->has_rounds)
        tell(g, MX_HANDS_COPY, take_fd(&g->image.fd), 0);
    else
        happened(g, MX_HOLD_ROUND, MX_WHY_NOT);
}

static void do_stop(struct guest *g)
{
    g->is_run_wanted = false;
    tell(g, MX_HANDS_STOP, -1, g->holder.is_freeze_wanted);
}

static void do_run(struct guest *g)
{
    g->is_run_wanted = !g->has_calls && (g->calls.fd < 0 || g->calls.move != g->holder.move);
    if (g->is_run_wanted)
        return;
    g->has_calls = true;
    g->has_rounds = false;
    tell(g, MX_HANDS_RUN, take_fd(&g->calls.fd), 0);
}

static void do_drop(struct guest *g)
{
    drop_hands(g);
    happened(g, MX_HOLD_DROPPED, MX_WHY_NOT);
}

static void (*const dos[])(struct guest *g) = {
    [MX_DO_BUILD] = do_build,         [MX_DO_COPY] = do_copy, [MX_DO_STOP] = do_stop,
    [MX_DO_SEND_REST] = do_send_rest, [MX_DO_RUN] = do_run,   [MX_DO_DROP] = do_drop,
};

static void on_timer(void *ctx)
{
    happened(ctx, MX_HOLD_TICK, MX_WHY_NOT);
}

static void step(struct guest *g, struct mx_holder_in in)
{
    struct mx_holder_out out;
    in.now_ms = (int64_t)clock_mono_ms();
    mx_holder_step(&g->holder, &in, &out);
    for (unsigned i = 0; i < out.count; i++) {
        if (out.actions[i] == MX_DO_REPORT) {
            struct mx_message m = { .number = MX_MESSAGE_report };
            m.report = out.report;
            send_message(g, &m);
            send_leave(g);
        }
    }
    if (out.wake_ms) {
        int64_t left_ms = out.wake_ms - in.now_ms;
        loop_timer_set(g->loop, &g->timer, left_ms > 0 ? (uint64_t)left_ms : 0, on_timer, g);
    }
    /* Last: they may lead to further steps. */
    for (unsigned i = 0; i < out.count; i++)
        if (out.actions[i] != MX_DO_REPORT)
            dos[out.actions[i]](g);
}

/* ---- what comes from the home ---- */

static void on_orders(void *ctx, uint32_t events UNUSED)
{
    struct guest *g = ctx;
    ssize_t n = fd_read(g->orders, g->in + g->in_bytes, sizeof g->in - g->in_bytes);
    if (n <= 0) {
        end_guest(g, 0);
        return;
    }
    g->in_bytes += (size_t)n;
    struct rd r = rd_of(g->in, g->in_bytes);
    struct mx_message m;
    int rc;
    while ((rc = mx_plan_get(&r, &m)) > 0)
        if (m.number == MX_MESSAGE_order)
            step(g, (struct mx_holder_in){ .what = MX_HOLD_ORDER, .order = &m.order });
    if (rc < 0) {
        log_error("the home of a guest sends what makes no sense");
        end_guest(g, rc);
        return;
    }
    g->in_bytes = rd_left(&r);
    memmove(g->in, r.at, g->in_bytes);
}

static void on_listener(void *ctx, uint32_t events UNUSED)
{
    struct guest *g = ctx;
    struct mx_note n;
    int fd;
    AUTO_FD sock = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC);
    struct pollfd p = { sock, POLLIN, 0 };
    if (sock < 0 || poll(&p, 1, 1000) <= 0 || mx_note_receive(sock, &n, &fd, false) <= 0)
        return;
    if (n.what == MX_GUEST_LEAVE) {
        fd_close(&fd);
        snprintf(g->leave, sizeof g->leave, "%s", n.text);
        send_leave(g);
        return;
    }
    struct stream *s = n.number == MX_STREAM_CALLS ? &g->calls : &g->image;
    if (n.what != MX_GUEST_STREAM || fd < 0) {
        fd_close(&fd);
        return;
    }
    fd_close(&s->fd);
    *s = (struct stream){
        fd, (uint32_t)n.rc, { n.big, n.also }, n.number == MX_STREAM_IMAGE_AT_ONCE
    };
    use_image(g);
    if (g->is_copy_wanted)
        do_copy(g);
    if (g->is_run_wanted)
        do_run(g);
}

int mx_guest_run(int orders, int listener, const struct mx_guest_limits *limits)
{
    struct guest g = { .orders = orders,
                       .listener = listener,
                       .limits = *limits,
                       .hands = { 0, -1 },
                       .calls.fd = -1,
                       .image.fd = -1 };
    mx_holder_init(&g.holder, false, false);
    mx_be_prompt(0, true);
    int rc = loop_new(&g.loop);
    if (rc < 0)
        return rc;
    rc = loop_fd_add(g.loop, &g.on_orders, orders, EPOLLIN, on_orders, &g);
    if (rc == 0)
        rc = loop_fd_add(g.loop, &g.on_listener, listener, EPOLLIN, on_listener, &g);
    if (rc == 0)
        rc = loop_run(g.loop);
    drop_hands(&g);
    return rc;
}
