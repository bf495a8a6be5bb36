/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peer.c: see peer.h.
 * Must not know: what it says itself.
 * Source: unix(7), SO_PEERCRED. */
#include "common/sys/peer.h"

#include <sys/socket.h>
#include <unistd.h>

bool peer_is_our_user(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}
