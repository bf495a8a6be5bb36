/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status.h: requests that only look, answered in JSON (docs/control.md), and what the owner
 * gives to a cluster. Must not know: jobs, but by what a list of them says. */
#ifndef MOSIX_CORE_MOSIXD_STATUS_H
#define MOSIX_CORE_MOSIXD_STATUS_H

#include "mosix-core/mosixd/mosixd.h"

#include <sys/socket.h>

enum { MX_STATUS_MAX = 8 << 20 }; /* bytes of an answer */

/* Answers a request of this kind. False: it is of another kind, and nothing was said. In a
 * child of the daemon. */
bool mx_status(const struct mx_daemon *d, const struct ucred *who, const char *line, int fd);

#endif
