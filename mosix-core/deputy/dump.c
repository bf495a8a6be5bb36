/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump.c: signals and limits of dumps. Must not know: stubs, frames.
 * Source: proc(5), prlimit(2). */
#include "mosix-core/deputy/dump.h"

#include "common/sys/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

bool mx_dump_is_of(int signo)
{
    static const int those[] = { SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                                 SIGFPE,  SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS };
    for (size_t i = 0; i < ARRAY_LEN(those); i++)
        if (those[i] == signo)
            return true;
    return false;
}

/* A program, or who listens at a socket, gets dumps whatever the limit is. */
static bool is_given_away(void)
{
    char first = 0;
    AUTO_FD fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fd_read(fd, &first, 1) == 1 && (first == '|' || first == '@');
}

/* prlimit is for who has rights over the process; this for everybody. */
static bool read_limit(pid_t pid, uint64_t *soft)
{
    static const char name[] = "Max core file size";
    char path[40], text[4096];
    snprintf(path, sizeof path, "/proc/%d/limits", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    const char *line = strstr(text, name);
    if (!line)
        return false;
    line += sizeof name - 1;
    line += strspn(line, " ");
    *soft = strncmp(line, "unlimited", 9) == 0 ? UINT64_MAX : strtoull(line, NULL, 10);
    return true;
}

bool mx_dump_is_wanted(pid_t pid)
{
    uint64_t soft;
    if (!read_limit(pid, &soft))
        return false;
    return soft > 1 || (soft == 0 && is_given_away());
}

int mx_dump_forbid(struct mx_tracee *t, struct err *e)
{
    static const struct rlimit none = { 0, 0 };
    if (prlimit(t->pid, RLIMIT_CORE, &none, NULL) == 0)
        return 0;
    int rc = mx_tracee_scratch(t, 0, e); /* it may itself */
    if (rc == 0)
        rc = mx_tracee_write(t, t->scratch, &none, sizeof none, e);
    struct mx_call c = { SYS_prlimit64, { 0, RLIMIT_CORE, t->scratch, 0 } };
    return rc < 0 ? rc : mx_tracee_must(t, &c, "prlimit", e);
}
