/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keep.c: lets jobs into a view that stands.
 * Must not know: how the view was built, the session.
 * Privilege: whoever is let in gets the view's namespaces, so it must be this user (SO_PEERCRED)
 * and know the id. The names of abstract sockets can be read by everybody: the id's secret part is
 * not in it. */
#include "mrc/agent/keep.h"

#include "common/base/list.h"
#include "common/sys/fd.h"
#include "common/sys/loop.h"
#include "common/sys/mem.h"
#include "common/sys/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, JOIN_FDS = 3 };

struct keep {
    struct keep_opts o;
    struct loop_fd watch;
    struct link joins;
    size_t total, count; /* connections; of them, jobs in the view */
    bool is_finishing;
};

/* A job, or somebody who has knocked. */
struct join {
    struct link link;
    struct keep *keep;
    int fd;
    struct loop_fd watch;
    bool is_waiting; /* for its mark */
    bool is_in, is_shared;
    struct err lost; /* see struct keep_answer */
    int lost_rc;
    uint64_t mark;
    uint32_t used_since;
    struct mfs_barrier barrier;
};

socklen_t keep_address(const uint8_t id[JOB_KEEP_ID_BYTES], struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    size_t at = 1; /* abstract: nothing is left when its holder is killed */
    at += (size_t)snprintf(out->sun_path + at, sizeof out->sun_path - at, "mrc-view-");
    for (size_t i = 0; i < KEEP_NAME_BYTES; i++)
        at += (size_t)snprintf(out->sun_path + at, sizeof out->sun_path - at, "%02x", id[i]);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + at);
}

int keep_listen(const uint8_t id[JOB_KEEP_ID_BYTES], int *fd_out)
{
    struct sockaddr_un a;
    socklen_t len = keep_address(id, &a);
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    *fd_out = take_fd(&fd);
    return 0;
}

static void maybe_over(struct keep *k)
{
    if (!k->is_finishing || !list_is_empty(&k->joins))
        return;
    fd_close(&k->o.mount_ns_fd); /* it would keep the mounts */
    fd_close(&k->o.user_ns_fd);
    fd_close(&k->o.over_fd);
}

static void join_free(struct join *j)
{
    struct keep *k = j->keep;
    k->total--;
    k->count -= j->is_in;
    mfs_barrier_drop(&j->barrier);
    loop_fd_del(&j->watch);
    fd_close(&j->fd);
    list_remove(&j->link);
    free(j);
    maybe_over(k);
}

/* ---- answers ---- */

