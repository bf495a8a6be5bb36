/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timers.c: POSIX timers. They stay with the stub of a process that moves, whose kernel sends
 * their signals as it always did; so only those are in the way that measure what the stub does
 * not do. Must not know: who moves it. Source: proc(5), /proc/PID/timers. */
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static bool is_of_time(int clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
           clock == CLOCK_TAI;
}

int mx_timers_look(pid_t pid, enum mx_capture_for what_for, struct err *e)
{
    char path[40], line[128];
    int clock, rc = 0;
    snprintf(path, sizeof path, "/proc/%d/timers", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && rc == 0 && fgets(line, sizeof line, f)) {
        if (what_for == MX_CAPTURE_WHOLE)
            rc = err_say(e, ENOTSUP, "process %d has POSIX timers", (int)pid);
        else if (sscanf(line, "ClockID: %d", &clock) == 1 && !is_of_time(clock))
            rc = err_say(e, ENOTSUP, "process %d has POSIX timers of processor time", (int)pid);
    }
    if (f)
        fclose(f);
    return rc;
}
