/* SPDX-License-Identifier: GPL-2.0-or-later */
/* manyout.h: what several jobs print at once, made readable.
 * Must not know: jobs, processes.
 * PREFIX: whole lines as they come, each with its host's name in front. ORDER: all of the first
 * host, then all of the second; what comes early waits in a file without a name. */
#ifndef MRC_MANYOUT_H
#define MRC_MANYOUT_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>

enum { MRC_MANYOUT_LINE_MAX = 32 << 10 }; /* bytes of a line that are held until it ends */

enum mrc_manyout_mode { MRC_MANYOUT_PREFIX, MRC_MANYOUT_ORDER };

struct mrc_manyout;

/* names: one per host, the caller's, must stay; out_fds: where standard output and standard
 * error go, the caller's. Returns 0 or -ENOMEM. */
MUST int mrc_manyout_new(enum mrc_manyout_mode mode, char *const *names, size_t count,
                         const int out_fds[2], struct mrc_manyout **out);

/* Whether bytes of that host can be taken; if its file could not be written to (ORDER) they
 * have to wait until it is its turn. */
bool mrc_manyout_accepts(const struct mrc_manyout *m, size_t host);

/* Bytes that a host printed; which: 0 = standard output, 1 = standard error. Blocks while our
 * own is full. Returns 0, or -errno of our own standard output or standard error. Only for a
 * host that is accepted. */
MUST int mrc_manyout_add(struct mrc_manyout *m, size_t host, int which, const char *bytes,
                         size_t len);

/* The host has said all. Returns as mrc_manyout_add. */
MUST int mrc_manyout_end(struct mrc_manyout *m, size_t host);

void mrc_manyout_free(struct mrc_manyout *m);

#endif
