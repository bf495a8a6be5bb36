/* SPDX-License-Identifier: GPL-2.0-or-later */
/* skeleton.h: shows the entries of a directory of the target in a file system of ours.
 * Must not know: why. */
#ifndef MRC_AGENT_SKELETON_H
#define MRC_AGENT_SKELETON_H

#include "mrc/agent/plan.h"

/* Fills the working directory, an empty skeleton that step s of p is about, with the entries of
 * the target's directory path (clean), but for those that p makes itself. Directories and files
 * are bound, with all that is mounted in them; links are copied. What can't be shown is noted
 * in r. Returns 0; -ENOSPC for more than VIEW_ENTRIES_MAX entries, or another -errno; with
 * words. */
MUST int skeleton_fill(const struct plan *p, const struct plan_step *s, const char *path,
                       struct view_report *r, struct err *e);

#endif
