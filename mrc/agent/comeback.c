/* SPDX-License-Identifier: GPL-2.0-or-later */
/* comeback.c: two agents, one session: the stream goes from the new one to the old one.
 * Must not know: the job.
 * The new one stays until its stream has died: the SSH server takes its end for the stream's. Its connection to
 * the old one tells it. If the old one dies, the stream is closed with it. */
#include "mrc/agent/comeback.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/peer.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    NAME_BYTES = 8, /* of the session's 16: the rest is checked, and is no secret */
    RESUME_BYTES = 20,
    WAITING_MAX = 8, /* who has connected and not said anything yet */
    ANSWER_MS = 10 * 1000,
    BYE_MS = 10 * 1000,
};

/* The head's hello, with two descriptors. */
struct comeback_request {
    uint32_t version;
    uint8_t session[16], secret[32], resume[RESUME_BYTES];
};

struct comeback_answer {
    int rc;
};

/* ---- in the session's agent ---- */

struct visitor {
    struct comeback *comeback;
    int fd; /* -1: none */
    struct loop_fd watch;
};

struct comeback {
    struct comeback_opts o;
    int listen_fd;
    struct loop_fd watch;
    struct visitor visitors[WAITING_MAX];
    int holder_fd; /* of the one whose stream we use; -1: the first one, which is ours */
};

static socklen_t address_of(const uint8_t session[16], struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    size_t at = 1; /* abstract: nothing is left when its holder is killed */
    at += (size_t)snprintf(out->sun_path + at, sizeof out->sun_path - at, "mrc-session-");
    for (size_t i = 0; i < NAME_BYTES; i++)
        at += (size_t)snprintf(out->sun_path + at, sizeof out->sun_path - at, "%02x", session[i]);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + at);
}

static void visitor_end(struct visitor *v)
{
    loop_fd_del(&v->watch);
    fd_close(&v->fd);
    v->fd = -1;
}

/* Returns 0 with the request and both descriptors, which are the caller's. */
static int receive(int sock, struct comeback_request *q, int fds[2])
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { q, sizeof *q };
    struct msghdr m = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.space,
                        .msg_controllen = sizeof control.space };
    ssize_t n;
    do
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    size_t count = 0;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    }
    if (n == sizeof *q && count == 2 && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return 0;
    while (count)
        close(fds[--count]);
    return -EPROTO;
}

static void on_visitor(void *ctx, uint32_t events UNUSED)
{
    struct visitor *v = ctx;
    struct comeback *c = v->comeback;
    struct comeback_request q;
    int fds[2];
    int rc = receive(v->fd, &q, fds);
    if (rc == -EAGAIN)
        return;
    if (rc < 0) {
        visitor_end(v);
        return;
    }
    const struct mrc_hello hello = { .version = q.version,
                                     .session = { q.session, sizeof q.session },
                                     .secret = { q.secret, sizeof q.secret },
                                     .resume = { q.resume, sizeof q.resume } };
    struct comeback_answer a = { .rc = mrc_link_take(c->o.link, &hello, fds[0], fds[1]) };
    explicit_bzero(&q, sizeof q);
    bool is_told = send(v->fd, &a, sizeof a, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof a;
    if (a.rc < 0 || !is_told) { /* it ends, and its stream with it */
        visitor_end(v);
        return;
    }
    comeback_lost(c);
    loop_fd_del(&v->watch);
    c->holder_fd = take_fd(&v->fd);
    c->o.on_back(c->o.ctx);
}

static void on_knock(void *ctx, uint32_t events UNUSED)
{
    struct comeback *c = ctx;
    AUTO_FD fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || !peer_is_our_user(fd))
        return;
    for (size_t i = 0; i < WAITING_MAX; i++) {
        struct visitor *v = &c->visitors[i];
        if (v->fd >= 0)
            continue;
        v->comeback = c;
        v->fd = take_fd(&fd);
        if (loop_fd_add(c->o.loop, &v->watch, v->fd, EPOLLIN, on_visitor, v) < 0)
            visitor_end(v);
        return;
    }
}

int comeback_new(const struct comeback_opts *o, const struct mrc_hello *hello,
                 struct comeback **out)
{
    struct sockaddr_un a;
    if (hello->session.len != 16)
        return -EPROTO;
    socklen_t len = address_of(hello->session.ptr, &a);
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, WAITING_MAX) < 0)
        return -errno;
    struct comeback *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->o = *o;
    c->holder_fd = -1;
    for (size_t i = 0; i < WAITING_MAX; i++)
        c->visitors[i].fd = -1;
    int rc = loop_fd_add(o->loop, &c->watch, fd, EPOLLIN, on_knock, c);
    if (rc < 0) {
        free(c);
        return rc;
    }
    c->listen_fd = take_fd(&fd);
    *out = c;
    return 0;
}

