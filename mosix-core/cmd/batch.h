/* SPDX-License-Identifier: GPL-2.0-or-later */
/* batch.h: mosrun -E and -M: a program whose home is another node. It is started there by mrc,
 * which logs in as the user and keeps terminal, pipes, signals and exit status here.
 * Must not know: how mrc does it. */
#ifndef MOSIX_CORE_CMD_BATCH_H
#define MOSIX_CORE_CMD_BATCH_H

#include "common/base/err.h"
#include "mosix-core/cmd/wishes.h"

/* Becomes mrc, which runs words (as many as there are: the program and what follows) at node
 * w->node. Returns only when it can't: -errno with words. */
MUST int mosrun_batch(const struct mosrun_wishes *w, char **words, struct err *e);

#endif
