/* SPDX-License-Identifier: GPL-2.0-or-later */
/* share.c: messages with a descriptor.
 * Must not know: SSH, who asks. */
#include "mrc/share.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int mrc_share_pair(int *ours, int *theirs)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    *ours = pair[0];
    *theirs = pair[1];
    return 0;
}

union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int))];
};

int mrc_share_send(int sock, const void *ptr, size_t len_bytes, int fd)
{
    struct iovec iov = { (void *)ptr, len_bytes };
    union control control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (fd >= 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof control.space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int mrc_share_take(int sock, void *ptr, size_t size_bytes, int *fd_out)
{
    struct iovec iov = { ptr, size_bytes };
    union control control = { 0 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.space,
                          .msg_controllen = sizeof control.space };
    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    AUTO_FD fd = -1;
    AUTO_FD second = -1; /* alignment leaves room for it */
    const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        if (c->cmsg_len >= CMSG_LEN(2 * sizeof(int)))
            memcpy(&second, CMSG_DATA(c) + sizeof fd, sizeof second);
    }
    if (n == 0)
        return -ECONNRESET;
    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || second >= 0)
        return -EPROTO;
    *fd_out = take_fd(&fd);
    return (int)n;
}

int mrc_share_command(int control, const char *command, int fd)
{
    size_t len = strlen(command);
    return len && len < MRC_SHARE_COMMAND_BYTES ? mrc_share_send(control, command, len, fd)
                                                : -EINVAL;
}

int mrc_share_keep(int control, int wait_ms)
{
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0)
        return rc;
    AUTO_FD done = pair[0];
    rc = mrc_share_send(control, "", 1, pair[1]);
    close(pair[1]);
    if (rc < 0)
        return rc;
    struct pollfd p = { done, POLLIN, 0 };
    int n;
    do
        n = poll(&p, 1, wait_ms);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

int mrc_share_receive(int control, char command[MRC_SHARE_COMMAND_BYTES], int *fd_out)
{
    int n = mrc_share_take(control, command, MRC_SHARE_COMMAND_BYTES - 1, fd_out);
    if (n < 0)
        return n;
    command[n] = 0;
    return *fd_out < 0 ? -EPROTO : 0;
}
