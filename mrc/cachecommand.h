/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cachecommand.h: mrc cache: asks the agent of a connection about the cache there.
 * Must not know: what is in it (docs/chunks.md). */
#ifndef MRC_CACHECOMMAND_H
#define MRC_CACHECOMMAND_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>

/* The request of the agent's service "cache". */
enum { MRC_CACHE_SHOW = 's', MRC_CACHE_CLEAR = 'c' };

/* fd: a stream to an agent; taken. Prints its answer. Returns 0 or -errno with words. */
MUST int mrc_cache_command(int fd, const char *host, bool is_clearing, struct err *e);

#endif
