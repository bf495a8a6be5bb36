/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wanted.h: what a job's mrc may want: which host, which options.
 * Must not know: processes. */
#ifndef MRC_NEST_WANTED_H
#define MRC_NEST_WANTED_H

#include "mrc/job.h"
#include "mrc/options.h"

/* Makes o, the options of the first mrc, those of the job that spec wants (its argv is the
 * command line there, without the program's name): files, keys and configuration stay, the
 * connection is made by the target. The environment of the caller is o->job_env's from then on
 * for the job only. Says on standard error why not. Returns 0, OPT_DONE, -EINVAL, -EPERM. */
MUST int mrc_nest_wanted(struct mrc_options *o, const struct job_spec *spec,
                         const char *dial_name);

#endif
