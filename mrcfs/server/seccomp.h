/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seccomp.h: only the system calls that serving files needs.
 * Must not know: what is served.
 * Threads: applies to the calling thread and those it starts later: call it first. */
#ifndef MRCFS_SERVER_SECCOMP_H
#define MRCFS_SERVER_SECCOMP_H

#include "common/base/attr.h"
#include "common/base/err.h"

/* Every call that is not in calls.def fails with EPERM from now on, for ever; needs "no new
 * privileges". Returns 1; 0 when this kernel or architecture has no such filters (note says
 * so); -errno with words. */
MUST int mfs_allow_calls(struct err *note);

#endif
