/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pump.c: file descriptors to and from a port.
 * Must not know: what the bytes mean.
 * A descriptor that we share with others (the terminal, the shell's pipe) must not be made
 * non-blocking for them: pipes and terminals are opened anew through /proc, sockets are written
 * with MSG_DONTWAIT. */
#include "mrc/pump.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PUMP_QUEUE = 512 * 1024, /* read ahead of the link: more than MRC_PORT_LOW */
    HOLD_LOOK_MS = 1,
};

struct mrc_pump {
    struct mrc_pump_opts o;
    struct mrc_port *port;
    struct loop_fd watch_in, watch_out; /* watch_out only if fd_out differs from fd_in */
    bool in_ended, in_paused, is_same;
    bool out_eof; /* the other side will send no more */
    bool out_closed;
    bool out_is_socket, out_may_block;
    struct buf pending; /* came, not written yet */
    /* Read, and held: see order_mark. */
    struct loop_timer hold_timer;
    uint64_t hold_mark;
    size_t held_bytes;
    bool ends_after_hold, is_unwatched;
    uint64_t in_bytes; /* read so far */
    uint8_t *held;
};

static void close_in(struct mrc_pump *p);
static void close_out(struct mrc_pump *p);

/* Input: fd_in to port */

static void watch_in(struct mrc_pump *p)
{
    bool wants =
        p->port && !p->in_ended && !p->in_paused && !p->held_bytes &&
        buf_len(&p->port->queue) < PUMP_QUEUE;
    uint32_t events = wants ? EPOLLIN : 0;
    if (p->is_same && buf_len(&p->pending))
        events |= EPOLLOUT;
    loop_fd_set(&p->watch_in, events);
}

static void on_fd(void *ctx, uint32_t events);

static void on_hold(void *ctx)
{
    struct mrc_pump *p = ctx;
    uint8_t *spot;
    if (p->port && !p->o.is_passed(p->o.ctx, p->hold_mark)) {
        loop_timer_set(p->o.loop, &p->hold_timer, HOLD_LOOK_MS, on_hold, p);
        return;
    }
    size_t n = p->held_bytes;
    p->held_bytes = 0;
    if (p->port && buf_reserve(&p->port->queue, n, &spot) == 0) {
        memcpy(spot, p->held, n);
        buf_commit(&p->port->queue, n);
        mrc_port_queued(p->port, n);
    }
    if (p->is_unwatched) {
        p->is_unwatched = false;
        if (loop_fd_add(p->o.loop, &p->watch_in, p->o.fd_in, 0, on_fd, p) < 0)
            p->ends_after_hold = true;
    }
    if (p->ends_after_hold)
        close_in(p);
    else if (p->port)
        watch_in(p);
}

/* Must the n bytes at spot, in the port's queue but not yet taken, be held? Then they are. */
static bool hold(struct mrc_pump *p, const uint8_t *spot, size_t n)
{
    uint64_t mark = p->o.order_mark ? p->o.order_mark(p->o.ctx) : 0;
    if (!mark || (!p->held && !(p->held = malloc(MRC_PUMP_READ_MAX))))
        return false;
    memcpy(p->held, spot, n);
    p->held_bytes = n;
    p->hold_mark = mark;
    loop_timer_set(p->o.loop, &p->hold_timer, HOLD_LOOK_MS, on_hold, p);
    return true;
}

static void read_in(struct mrc_pump *p)
{
    size_t queued = buf_len(&p->port->queue);
    size_t room = queued < PUMP_QUEUE ? PUMP_QUEUE - queued : 0;
    if (room > MRC_PUMP_READ_MAX)
        room = MRC_PUMP_READ_MAX;
    uint8_t *spot;
    if (!room || buf_reserve(&p->port->queue, room, &spot) < 0) {
        watch_in(p);
        return;
    }
    ssize_t n = fd_read(p->o.fd_in, spot, room);
    if (n == -EAGAIN)
        return;
    if (n <= 0) { /* EIO: the last slave of a pseudo-terminal was closed */
        close_in(p);
        if (p->o.on_in_end)
            p->o.on_in_end(p->o.ctx);
        return;
    }
    p->in_bytes += (size_t)n;
    if (!hold(p, spot, (size_t)n)) {
        buf_commit(&p->port->queue, (size_t)n);
        mrc_port_queued(p->port, (size_t)n);
    }
    watch_in(p);
}

/* The other end of a socket is closed, not only one way of it: it will not read what still comes. */
static bool is_hung_up(int fd)
{
    struct pollfd pf = { .fd = fd };
    return poll(&pf, 1, 0) == 1 && pf.revents & (POLLHUP | POLLERR);
}

