/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client.h: a program asks the daemon of its node.
 * Must not know: what. */
#ifndef MOSIX_CORE_CMD_CLIENT_H
#define MOSIX_CORE_CMD_CLIENT_H

#include "common/base/err.h"

#include <stddef.h>

/* Sends a request and takes the answer. Returns its length; -ECONNREFUSED when no daemon runs
 * here; -EREMOTEIO with the daemon's words when it refuses. */
MUST int mx_client_ask(const char *request, char *answer, size_t size, struct err *e);

#endif
