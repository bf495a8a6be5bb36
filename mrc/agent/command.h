/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command.h: from a job's specification to a running process: standard files, signals, limits,
 * environment, exec. Must not know: what becomes of it. */
#ifndef MRC_AGENT_COMMAND_H
#define MRC_AGENT_COMMAND_H

#include "mrc/agent/supervise.h"

/* Starts the command in a process group of its own, in the foreground if there is a terminal.
 * Returns 0 once it was executed; otherwise -errno with words and *stage_out. */
MUST int command_start(const struct supervise_opts *o, pid_t *pid_out,
                       enum job_stage *stage_out, struct err *e);

#endif
