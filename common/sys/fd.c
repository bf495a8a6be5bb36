/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fd.c: file descriptors that own themselves; EINTR and short transfers.
 * Must not know: protocols. */
#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fd_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

ssize_t fd_read(int fd, void *ptr, size_t len_bytes)
{
    ssize_t n;
    do
        n = read(fd, ptr, len_bytes);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t fd_write(int fd, const void *ptr, size_t len_bytes)
{
    ssize_t n;
    do
        n = write(fd, ptr, len_bytes);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t fd_read_full(int fd, void *ptr, size_t len_bytes)
{
    size_t done = 0;
    while (done < len_bytes) {
        ssize_t n = fd_read(fd, (uint8_t *)ptr + done, len_bytes - done);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int fd_write_full(int fd, const void *ptr, size_t len_bytes)
{
    size_t done = 0;
    while (done < len_bytes) {
        ssize_t n = fd_write(fd, (const uint8_t *)ptr + done, len_bytes - done);
        if (n < 0)
            return (int)n;
        done += (size_t)n;
    }
    return 0;
}

static int change_flag(int fd, int get, int set, int flag, bool is_on)
{
    int flags = fcntl(fd, get);
    if (flags < 0)
        return -errno;
    int wanted = is_on ? flags | flag : flags & ~flag;
    return fcntl(fd, set, wanted) < 0 ? -errno : 0;
}

int fd_set_nonblock(int fd, bool is_nonblocking)
{
    return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, is_nonblocking);
}

int fd_set_cloexec(int fd, bool is_cloexec)
{
    return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, is_cloexec);
}

int fd_socketpair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
}

int fd_pipe(int pair[2])
{
    return pipe2(pair, O_CLOEXEC) < 0 ? -errno : 0;
}

void fd_close_all_but(const int *keep, size_t count)
{
    unsigned first = 3;
    for (;;) {
        /* The least kept descriptor that is still ahead. */
        unsigned next = ~0u;
        for (size_t i = 0; i < count; i++)
            if (keep[i] >= 0 && (unsigned)keep[i] >= first && (unsigned)keep[i] < next)
                next = (unsigned)keep[i];
        if (next > first)
            close_range(first, next - 1, 0);
        if (next == ~0u)
            return;
        first = next + 1;
    }
}

int fd_send(int sock, int fd_to_pass)
{
    char byte = 0;
    struct iovec iov = { &byte, 1 };
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.space,
                          .msg_controllen = sizeof control.space };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd_to_pass, sizeof(int));
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int fd_receive(int sock, int *fd_out)
{
    char byte;
    struct iovec iov = { &byte, 1 };
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.space,
                          .msg_controllen = sizeof control.space };
    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (n == 0 || !c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
        return -EPROTO;
    memcpy(fd_out, CMSG_DATA(c), sizeof(int));
    return 0;
}
