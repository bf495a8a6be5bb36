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
/* The same for what may take long: it waits as long as there is a daemon's process that works
 * on it, an hour at most. */
MUST int mx_client_ask_long(const char *request, char *answer, size_t size, struct err *e);
/* A request whose answer is one line, after which the daemon waits until *sock is closed: it
 * closes by itself on exec. */
MUST int mx_client_begin(const char *request, char *answer, size_t size, int *sock,
                         struct err *e);

#endif
