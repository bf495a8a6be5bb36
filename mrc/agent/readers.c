/* SPDX-License-Identifier: GPL-2.0-or-later */
/* readers.c: finds threads that wait for a pipe.
 * Must not know: where the bytes come from. */
#include "mrc/agent/readers.h"

#include "common/base/attr.h"
#include "common/sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    POLLFDS_MAX = 256, /* entries of one poll that are looked at */
    ANY_SIZE = 65536,  /* asked for where the size of the read can't be seen */
};

enum how { BY_FD, BY_POLL, BY_SELECT, BY_EPOLL };

/* The native calls that can wait for a pipe, and those of 32-bit x86 where the number is no
 * native one of ours. size_arg: which argument is the size, -1 = ANY_SIZE. */
static const struct {
    long number;
    enum how how;
    int size_arg;
} calls[] = {
    { SYS_read, BY_FD, 2 },
    { SYS_readv, BY_FD, -1 },
    { SYS_splice, BY_FD, 4 },
    { SYS_tee, BY_FD, 2 },
    { SYS_ppoll, BY_POLL, -1 },
    { SYS_pselect6, BY_SELECT, -1 },
    { SYS_epoll_pwait, BY_EPOLL, -1 },
#ifdef SYS_poll
    { SYS_poll, BY_POLL, -1 },
#endif
#ifdef SYS_select
    { SYS_select, BY_SELECT, -1 },
#endif
#ifdef SYS_epoll_wait
    { SYS_epoll_wait, BY_EPOLL, -1 },
#endif
#ifdef __x86_64__
    { 3, BY_FD, 2 }, /* i386: read; native close never waits for a pipe */
#endif
};

static bool is_pipe(pid_t pid, long long fd, const char *link)
{
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%lld", pid, fd);
    ssize_t n = readlink(path, text, sizeof text - 1);
    if (n < 0)
        return false;
    text[n] = 0;
    return !strcmp(text, link);
}

static ssize_t peek(pid_t pid, unsigned long long address, void *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : pread(fd, out, size, (off_t)address);
}

static bool polls_it(pid_t pid, const unsigned long long *arg, const char *link)
{
    struct pollfd list[POLLFDS_MAX];
    size_t count = arg[1] < POLLFDS_MAX ? (size_t)arg[1] : POLLFDS_MAX;
    ssize_t n = peek(pid, arg[0], list, count * sizeof *list);
    for (size_t i = 0; n > 0 && i < (size_t)n / sizeof *list; i++)
        if (list[i].fd >= 0 && list[i].events & POLLIN && is_pipe(pid, list[i].fd, link))
            return true;
    return false;
}

static bool selects_it(pid_t pid, const unsigned long long *arg, const char *link)
{
    fd_set set;
    FD_ZERO(&set);
    size_t bytes = (size_t)(arg[0] + 7) / 8;
    if (!arg[1] || peek(pid, arg[1], &set, bytes < sizeof set ? bytes : sizeof set) <= 0)
        return false;
    for (int fd = 0; fd < FD_SETSIZE && (unsigned long long)fd < arg[0]; fd++)
        if (FD_ISSET(fd, &set) && is_pipe(pid, fd, link))
            return true;
    return false;
}

static bool epolls_it(pid_t pid, const unsigned long long *arg, const char *link)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%lld", pid, (long long)arg[0]);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        int fd;
        unsigned events;
        if (sscanf(line, "tfd: %d events: %x", &fd, &events) == 2 && events & POLLIN)
            found = is_pipe(pid, fd, link);
    }
    if (f)
        fclose(f);
    return found;
}

static enum readers_want look_at_call(pid_t pid, const char *text, const char *link,
                                      uint64_t *size)
{
    long number;
    unsigned long long arg[6];
    if (sscanf(text, "%ld %llx %llx %llx %llx %llx %llx", &number, &arg[0], &arg[1], &arg[2],
               &arg[3], &arg[4], &arg[5]) != 7)
        return READERS_NONE; /* "running", or in no call */
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        if (calls[i].number != number)
            continue;
        switch (calls[i].how) {
        case BY_FD:
            *size = calls[i].size_arg >= 0 ? arg[calls[i].size_arg] : ANY_SIZE;
            return is_pipe(pid, (int)arg[0], link) ? READERS_READ : READERS_NONE;
        case BY_POLL: return polls_it(pid, arg, link) ? READERS_POLL : READERS_NONE;
        case BY_SELECT: return selects_it(pid, arg, link) ? READERS_POLL : READERS_NONE;
        case BY_EPOLL: return epolls_it(pid, arg, link) ? READERS_POLL : READERS_NONE;
        default: return READERS_NONE;
        }
    }
    return READERS_NONE;
}

static bool is_dead(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof text - 1);
    if (n <= 0)
        return true;
    text[n] = 0;
    const char *state = strrchr(text, ')');
    return !state || strspn(state + 1, " ZX") > 1;
}

static enum readers_want look_at_thread(pid_t pid, const char *tid, const char *link,
                                        uint64_t *size)
{
    char path[300], text[256];
    snprintf(path, sizeof path, "/proc/%d/task/%s/syscall", pid, tid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0) {
        *size = ANY_SIZE;
        return (errno == EPERM || errno == EACCES) && !is_dead(pid) ? READERS_HIDDEN
                                                                    : READERS_NONE;
    }
    text[n] = 0;
    return look_at_call(pid, text, link, size);
}

static enum readers_want more(enum readers_want a, enum readers_want b)
{
    return a > b ? a : b;
}

static enum readers_want look_at_process(pid_t pid, const char *link, uint64_t *size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    enum readers_want want = READERS_NONE;
    for (struct dirent *e; d && want <= READERS_HIDDEN && (e = readdir(d));)
        if (e->d_name[0] != '.')
            want = more(want, look_at_thread(pid, e->d_name, link, size));
    if (d)
        closedir(d);
    return want;
}

enum readers_want readers_look(const char *link, uint64_t *size)
{
    DIR *d = opendir("/proc");
    enum readers_want want = READERS_NONE;
    for (struct dirent *e; d && want <= READERS_HIDDEN && (e = readdir(d));) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid > 0 && pid != getpid())
            want = more(want, look_at_process(pid, link, size));
    }
    if (d)
        closedir(d);
    return want;
}
