/* SPDX-License-Identifier: GPL-2.0-or-later */
/* paths.h: directories that are known to be wanted soon are asked for from the root down by one
 * request each, with their lists. Must not know: FUSE. */
#ifndef MRCFS_CLIENT_PATHS_H
#define MRCFS_CLIENT_PATHS_H

#include "common/base/attr.h"

#include "mrcfs/client/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_call;
struct mfs_session;

/* One path, by one request. */
struct mfs_paths_walk {
    const char *path; /* beneath the root of the session's export, borrowed for the call */
    size_t len;
    bool wants_list; /* of the directory at its end */
    /* NULL, or called after all parts were answered, with serial in call->offset and step in
     * call->size. */
    mfs_reply_fn on_done;
    uint64_t serial;
    uint16_t step;
};
/* Asks for each name of it; what comes is learned. False: nothing was sent (more than
 * MFS_WALK_MAX names, no plain path, no room for a list). */
MUST bool mfs_paths_walk(struct mfs_session *s, const struct mfs_paths_walk *o);

/* paths: like a search path, directories by their paths on the server with colons between them;
 * those outside of the session's export, and what is no plain path, are left out. Does nothing
 * without leases. */
void mfs_paths_ahead(struct mfs_session *s, const char *paths);
/* call, a lookup that is not sent, is resumed when the same, which is under way because of
 * that, is answered. False: none is. */
MUST bool mfs_paths_wait(struct mfs_call *call);

#endif
