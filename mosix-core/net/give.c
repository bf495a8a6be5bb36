/* SPDX-License-Identifier: GPL-2.0-or-later */
/* give.c: a connection that its user seals himself.
 * Must not know: what it is for. */
#include "common/sys/fd.h"
#include "mosix-core/deputy/sealed.h"
#include "mosix-core/net/wire.h"

#include <errno.h>
#include <poll.h>

int mx_wire_give(struct mx_wire *l, int plain)
{
    AUTO_FD open_end = plain;
    struct pollfd p = { open_end, 0, 0 };
    int rc = mx_sealed_give(open_end, l->fd, &l->out, &l->in);
    /* Only who uses it has it now, and only he has its keys: when he is gone, so is it. */
    fd_close(&l->fd);
    crypto_wipe(&l->out, sizeof l->out);
    crypto_wipe(&l->in, sizeof l->in);
    while (rc == 0 && !p.revents)
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            rc = -errno;
    return rc;
}
