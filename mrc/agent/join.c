/* SPDX-License-Identifier: GPL-2.0-or-later */
/* join.c: asks a kept view to let a job in, and later for what the job's end needs.
 * Must not know: the session, how a job is started.
 * Privilege: the descriptors that come decide what the job sees, so the other end must be this
 * user. */
#include "mrc/agent/join.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* The view's agent may have been started after ours: nothing tells when it listens. */
    KNOCK_AGAIN_MS = 5,
    JOIN_MS = 20 * 1000,
    STATS_MS = 2000,
    JOIN_FDS = 3,
};

struct joining {
    struct joining_opts o;
    int sock;
    uint64_t until_ms;
    struct loop_fd watch;
    struct loop_timer timer;
};

void joined_fini(struct joined *j)
{
    fd_close(&j->sock);
    fd_close(&j->mount_ns_fd);
    fd_close(&j->user_ns_fd);
    if (j->behind)
        munmap((void *)(uintptr_t)j->behind, sizeof *j->behind);
    j->behind = NULL;
}

void joining_free(struct joining *j)
{
    if (!j)
        return;
    loop_fd_del(&j->watch);
    loop_timer_del(&j->timer);
    fd_close(&j->sock);
    free(j);
}

static void done(struct joining *j, int rc, const char *why)
{
    loop_fd_del(&j->watch);
    loop_timer_del(&j->timer);
    j->o.on_done(j->o.ctx, rc, why); /* may free us */
}

/* room: for *len bytes behind the answer, as many as come; may be NULL. Returns the number of descriptors that came, or -errno. */
static int receive(int sock, struct keep_answer *a, int fds[JOIN_FDS], uint8_t *room, size_t *len)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(JOIN_FDS * sizeof(int))];
    } control = { 0 };
    struct iovec iov[2] = { { a, sizeof *a }, { room, room ? *len : 0 } };
    struct msghdr m = { .msg_iov = iov,
                        .msg_iovlen = 2,
                        .msg_control = control.space,
                        .msg_controllen = sizeof control.space };
    ssize_t n;
    do
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int count = 0;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
    }
    if (room)
        *len = n > (ssize_t)sizeof *a ? (size_t)n - sizeof *a : 0;
    if (n >= (ssize_t)sizeof *a && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return count;
    while (count)
        close(fds[--count]);
    return n == 0 ? -ECONNRESET : -EPROTO;
}

static int take_answer(struct joining *j)
{
    struct keep_answer a;
    int fds[JOIN_FDS] = { -1, -1, -1 };
    int n = receive(j->sock, &a, fds, NULL, NULL);
    if (n < 0)
        return n;
    AUTO_FD page = fds[0];
    AUTO_FD mount_ns = fds[1];
    AUTO_FD user_ns = fds[2];
    if (n < 2 || a.kind != KEEP_JOIN)
        return -EPROTO;
    void *map = mmap(NULL, sizeof(struct mfs_behind_count), PROT_READ, MAP_SHARED, page, 0);
    if (map == MAP_FAILED)
        return -errno;
    *j->o.out = (struct joined){ .sock = take_fd(&j->sock),
                                 .mount_ns_fd = take_fd(&mount_ns),
                                 .user_ns_fd = take_fd(&user_ns),
                                 .report = a.report,
                                 .behind = map,
                                 .stats = a.stats };
    return 0;
}

static void on_answer(void *ctx, uint32_t events UNUSED)
{
    struct joining *j = ctx;
    int rc = take_answer(j);
    if (rc == -EAGAIN)
        return;
    if (rc == 0)
        loop_fd_del(&j->watch);
    done(j, rc, rc == -ECONNRESET ? "the view has just ended" : rc < 0 ? strerror(-rc) : "");
}

static void on_late(void *ctx)
{
    done(ctx, -ETIMEDOUT, "the view was not there in time");
}

