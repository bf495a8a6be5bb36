/* SPDX-License-Identifier: GPL-2.0-or-later */
/* head.c: a job's side on the head: sessions go to the nester, connections to the target.
 * Must not know: jobs, options. */
#include "mrc/nest/nest.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WEIGHT = 32, WINDOW = 4 * 1024 * 1024 };

/* A ProxyCommand that has not yet said where it wants to be. */
struct caller {
    struct mrc_nest *nest;
    int fd;
    struct loop_fd watch;
    struct loop_timer timer;
    char text[MRC_NEST_REQUEST_MAX];
    size_t len;
    struct caller *next;
};

struct mrc_nest {
    struct loop *loop;
    struct mrc_link **link;
    int sock, listen_fd;
    struct loop_fd watch;
    struct caller *callers;
    unsigned sessions;
};

static void caller_free(struct caller *c)
{
    struct caller **at = &c->nest->callers;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    loop_fd_del(&c->watch);
    loop_timer_del(&c->timer);
    fd_close(&c->fd);
    free(c);
}

static void on_dial_done(void *ctx, int code)
{
    (void)ctx; /* ssh has seen the end of its connection */
    (void)code;
}

static int dial(struct caller *c)
{
    struct mrc_nest *n = c->nest;
    loop_fd_del(&c->watch);
    struct mrc_pump_opts po = {
        .loop = n->loop, .fd_in = c->fd, .fd_out = c->fd, .on_done = on_dial_done
    };
    struct mrc_pump *p;
    int rc = mrc_pump_new(&po, &p);
    (void)take_fd(&c->fd);
    if (rc < 0)
        return rc;
    return mrc_pump_open(p, *n->link, MRC_NEST_DIAL_SERVICE,
                         (struct bytes){ (const uint8_t *)c->text, (uint32_t)c->len }, WEIGHT,
                         WINDOW);
}

/* Host and port, each with a NUL: nothing that ssh says comes before they are read. */
static void on_caller(void *ctx, uint32_t events)
{
    (void)events;
    struct caller *c = ctx;
    while (c->len < sizeof c->text) {
        ssize_t n = recv(c->fd, c->text + c->len, 1, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        c->len++;
        const char *end = memchr(c->text, 0, c->len);
        if (!end || !memchr(end + 1, 0, c->len - (size_t)(end + 1 - c->text)))
            continue;
        int rc = dial(c);
        if (rc < 0)
            log_at(LOG_VERBOSE, "a connection from the target: %s", strerror(-rc));
        break;
    }
    caller_free(c);
}

static void on_late(void *ctx)
{
    caller_free(ctx);
}

static void on_connect(void *ctx, uint32_t events)
{
    (void)events;
    struct mrc_nest *n = ctx;
    int fd = accept4(n->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct caller *c = mrc_nest_is_ours(fd) ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        close(fd);
        return;
    }
    *c = (struct caller){ .nest = n, .fd = fd, .next = n->callers };
    n->callers = c;
    if (loop_fd_add(n->loop, &c->watch, fd, EPOLLIN, on_caller, c) < 0) {
        caller_free(c);
        return;
    }
    loop_timer_set(n->loop, &c->timer, MRC_NEST_REQUEST_WAIT_MS, on_late, c);
}

int mrc_nest_new(struct loop *loop, struct mrc_link **link, const struct mrc_nester *nester,
                 struct mrc_nest **out)
{
    struct mrc_nest *n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    *n = (struct mrc_nest){ .loop = loop, .link = link, .sock = nester->sock };
    int rc = n->listen_fd = mrc_nest_listen(nester->name);
    if (rc >= 0)
        rc = loop_fd_add(loop, &n->watch, n->listen_fd, EPOLLIN, on_connect, n);
    if (rc < 0) {
        fd_close(&n->listen_fd);
        free(n);
        return rc;
    }
    *out = n;
    return 0;
}

static void on_session_done(void *ctx, int code)
{
    struct mrc_nest *n = ctx;
    (void)code;
    n->sessions--;
}

int mrc_nest_open(struct mrc_nest *n, struct mrc_port *port, struct bytes service)
{
    static const char name[] = MRC_NEST_SERVICE;
    if (!n || service.len != sizeof name - 1 || memcmp(service.ptr, name, service.len) != 0)
        return -EOPNOTSUPP;
    if (n->sessions == MRC_NEST_SESSIONS_MAX)
        return -EAGAIN;
    int pair[2];
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return rc;
    AUTO_FD ours = pair[0];
    AUTO_FD theirs = pair[1];
    if ((rc = fd_send(n->sock, theirs)) < 0)
        return rc;
    struct mrc_pump_opts po = { .loop = n->loop,
                                .fd_in = ours,
                                .fd_out = ours,
                                .on_done = on_session_done,
                                .ctx = n };
    struct mrc_pump *p;
    rc = mrc_pump_new(&po, &p);
    (void)take_fd(&ours);
    if (rc < 0)
        return rc;
    n->sessions++;
    mrc_pump_attach(p, port);
    return mrc_port_window(port, WINDOW);
}

void mrc_nest_free(struct mrc_nest *n)
{
    if (!n)
        return;
    while (n->callers)
        caller_free(n->callers);
    loop_fd_del(&n->watch);
    fd_close(&n->listen_fd);
    free(n);
}
