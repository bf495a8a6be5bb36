/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dial.c: mrc --nest-dial: a ProxyCommand whose connection is made by the target.
 * Must not know: what goes over it. */
#include "mrc/nest/nest.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 << 10 };

/* Brings what from has to to. Returns 1, 0 at its end, -errno. */
static int bring(int from, int to)
{
    static char bytes[PIECE_BYTES];
    ssize_t n = fd_read(from, bytes, sizeof bytes);
    if (n <= 0)
        return (int)n;
    int rc = fd_write_full(to, bytes, (size_t)n);
    return rc < 0 ? rc : 1;
}

int mrc_nest_dial_main(const char *name, const char *host, const char *port)
{
    log_init("mrc", LOG_NORMAL);
    char text[MRC_NEST_REQUEST_MAX];
    int len = snprintf(text, sizeof text, "%s%c%s", host, 0, port) + 1;
    AUTO_FD sock = len > (int)sizeof text ? -E2BIG : mrc_nest_connect(name);
    int rc = sock < 0 ? sock : fd_write_full(sock, text, (size_t)len);
    if (rc < 0) {
        log_error("%s: the job whose connection this needs is over: %s", host, strerror(-rc));
        return 255;
    }
    struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
                           { .fd = sock, .events = POLLIN } };
    while (rc >= 0 && p[1].fd >= 0) {
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[0].revents && (rc = bring(STDIN_FILENO, sock)) == 0) {
            shutdown(sock, SHUT_WR);
            p[0].fd = -1;
        }
        if (rc >= 0 && p[1].revents && (rc = bring(sock, STDOUT_FILENO)) == 0)
            p[1].fd = -1;
    }
    return rc < 0 ? 255 : 0;
}
