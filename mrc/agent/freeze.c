/* SPDX-License-Identifier: GPL-2.0-or-later */
/* freeze.c: see freeze.h.
 * Must not know: why.
 * Source: proc(5). */
#include "mrc/agent/freeze.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ROUNDS = 20, /* who is not stopped yet may start others meanwhile */
    DEPTH = 64,
    LIST_BYTES = 64 * 1024,
};

/* The letter of its state; 0: it has ended. */
static char state_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *at = strrchr(text, ')'); /* the name may have anything in it */
    return at && at[1] == ' ' ? at[2] : 0;
}

static bool note(struct freeze *f, pid_t pid)
{
    if (f->count == f->size) {
        size_t size = f->size ? 2 * f->size : 256;
        pid_t *more = size <= FREEZE_MAX ? realloc(f->list, size * sizeof *more) : NULL;
        if (!more)
            return false;
        f->list = more;
        f->size = size;
    }
    f->list[f->count++] = pid;
    return true;
}

/* Returns how many were stopped now. */
static size_t stop_below(struct freeze *f, pid_t parent, int depth)
{
    char path[64];
    size_t count = 0;
    AUTO_FREE char *list = malloc(LIST_BYTES);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 || !list ? -1 : fd_read_full(fd, list, LIST_BYTES - 1);
    if (n <= 0)
        return 0;
    list[n] = 0;
    char *save = NULL;
    for (char *word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        pid_t pid = (pid_t)strtol(word, NULL, 10);
        char state = pid > 1 ? state_of(pid) : 0;
        bool runs = state && !strchr("TtZX", state);
        /* The parent first: it starts no others while its children are looked at. */
        if (runs && note(f, pid) && kill(pid, SIGSTOP) == 0)
            count++;
        if (state && depth < DEPTH)
            count += stop_below(f, pid, depth + 1);
    }
    return count;
}

void freeze_on(struct freeze *f)
{
    if (f->is_on)
        return;
    f->is_on = true;
    for (int i = 0; i < ROUNDS && stop_below(f, getpid(), 0); i++)
        continue;
}

void freeze_off(struct freeze *f)
{
    if (!f->is_on)
        return;
    for (size_t i = f->count; i > 0; i--)
        kill(f->list[i - 1], SIGCONT);
    free(f->list);
    *f = (struct freeze){ 0 };
}
