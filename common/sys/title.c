/* SPDX-License-Identifier: GPL-2.0-or-later */
/* title.c: what a process is called in lists of processes.
 * The kernel shows the memory between arg_start and arg_end (proc_pid_stat(5), fields 48 and
 * 49) as the command line, and that between env_start and env_end (50 and 51) as the
 * environment. */
#include "common/sys/title.h"

#include "common/sys/fd.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { ARG_START_FIELD = 48, ENV_START_FIELD = 50, FIRST_AFTER_NAME = 3 };

static int memory_of(int start_field, char **start, char **end)
{
    char stat[2048];
    AUTO_FD fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, stat, sizeof stat - 1);
    if (n <= 0)
        return -1;
    stat[n] = '\0';
    const char *at = strrchr(stat, ')'); /* the name may have anything in it */
    for (int field = FIRST_AFTER_NAME; at && field <= start_field; field++)
        at = strchr(at + 1, ' ');
    char *rest;
    *start = (char *)(uintptr_t)(at ? strtoull(at, &rest, 10) : 0);
    *end = (char *)(uintptr_t)(at ? strtoull(rest, NULL, 10) : 0);
    return *start && *end > *start ? 0 : -1;
}

/* The variables go elsewhere, so that what lies behind the command line can be written over. */
static int move_environment(void)
{
    static char **moved;
    if (!environ || environ == moved)
        return 0;
    size_t n = 0;
    while (environ[n])
        n++;
    char **to = calloc(n + 1, sizeof *to);
    for (size_t i = 0; to && i < n; i++)
        if (!(to[i] = strdup(environ[i]))) {
            while (i-- > 0)
                free(to[i]);
            free(to);
            to = NULL;
        }
    if (!to)
        return -1;
    environ = moved = to;
    return 0;
}

/* A command line whose last byte is no NUL goes on in the environment, for the kernel, where
 * that follows it. */
static size_t room_beyond(const char *end)
{
    char *env_start, *env_end;
    if (memory_of(ENV_START_FIELD, &env_start, &env_end) < 0 || env_start != end ||
        move_environment() < 0)
        return 0;
    return (size_t)(env_end - env_start);
}

void title_set(const char *text)
{
    prctl(PR_SET_NAME, text);
    char *start, *end;
    if (memory_of(ARG_START_FIELD, &start, &end) < 0)
        return;
    size_t room = (size_t)(end - start), len = strlen(text);
    if (len >= room)
        room += room_beyond(end);
    memset(start, 0, room);
    memcpy(start, text, len < room ? len : room - 1);
}

void title_drop_environment(void)
{
    char *start, *end;
    clearenv();
    if (memory_of(ENV_START_FIELD, &start, &end) == 0)
        memset(start, 0, (size_t)(end - start));
}
