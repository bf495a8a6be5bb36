/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cachecommand.c: see cachecommand.h.
 * Must not know: what is in the cache. */
#include "config.h"

#include "mrc/cachecommand.h"

#include "common/sys/loop.h"
#include "mrc/link.h"
#include "mrc/mrc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { WEIGHT = 64 };

struct asking {
    struct loop *loop;
    struct mrc_link *link;
    struct mrc_port *port;
    const char *host;
    bool is_answered;
    int rc;
    struct err err;
};

static void on_data(void *ctx, struct bytes body)
{
    struct asking *a = ctx;
    a->is_answered = a->is_answered || body.len;
    fwrite(body.ptr, 1, body.len, stdout);
    mrc_port_consumed(a->port, body.len);
}

static void on_closed(void *ctx, int code, struct bytes text)
{
    struct asking *a = ctx;
    a->port = NULL;
    if (code)
        a->rc = err_set(&a->err, -code, "%s: the cache there%s%.*s", a->host,
                        text.len ? ": " : "", (int)text.len, (const char *)text.ptr);
    mrc_link_bye(a->link, 0, "");
    loop_stop(a->loop, 0);
}

static void on_end(void *ctx, int code, const char *text)
{
    struct asking *a = ctx;
    if (!a->is_answered && !a->rc)
        a->rc = err_say(&a->err, code ? -code : ECONNRESET, "%s: %s", a->host,
                        code ? text : "the agent ended without an answer");
    loop_stop(a->loop, 0);
}

int mrc_cache_command(int fd, const char *host, bool is_clearing, struct err *e)
{
    static const struct mrc_port_ops ops = { .on_data = on_data, .on_closed = on_closed };
    const uint8_t request = is_clearing ? MRC_CACHE_CLEAR : MRC_CACHE_SHOW;
    struct asking a = { .host = host };
    struct mrc_link_opts lo = { .fd_in = fd,
                                .fd_out = fd,
                                .is_head = true,
                                .software = "mrc " PACKAGE_VERSION,
                                .silence_ms = mrc_silence_ms(),
                                .on_end = on_end,
                                .ctx = &a };
    int rc = loop_new(&a.loop);
    if (rc < 0)
        return err_set(e, -rc, "event loop");
    lo.loop = a.loop;
    rc = mrc_link_new(&lo, &a.link, e);
    if (rc == 0) {
        rc = mrc_link_open(a.link, "cache", (struct bytes){ &request, 1 }, WEIGHT,
                           MRC_WINDOW_FIRST, &ops, &a, &a.port);
        if (rc == 0)
            mrc_port_end(a.port);
        rc = rc < 0 ? err_set(e, -rc, "channel of the cache") : loop_run(a.loop);
        mrc_link_free(a.link);
    }
    loop_free(a.loop);
    if (rc >= 0 && a.rc < 0 && e)
        *e = a.err;
    return rc < 0 ? rc : a.rc;
}
