/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache.c: see cache.h.
 * Must not know: jobs. */
#include "mrc/agent/cache.h"

#include "mrc/cachecommand.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>

static void on_closed(void *ctx, int code, struct bytes text)
{
    (void)ctx; /* it was only an answer */
    (void)code;
    (void)text;
}

int agent_cache_open(const char *cache_dir, struct mrc_port *port, struct bytes request)
{
    static const struct mrc_port_ops ops = { .on_closed = on_closed };
    char text[4096 + 256];
    if (request.len != 1 ||
        (request.ptr[0] != MRC_CACHE_SHOW && request.ptr[0] != MRC_CACHE_CLEAR))
        return -EPROTO;
    int len =
        mfs_cache_command(cache_dir, request.ptr[0] == MRC_CACHE_CLEAR, text, sizeof text);
    if (len < 0)
        return len;
    port->ops = &ops;
    int rc = mrc_port_send(port, text, (size_t)len);
    mrc_port_end(port);
    return rc;
}
