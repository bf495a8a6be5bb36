/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remote.c: a process that relays between an agent and the file protocol's two streams.
 * Must not know: FUSE, jobs. */
#include "config.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/mrc.h"
#include "mrc/pump.h"
#include "mrc/reconnect.h"
#include "mrc/serve.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    WINDOW = 16 * 1024 * 1024,
    WEIGHT_META = 64,
    WEIGHT_BULK = 8,
    SILENCE_MS = 30 * 1000, /* of the agent's: coming back too early costs little */
};

struct relay {
    const struct mrc_remote_opts *o;
    struct mrc_connection *connection;
    struct loop *loop;
    struct mrc_link *link;
    const char *host;
    const char *dir;
    int pumps, ended; /* ended: streams on which no more will be asked */
    struct mrc_reconnect *again; /* NULL: the connection was never lost */
    bool is_away, is_failed;
};

static void maybe_stop(struct relay *r)
{
    if (!r->pumps)
        loop_stop(r->loop, 0);
}

static void on_pump_done(void *ctx, int code)
{
    struct relay *r = ctx;
    if (code && code != -ECANCELED && !r->is_failed) {
        log_error("%s:%s can't be served: %s", r->host, r->dir, strerror(-code));
        r->is_failed = true;
    }
    r->pumps--;
    maybe_stop(r);
}

static void on_end(void *ctx, int code, const char *text)
{
    struct relay *r = ctx;
    if (code && !r->is_failed)
        log_error("%s: %s", r->host, text);
    r->is_failed = true;
    loop_stop(r->loop, 1);
}

/* ---- the connection was lost: who uses the files waits ---- */

/* Whether all has been answered can't be found out any more. */
static void maybe_leave(struct relay *r)
{
    if (r->is_away && r->ended == r->pumps)
        loop_stop(r->loop, 0);
}

static void on_pump_end(void *ctx)
{
    struct relay *r = ctx;
    r->ended++;
    maybe_leave(r);
}

static int connect_again(void *ctx, bool may_ask, int *fd_out, struct err *e)
{
    struct relay *r = ctx;
    return r->o->reconnect(r->o->ctx, may_ask, fd_out, e);
}

static void disconnect(void *ctx)
{
    struct relay *r = ctx;
    r->o->disconnect(r->o->ctx);
}

static int greet(void *ctx, uint8_t *out, size_t size_bytes)
{
    struct relay *r = ctx;
    return mrc_link_redial(r->link, out, size_bytes);
}

static void on_stream(void *ctx, int fd)
{
    struct relay *r = ctx;
    int rc = mrc_link_attach(r->link, fd, fd);
    if (rc < 0)
        mrc_link_give_up(r->link, rc, "the new connection can't be watched");
}

static void on_wait(void *ctx UNUSED, unsigned next_s UNUSED, const char *why UNUSED)
{
}

static void on_given_up(void *ctx, const char *why)
{
    struct relay *r = ctx;
    mrc_link_give_up(r->link, -ETIMEDOUT, why);
}

static void on_lost(void *ctx, int code, const char *text)
{
    struct relay *r = ctx;
    if (!r->is_away)
        log_warn("%s: connection lost, trying again", r->host);
    log_at(LOG_VERBOSE, "%s: %s", r->host, text);
    r->is_away = true;
    if (r->connection->hub > 0) /* the new one will have its own */
        close(r->connection->hub);
    r->connection->hub = 0;
    if (!r->again) {
        struct mrc_reconnect_opts ro = { .loop = r->loop,
                                         .wait_s = r->o->wait_s,
                                         .is_loud = log_level() >= LOG_DEBUG,
                                         .keep_fds = { -1, -1 },
                                         .connect = connect_again,
                                         .disconnect = disconnect,
                                         .greet = greet,
                                         .on_stream = on_stream,
                                         .on_wait = on_wait,
                                         .on_given_up = on_given_up,
                                         .ctx = r };
        int rc = mrc_reconnect_new(&ro, &r->again);
        if (rc < 0) {
            mrc_link_give_up(r->link, code, text);
            return;
        }
    }
    mrc_reconnect_start(r->again);
    maybe_leave(r);
}

static void on_resumed(void *ctx)
{
    struct relay *r = ctx;
    r->is_away = false;
    mrc_reconnect_done(r->again);
    log_at(LOG_VERBOSE, "%s: the connection is back", r->host);
}

