/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness.c: where a job's errors go, kept for the moment of its end.
 * Must not know: why it is lost. Invariant: nothing is written where the job could not have
 * written itself. Source: open(2), O_PATH. */
#include "mosix-core/move/witness.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int stderr_of(int process)
{
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, STDERR_FILENO, 0);
    int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int open_again(int fd, int flags)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

/* A descriptor of a path is nobody who writes: the reader of a pipe sees its end. */
int mx_witness_keep(int process)
{
    AUTO_FD fd = stderr_of(process);
    return fd < 0 ? -1 : open_again(fd, O_PATH);
}

void mx_witness_say(int process, int kept, pid_t pid, const char *program, const char *what)
{
    char text[400];
    snprintf(text, sizeof text, "mosrun: process %d (%s) is lost: %s\n", (int)pid, program,
             what);
    log_error("%.*s", (int)strcspn(text, "\n"), text);
    AUTO_FD fd = stderr_of(process);
    if (fd < 0 && kept >= 0)
        fd = open_again(kept, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
    struct pollfd p = { fd, POLLOUT, 0 };
    if (fd >= 0 && poll(&p, 1, 0) > 0 && fd_write(fd, text, strlen(text)) < 0)
        log_at(LOG_VERBOSE, "job %d can't be told", (int)pid);
}

bool mx_witness_ends(int process, int time_ms)
{
    struct pollfd p = { process, POLLIN, 0 };
    int n;
    do
        n = poll(&p, 1, time_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}
