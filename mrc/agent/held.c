/* SPDX-License-Identifier: GPL-2.0-or-later */
/* held.c: see held.h.
 * Must not know: what a holder does.
 * A stream to a holder is an abstract socket's, which nothing is left of when the holder is killed; the other end must be of our
 * user, and the holder asks for the job's secret. */
#include "mrc/agent/held.h"

#include "common/sys/buf.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/peer.h"
#include "mrc/agent/hold.h"
#include "mrc/held.h"
#include "mrc/job.h"
#include "mrc/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WINDOW = 4 * 1024 * 1024, BACKLOG = 16, STATES_MAX = 4 };

static socklen_t address_of(const uint8_t id[HELD_ID_BYTES], struct sockaddr_un *out)
{
    char name[HELD_NAME_BYTES];
    held_name(id, name);
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    size_t len = 1 + (size_t)snprintf(out->sun_path + 1, sizeof out->sun_path - 1, HELD_SOCKET "%s", name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static void on_done(void *ctx, int code)
{
    (void)ctx; /* both sides see the end of the stream */
    (void)code;
}

/* fd is taken. */
static int join(struct loop *loop, struct mrc_port *port, int fd)
{
    struct mrc_pump *p;
    struct mrc_pump_opts po = { .loop = loop, .fd_in = fd, .fd_out = fd, .on_done = on_done };
    int rc = mrc_pump_new(&po, &p);
    if (rc < 0)
        return rc;
    mrc_pump_attach(p, port);
    return mrc_port_window(port, WINDOW);
}

/* ---- what holders know of our head ---- */

static struct states {
    const struct agent_held_opts *o;
    struct state {
        int fd; /* -1: none */
        struct loop_fd watch;
    } list[STATES_MAX];
    size_t count;
    bool has_begun;
} states;

bool agent_held_is_over(void)
{
    return states.has_begun && !states.count;
}

void agent_held_away(bool is_away)
{
    uint8_t byte = is_away;
    for (size_t i = 0; i < STATES_MAX && states.has_begun; i++)
        if (states.list[i].fd >= 0 && fd_write(states.list[i].fd, &byte, 1) < 0)
            log_keep("a holder does not hear that the head %s", is_away ? "is away" : "is back");
}

/* It says nothing, so this is its end. */
static void on_state(void *ctx, uint32_t events)
{
    struct state *s = ctx;
    (void)events;
    loop_fd_del(&s->watch);
    fd_close(&s->fd);
    s->fd = -1;
    if (--states.count == 0)
        states.o->on_over(states.o->ctx);
}

static int connect_to(const uint8_t *head)
{
    struct held_head h;
    struct sockaddr_un a;
    int rc = held_head_get((struct bytes){ head, HELD_HEAD_BYTES }, &h);
    if (rc < 0)
        return rc;
    socklen_t len = address_of(h.id, &a);
    explicit_bzero(&h.secret, sizeof h.secret);
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, len) < 0)
        return errno == ECONNREFUSED ? -ESRCH : -errno;
    if (!peer_is_our_user(fd))
        return -EPERM;
    /* It is short, and the socket's first. */
    if (fd_write(fd, head, HELD_HEAD_BYTES) != HELD_HEAD_BYTES)
        return -EIO;
    return take_fd(&fd);
}

/* Each visit has one: with its first stream. */
static int open_state(const struct agent_held_opts *o, struct held_head h)
{
    uint8_t head[HELD_HEAD_BYTES];
    for (size_t i = 0; i < STATES_MAX && !states.has_begun; i++)
        states.list[i].fd = -1;
    states.has_begun = true;
    states.o = o;
    for (size_t i = 0; i < STATES_MAX; i++) {
        struct state *s = &states.list[i];
        if (s->fd >= 0)
            continue;
        h.role = HELD_STATE;
        held_head_put(head, &h);
        s->fd = connect_to(head);
        explicit_bzero(head, sizeof head);
        if (s->fd < 0)
            return s->fd;
        int rc = loop_fd_add(o->loop, &s->watch, s->fd, EPOLLIN, on_state, s);
        states.count += rc == 0;
        if (rc < 0)
            fd_close(&s->fd);
        return rc;
    }
    return -ENOSPC;
}

