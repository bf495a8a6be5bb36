/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dial.h: a socket to an SSH server: TCP, or a proxy command on a socket pair.
 * Must not know: libssh2. */
#ifndef MRC_DIAL_H
#define MRC_DIAL_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/sshconf.h"

#include <stdint.h>

enum { MRC_DIAL_TIMEOUT_S = 60 }; /* for each address, when ConnectTimeout is not set */

/* Waits until fd has one of events. gone_fd is the stream to mrc: when its other end is closed,
 * nobody wants the answer any more. Returns 0, -ETIMEDOUT, -ECANCELED mrc is gone, -errno. */
MUST int mrc_dial_wait(int fd, short events, int gone_fd, uint64_t end_ms);

/* Connects as the configuration says: ProxyJump, ProxyCommand, or each address of the host in
 * turn. words_fd is standard error of a proxy (-1: ours). *fd_out is non-blocking. Returns 0;
 * -ECANCELED; -errno with words. */
MUST int mrc_dial(const struct mrc_sshconf *c, const struct mrc_transport_opts *o, int gone_fd,
                  int words_fd, int *fd_out, struct err *e);

#endif