static void close_in(struct mrc_pump *p)
{
    if (p->in_ended)
        return;
    if (p->held_bytes && p->port) {
        p->ends_after_hold = true;
        return;
    }
    p->in_ended = true;
    if (!p->is_same) {
        loop_fd_del(&p->watch_in);
        fd_close(&p->o.fd_in);
    } else {
        watch_in(p);
    }
    if (p->port && !p->o.tells_no_end)
        mrc_port_end(p->port);
    if (p->port && p->is_same && is_hung_up(p->o.fd_in))
        close_out(p);
}

/* Output: port to fd_out */

static ssize_t write_plainly(struct mrc_pump *p, const uint8_t *ptr, size_t len)
{
    if (p->out_is_socket) {
        ssize_t n;
        do
            n = send(p->o.fd_out, ptr, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
    }
    if (p->out_may_block) {
        struct pollfd pf = { .fd = p->o.fd_out, .events = POLLOUT };
        if (poll(&pf, 1, 0) == 0)
            return -EAGAIN;
        len = len < 4096 ? len : 4096; /* PIPE_BUF: what a writable pipe surely takes */
    }
    return fd_write(p->o.fd_out, ptr, len);
}

static ssize_t write_out(struct mrc_pump *p, const uint8_t *ptr, size_t len)
{
    if (p->o.on_output)
        p->o.on_output(p->o.ctx, ptr, 0);
    ssize_t n = write_plainly(p, ptr, len);
    if (p->o.on_output && n > 0)
        p->o.on_output(p->o.ctx, ptr, (size_t)n);
    return n;
}

static void watch_out(struct mrc_pump *p)
{
    if (p->is_same)
        watch_in(p);
    else
        loop_fd_set(&p->watch_out, buf_len(&p->pending) ? EPOLLOUT : 0);
}

static void drain(struct mrc_pump *p)
{
    while (!p->out_closed && buf_len(&p->pending)) {
        ssize_t n = write_out(p, buf_at(&p->pending), buf_len(&p->pending));
        if (n == -EAGAIN)
            break;
        if (n < 0) {
            close_out(p);
            return;
        }
        buf_consume(&p->pending, (size_t)n);
        if (p->port)
            mrc_port_consumed(p->port, (size_t)n);
    }
    watch_out(p);
    if (p->out_eof && !buf_len(&p->pending))
        close_out(p);
}

static void finish(struct mrc_pump *p, int code)
{
    loop_fd_del(&p->watch_in);
    loop_fd_del(&p->watch_out);
    loop_timer_del(&p->hold_timer);
    free(p->held);
    if (!p->is_same)
        fd_close(&p->o.fd_out);
    fd_close(&p->o.fd_in);
    buf_fini(&p->pending);
    void (*done)(void *, int) = p->o.on_done;
    void *ctx = p->o.ctx;
    free(p);
    if (done)
        done(ctx, code);
}

/* No more is written: all came and was written, or nobody reads. */
static void close_out(struct mrc_pump *p)
{
    if (p->out_closed)
        return;
    p->out_closed = true;
    if (p->port && !p->out_eof)
        mrc_port_stop(p->port);
    buf_consume(&p->pending, buf_len(&p->pending));
    if (p->is_same) {
        shutdown(p->o.fd_in, SHUT_WR);
        watch_in(p);
    } else {
        loop_fd_del(&p->watch_out);
        fd_close(&p->o.fd_out);
    }
    if (!p->port)
        finish(p, 0);
}

static void on_data(void *ctx, struct bytes body)
{
    struct mrc_pump *p = ctx;
    if (p->out_closed) {
        mrc_port_consumed(p->port, body.len);
        return;
    }
    size_t done = 0;
    if (!buf_len(&p->pending)) {
        ssize_t n = write_out(p, body.ptr, body.len);
        if (n < 0 && n != -EAGAIN) {
            close_out(p);
            mrc_port_consumed(p->port, body.len);
            return;
        }
        done = n > 0 ? (size_t)n : 0;
        if (done)
            mrc_port_consumed(p->port, done);
    }
    /* Bounded by the channel's window, which the session enforces. */
    if (buf_append(&p->pending, body.ptr + done, body.len - done) < 0)
        close_out(p);
    else
        watch_out(p);
}

static void on_eof(void *ctx)
{
    struct mrc_pump *p = ctx;
    p->out_eof = true;
    drain(p);
}

static void on_stop(void *ctx)
{
    struct mrc_pump *p = ctx;
    if (p->in_ended)
        return;
    if (p->is_same)
        shutdown(p->o.fd_in, SHUT_RD);
    close_in(p);
    if (p->o.on_in_end)
        p->o.on_in_end(p->o.ctx);
}

static void on_room(void *ctx)
{
    watch_in(ctx);
}

static void on_closed(void *ctx, int code, struct bytes text)
{
    struct mrc_pump *p = ctx;
    (void)text;
    p->port = NULL;
    if (code)
        p->out_eof = true;
    p->in_ended = true;
    if (!p->out_closed && buf_len(&p->pending)) {
        p->out_eof = true;
        drain(p); /* finishes through close_out when the rest is written */
        return;
    }
    finish(p, code);
}

static const struct mrc_port_ops port_ops = { on_data, on_eof, on_stop, on_room, on_closed };

/* Life */

static void on_fd(void *ctx, uint32_t events)
{
    struct mrc_pump *p = ctx;
    if (events & EPOLLOUT && p->is_same)
        drain(p);
    else if (p->port && !p->in_ended && !p->in_paused && !p->held_bytes &&
             (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        read_in(p);
    else if (events & (EPOLLHUP | EPOLLERR) && p->in_ended)
        loop_fd_del(&p->watch_in);
    else if (events & (EPOLLHUP | EPOLLERR) && p->held_bytes && !p->is_same) {
        loop_fd_del(&p->watch_in); /* a hang-up is reported unasked, again and again */
        p->is_unwatched = true;
    }
}

static void on_fd_out(void *ctx, uint32_t events)
{
    struct mrc_pump *p = ctx;
    if (events & EPOLLERR)
        close_out(p); /* the reader of the pipe has gone */
    else
        drain(p);
}

/* Another open file of the same pipe or terminal, which may be non-blocking; -1 when there
 * can't be one. */
static int open_anew(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static void prepare_out(struct mrc_pump *p)
{
    struct stat st;
    if (p->o.fd_out < 0 || fstat(p->o.fd_out, &st) < 0)
        return;
    if (S_ISSOCK(st.st_mode)) {
        p->out_is_socket = true;
    } else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        int flags = fcntl(p->o.fd_out, F_GETFL);
        if (flags >= 0 && (flags & O_NONBLOCK))
            return;
        int anew = open_anew(p->o.fd_out);
        if (anew >= 0) {
            close(p->o.fd_out);
            p->o.fd_out = anew;
        } else {
            p->out_may_block = true;
        }
    }
}

int mrc_pump_new(const struct mrc_pump_opts *o, struct mrc_pump **out)
{
    struct mrc_pump *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->o = *o;
    p->is_same = o->fd_in >= 0 && o->fd_in == o->fd_out;
    buf_init(&p->pending, SIZE_MAX / 2); /* the window is the bound */
    prepare_out(p);
    if (p->is_same)
        p->o.fd_in = p->o.fd_out;
    int rc = 0;
    if (p->o.fd_in >= 0)
        rc = loop_fd_add(o->loop, &p->watch_in, p->o.fd_in, 0, on_fd, p);
    if (rc == 0 && p->o.fd_out >= 0 && !p->is_same)
        rc = loop_fd_add(o->loop, &p->watch_out, p->o.fd_out, 0, on_fd_out, p);
    if (rc < 0) {
        loop_fd_del(&p->watch_in);
        free(p);
        return rc;
    }
    *out = p;
    return 0;
}

static void start(struct mrc_pump *p, struct mrc_port *port)
{
    p->port = port;
    if (p->o.fd_in < 0 && !p->o.keeps_in_open)
        close_in(p);
    if (p->o.fd_out < 0)
        close_out(p);
    watch_in(p);
}

void mrc_pump_attach(struct mrc_pump *p, struct mrc_port *port)
{
    port->ops = &port_ops;
    port->ctx = p;
    start(p, port);
}

int mrc_pump_open(struct mrc_pump *p, struct mrc_link *l, const char *service,
                  struct bytes request, uint8_t weight, uint64_t window_bytes)
{
    struct mrc_port *port;
    int rc = mrc_link_open(l, service, request, weight, window_bytes, &port_ops, p, &port);
    if (rc == 0)
        start(p, port);
    return rc;
}

struct mrc_port *mrc_pump_port(struct mrc_pump *p)
{
    return p->port;
}

void mrc_pump_sent(const struct mrc_pump *p, uint64_t *sent_out, uint64_t *unsent_out)
{
    size_t queued = p->port ? buf_len(&p->port->queue) : 0;
    *sent_out = p->in_bytes - p->held_bytes - queued;
    *unsent_out = queued;
}

void mrc_pump_end_in(struct mrc_pump *p)
{
    close_in(p);
}

void mrc_pump_pause(struct mrc_pump *p, bool is_paused)
{
    p->in_paused = is_paused;
    watch_in(p);
}

bool mrc_pump_out_done(const struct mrc_pump *p)
{
    return p->out_closed;
}
