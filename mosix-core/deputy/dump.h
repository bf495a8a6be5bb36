/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump.h: does a process that dies of a signal leave a dump of its memory here?
 * Must not know: stubs, frames. Source: core(5), signal(7). */
#ifndef MOSIX_CORE_DEPUTY_DUMP_H
#define MOSIX_CORE_DEPUTY_DUMP_H

#include "mosix-core/image/tracee.h"

#include <stdbool.h>
#include <sys/types.h>

/* Is it one that dumps, when it ends a process? */
bool mx_dump_is_of(int signo);
/* Would a dump of process pid be made, or given to the program that this computer has for it?
 * When it can't be found out: no. */
bool mx_dump_is_wanted(pid_t pid);

/* None is made of t, which stands still and is about to be ended. It may be left with memory
 * of ours. Returns 0 or -errno. */
MUST int mx_dump_forbid(struct mx_tracee *t, struct err *e);

#endif
