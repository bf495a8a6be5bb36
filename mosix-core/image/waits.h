/* SPDX-License-Identifier: GPL-2.0-or-later */
/* waits.h: calls that wait for a time, counted from when they are made. Pure.
 * One that is made again in another place must be made for what is left of its time.
 * Not among them are those that wait until a date, which are simply made again, and select,
 * pselect6 and ppoll, of which the kernel itself writes back what is left. */
#ifndef MOSIX_CORE_IMAGE_WAITS_H
#define MOSIX_CORE_IMAGE_WAITS_H

#include <stdbool.h>
#include <stdint.h>

struct mx_wait {
    long number;
    uint8_t arg;   /* which argument says how long */
    bool is_until; /* that is a date: nothing changes but that the kernel goes on with it by its
                      own note */
    bool is_ms;    /* it is milliseconds (int, below 0: forever); else points to a timespec */
};

/* The line of a call, or NULL: it doesn't wait for a time. */
const struct mx_wait *mx_wait_find(long number, const uint64_t args[6]);

#endif
