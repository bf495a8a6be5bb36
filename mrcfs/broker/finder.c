/* SPDX-License-Identifier: GPL-2.0-or-later */
/* finder.c: a process beside a file server that finds the broker anew when it has died, or starts
 * one, which the server can't do once it is confined.
 * Must not know: tokens.
 * It does this one thing, whoever asks, and ends with the other end of its socket. */
#include "mrcfs/broker/broker.h"

#include "common/sys/fd.h"
#include "common/sys/title.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

enum { PAUSE_MS = 200 }; /* between two answers, however often it is asked */

static _Noreturn void find(const char *dir, int sock)
{
    char byte;
    fd_close_all_but((const int[]){ sock }, 1);
    title_set("mrc-finder");
    signal(SIGPIPE, SIG_IGN);
    while (fd_read(sock, &byte, 1) == 1) {
        AUTO_FD fd = -1;
        int rc = mfs_broker_connect(dir, &fd, NULL);
        rc = rc == 0 ? fd_send(sock, fd) : fd_write_full(sock, &byte, 1);
        if (rc < 0)
            break;
        (void)poll(NULL, 0, PAUSE_MS);
    }
    _exit(0);
}

int mfs_broker_finder(const char *dir, int *fd_out)
{
    int pair[2];
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return rc;
    AUTO_FD ours = pair[0];
    AUTO_FD theirs = pair[1];
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        find(dir, theirs);
    *fd_out = take_fd(&ours);
    return 0;
}
