/* SPDX-License-Identifier: GPL-2.0-or-later */
/* feed.c: asks mosixd the same question again and again.
 * Must not know: what the answers mean. */
#include "gossip/monitor/feed.h"

#include "common/sys/fd.h"
#include "gossip/monitor/decode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10 };

static void ask(void *ctx);

/* The end of one question: with an answer, or with words. */
static void end(struct mon_feed *f, const char *why)
{
    loop_timer_del(&f->deadline);
    if (f->fd >= 0)
        loop_fd_del(&f->watch);
    fd_close(&f->fd);
    struct buf answer = f->answer;
    f->answer = (struct buf){ 0 };
    uint8_t *spot;
    if (!why && buf_reserve(&answer, 1, &spot) < 0)
        why = "no memory for mosixd's answer";
    if (why) {
        f->fn(f->ctx, NULL, 0, why);
    } else {
        *spot = 0;
        f->fn(f->ctx, (const char *)buf_at(&answer), buf_len(&answer), NULL);
    }
    buf_fini(&answer);
}

static void too_late(void *ctx)
{
    char words[80];
    snprintf(words, sizeof words, "mosixd has not answered for %d s", MON_FEED_WAIT_MS / 1000);
    end(ctx, words);
}

static void come(void *ctx, uint32_t events UNUSED)
{
    struct mon_feed *f = ctx;
    uint8_t *spot;
    if (buf_len(&f->answer) > MON_ANSWER_MAX) {
        end(f, "mosixd's answer has no end");
        return;
    }
    if (buf_reserve(&f->answer, READ_BYTES, &spot) < 0) {
        end(f, "no memory for mosixd's answer");
        return;
    }
    ssize_t n = fd_read(f->fd, spot, READ_BYTES);
    if (n > 0)
        buf_commit(&f->answer, (size_t)n);
    else if (n == 0)
        end(f, buf_len(&f->answer) ? NULL : "mosixd ended without an answer");
    else if (n != -EAGAIN)
        end(f, "mosixd died while it answered");
}

static int dial(const char *path, const char *request, int *fd_out, struct err *e)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if ((size_t)snprintf(a.sun_path, sizeof a.sun_path, "%s", path) >= sizeof a.sun_path)
        return err_say(e, ENAMETOOLONG, "%s is too long for a socket", path);
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(e, errno, "make a socket");
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        if (errno == EAGAIN)
            return err_say(e, EAGAIN, "mosixd has too many askers (%s)", path);
        if (errno == ENOENT || errno == ECONNREFUSED)
            return err_say(e, errno, "no mosixd runs on this node (%s)", path);
        return err_set(e, errno, "ask mosixd at %s", path);
    }
    /* a line fits a fresh socket, so it is written whole or the daemon has gone again */
    ssize_t n = send(fd, request, strlen(request), MSG_NOSIGNAL);
    if (n != (ssize_t)strlen(request) || shutdown(fd, SHUT_WR) < 0)
        return err_say(e, EPIPE, "mosixd does not listen (%s)", path);
    *fd_out = take_fd(&fd);
    return 0;
}

static void ask(void *ctx)
{
    struct mon_feed *f = ctx;
    struct err e = { "" };
    loop_timer_set(f->loop, &f->next, f->period_ms, ask, f);
    if (f->fd >= 0)
        return;
    buf_init(&f->answer, (size_t)MON_ANSWER_MAX + READ_BYTES + 1);
    if (dial(f->path, f->request, &f->fd, &e) < 0) {
        end(f, e.text);
        return;
    }
    if (loop_fd_add(f->loop, &f->watch, f->fd, EPOLLIN, come, f) < 0) {
        fd_close(&f->fd);
        end(f, "no memory to watch a socket");
        return;
    }
    loop_timer_set(f->loop, &f->deadline, MON_FEED_WAIT_MS, too_late, f);
}

void mon_feed_start(struct mon_feed *f)
{
    f->fd = -1;
    ask(f);
}

void mon_feed_now(struct mon_feed *f)
{
    if (f->fd < 0)
        ask(f);
}

void mon_feed_stop(struct mon_feed *f)
{
    if (!f->loop)
        return;
    loop_timer_del(&f->next);
    loop_timer_del(&f->deadline);
    if (f->fd >= 0)
        loop_fd_del(&f->watch);
    fd_close(&f->fd);
    buf_fini(&f->answer);
    f->answer = (struct buf){ 0 };
    f->loop = NULL;
}

/* ---- once ---- */

struct once {
    struct loop *loop;
    char *answer;
    size_t len_bytes;
    struct err *e;
};

static void answered(void *ctx, const char *answer, size_t len_bytes, const char *why)
{
    struct once *o = ctx;
    int rc = 0;
    if (answer) {
        o->answer = malloc(len_bytes + 1);
        o->len_bytes = len_bytes;
        if (o->answer)
            memcpy(o->answer, answer, len_bytes + 1);
        else
            rc = -ENOMEM;
    } else {
        rc = err_say(o->e, EHOSTDOWN, "%s", why);
    }
    loop_stop(o->loop, rc);
}

int mon_feed_once(const char *path, const char *request, char **answer, size_t *len_bytes,
                  struct err *e)
{
    struct once o = { .e = e };
    int rc = loop_new(&o.loop);
    if (rc < 0)
        return err_set(e, -rc, "make an event loop");
    struct mon_feed f = { .loop = o.loop,
                          .path = path,
                          .request = request,
                          .period_ms = 1 << 30,
                          .fn = answered,
                          .ctx = &o };
    mon_feed_start(&f);
    rc = loop_run(o.loop);
    mon_feed_stop(&f);
    loop_free(o.loop);
    if (rc == 0) {
        *answer = o.answer;
        *len_bytes = o.len_bytes;
    }
    return rc;
}
