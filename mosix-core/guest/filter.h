/* SPDX-License-Identifier: GPL-2.0-or-later */
/* filter.h: which system calls a body makes itself; all others are noticed, and wait for who
 * supervises it. Must not know: what becomes of the others. */
#ifndef MOSIX_CORE_GUEST_FILTER_H
#define MOSIX_CORE_GUEST_FILTER_H

#include "mosix-core/abi/calls.h"

#include <linux/filter.h>
#include <stddef.h>

enum {
    MX_FILTER_MAX = 512, /* instructions */
    /* In the sixth argument of calls that have none: the supervisor makes it in the body by
     * ptrace. A body that says so itself can send a signal to its own kind, or wait. */
    MX_FILTER_OURS = 0x4d784f75,
};

/* Builds the program of the lines of calls.def that are HERE, anonymous mmap that is not
 * shared, and rt_tgsigqueueinfo and rt_sigsuspend with MX_FILTER_OURS; all else is noticed,
 * other architectures' calls too. Returns its length; -ENOSPC over MX_FILTER_MAX. */
MUST int mx_filter_build(struct sock_filter program[MX_FILTER_MAX]);

/* The name in calls.def of this machine's call, or NULL. */
const char *mx_call_name(long number);
/* The line of this machine's call with these arguments, or NULL: mx_call_pick by number. */
const struct mx_call_line *mx_call_find(long number, const uint64_t args[MX_CALL_ARGS]);

#endif
