/* SPDX-License-Identifier: GPL-2.0-or-later */
/* term.h: the settings of a terminal, as they travel in a job's specification.
 * Must not know: jobs. */
#ifndef MRC_TERM_H
#define MRC_TERM_H

#include "common/base/wire.h"

/* term: as in mrc/job.def; empty or cut short: only the size is set. Returns 0 or -errno. */
int mrc_term_set(int tty_fd, struct bytes term, uint16_t rows, uint16_t columns);

#endif
