/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache.h: the agent's service that shows and clears the cache of contents.
 * Must not know: jobs. */
#ifndef MRC_AGENT_CACHE_H
#define MRC_AGENT_CACHE_H

#include "common/base/attr.h"
#include "mrc/link.h"

/* Answers a request (mrc/cachecommand.h) on the port, and ends it. Returns 0, or -errno to
 * refuse. */
MUST int agent_cache_open(const char *cache_dir, struct mrc_port *port, struct bytes request);

#endif
