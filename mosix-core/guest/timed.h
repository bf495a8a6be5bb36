/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timed.h: calls of a body that wait for a time go on with what is left of it when they are
 * made again. Must not know: why they are. */
#ifndef MOSIX_CORE_GUEST_TIMED_H
#define MOSIX_CORE_GUEST_TIMED_H

#include "mosix-core/image/tracee.h"

#include <linux/seccomp.h>
#include <stdint.h>

/* The last one that was noticed. Zeroed: none. */
struct mx_timed {
    long number;
    uint64_t args[6], pc;
    uint64_t begun_us;
};

/* Every call that is noticed. mem_fd: /proc/PID/mem. */
void mx_timed_begin(struct mx_timed *w, const struct seccomp_data *d, int mem_fd);

/* t stands still, and no signal is to be put into it: if it was taken out of that call, it will
 * make it for the rest of its time. */
void mx_timed_again(const struct mx_timed *w, struct mx_tracee *t);

#endif
