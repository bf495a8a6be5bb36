/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peer.h: who is at the other end of a unix socket, as the kernel says.
 * Must not know: what it says itself. */
#ifndef COMMON_SYS_PEER_H
#define COMMON_SYS_PEER_H

#include <stdbool.h>

/* Is the process that connected, or listened, of our user? False also when that can't be known. */
bool peer_is_our_user(int fd);

#endif
