/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect.h: from a host's name to a stream with our agent at its other end.
 * Must not know: jobs. */
#ifndef MRC_CONNECT_H
#define MRC_CONNECT_H

#include "mrc/options.h"

#include <sys/types.h>

struct mrc_connection {
    int fd;    /* -1 = none */
    pid_t pid; /* the transport */
};

/* Starts the transport, asks on the terminal what it has to ask, and uploads the agent if it is
 * not there. Returns 0, or -errno; e->text is empty when the transport has already said on
 * standard error why. */
MUST int mrc_connect(const struct mrc_options *o, struct mrc_connection *out, struct err *e);

/* Closes what is left; the transport ends with it. */
void mrc_disconnect(struct mrc_connection *c);

#endif
