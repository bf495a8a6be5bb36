/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verbs.h: what mrc does that is no job.
 * Must not know: jobs. */
#ifndef MRC_VERBS_H
#define MRC_VERBS_H

#include "mrc/options.h"

/* Does what o->verb says; VERB_JOB: nothing but connecting (-N). Prints. Returns the exit status, or -errno with
 * words. */
MUST int mrc_verb(const struct mrc_options *o, struct err *e);

#endif
