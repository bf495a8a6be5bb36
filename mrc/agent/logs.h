/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logs.h: the agent's service that shows the log of this user's agents (common/sys/ringlog.h).
 * Must not know: jobs. */
#ifndef MRC_AGENT_LOGS_H
#define MRC_AGENT_LOGS_H

#include "common/base/attr.h"
#include "mrc/link.h"

/* Answers on the port, and ends it; request: empty. Returns 0, or -errno to refuse. */
MUST int agent_logs_open(const char *cache_dir, struct mrc_port *port, struct bytes request);

#endif