static int open_stream(struct relay *r, const char *service, struct bytes request, int fd,
                       uint8_t weight)
{
    struct mrc_pump_opts po = {
        .loop = r->loop, .fd_in = fd, .fd_out = fd, .on_in_end = on_pump_end, .on_done = on_pump_done, .ctx = r
    };
    struct mrc_pump *p;
    int rc = mrc_pump_new(&po, &p);
    if (rc == 0)
        rc = mrc_pump_open(p, r->link, service, request, weight, WINDOW);
    if (rc == 0)
        r->pumps++;
    return rc;
}

static int relay(struct mrc_connection *c, const struct mrc_remote_opts *o,
                 struct bytes request, int meta_fd, int bulk_fd, struct err *e)
{
    struct relay r = { .o = o, .connection = c, .host = o->host, .dir = o->dir };
    int rc = loop_new(&r.loop);
    if (rc < 0)
        return err_set(e, -rc, "event loop");
    struct mrc_link_opts lo = { .loop = r.loop,
                                .fd_in = c->fd,
                                .fd_out = c->fd,
                                .is_head = true,
                                .software = "mrcfs " PACKAGE_VERSION,
                                .silence_ms = mrc_silence_ms() ? mrc_silence_ms()
                                              : o->wait_s      ? SILENCE_MS
                                                               : 0,
                                .hello_ms = mrc_silence_ms() ? mrc_silence_ms() : MRC_SILENCE_MAX_MS,
                                .on_lost = o->wait_s ? on_lost : NULL,
                                .on_resumed = on_resumed,
                                .wait_s = o->wait_s,
                                .on_end = on_end,
                                .ctx = &r };
    rc = mrc_link_new(&lo, &r.link, e);
    if (rc < 0)
        return rc;
    rc = open_stream(&r, "serve-meta", request, meta_fd, WEIGHT_META);
    if (rc == 0)
        rc = open_stream(&r, "serve-bulk", (struct bytes){ NULL, 0 }, bulk_fd, WEIGHT_BULK);
    if (rc < 0)
        return err_set(e, -rc, "channels of the files");
    rc = loop_run(r.loop);
    mrc_reconnect_free(r.again);
    return rc < 0 || r.is_failed ? -EIO : 0;
}

int mrc_remote_serve(struct mrc_connection *c, const struct mrc_remote_opts *o,
                     struct mrc_remote *out, struct err *e)
{
    uint8_t request[MRC_OPEN_MAX - 64];
    size_t len = strlen(o->dir);
    if (len + 1 > sizeof request) {
        mrc_disconnect(c);
        return err_set(e, ENAMETOOLONG, "%.100s", o->dir);
    }
    request[0] = (uint8_t)((o->is_read_only ? MRC_SERVE_READ_ONLY : 0) |
                           (o->follows_links ? MRC_SERVE_FOLLOW_LINKS : 0));
    memcpy(request + 1, o->dir, len);
    int meta[2], bulk[2];
    int rc = fd_socketpair(meta);
    if (rc == 0 && (rc = fd_socketpair(bulk)) < 0) {
        close(meta[0]);
        close(meta[1]);
    }
    if (rc < 0) {
        mrc_disconnect(c);
        return err_set(e, -rc, "socket pair");
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
        /* The hub sees our end by that of its socket. */
        fd_close_all_but((const int[]){ c->fd, meta[1], bulk[1], c->hub }, c->hub > 0 ? 4 : 3);
        struct err why = { "" };
        rc = relay(c, o, (struct bytes){ request, (uint32_t)len + 1 }, meta[1], bulk[1], &why);
        if (rc < 0 && why.text[0])
            log_error("%s: %s", o->host, why.text);
        _exit(rc < 0);
    }
    rc = pid < 0 ? err_set(e, errno, "fork") : 0;
    close(meta[1]);
    close(bulk[1]);
    fd_close(&c->fd);
    if (c->hub > 0) /* the child has it */
        close(c->hub);
    c->hub = 0;
    if (c->words > 0) { /* the transport shows what its programs say from now on */
        close(c->words);
        c->words = 0;
    }
    if (rc < 0) {
        close(meta[0]);
        close(bulk[0]);
        return rc;
    }
    *out = (struct mrc_remote){ meta[0], bulk[0], pid };
    return 0;
}