/* ---- a stream to a holder ---- */

static int open_stream(const struct agent_held_opts *o, struct mrc_port *port, struct bytes request)
{
    struct held_head h;
    int rc = held_head_get(request, &h);
    if (rc == 0 && (h.role == HELD_JOB || h.role == HELD_META))
        rc = open_state(o, h);
    explicit_bzero(&h.secret, sizeof h.secret);
    if (rc < 0)
        return rc;
    int fd = connect_to(request.ptr);
    return fd < 0 ? fd : join(o->loop, port, fd);
}

/* ---- a holder's beginning ---- */

struct starting {
    struct loop *loop;
    struct mrc_port *port;
    struct held_start start;
    mode_t login_umask;
    int listen_fd;
    struct buf in; /* the specification */
};

static void starting_end(struct starting *s)
{
    fd_close(&s->listen_fd);
    explicit_bzero(&s->start, sizeof s->start);
    buf_fini(&s->in);
    free(s);
}

static void on_closed(void *ctx, int code, struct bytes text)
{
    (void)code;
    (void)text;
    starting_end(ctx);
}

static void on_data(void *ctx, struct bytes body)
{
    struct starting *s = ctx;
    struct job_msg m;
    size_t used = 0;
    mrc_port_consumed(s->port, body.len);
    int rc = buf_append(&s->in, body.ptr, body.len);
    if (rc == 0)
        rc = job_msg_get((struct bytes){ buf_at(&s->in), (uint32_t)buf_len(&s->in) }, &m, &used);
    if (rc == 0 && !used)
        return;
    if (rc == 0 && (m.id != JOB_MSG_spec || m.spec.fd_kinds.len != 3))
        rc = -EPROTO;
    int report = -1;
    if (rc == 0) {
        struct hold_opts o = { .start = &s->start,
                               .spec = { buf_at(&s->in), (uint32_t)used },
                               .fd_kinds = m.spec.fd_kinds.ptr,
                               .login_umask = s->login_umask,
                               .listen_fd = s->listen_fd };
        rc = hold_start(&o, &report);
    }
    struct mrc_port *port = s->port;
    struct loop *loop = s->loop;
    starting_end(s);
    port->ops = NULL; /* until it is the pump's */
    if (rc == 0)
        rc = join(loop, port, report);
    if (rc < 0) {
        mrc_port_reset(port, rc, "the job can't be held");
        log_keep("a job can't be held: %s", strerror(-rc));
    }
}

static int open_start(struct loop *loop, mode_t login_umask, struct mrc_port *port, struct bytes request)
{
    static const struct mrc_port_ops ops = { .on_data = on_data, .on_closed = on_closed };
    struct sockaddr_un a;
    struct starting *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct starting){ .loop = loop, .port = port, .login_umask = login_umask, .listen_fd = -1 };
    buf_init(&s->in, JOB_MSG_MAX + 8192);
    int rc = held_start_get(request, &s->start);
    if (rc == 0) {
        socklen_t len = address_of(s->start.id, &a);
        s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (s->listen_fd < 0 || bind(s->listen_fd, (struct sockaddr *)&a, len) < 0 ||
            listen(s->listen_fd, BACKLOG) < 0)
            rc = -errno;
    }
    if (rc < 0) {
        starting_end(s);
        return rc;
    }
    port->ops = &ops;
    port->ctx = s;
    return mrc_port_window(port, WINDOW);
}

int agent_held_open(const struct agent_held_opts *o, struct mrc_port *port, struct bytes service,
                    struct bytes request)
{
    static const char start[] = HELD_START_SERVICE, stream[] = HELD_STREAM_SERVICE;
    if (service.len == sizeof start - 1 && !memcmp(service.ptr, start, service.len))
        return open_start(o->loop, o->login_umask, port, request);
    if (service.len == sizeof stream - 1 && !memcmp(service.ptr, stream, service.len))
        return open_stream(o, port, request);
    return -EOPNOTSUPP;
}
