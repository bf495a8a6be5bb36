/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clocks.c: see clocks.h. Must not know: images, namespaces. Source: clock_gettime(2). */
#include "mosix-core/image/clocks.h"

#include <errno.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec t = { 0, 0 };
    clock_gettime(id, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct mx_clocks mx_clocks_now(void)
{
    return (struct mx_clocks){ read_ns(CLOCK_MONOTONIC), read_ns(CLOCK_BOOTTIME) };
}

struct mx_clocks mx_clocks_less(const struct mx_clocks *a, const struct mx_clocks *b)
{
    return (struct mx_clocks){ a->mono_ns - b->mono_ns, a->boot_ns - b->boot_ns };
}

struct mx_clocks mx_clocks_later(const struct mx_clocks *a, const struct mx_clocks *b)
{
    return (struct mx_clocks){ larger(a->mono_ns, b->mono_ns), larger(a->boot_ns, b->boot_ns) };
}

/* CLOCK_BOOTTIME has no coarse twin; that of CLOCK_MONOTONIC is the last to get there. */
static int64_t left_ns(const struct mx_clocks *then, const struct mx_clocks *ahead)
{
    int64_t mono_ns = then->mono_ns - ahead->mono_ns - read_ns(CLOCK_MONOTONIC_COARSE);
    int64_t boot_ns = then->boot_ns - ahead->boot_ns - read_ns(CLOCK_BOOTTIME);
    return larger(mono_ns, boot_ns);
}

int mx_clocks_await(const struct mx_clocks *then, const struct mx_clocks *ahead, struct err *e)
{
    int64_t left;
    while ((left = left_ns(then, ahead)) > 0) {
        if (left > MX_CLOCKS_WAIT_MS * INT64_C(1000000))
            return err_say(e, ETIME, "the clock of where the process was is %lld ms off",
                           (long long)(left / 1000000));
        const struct timespec wait = { left / 1000000000, left % 1000000000 };
        nanosleep(&wait, NULL);
    }
    return 0;
}
