/* SPDX-License-Identifier: GPL-2.0-or-later */
/* job.h: the one job of an agent: its streams, files, view and supervisor, from the
 * specification to the last word. Must not know: how the link came to be. */
#ifndef MRC_AGENT_JOB_H
#define MRC_AGENT_JOB_H

#include "mrc/link.h"

struct agent_job;

struct agent_job_opts {
    struct loop *loop;
    const char *cache_dir; /* absolute, ours */
    mode_t login_umask;    /* that this process was started with */
    /* Everything of the job is over, and so are its channels. */
    void (*on_done)(void *ctx);
    void *ctx;
};

MUST int agent_job_new(const struct agent_job_opts *o, struct agent_job **out);

/* The services of a job's channels: "job", "stdin", "stdout", "stderr", "tty", "fs-meta",
 * "fs-bulk". Returns 0, -EOPNOTSUPP for another service, -EBUSY when there is one already, or
 * another -errno. */
MUST int agent_job_open(struct agent_job *j, struct mrc_port *port, struct bytes service,
                        struct bytes request);

/* The head is gone: ends the job; on_done comes within a bounded time. */
void agent_job_abandon(struct agent_job *j);

/* The head can't be reached for now: what waits for it has more time. */
void agent_job_away(struct agent_job *j, bool is_away);
/* Is it a kept view, whose end nobody waits for? */
bool agent_job_is_view(const struct agent_job *j);

void agent_job_free(struct agent_job *j);

#endif
