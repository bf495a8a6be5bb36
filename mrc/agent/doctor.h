/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor.h: the agent's service that tells what works on this computer, and what is left of jobs (mrc/finding.h).
 * Must not know: jobs. */
#ifndef MRC_AGENT_DOCTOR_H
#define MRC_AGENT_DOCTOR_H

#include "common/base/attr.h"
#include "mrc/link.h"

/* Answers on the port, and ends it. A check takes some tenths of a second, in which the agent does nothing else.
 * Returns 0, or -errno to refuse. */
MUST int agent_doctor_open(const char *cache_dir, struct mrc_port *port, struct bytes request);

#endif
