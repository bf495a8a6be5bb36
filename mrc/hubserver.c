/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubserver.c: the hub: the user's SSH connections between jobs, a waiting agent on each, and
 * who runs what. Here: its life, and who is connected.
 * Must not know: SSH, the session, what jobs do. */
#include "mrc/hubparts.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/share.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64 };

/* ---- nothing left to do ---- */

static void on_idle(void *ctx)
{
    struct hub *h = ctx;
    loop_stop(h->loop, 0);
}

void hub_look_idle(struct hub *h)
{
    if (h->clients || h->cables)
        loop_timer_del(&h->idle);
    else
        loop_timer_set(h->loop, &h->idle,
                       h->is_stopping ? 0 : (uint64_t)mrc_hub_idle_s() * 1000, on_idle, h);
}

/* ---- clients ---- */

void hub_client_free(struct client *j)
{
    struct hub *h = j->hub;
    struct client **at = &h->clients;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    h->client_count--;
    struct cable *c = j->cable;
    if (j->is_job || j->is_view)
        log_keep("%s: %s of process %d has ended", j->host, j->is_job ? "job" : "view",
                 (int)j->pid);
    loop_fd_del(&j->watch);
    loop_timer_del(&j->timer);
    fd_close(&j->fd);
    fd_close(&j->pidfd);
    free(j);
    if (c && !c->spares)
        hub_cable_serve(c); /* its place on the connection is free again */
    else if (c)
        hub_cable_look_idle(c);
    hub_look_idle(h);
}

static void on_client(void *ctx, uint32_t events)
{
    static uint8_t space[MRC_HUB_MSG_MAX];
    struct client *j = ctx;
    AUTO_FD fd = -1;
    (void)events;
    int n = mrc_share_take(j->fd, space, sizeof space, &fd);
    if (n == -EAGAIN)
        return;
    struct mrc_hub_msg m;
    int rc = n < 0 ? n : mrc_hub_msg_get((struct bytes){ space, (uint32_t)n }, &m);
    if (rc == 0)
        rc = hub_got_message(j, &m, &fd);
    if (rc < 0 && rc != -ECONNRESET)
        log_keep("process %d is cut off: %s", (int)j->pid, strerror(-rc));
    if (rc < 0)
        hub_client_free(j);
}

static void on_accept(void *ctx, uint32_t events)
{
    struct hub *h = ctx;
    (void)events;
    AUTO_FD fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred who = { 0, (uid_t)-1, 0 };
    socklen_t len = sizeof who;
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
        who.uid != geteuid() || h->client_count >= HUB_CLIENTS_MAX) {
        log_keep("refused a client%s",
                 fd >= 0 && who.uid == geteuid() ? ": there are too many" : "");
        return;
    }
    struct client *j = calloc(1, sizeof *j);
    if (!j)
        return;
    j->hub = h;
    j->pid = who.pid;
    j->pidfd = (int)syscall(SYS_pidfd_open, who.pid, 0);
    j->fd = take_fd(&fd);
    j->next = h->clients;
    h->clients = j;
    h->client_count++;
    if (loop_fd_add(h->loop, &j->watch, j->fd, EPOLLIN, on_client, j) < 0)
        hub_client_free(j);
    hub_look_idle(h);
}

/* ---- life ---- */

/* Returns 0 with the listening socket; -EBUSY another one runs. lock stays ours. */
static int listen_at(int dir, int *lock, int *fd_out)
{
    *lock = openat(dir, "hub.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0)
        return -errno;
    if (flock(*lock, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/hub.sock", dir);
    (void)unlinkat(dir, "hub.sock", 0); /* of one that was killed */
    umask(0177);                        /* the socket's mode */
    int rc = fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -errno : 0;
    umask(077);
    if (rc < 0 || listen(fd, BACKLOG) < 0)
        return rc < 0 ? rc : -errno;
    *fd_out = take_fd(&fd);
    return 0;
}

int mrc_hub_main(void)
{
    struct hub h = { .listen_fd = -1 };
    AUTO_FD dir = -1;
    AUTO_FD lock = -1;
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    int rc = mrc_hub_dir(&dir, NULL);
    if (rc == 0)
        rc = listen_at(dir, &lock, &h.listen_fd);
    if (rc == 0)
        rc = chdir("/") < 0 ? -errno : loop_new(&h.loop);
    if (rc == 0)
        rc = loop_fd_add(h.loop, &h.watch, h.listen_fd, EPOLLIN, on_accept, &h);
    if (rc < 0)
        return 1;
    mrc_log_here("hub");
    log_keep("starts");
    hub_look_idle(&h);
    rc = loop_run(h.loop);
    log_keep("ends");
    (void)unlinkat(dir, "hub.sock", 0);
    return rc < 0; /* the kernel closes the rest, and that ends what it held */
}
