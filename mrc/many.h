/* SPDX-License-Identifier: GPL-2.0-or-later */
/* many.h: the same job on several hosts: an mrc for each, what they print, what became of them.
 * Must not know: how one job is run. */
#ifndef MRC_MANY_H
#define MRC_MANY_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/manyout.h"

#include <stddef.h>

struct mrc_many_opts {
    char *const *hosts;
    size_t count;
    size_t at_once; /* at least 1 */
    bool is_mixed;  /* what they print goes where ours goes, as it comes; mode does not count */
    enum mrc_manyout_mode mode;
};

enum mrc_many_result { MRC_MANY_ENDED, MRC_MANY_CHILD };

struct mrc_many_outcome {
    size_t host;   /* MRC_MANY_CHILD: the job of this one is ours now */
    int code;      /* MRC_MANY_ENDED: the worst status of all; 128 + n for signal n */
    int by_signal; /* that ended it all, or 0 */
};

/* Forks a process for each host, at_once at a time, in which the function returns
 * MRC_MANY_CHILD with standard input at /dev/null and its output going to the first process.
 * That one waits for all, passes on signals, names the hosts that failed on standard error, and
 * returns MRC_MANY_ENDED. Must be called while there is one thread. Returns -errno with words
 * if not all could be started; those that were have ended. */
MUST int mrc_many(const struct mrc_many_opts *o, struct mrc_many_outcome *out, struct err *e);

#endif
