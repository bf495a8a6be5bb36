/* SPDX-License-Identifier: GPL-2.0-or-later */
/* meet.c: where the file servers of a user meet: finds the broker, or starts it.
 * Must not know: tokens.
 * Privilege: none. The directory is ours alone; whoever answers there must be us. */
#include "mrcfs/broker/broker.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/owndir.h"
#include "common/sys/title.h"
#include "mrcfs/lease/message.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIES = 5, WELCOME_MS = 3000, BACKLOG = 64 };

/* The socket's name by the directory's descriptor: short, and nobody can put another directory
 * in its place. */
static struct sockaddr_un address_of(int dir_fd)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/leases.sock", dir_fd);
    return a;
}

static int knock(int dir_fd, int *out)
{
    struct sockaddr_un a = address_of(dir_fd);
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return -errno;
    *out = take_fd(&fd);
    return 0;
}

/* Returns 0; -EPERM somebody else answers; -EAGAIN it ended meanwhile. */
static int hear_welcome(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return -errno;
    if (who.uid != geteuid())
        return -EPERM;
    uint8_t memory[MFS_LEASE_MESSAGE_BYTES];
    size_t have = 0;
    while (have < sizeof memory) {
        struct pollfd pf = { .fd = fd, .events = POLLIN };
        int n = poll(&pf, 1, WELCOME_MS);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ETIMEDOUT;
        ssize_t got = fd_read(fd, memory + have, sizeof memory - have);
        if (got == 0 || got == -ECONNRESET)
            return -EAGAIN;
        if (got < 0)
            return (int)got;
        have += (size_t)got;
    }
    struct rd r = rd_of(memory, sizeof memory);
    struct mfs_lease_message m;
    if (mfs_lease_message_get(&r, &m) < 0 || m.kind != MFS_LEASE_WELCOME ||
        m.key.dev != MFS_LEASE_VERSION)
        return -EPROTO;
    return 0;
}

/* ---- starting it ---- */

static void become_broker(int dir_fd, int listen_fd) __attribute__((noreturn));

/* Nothing of the process that started it is left: no descriptor, terminal, signal, name or
 * environment. It serves others, too, and must not be ended with what that one belonged to. */
static void become_broker(int dir_fd, int listen_fd)
{
    fd_close_all_but((const int[]){ dir_fd, listen_fd }, 2);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    if (null > 2)
        close(null);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    sigaction(SIGHUP, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    umask(077);
    if (chdir("/") < 0)
        _exit(1);
    title_set("mrc-leases");
    title_drop_environment();
    log_keep_in(dir_fd, "broker");
    log_keep("starts");
    /* Members see this process as their peer, not the one that began to listen. */
    if (listen(listen_fd, BACKLOG) < 0)
        _exit(1);
    mfs_broker_run(&(struct mfs_broker_opts){ listen_fd, dir_fd, MFS_BROKER_LINGER_MS,
                                              MFS_BROKER_PATIENCE_MS });
    log_keep("ends: nobody has been connected for a while");
    _exit(0);
}

/* Descriptors beyond the standard ones, for the broker, which replaces those. */
static int high(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int fork_broker(int dir_fd, int listen_fd)
{
    AUTO_FD dir = high(dir_fd);
    AUTO_FD listener = high(listen_fd);
    if (dir < 0 || listener < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        /* Nobody's child, in no session of ours. */
        setsid();
        pid = fork();
        if (pid == 0)
            become_broker(dir, listener);
        _exit(pid < 0);
    }
    if (pid < 0)
        return -errno;
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

/* With the lock held nobody else starts one, and none ends. */
static int start(int dir_fd)
{
    AUTO_FD lock =
        openat(dir_fd, "leases.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return -errno;
    while (flock(lock, LOCK_EX) < 0)
        if (errno != EINTR)
            return -errno;
    AUTO_FD there = -1;
    if (knock(dir_fd, &there) == 0)
        return 0; /* meanwhile */
    unlinkat(dir_fd, "leases.sock", 0);
    struct sockaddr_un a = address_of(dir_fd);
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old = umask(0177);
    int rc = fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, BACKLOG) < 0
                 ? -errno
                 : 0;
    umask(old);
    return rc < 0 ? rc : fork_broker(dir_fd, fd);
}

int mfs_broker_connect(const char *dir, int *out, struct err *e)
{
    AUTO_FD dir_fd = -1;
    int rc = owndir_open(dir, &dir_fd, e);
    if (rc < 0)
        return rc;
    for (int i = 0; i < TRIES; i++) {
        AUTO_FD fd = -1;
        rc = knock(dir_fd, &fd);
        if (rc == -ENOENT || rc == -ECONNREFUSED) {
            rc = start(dir_fd);
            if (rc == 0)
                rc = knock(dir_fd, &fd);
        }
        if (rc == 0)
            rc = hear_welcome(fd);
        if (rc == 0) {
            *out = take_fd(&fd);
            return 0;
        }
        if (rc != -EAGAIN && rc != -ENOENT && rc != -ECONNREFUSED)
            break;
    }
    return err_set(e, -rc, "the broker of leases");
}
