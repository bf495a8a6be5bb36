/* SPDX-License-Identifier: GPL-2.0-or-later */
/* export.h: serves a directory of this computer to the head: mrcfs host:dir.
 * Must not know: jobs. */
#ifndef MRC_AGENT_EXPORT_H
#define MRC_AGENT_EXPORT_H

#include "mrc/link.h"

struct agent_export;

MUST int agent_export_new(struct loop *loop, struct agent_export **out);
/* Services "serve-meta" (request: u8 flags, 1 = read-only; then the path) and "serve-bulk".
 * Returns 0, -EOPNOTSUPP for another service, -EBUSY when there is one already, or another
 * -errno (ENOENT, ENOTDIR for the path). */
MUST int agent_export_open(struct agent_export *x, struct mrc_port *port, struct bytes service,
                           struct bytes request);
/* Waits for the server's end, a bounded time. */
void agent_export_free(struct agent_export *x);

#endif
