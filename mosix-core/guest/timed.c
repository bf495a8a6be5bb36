/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timed.c: how long a call of a body has waited. Must not know: why that is asked. */
#include "mosix-core/guest/timed.h"

#include "common/sys/clock.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/image/waits.h"
#include "mosix-core/image/asleep.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

void mx_timed_begin(struct mx_timed *w, const struct seccomp_data *d, int mem_fd)
{
    *w = (struct mx_timed){ .pc = d->instruction_pointer, .begun_us = clock_mono_us() };
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        w->args[i] = d->args[i];
    if (mx_wait_find(d->nr, w->args) && mx_asleep_limit(mem_fd, d->nr, w->args) >= 0)
        w->number = d->nr;
}

/* The kernel may be about to go on with it by its own note, which no other place has. */
static bool is_in_it(const struct mx_timed *w, const struct user_regs_struct *r)
{
    const uint64_t args[MX_CALL_ARGS] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
    int64_t result = (int64_t)r->rax;
    bool is_number = (long)r->orig_rax == w->number || (long)r->orig_rax == SYS_restart_syscall;
    return w->number && is_number && r->rip == w->pc && result != -EINTR &&
           mx_call_is_interrupted(result) && memcmp(args, w->args, sizeof args) == 0;
}

void mx_timed_again(const struct mx_timed *w, struct mx_tracee *t)
{
    enum { US_NS = 1000 };
    if (!is_in_it(w, &t->regs))
        return;
    int64_t left_ns = mx_asleep_limit(t->mem_fd, w->number, w->args) -
                      (int64_t)(clock_mono_us() - w->begun_us) * US_NS;
    uint64_t value = mx_asleep_value(t, &t->regs, w->number, left_ns < 0 ? 0 : left_ns);
    mx_asleep_again(&t->regs, w->number, value);
}
