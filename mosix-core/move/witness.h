/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness.h: words for whoever looks at a job's standard error, also when the job is no more.
 * Must not know: why it is lost. */
#ifndef MOSIX_CORE_MOVE_WITNESS_H
#define MOSIX_CORE_MOVE_WITNESS_H

#include "mosix-core/net/nodes.h"

#include <stdbool.h>
#include <sys/types.h>

enum {
    MX_WITNESS_MS = 2000, /* until a process that goes with its keeper has ended */
};

/* Where process (a pidfd) writes its errors, as a descriptor that keeps nobody from seeing an
 * end there; -1: nowhere, or where it can't be kept. The caller's to close. */
MUST int mx_witness_keep(int process);

/* Words about process pid, into the log and there: process (a pidfd; -1: none) may have ended,
 * then kept is used, of mx_witness_keep. */
void mx_witness_say(int process, int kept, pid_t pid, const char *program, const char *what);

/* Does the process (a pidfd) end within time_ms? */
bool mx_witness_ends(int process, int time_ms);

#endif
