/* SPDX-License-Identifier: GPL-2.0-or-later */
/* space.h: how full the file system of an export's root is, as the server said a moment ago.
 * Must not know: FUSE, the connection, clocks. No I/O. */
#ifndef MRCFS_CLIENT_SPACE_H
#define MRCFS_CLIENT_SPACE_H

#include "common/base/list.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stdint.h>

enum { MFS_SPACE_KEPT_MS = 1000 }; /* so old may an answer be, from when it was asked for */

/* What our side has done to the file system: its client's counts. */
struct mfs_space_use {
    uint64_t change_count;
    uint64_t written_bytes;
};

struct mfs_space {
    bool is_known;
    bool is_asked;               /* an answer is on the way */
    bool was_asked;              /* ever */
    bool is_used;                /* somebody wanted it since it was last asked for */
    uint64_t known_ms, asked_ms; /* when the one that is known, the last was asked for */
    struct mfs_space_use known_at, asked_at; /* and what had been done by then */
    struct mfs_statfs_rep known;
    struct link waiters; /* calls that are not sent: they wait for the one on the way */
};

/* Is what is known good enough to answer with at now_ms? Nothing but writes of ours may have
 * come since. */
bool mfs_space_is_good(const struct mfs_space *x, const struct mfs_space_use *use,
                       uint64_t now_ms);
/* Will it be, when what is on the way has come? */
bool mfs_space_will_be_good(const struct mfs_space *x, const struct mfs_space_use *use,
                            uint64_t now_ms);
/* What is known, less what was written since: at least so much is used by now if that was new.
 */
struct mfs_statfs_rep mfs_space_of(const struct mfs_space *x, const struct mfs_space_use *use);
/* Should it be asked for although nobody waits: because it was used and grows old; because a
 * directory is opened, and it was never asked for, or used and has grown old? */
bool mfs_space_is_due(const struct mfs_space *x, const struct mfs_space_use *use,
                      uint64_t now_ms);
bool mfs_space_is_due_ahead(const struct mfs_space *x, const struct mfs_space_use *use,
                            uint64_t now_ms);
/* It is asked for; it was answered, NULL: in vain. */
void mfs_space_ask(struct mfs_space *x, const struct mfs_space_use *use, uint64_t now_ms);
void mfs_space_take(struct mfs_space *x, const struct mfs_statfs_rep *rep);

#endif
