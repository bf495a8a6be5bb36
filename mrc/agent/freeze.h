/* SPDX-License-Identifier: GPL-2.0-or-later */
/* freeze.h: stops all processes below this one, and lets them go on.
 * Must not know: why.
 * By SIGSTOP: a parent in the job may see that its children were stopped. */
#ifndef MRC_AGENT_FREEZE_H
#define MRC_AGENT_FREEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { FREEZE_MAX = 65536 }; /* processes; those beyond run on */

/* Zeroed: nothing is frozen. */
struct freeze {
    bool is_on;
    pid_t *list; /* of those that we have stopped: others were, and stay so */
    size_t count, size;
};

void freeze_on(struct freeze *f);
void freeze_off(struct freeze *f);

#endif
