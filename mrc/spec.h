/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spec.h: the request for a job, gathered from this process: command, environment, limits,
 * signals, terminal. Must not know: how it is sent. */
#ifndef MRC_SPEC_H
#define MRC_SPEC_H

#include "common/sys/buf.h"
#include "mrc/job.h"
#include "mrc/launchprofile.h"
#include "mrc/options.h"
#include "mrc/trees.h"

struct mrc_stdio {
    enum job_fd kinds[3];
    bool has_tty;
};

/* Which of the job's standard files are what, from ours and the options. */
void mrc_stdio_plan(const struct mrc_options *o, struct mrc_stdio *s);

/* Appends the encoded spec message to out (whose maximum must be at least JOB_MSG_MAX). keep_id: of
 * the kept view to run in, JOB_KEEP_ID_BYTES, or NULL; keep_mark: see mrc/job.def. Returns
 * 0, -E2BIG when command and environment are too long, -ENOMEM. */
MUST int mrc_spec_put(const struct mrc_options *o, const struct mrc_trees *t,
                      const struct mrc_stdio *s, const struct mrc_profile *profile,
                      const uint8_t *keep_id, uint64_t keep_mark, struct buf *out, struct err *e);

/* The same for a view that is to be kept, without a job. With keep_id NULL it is all that makes the view,
 * and nothing that differs from view to view. */
MUST int mrc_spec_put_view(const struct mrc_options *o, const struct mrc_trees *t,
                           const uint8_t *keep_id, struct buf *out, struct err *e);

#endif
