/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mark.h: which processes are jobs, so that fork and exec inherit it and nothing is attached to
 * them: they are in a cgroup below ours; where that can't be made, their first environment has
 * MOSIX_JOB. Must not know: what jobs are for. Privilege: cgroups are root's, or delegated. */
#ifndef MOSIX_CORE_MOSIXD_MARK_H
#define MOSIX_CORE_MOSIXD_MARK_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MX_MARK_VARIABLE "MOSIX_JOB"

enum { MX_JOB_ID_MAX = 999999999 };

/* Process pid of user uid becomes part of job id. Returns 0; -ENOTSUP when there are no
 * cgroups: the variable has to do. */
MUST int mx_mark_set(const char *run_dir, pid_t pid, uid_t uid, unsigned id, struct err *e);
/* It leaves. */
MUST int mx_mark_clear(pid_t pid, struct err *e);
/* Is it one? */
bool mx_mark_has(const char *run_dir, pid_t pid, unsigned *id);
/* A variable of the first environment of process pid. Returns whether it is there, and fits. */
bool mx_mark_variable(pid_t pid, const char *name, char *value, size_t size);
/* Takes away what has no process any more: of jobs, and then all that is ours. */
void mx_mark_sweep(const char *run_dir);
void mx_mark_clean(const char *run_dir);

#endif
