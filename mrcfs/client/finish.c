/* SPDX-License-Identifier: GPL-2.0-or-later */
/* finish.c: how a file client ends, and what it says of itself then.
 * Must not know: FUSE. */
#include "common/sys/clock.h"
#include "mrcfs/client/chunks.h"
#include "mrcfs/client/client.h"

#include <errno.h>

int mfs_client_finish(struct mfs_client *c, int wait_ms, struct err *e)
{
    uint64_t heard = c->stats.bytes_in, since = clock_mono_ms();
    mfs_lease_stop(c);
    mfs_client_flush(c);
    while (!c->is_lost && (c->call_count || c->lock_wait_count || buf_len(&c->meta.out) ||
                           buf_len(&c->bulk.out))) {
        uint64_t now = clock_mono_ms();
        if (c->stats.bytes_in != heard || (c->opts.behind && atomic_load(&c->opts.behind->is_away))) {
            heard = c->stats.bytes_in;
            since = now;
        }
        if (now - since >= (uint64_t)wait_ms)
            return err_set(e, ETIMEDOUT, "the server did not confirm the last of the files");
        int rc = loop_turn(c->loop, wait_ms - (int)(now - since));
        if (rc < 0)
            return err_set(e, -rc, "wait for the last of the files");
    }
    return mfs_client_take_lost(c, e);
}

size_t mfs_client_exports(const struct mfs_client *c, const struct mfs_export_info **out)
{
    *out = c->exports;
    return c->export_count;
}