static int knock(struct joining *j)
{
    struct sockaddr_un a;
    socklen_t len = keep_address(j->o.id, &a);
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, len) < 0)
        return -errno;
    if (!peer_is_our_user(fd))
        return -EPERM;
    struct keep_request q;
    memset(&q, 0, sizeof q);
    q.kind = KEEP_JOIN;
    q.mark = j->o.mark;
    memcpy(q.id, j->o.id, sizeof q.id);
    struct iovec iov[2] = { { &q, sizeof q },
                            { (void *)(uintptr_t)j->o.profile.ptr, j->o.profile.len } };
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
    ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
    if (n != (ssize_t)(sizeof q + j->o.profile.len))
        return n < 0 ? -errno : -EPROTO;
    j->sock = take_fd(&fd);
    return loop_fd_add(j->o.loop, &j->watch, j->sock, EPOLLIN, on_answer, j);
}

static void try(void *ctx)
{
    struct joining *j = ctx;
    uint64_t now_ms = clock_mono_ms();
    int rc = knock(j);
    if (rc == 0)
        loop_timer_set(j->o.loop, &j->timer, j->until_ms > now_ms ? j->until_ms - now_ms : 0,
                       on_late, j);
    else if (rc != -ECONNREFUSED && rc != -EAGAIN) /* EAGAIN: many are before us */
        done(j, rc, rc == -EPERM ? "who answers for the view is somebody else" : strerror(-rc));
    else if (now_ms >= j->until_ms)
        on_late(j);
    else
        loop_timer_set(j->o.loop, &j->timer, KNOCK_AGAIN_MS, try, j);
}

int joining_start(const struct joining_opts *o, struct joining **out)
{
    struct joining *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    j->o = *o;
    j->sock = -1;
    j->until_ms = clock_mono_ms() + JOIN_MS;
    loop_timer_set(o->loop, &j->timer, 0, try, j);
    *out = j;
    return 0;
}

/* ---- in the view ---- */

static int ask(const struct joined *j, enum keep_kind kind)
{
    struct keep_request q;
    memset(&q, 0, sizeof q);
    q.kind = kind;
    return send(j->sock, &q, sizeof q, MSG_NOSIGNAL) == sizeof q ? 0 : -ECONNRESET;
}

static int wait_answer(const struct joined *j, enum keep_kind kind, int timeout_ms,
                       struct keep_answer *a, uint8_t *room, size_t *len)
{
    int fds[JOIN_FDS];
    for (;;) {
        struct pollfd p = { .fd = j->sock, .events = POLLIN };
        int n = poll(&p, 1, timeout_ms);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -ETIMEDOUT;
        n = receive(j->sock, a, fds, room, len);
        while (n > 0)
            close(fds[--n]);
        if (n != -EAGAIN)
            return n < 0 ? n : a->kind == kind ? 0 : -EPROTO;
    }
}

int joined_barrier(const struct joined *j)
{
    return ask(j, KEEP_BARRIER);
}

int joined_barrier_wait(const struct joined *j, int timeout_ms, int *lost_rc, struct err *lost)
{
    struct keep_answer a;
    int rc = wait_answer(j, KEEP_BARRIER, timeout_ms, &a, NULL, NULL);
    if (rc < 0)
        return rc;
    *lost_rc = a.lost_rc < 0 && a.lost_rc > -4096 ? a.lost_rc : 0;
    snprintf(lost->text, sizeof lost->text, "%.*s", (int)sizeof a.lost, a.lost);
    return 0;
}

int joined_stats(const struct joined *j, struct mfs_stats *out, bool *is_shared_out)
{
    struct keep_answer a;
    int rc = ask(j, KEEP_STATS);
    if (rc == 0)
        rc = wait_answer(j, KEEP_STATS, STATS_MS, &a, NULL, NULL);
    if (rc < 0)
        return rc;
    *out = a.stats;
    uint64_t *now = (uint64_t *)out;
    const uint64_t *then = (const uint64_t *)&j->stats;
    for (size_t i = 0; i < sizeof *out / sizeof *now; i++) /* a struct of nothing but counters */
        now[i] -= then[i];
    *is_shared_out = a.is_shared;
    return 0;
}

size_t joined_used(const struct joined *j, uint8_t *room)
{
    struct keep_answer a;
    size_t len = MFS_PROFILE_MAX;
    int rc = ask(j, KEEP_USED);
    if (rc == 0)
        rc = wait_answer(j, KEEP_USED, STATS_MS, &a, room, &len);
    return rc < 0 ? 0 : len;
}
