/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dial.c: standard input and output joined to a TCP connection.
 * Must not know: lab clusters. */
#include "examples/lab/dial.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK_BYTES = 64 * 1024 };

static int connect_to(const char *address, const char *port, int *out, struct err *e)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
    struct addrinfo *found;
    const int on = 1;
    int rc = getaddrinfo(address, port, &hints, &found);
    if (rc != 0)
        return err_set(e, 0, "%s port %s: %s", address, port, gai_strerror(rc));
    AUTO_FD sock = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rc = sock < 0 ? -errno : connect(sock, found->ai_addr, found->ai_addrlen) < 0 ? -errno : 0;
    freeaddrinfo(found);
    if (rc < 0)
        return err_set(e, -rc, "connect to %s port %s", address, port);
    (void)setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *out = take_fd(&sock);
    return 0;
}

/* One block, blocking on the way out. Returns its length, 0 at the end, or -errno. */
static ssize_t move(int from, int to)
{
    static char block[BLOCK_BYTES];
    ssize_t len = fd_read(from, block, sizeof(block));
    if (len <= 0)
        return len;
    int rc = fd_write_full(to, block, (size_t)len);
    return rc < 0 ? rc : len;
}

int dial(const char *address, const char *port, struct err *e)
{
    AUTO_FD sock = -1;
    int rc = connect_to(address, port, &sock, e);
    if (rc < 0)
        return rc;
    struct pollfd ways[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
                              { .fd = sock, .events = POLLIN } };
    for (;;) {
        if (poll(ways, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return err_set(e, errno, "poll");
        }
        if (ways[1].revents != 0) {
            ssize_t len = move(sock, STDOUT_FILENO);
            if (len <= 0)
                return len == 0 ? 0 : err_set(e, (int)-len, "from %s port %s", address, port);
        }
        if (ways[0].revents != 0 && move(STDIN_FILENO, sock) <= 0) {
            ways[0].fd = -1;
            if (shutdown(sock, SHUT_WR) < 0)
                return err_set(e, errno, "to %s port %s", address, port);
        }
    }
}
