/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logs.c: see logs.h.
 * Must not know: jobs. */
#include "mrc/agent/logs.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "common/sys/ringlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static void on_closed(void *ctx, int code, struct bytes text)
{
    (void)ctx; /* it was only an answer */
    (void)code;
    (void)text;
}

int agent_logs_open(const char *cache_dir, struct mrc_port *port, struct bytes request)
{
    static const struct mrc_port_ops ops = { .on_closed = on_closed };
    AUTO_FREE char *text = malloc(RINGLOG_BYTES);
    AUTO_FD dir = open(cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_FD fd = -1;
    if (request.len || !text)
        return text ? -EPROTO : -ENOMEM;
    int rc = ringlog_open(dir, "log", &fd);
    int len = rc < 0 ? rc : ringlog_read(fd, text);
    if (len < 0)
        return len;
    port->ops = &ops;
    rc = mrc_port_send(port, text, (size_t)len);
    mrc_port_end(port);
    return rc;
}
