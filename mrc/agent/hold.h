/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hold.h: the holder of a detached job: a process that is the head of the job's session, keeps its output, and lets visitors in
 * (docs/detach.md).
 * Must not know: how visitors come. */
#ifndef MRC_AGENT_HOLD_H
#define MRC_AGENT_HOLD_H

#include "mrc/held.h"

#include <sys/types.h>

struct hold_opts {
    const struct held_start *start;
    struct bytes spec;       /* the whole message */
    const uint8_t *fd_kinds; /* three of enum job_fd, in it */
    mode_t login_umask;      /* the job's agent is started with */
    int listen_fd;           /* where visitors come; stays the caller's */
};

/* Starts the holder, which is nobody's child. *report: the messages started or failed come from there, then its end. Returns 0 or
 * -errno. To be called while there is one thread. */
MUST int hold_start(const struct hold_opts *o, int *report);

#endif
