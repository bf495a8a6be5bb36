/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nest.h: the target's side of jobs that the job starts: where its mrc is taken in, and
 * connections that are made from here. Design: docs/nesting.md.
 * Must not know: what a session says. */
#ifndef MRC_AGENT_NEST_H
#define MRC_AGENT_NEST_H

#include "mrc/link.h"

#define AGENT_NEST_VARIABLE "MRC_NEST" /* tells the job's mrc where */
#define AGENT_NEST_DIR      "/.mrc"    /* in the view of a job that may start others: the agent under the name mrc */

struct agent_nest;

/* Listens, and sets AGENT_NEST_VARIABLE of this process. Returns 0 or -errno. */
MUST int agent_nest_new(struct loop *loop, struct mrc_link *link, struct agent_nest **out);
void agent_nest_free(struct agent_nest *n);

/* For a channel "dial" of the head's: a child connects and brings bytes to and fro, until who was called is silent for silence_ms
 * (0: MRC_SILENCE_MAX_MS). Returns 0, -EOPNOTSUPP for another service, or -errno. */
MUST int agent_nest_dial(struct loop *loop, int silence_ms, struct mrc_port *port,
                         struct bytes service, struct bytes request);

/* The program under the name mrc, in a job. Returns its exit status, or dies as the job did. */
int agent_nest_main(int argc, char **argv);

#endif
