/* SPDX-License-Identifier: GPL-2.0-or-later */
/* asleep.h: in which call a process waits, and how much of its time is left. Must not know:
 * what is done with it then. A stop takes a process out of its call, and its kernel tells
 * nobody how long it would still have waited; but it lists its timers, and the one that has
 * gone with the stop was the call's.
 */
#ifndef MOSIX_CORE_IMAGE_ASLEEP_H
#define MOSIX_CORE_IMAGE_ASLEEP_H

#include "common/base/err.h"
#include "mosix-core/image/tracee.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

enum { MX_TIMERS_MAX = 8192 }; /* of a list that are looked at */

struct mx_asleep {
    long number;     /* of the call, as the program has made it; -1: it waits in none */
    bool is_restart; /* the kernel goes on with it by its own note */
    uint64_t args[6], sp, pc;
    uint64_t switches;   /* how often it had given its processor away */
    uint64_t *timers_ns; /* when they end; NULL: not known */
    unsigned timer_count;
};

/* Of one that runs or waits; with_timers: also when, which only root may ask. What can't be
 * found out is as if it were not so. */
void mx_asleep_look(struct mx_asleep *a, pid_t pid, bool with_timers);
void mx_asleep_fini(struct mx_asleep *a);

/* Of the same process, which stands still now and has not been touched: when it is still in
 * that call, sets t->waits, and t->wait_value to what asks for the rest. Returns 0; -EAGAIN
 * when it is in a call that the kernel goes on with by its own note, and which one can't be
 * said: look again. */
MUST int mx_asleep_stopped(const struct mx_asleep *a, struct mx_tracee *t);

/* What the argument of call number (image/waits.h) has to be for it to wait left_ns. If that is
 * in memory, it is written below what the program uses of its stack; where nothing can be
 * written it is the argument as it is, and the whole time begins anew. */
uint64_t mx_asleep_value(const struct mx_tracee *t, const struct user_regs_struct *regs,
                         long number, int64_t left_ns);

/* Makes call number again, with value as the argument that says how long; a handler that comes
 * first ends it with EINTR. Pure. */
void mx_asleep_again(struct user_regs_struct *regs, long number, uint64_t value);

/* How long a call waits by its arguments, in ns; -1: not such a call, or not to be read.
 * mem_fd: /proc/PID/mem. */
MUST int64_t mx_asleep_limit(int mem_fd, long number, const uint64_t args[6]);

/* When the timers of a list as /proc/timer_list end: those of the first clock of each processor
 * that wake a process, in ns. text ends with 0. Returns how many, at most max. Pure. */
unsigned mx_timers_parse(const char *text, uint64_t *ends_ns, unsigned max);

#endif
