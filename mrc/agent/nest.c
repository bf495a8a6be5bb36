/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nest.c: takes in the mrc of a job, and connects from here for the head.
 * Must not know: what a session says.
 * Who may: processes of this user (and root), to whom the job's environment tells the name. */
#include "mrc/agent/nest.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/title.h"
#include "mrc/nest/nest.h"
#include "mrc/pump.h"
#include "mrc/session/session.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WEIGHT = 32,
    WINDOW = 4 * 1024 * 1024,
    CONNECT_MS = 20 * 1000, /* for one address */
    KEEPALIVE_PARTS = 4,    /* so often in its bound is a silent connection asked for */
    PIECE_BYTES = 64 << 10
};

struct agent_nest {
    struct loop *loop;
    struct mrc_link *link;
    int listen_fd;
    struct loop_fd watch;
};

static void on_done(void *ctx, int code)
{
    (void)ctx; /* who is there sees the end of the stream */
    (void)code;
}

/* fd is taken. One descriptor both ways: the end of one way is told by shutdown. */
static int pump_of(struct loop *loop, int fd, struct mrc_pump **out)
{
    struct mrc_pump_opts po = { .loop = loop, .fd_in = fd, .fd_out = fd, .on_done = on_done };
    return mrc_pump_new(&po, out);
}

static void on_connect(void *ctx, uint32_t events)
{
    (void)events;
    struct agent_nest *n = ctx;
    int fd = accept4(n->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (!mrc_nest_is_ours(fd)) {
        close(fd);
        return;
    }
    struct mrc_pump *p;
    int rc = pump_of(n->loop, fd, &p);
    if (rc == 0)
        rc = mrc_pump_open(p, n->link, MRC_NEST_SERVICE, (struct bytes){ NULL, 0 }, WEIGHT,
                           WINDOW);
    if (rc < 0)
        log_at(LOG_VERBOSE, "a job of the job's: %s", strerror(-rc));
}

int agent_nest_new(struct loop *loop, struct mrc_link *link, struct agent_nest **out)
{
    char name[MRC_NEST_NAME_BYTES];
    struct agent_nest *n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    *n = (struct agent_nest){ .loop = loop, .link = link, .listen_fd = -1 };
    int rc = mrc_nest_new_name(name);
    if (rc == 0)
        rc = n->listen_fd = mrc_nest_listen(name);
    if (rc >= 0)
        rc = loop_fd_add(loop, &n->watch, n->listen_fd, EPOLLIN, on_connect, n);
    if (rc == 0 && setenv(AGENT_NEST_VARIABLE, name, 1) < 0)
        rc = -errno;
    if (rc < 0) {
        agent_nest_free(n);
        return rc;
    }
    *out = n;
    return 0;
}

void agent_nest_free(struct agent_nest *n)
{
    if (!n)
        return;
    loop_fd_del(&n->watch);
    fd_close(&n->listen_fd);
    free(n);
}

/* --- connections from here --- */

static void set_number(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* without it, only slower */
}

/* Who is connected and can't be reached any more, or takes nothing, is given up: of that nobody else would know, since the head's session with
 * it has to outlast the silence of the head's with us. */
static void watch_connection(int fd, int silence_ms)
{
    int probe_s = silence_ms / KEEPALIVE_PARTS / 1000;
    set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, probe_s > 0 ? probe_s : 1);
    set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL, probe_s > 0 ? probe_s : 1);
    set_number(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, silence_ms);
    set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

static int connect_to(const char *host, const char *port, int silence_ms)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *at;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return -EHOSTUNREACH;
    int rc = -EHOSTUNREACH;
    for (at = list; at; at = at->ai_next) {
        int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd < 0)
            continue;
        set_number(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, CONNECT_MS);
        rc = connect(fd, at->ai_addr, at->ai_addrlen) == 0 ? fd : -errno;
        if (rc >= 0) {
            watch_connection(fd, silence_ms);
            break;
        }
        close(fd);
    }
    freeaddrinfo(list);
    return rc;
}

/* One direction's end is told to the other side. Returns false when both are over. */
static bool bring(struct pollfd *from, int to, char *bytes)
{
    ssize_t n = fd_read(from->fd, bytes, PIECE_BYTES);
    if (n <= 0) {
        shutdown(to, SHUT_WR);
        bool is_gone = from->revents & (POLLHUP | POLLERR); /* and won't read either */
        from->fd = -1;
        return n == 0 && !is_gone;
    }
    return fd_write_full(to, bytes, (size_t)n) == 0;
}

static _Noreturn void dial(int sock, const char *host, const char *port, int silence_ms)
{
    int keep[] = { sock };
    fd_close_all_but(keep, 1);
    title_set("mrc-dialer");
    int fd = connect_to(host, port, silence_ms);
    char *bytes = malloc(PIECE_BYTES);
    if (fd < 0 || !bytes)
        _exit(1);
    struct pollfd p[2] = { { .fd = sock, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        if (poll(p, 2, -1) < 0)
            continue;
        if ((p[0].revents && !bring(&p[0], fd, bytes)) ||
            (p[1].revents && !bring(&p[1], sock, bytes)))
            break;
    }
    _exit(0);
}

int agent_nest_dial(struct loop *loop, int silence_ms, struct mrc_port *port, struct bytes service,
                    struct bytes request)
{
    static const char name[] = MRC_NEST_DIAL_SERVICE;
    if (service.len != sizeof name - 1 || memcmp(service.ptr, name, service.len) != 0)
        return -EOPNOTSUPP;
    char text[MRC_NEST_REQUEST_MAX + 2] = "";
    if (request.len < 4 || request.len > MRC_NEST_REQUEST_MAX)
        return -EINVAL;
    memcpy(text, request.ptr, request.len);
    int pair[2];
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return rc;
    pid_t pid = fork();
    if (pid == 0) { /* not our child: nobody would wait for it; the end of the stream ends it */
        if (fork() == 0)
            dial(pair[1], text, text + strlen(text) + 1,
                 silence_ms ? silence_ms : MRC_SILENCE_MAX_MS);
        _exit(0);
    }
    rc = pid < 0 ? -errno : 0;
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    close(pair[1]);
    struct mrc_pump *p;
    if (rc < 0)
        close(pair[0]);
    else
        rc = pump_of(loop, pair[0], &p);
    if (rc < 0)
        return rc;
    mrc_pump_attach(p, port);
    return mrc_port_window(port, WINDOW);
}