/* Behind the answer goes tail. */
static int send_answer_with(struct join *j, enum keep_kind kind, const int *fds, size_t count,
                            struct bytes tail)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(JOIN_FDS * sizeof(int))];
    } control = { 0 };
    struct keep *k = j->keep;
    struct keep_answer a;
    memset(&a, 0, sizeof a);
    a.kind = kind;
    a.is_shared = j->is_shared;
    a.lost_rc = j->lost_rc;
    snprintf(a.lost, sizeof a.lost, "%.190s", j->lost.text);
    a.report = k->o.report;
    mfs_client_stats(k->o.client, &a.stats);
    struct iovec iov[2] = { { &a, sizeof a }, { (void *)(uintptr_t)tail.ptr, tail.len } };
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
    if (count) {
        m.msg_control = control.space;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(j->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    /* It asks one question at a time: there is room. */
    return n == (ssize_t)(sizeof a + tail.len) ? 0 : -EPIPE;
}

static int send_answer(struct join *j, enum keep_kind kind, const int *fds, size_t count)
{
    return send_answer_with(j, kind, fds, count, (struct bytes){ NULL, 0 });
}

static int send_used(struct join *j)
{
    AUTO_FREE uint8_t *room = malloc(MFS_PROFILE_MAX);
    struct bytes used = { room, 0 };
    if (room)
        used.len = (uint32_t)mfs_client_used(j->keep->o.client, j->used_since, room);
    return send_answer_with(j, KEEP_USED, NULL, 0, used);
}

/* Whose write it was isn't known: all jobs that are in the view now hear of it. */
static void take_lost(struct keep *k)
{
    struct err e = { "" };
    int rc = mfs_client_take_lost(k->o.client, &e);
    LIST_EACH(&k->joins, it, nx)
    {
        struct join *j = LIST_ENTRY(it, struct join, link);
        if (rc < 0 && j->is_in && !j->lost_rc) {
            j->lost_rc = rc;
            j->lost = e;
        }
    }
}

static int let_in(struct join *j)
{
    struct keep *k = j->keep;
    take_lost(k); /* before this one was in */
    const int fds[JOIN_FDS] = { k->o.page_fd, k->o.mount_ns_fd, k->o.user_ns_fd };
    j->is_waiting = false;
    j->is_in = true;
    j->used_since = mfs_client_use_begin(k->o.client);
    k->count++;
    LIST_EACH(&k->joins, it, nx)
    {
        struct join *other = LIST_ENTRY(it, struct join, link);
        other->is_shared = other->is_shared || (other->is_in && k->count > 1);
    }
    return send_answer(j, KEEP_JOIN, fds, k->o.user_ns_fd < 0 ? 2 : 3);
}

static void on_barrier(void *ctx)
{
    struct join *j = ctx;
    take_lost(j->keep);
    if (send_answer(j, KEEP_BARRIER, NULL, 0) < 0)
        join_free(j);
}

static int got_request(struct join *j, const struct keep_request *q, struct bytes profile)
{
    struct keep *k = j->keep;
    switch (q->kind) {
    case KEEP_JOIN:
        if (j->is_in || j->is_waiting || memcmp(q->id, k->o.id, sizeof q->id) != 0)
            return -EPERM;
        j->mark = q->mark;
        j->is_waiting = true;
        mfs_client_warm(k->o.client, profile); /* before the job asks */
        return j->mark <= k->o.mark ? let_in(j) : 0;
    case KEEP_BARRIER:
        if (!j->is_in || link_is_in(&j->barrier.link))
            return -EPROTO;
        mfs_barrier_start(&j->barrier, k->o.client, on_barrier, j);
        return 0;
    case KEEP_STATS: return j->is_in ? send_answer(j, KEEP_STATS, NULL, 0) : -EPROTO;
    case KEEP_USED: return j->is_in ? send_used(j) : -EPROTO;
    }
    return -EPROTO;
}

static void on_join(void *ctx, uint32_t events UNUSED)
{
    struct join *j = ctx;
    struct {
        struct keep_request q;
        uint8_t profile[MFS_PROFILE_MAX];
    } in;
    ssize_t n = fd_read(j->fd, &in, sizeof in);
    if (n == -EAGAIN)
        return;
    size_t tail = n > (ssize_t)sizeof in.q ? (size_t)n - sizeof in.q : 0;
    if (n < (ssize_t)sizeof in.q ||
        got_request(j, &in.q, (struct bytes){ in.profile, (uint32_t)tail }) < 0)
        join_free(j);
}

/* ---- who knocks ---- */

static void on_knock(void *ctx, uint32_t events UNUSED)
{
    struct keep *k = ctx;
    AUTO_FD fd = accept4(k->o.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || !peer_is_our_user(fd) || k->total >= KEEP_JOINS_MAX)
        return; /* it sees the end of the connection */
    struct join *j = calloc(1, sizeof *j);
    if (!j)
        return;
    j->keep = k;
    j->fd = take_fd(&fd);
    list_push_back(&k->joins, &j->link);
    k->total++;
    if (loop_fd_add(k->o.loop, &j->watch, j->fd, EPOLLIN, on_join, j) < 0)
        join_free(j);
}

void keep_mark(struct keep *k, uint64_t mark)
{
    k->o.mark = mark;
    LIST_EACH(&k->joins, it, nx)
    {
        struct join *j = LIST_ENTRY(it, struct join, link);
        if (j->is_waiting && j->mark <= mark && let_in(j) < 0)
            join_free(j);
    }
}

/* ---- life ---- */

int keep_new(const struct keep_opts *o, struct keep **out)
{
    struct keep *k = calloc(1, sizeof *k);
    struct keep_opts given = *o;
    int rc = -ENOMEM;
    if (k) {
        k->o = given;
        list_init(&k->joins);
        rc = loop_fd_add(o->loop, &k->watch, o->listen_fd, EPOLLIN, on_knock, k);
        if (rc == 0) {
            *out = k;
            return 0;
        }
    }
    free(k);
    fd_close(&given.listen_fd);
    fd_close(&given.page_fd);
    fd_close(&given.mount_ns_fd);
    fd_close(&given.user_ns_fd);
    fd_close(&given.over_fd);
    return rc;
}

void keep_finish(struct keep *k)
{
    k->is_finishing = true;
    loop_fd_del(&k->watch);
    fd_close(&k->o.listen_fd);
    maybe_over(k);
}

void keep_free(struct keep *k)
{
    if (!k)
        return;
    keep_finish(k);
    LIST_EACH(&k->joins, it, nx)
    join_free(LIST_ENTRY(it, struct join, link));
    fd_close(&k->o.page_fd);
    free(k);
}
