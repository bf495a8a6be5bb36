/* SPDX-License-Identifier: GPL-2.0-or-later */
/* away.h: a client whose server may go and another one come (docs/detach.md): what was asked and changes nothing waits and is
 * asked again, what changes something is in doubt and fails. The kernel's requests wait unread.
 * Must not know: FUSE.
 * Threads: the loop's only. */
#ifndef MRCFS_CLIENT_AWAY_H
#define MRCFS_CLIENT_AWAY_H

#include "mrcfs/client/client.h"

/* May such a call be sent once more, to another server? */
bool mfs_away_may_repeat(unsigned op);
/* The connection has broken, in a way that another one mends. */
void mfs_away_begin(struct mfs_client *c, const struct err *why);
/* call, with its body kept, is to be sent when a server is there. */
void mfs_away_park(struct mfs_call *call);

#endif
