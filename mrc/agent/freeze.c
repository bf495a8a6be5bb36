/* SPDX-License-Identifier: GPL-2.0-or-later */
/* freeze.c: see freeze.h.
 * Must not know: why. */
#include "mrc/agent/freeze.h"

#include "common/sys/mem.h"
#include "mrc/agent/below.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ROUNDS = 20, /* who is not stopped yet may start others meanwhile */
};

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

/* Returns how many were stopped now. Parents first: they start no others while their children are looked at. */
static size_t stop_below(struct freeze *f)
{
    AUTO_FREE struct below_proc *list = NULL;
    size_t stopped = 0;
    int count = below_list(getpid(), &list);
    for (int i = 0; i < count; i++)
        if (list[i].pid > 1 && !strchr("TtZX", list[i].state) && note(f, list[i].pid) && kill(list[i].pid, SIGSTOP) == 0)
            stopped++;
    return stopped;
}

void freeze_on(struct freeze *f)
{
    if (f->is_on)
        return;
    f->is_on = true;
    for (int i = 0; i < ROUNDS && stop_below(f); i++)
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
