/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supervise.h: the first process of a job's pid namespace: starts the command, passes signals,
 * reaps orphans, reports the end. Must not know: the session, how the view was built. Source:
 * mrc/job.def (it speaks that protocol on its socket, the other end of which is mrc). */
#ifndef MRC_AGENT_SUPERVISE_H
#define MRC_AGENT_SUPERVISE_H

#include "mrc/agent/join.h"
#include "mrc/agent/view.h"
#include "mrc/job.h"

enum {
    SUPERVISE_GRACE_MS = 1000
}; /* between SIGHUP and SIGKILL for what a job leaves running */

struct supervise_opts {
    const struct job_spec *spec;
    const struct view_report *view;
    int demand_sock; /* where wishes for standard input go, if that is a pipe on demand; -1 */
    int sock;        /* stream socket with job messages; end of file = the head is gone */
    int tty_fd;      /* slave of the pseudo-terminal; -1 = none */
    int fds[3];      /* standard input, output, error where their kind is JOB_FD_STREAM */
    const char *const *head_paths; /* mount points of the head's trees: brought home before the
                                      end is reported */
    size_t head_path_count;
    const struct mfs_behind_count *behind; /* writes on their way to the head, of the job's view */
    mode_t login_umask;          /* for jobs that are JOB_AS_LOGIN */
    const struct joined *joined;           /* the kept view; NULL: the job has its own */
};

/* Runs until the job is over and everything that it started is dead. Returns the exit status
 * for _exit. */
int supervise(const struct supervise_opts *o);

#endif
