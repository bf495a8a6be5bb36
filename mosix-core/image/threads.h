/* SPDX-License-Identifier: GPL-2.0-or-later */
/* threads.h: the threads of a process besides the first, which stand still as that does.
 * Must not know: what is done with their state. */
#ifndef MOSIX_CORE_IMAGE_THREADS_H
#define MOSIX_CORE_IMAGE_THREADS_H

#include "common/base/err.h"
#include "mosix-core/image/asleep.h"
#include "mosix-core/image/tracee.h"

#include <signal.h>
#include <stdbool.h>

struct mx_thread {
    struct mx_tracee t;
    bool is_awaited;                   /* it is known to stand still */
    struct mx_asleep asleep;           /* before it was caught */
    struct user_regs_struct elsewhere; /* its registers as they go into an image */
    uint64_t clear_tid;                /* what only it can tell */
    stack_t alt;
};

/* Zeroed: none. */
struct mx_threads {
    struct mx_thread *list;
    unsigned count, size;
};

/* How many threads process pid has; 0: it is gone. */
unsigned mx_threads_count(pid_t pid);

/* Stops all threads but the first, which stands still already: looked for until two looks have
 * found none that is new. On a failure those that were found are stopped, or about to be.
 * Returns 0; -ENOTSUP with words when there are more than MX_THREADS_MAX or one can't be
 * stopped; -ETIMEDOUT when new ones come all the time, or one does not stop. */
MUST int mx_threads_seize(struct mx_threads *s, const struct mx_tracee *first, struct err *e);

/* NULL: none of this number. */
struct mx_thread *mx_threads_find(struct mx_threads *s, pid_t tid);

/* One more, which stands still: t, whose mem_fd is not used any more. Returns 0; -ENOTSUP,
 * -ENOMEM. */
MUST int mx_threads_take(struct mx_threads *s, const struct mx_tracee *first,
                         const struct mx_tracee *t, struct err *e);

/* A thread that first has made and that is traced by us. Returns it, standing still; NULL. */
MUST struct mx_thread *mx_threads_add(struct mx_threads *s, const struct mx_tracee *first,
                                      pid_t tid, struct err *e);

void mx_threads_sort(struct mx_threads *s);

/* Registers and masks as t says, for all; they stand still. */
MUST int mx_threads_rest(struct mx_threads *s, struct err *e);
/* Lets go of them all, and forgets them. Threads that have been killed, or could not be let go
 * as they had not stopped yet, are waited for, without which the process would have no end.
 * Bounded by MX_STOP_MS. */
void mx_threads_fini(struct mx_threads *s, pid_t pid);
/* They are somebody else's from now on. */
void mx_threads_forget(struct mx_threads *s);
/* The same of a process that is about to end by a signal: they are waited for, and don't go on.
 */
void mx_threads_bury(struct mx_threads *s);

#endif
