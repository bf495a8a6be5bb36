/* SPDX-License-Identifier: GPL-2.0-or-later */
/* below.c: see below.h.
 * Must not know: what is done to them.
 * All of /proc is read, for what each says of its parent: lists of children are kept by thread, and not by every kernel.
 * Source: proc(5). */
#include "mrc/agent/below.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct procs {
    struct below_proc *list;
    size_t count, size;
};

static int add(struct procs *all, const struct below_proc *p)
{
    if (all->count == BELOW_MAX)
        return 0;
    if (all->count == all->size) {
        size_t size = all->size ? 2 * all->size : 256;
        struct below_proc *more = realloc(all->list, size * sizeof *more);
        if (!more)
            return -ENOMEM;
        all->list = more;
        all->size = size;
    }
    all->list[all->count++] = *p;
    return 0;
}

/* False: it has just ended. */
static bool look_at(pid_t pid, struct below_proc *out)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = 0;
    const char *at = strrchr(text, ')'); /* the name may have anything in it */
    if (!at || at[1] != ' ' || !at[2] || at[3] != ' ')
        return false;
    *out = (struct below_proc){ .pid = pid, .parent = (pid_t)strtol(at + 4, NULL, 10), .state = at[2] };
    return true;
}

static int scan(struct procs *all)
{
    DIR *d = opendir("/proc");
    if (!d)
        return -errno;
    int rc = 0;
    struct dirent *entry;
    while (rc == 0 && (entry = readdir(d))) {
        struct below_proc p;
        if (isdigit((unsigned char)entry->d_name[0]) && look_at((pid_t)strtol(entry->d_name, NULL, 10), &p))
            rc = add(all, &p);
    }
    closedir(d);
    return rc;
}

/* Moves those whose parent is `parent` behind the first `done`; returns how many are there then. */
static size_t gather(struct procs *all, size_t done, pid_t parent)
{
    for (size_t i = done; i < all->count; i++) {
        struct below_proc p = all->list[i];
        if (p.parent != parent || p.pid == parent)
            continue;
        all->list[i] = all->list[done];
        all->list[done++] = p;
    }
    return done;
}

int below_list(pid_t ancestor, struct below_proc **out)
{
    struct procs all = { 0 };
    int rc = scan(&all);
    if (rc < 0) {
        free(all.list);
        return rc;
    }
    size_t count = gather(&all, 0, ancestor);
    for (size_t i = 0; i < count; i++)
        count = gather(&all, count, all.list[i].pid);
    *out = all.list;
    return (int)count;
}
