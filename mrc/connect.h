/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect.h: from a host's name to a stream with our agent at its other end.
 * Must not know: jobs. */
#ifndef MRC_CONNECT_H
#define MRC_CONNECT_H

#include "mrc/options.h"

#include <stdint.h>
#include <sys/types.h>

struct mrc_connection {
    int fd;         /* -1 = none */
    pid_t pid;      /* the transport */
    uint8_t *early; /* what came behind the agent's magic already; owned */
    size_t early_len;
};

MUST int mrc_connect(const struct mrc_options *o, struct mrc_connection *out, struct err *e);

/* Closes what is left and waits a moment for the transport. */
void mrc_disconnect(struct mrc_connection *c);

#endif
