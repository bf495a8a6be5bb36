/* SPDX-License-Identifier: GPL-2.0-or-later */
/* builder.h: the process that enters or builds a job's view, starts its supervisor there, and waits.
 * Must not know: the session, the file client. */
#ifndef MRC_AGENT_BUILDER_H
#define MRC_AGENT_BUILDER_H

#include "mrc/agent/join.h"
#include "mrc/agent/view.h"
#include "mrc/job.h"

/* Descriptors: -1 = none. */
struct builder_opts {
    const struct job_spec *spec;
    const struct view_probe *probe;
    const char *cache_dir;
    mode_t login_umask;
    int view_sock, job_sock, demand_sock; /* the child's ends */
    bool wants_demand_file;               /* of demandfile_open */
    int fds[3], tty_fd;                   /* the job's */
    bool is_keeper;                       /* no job: keeps the view until it is killed */
    struct joined *joined;                /* a kept view to enter, if its sock is not -1 */
    const struct mfs_behind_count *behind;
};

/* Runs in a fork of the single-threaded agent, which has the other ends. */
_Noreturn void builder_run(const struct builder_opts *o);

/* How many trees of the head are in the view? -EPROTO, -ENOSPC: the list makes no sense, or is too
 * long. */
MUST int builder_head_trees(struct bytes mounts);

#endif