void comeback_lost(struct comeback *c)
{
    if (c)
        fd_close(&c->holder_fd);
}

void comeback_free(struct comeback *c)
{
    if (!c)
        return;
    loop_fd_del(&c->watch);
    fd_close(&c->listen_fd);
    fd_close(&c->holder_fd);
    for (size_t i = 0; i < WAITING_MAX; i++)
        visitor_end(&c->visitors[i]);
    free(c);
}

/* ---- in the new agent ---- */

struct handover {
    struct handover_opts o;
    struct comeback_request request;
    int fd;
    struct loop_fd watch;
    struct loop_timer timer;
    bool is_handed_over;
};

static void done(void *ctx)
{
    struct handover *h = ctx;
    h->o.on_done(h->o.ctx);
}

/* The head is told, on the stream that it opened; it ends then, and the stream with it. */
static void refuse(struct handover *h, int code, const char *text)
{
    loop_fd_del(&h->watch);
    fd_close(&h->fd);
    mrc_link_unlend(h->o.link);
    mrc_link_bye(h->o.link, code, text);
    loop_timer_set(h->o.loop, &h->timer, BYE_MS, done, h);
}

static void on_late(void *ctx)
{
    refuse(ctx, -ETIMEDOUT, "the job's agent does not answer");
}

static void on_answer(void *ctx, uint32_t events UNUSED)
{
    struct handover *h = ctx;
    struct comeback_answer a;
    ssize_t n = fd_read(h->fd, &a, sizeof a);
    if (n == -EAGAIN)
        return;
    if (h->is_handed_over) { /* its stream is over, or it is */
        done(h);
    } else if (n != sizeof a) {
        refuse(h, -ESTALE, "the job's agent has just ended, and the job with it");
    } else if (a.rc < 0) {
        refuse(h, -EACCES, a.rc == -ESTALE ? "a newer connection has taken over" : "the job's agent does not know this session");
    } else {
        h->is_handed_over = true;
        loop_timer_del(&h->timer);
        mrc_link_forget_stream(h->o.link);
    }
}

static int knock(struct handover *h)
{
    struct sockaddr_un a;
    socklen_t len = address_of(h->request.session, &a);
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, len) < 0)
        return -errno;
    if (!peer_is_our_user(fd))
        return -EPERM;
    int fds[2];
    int rc = mrc_link_lend(h->o.link, &fds[0], &fds[1]);
    if (rc < 0)
        return rc;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { &h->request, sizeof h->request };
    struct msghdr m = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.space,
                        .msg_controllen = sizeof control.space };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(c), fds, sizeof fds);
    if (sendmsg(fd, &m, MSG_NOSIGNAL) != sizeof h->request)
        return -errno;
    h->fd = take_fd(&fd);
    return loop_fd_add(h->o.loop, &h->watch, h->fd, EPOLLIN, on_answer, h);
}

/* After the turn in which hello came: the link's own is written then. */
static void begin(void *ctx)
{
    struct handover *h = ctx;
    int rc = knock(h);
    explicit_bzero(&h->request.secret, sizeof h->request.secret);
    if (rc == 0)
        loop_timer_set(h->o.loop, &h->timer, ANSWER_MS, on_late, h);
    else if (rc == -ECONNREFUSED)
        refuse(h, -MRC_BYE_NO_SESSION,
               "the job's agent is not there any more: it was ended, or waited for too long, or the computer was started anew");
    else
        refuse(h, rc, rc == -EPERM ? "who answers for the session is somebody else" : strerror(-rc));
}

int handover_new(const struct handover_opts *o, const struct mrc_hello *hello,
                 struct handover **out)
{
    struct handover *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->o = *o;
    h->fd = -1;
    h->request.version = hello->version;
    if (hello->session.len != sizeof h->request.session ||
        hello->secret.len != sizeof h->request.secret ||
        hello->resume.len != sizeof h->request.resume) {
        free(h);
        return -EPROTO;
    }
    memcpy(h->request.session, hello->session.ptr, hello->session.len);
    memcpy(h->request.secret, hello->secret.ptr, hello->secret.len);
    memcpy(h->request.resume, hello->resume.ptr, hello->resume.len);
    loop_timer_set(o->loop, &h->timer, 0, begin, h);
    *out = h;
    return 0;
}

void handover_free(struct handover *h)
{
    if (!h)
        return;
    loop_fd_del(&h->watch);
    loop_timer_del(&h->timer);
    fd_close(&h->fd);
    free(h);
}
