/* SPDX-License-Identifier: GPL-2.0-or-later */
/* space.c: how full the file system of an export's root is, as the server said a moment ago.
 * Must not know: FUSE, the connection, clocks. No I/O. */
#include "mrcfs/client/space.h"

bool mfs_space_is_good(const struct mfs_space *x, const struct mfs_space_use *use,
                       uint64_t now_ms)
{
    return x->is_known && now_ms - x->known_ms < MFS_SPACE_KEPT_MS &&
           use->change_count == x->known_at.change_count;
}

bool mfs_space_will_be_good(const struct mfs_space *x, const struct mfs_space_use *use,
                            uint64_t now_ms)
{
    return x->is_asked && now_ms - x->asked_ms < MFS_SPACE_KEPT_MS &&
           use->change_count == x->asked_at.change_count &&
           use->written_bytes == x->asked_at.written_bytes;
}

static uint64_t less(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

struct mfs_statfs_rep mfs_space_of(const struct mfs_space *x, const struct mfs_space_use *use)
{
    struct mfs_statfs_rep now = x->known;
    uint64_t unit = now.frsize ? now.frsize : now.bsize;
    uint64_t written = use->written_bytes - x->known_at.written_bytes;
    uint64_t blocks = unit ? written / unit + (written % unit != 0) : 0;
    now.bfree = less(now.bfree, blocks);
    now.bavail = less(now.bavail, blocks);
    return now;
}

bool mfs_space_is_due(const struct mfs_space *x, const struct mfs_space_use *use,
                      uint64_t now_ms)
{
    return !x->is_asked && (!mfs_space_is_good(x, use, now_ms) ||
                            now_ms - x->known_ms >= MFS_SPACE_KEPT_MS / 2);
}

bool mfs_space_is_due_ahead(const struct mfs_space *x, const struct mfs_space_use *use,
                            uint64_t now_ms)
{
    return (!x->was_asked || x->is_used) && mfs_space_is_due(x, use, now_ms);
}

void mfs_space_ask(struct mfs_space *x, const struct mfs_space_use *use, uint64_t now_ms)
{
    x->is_asked = x->was_asked = true;
    x->is_used = false;
    x->asked_ms = now_ms;
    x->asked_at = *use;
}

void mfs_space_take(struct mfs_space *x, const struct mfs_statfs_rep *rep)
{
    x->is_asked = false;
    if (!rep)
        return;
    x->is_known = true;
    x->known = *rep;
    x->known_ms = x->asked_ms;
    x->known_at = x->asked_at;
}
