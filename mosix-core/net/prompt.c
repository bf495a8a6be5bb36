/* SPDX-License-Identifier: GPL-2.0-or-later */
/* prompt.c: priorities.
 * Must not know: what who has them does. */
#include "mosix-core/net/prompt.h"

#include "common/sys/log.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PROMPT_NICE = -15 };

void mx_be_prompt(pid_t who, bool is_prompt)
{
    id_t id = who ? (id_t)who : (id_t)syscall(SYS_gettid);
    if (setpriority(PRIO_PROCESS, id, is_prompt ? PROMPT_NICE : 0) < 0)
        log_at(LOG_VERBOSE, "a priority stays as it is");
    /* What is waited for by looking now and then is seen in time. */
    if (!who && prctl(PR_SET_TIMERSLACK, is_prompt ? 1 : 0) < 0)
        log_at(LOG_VERBOSE, "timers stay as they are");
}
