/* SPDX-License-Identifier: GPL-2.0-or-later */
/* waits.c: the table of calls that wait for a time. Pure.
 * Source: the man pages of the calls. */
#include "mosix-core/image/waits.h"

#include "common/base/attr.h"

#include <stddef.h>
#include <sys/syscall.h>

enum {
    EPOLL_PWAIT2 = 441, /* headers may lack it */
    UNTIL = 1,          /* TIMER_ABSTIME */
    COMMAND = 127,      /* of futex without its flags */
    WAIT = 0,
    WAIT_BITSET = 9,
};

static const struct {
    struct mx_wait wait;
    uint32_t mask, value; /* of argument 1, by which one number is several calls */
} waits[] = {
    { { .number = SYS_nanosleep, .arg = 0 }, 0, 0 },
    { { .number = SYS_clock_nanosleep, .arg = 2 }, UNTIL, 0 },
    { { .number = SYS_futex, .arg = 3 }, COMMAND, WAIT },
    { { .number = SYS_futex, .arg = 3, .is_until = true }, COMMAND, WAIT_BITSET },
    { { .number = SYS_poll, .arg = 2, .is_ms = true }, 0, 0 },
    { { .number = SYS_epoll_wait, .arg = 3, .is_ms = true }, 0, 0 },
    { { .number = SYS_epoll_pwait, .arg = 3, .is_ms = true }, 0, 0 },
    { { .number = EPOLL_PWAIT2, .arg = 3 }, 0, 0 },
    { { .number = SYS_semtimedop, .arg = 3 }, 0, 0 },
    { { .number = SYS_rt_sigtimedwait, .arg = 2 }, 0, 0 },
};

const struct mx_wait *mx_wait_find(long number, const uint64_t args[6])
{
    for (unsigned i = 0; i < ARRAY_LEN(waits); i++) {
        const struct mx_wait *w = &waits[i].wait;
        if (w->number != number || (args[1] & waits[i].mask) != waits[i].value)
            continue;
        bool is_forever = w->is_ms ? (int32_t)args[w->arg] < 0 : !args[w->arg];
        return is_forever ? NULL : w;
    }
    return NULL;
}
