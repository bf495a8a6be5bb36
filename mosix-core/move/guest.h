/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guest.h: the host's side of a job that comes from elsewhere: obeys orders, reports, and has
 * hands that hold the copy. Must not know: other places, the network. */
#ifndef MOSIX_CORE_MOVE_GUEST_H
#define MOSIX_CORE_MOVE_GUEST_H

#include "mosix-core/move/hello.h"
#include "mosix-core/sandbox/sandbox.h"

/* What comes with each stream of a guest's, over the socket of its name; and that it should
 * leave, with why. */
enum { MX_GUEST_STREAM = 100, MX_GUEST_LEAVE };

/* Serves one guest until its home has ended the connection. orders: a plain socket. listener: a
 * socket for notes, by which further streams come: what MX_GUEST_STREAM, number the stream, rc
 * the move, big how far the home's clock is ahead; or MX_GUEST_LEAVE. Returns 0 or -errno. */
MUST int mx_guest_run(int orders, int listener, const struct mx_guest_limits *limits);

#endif
