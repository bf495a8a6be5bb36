/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeperword.c: a job's side of the socket to the keeper of its view.
 * Must not know: views. */
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/keeper.h"
#include "mrc/share.h"

#include <errno.h>
#include <poll.h>

int mrc_keeper_wait(int fd, int timeout_ms, struct mrc_keeper_word *out)
{
    for (uint64_t end_ms = clock_mono_ms() + (uint64_t)timeout_ms;;) {
        int none = -1;
        int n = mrc_share_take(fd, out, sizeof *out, &none);
        fd_close(&none);
        if (n >= 0)
            return n == sizeof *out ? 0 : -EPROTO;
        if (n != -EAGAIN)
            return n;
        uint64_t now_ms = clock_mono_ms();
        if (now_ms >= end_ms)
            return -ETIMEDOUT;
        struct pollfd p = { fd, POLLIN, 0 };
        if (poll(&p, 1, (int)(end_ms - now_ms)) < 0 && errno != EINTR)
            return -errno;
    }
}

void mrc_keeper_register(int fd)
{
    if (mrc_share_send(fd, "", 1, -1) < 0)
        log_at(LOG_VERBOSE, "the view is not kept: its keeper has ended");
}

/* ---- which views ---- */
