/* SPDX-License-Identifier: GPL-2.0-or-later */
/* question.c: see question.h.
 * Must not know: what is asked. */
#include "config.h"

#include "mrc/question.h"

#include "common/sys/loop.h"
#include "mrc/link.h"
#include "mrc/mrc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { WEIGHT = 64 };

struct asking {
    struct mrc_question q;
    struct loop *loop;
    struct mrc_link *link;
    struct mrc_port *port;
    bool is_over;
    int rc;
    struct err err;
};

static void on_data(void *ctx, struct bytes body)
{
    struct asking *a = ctx;
    a->q.on_data(a->q.ctx, body);
    mrc_port_consumed(a->port, body.len);
}

static int ask(struct asking *a);

static void on_closed(void *ctx, int code, struct bytes text)
{
    struct asking *a = ctx;
    a->port = NULL;
    if (a->is_over || (!code && a->q.on_answer && a->q.on_answer(a->q.ctx, &a->q) && ask(a) == 0))
        return;
    a->is_over = true;
    if (code)
        a->rc = err_set(&a->err, -code, "%s: %s%s%.*s", a->q.host, a->q.what, text.len ? ": " : "",
                        (int)text.len, (const char *)text.ptr);
    mrc_link_bye(a->link, 0, "");
    loop_stop(a->loop, 0);
}

static void on_end(void *ctx, int code, const char *text)
{
    struct asking *a = ctx;
    if (!a->is_over)
        a->rc = err_say(&a->err, code ? -code : ECONNRESET, "%s: %s", a->q.host,
                        code ? text : "the agent ended without an answer");
    a->is_over = true;
    loop_stop(a->loop, 0);
}

static int ask(struct asking *a)
{
    static const struct mrc_port_ops ops = { .on_data = on_data, .on_closed = on_closed };
    int rc = mrc_link_open(a->link, a->q.service, a->q.request, WEIGHT, MRC_WINDOW_FIRST, &ops, a, &a->port);
    if (rc < 0)
        a->rc = err_set(&a->err, -rc, "channel to ask on");
    else
        mrc_port_end(a->port);
    return rc;
}

int mrc_question(int fd, const struct mrc_question *q, struct err *e)
{
    struct asking a = { .q = *q };
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
        if (ask(&a) == 0)
            rc = loop_run(a.loop);
        mrc_link_free(a.link);
    }
    loop_free(a.loop);
    if (rc >= 0 && a.rc < 0 && e)
        *e = a.err;
    return rc < 0 ? rc : a.rc;
}

void mrc_question_print(void *ctx, struct bytes body)
{
    (void)ctx;
    unsigned char before = 0;
    for (uint32_t i = 0; i < body.len; i++) {
        unsigned char c = body.ptr[i];
        bool is_control = (c < ' ' && c != '\n') || c == 127 ||
                          (c >= 0x80 && c < 0xa0 && (before < 0x80 || before == 0xc2)); /* as in UTF-8 */
        putchar(is_control ? '?' : c);
        before = c;
    }
}
