/* SPDX-License-Identifier: GPL-2.0-or-later */
/* paths.h: directories that are known to be wanted soon are asked for from the root down by one
 * request each, with their lists. Must not know: FUSE. */
#ifndef MRCFS_CLIENT_PATHS_H
#define MRCFS_CLIENT_PATHS_H

#include "common/base/attr.h"

#include <stdbool.h>

struct mfs_call;
struct mfs_session;

/* paths: like a search path, directories by their paths on the server with colons between them;
 * those outside of the session's export, and what is no plain path, are left out. Does nothing
 * without leases. */
void mfs_paths_ahead(struct mfs_session *s, const char *paths);
/* call, a lookup that is not sent, is resumed when the same, which is under way because of that, is
 * answered. False: none is. */
MUST bool mfs_paths_wait(struct mfs_call *call);

#endif
