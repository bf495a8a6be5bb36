/* SPDX-License-Identifier: GPL-2.0-or-later */
/* provide.c: a process that serves the files of a detached job: a session with an agent that relays, and the file server.
 * Must not know: the job.
 * It ends with the job, or when another one has taken its place. If it is killed, the job's files wait for the next one. */
#include "mrc/detach/detach.h"

#include "config.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/job.h"
#include "mrc/mrc.h"
#include "mrc/hub.h"
#include "mrc/pump.h"
#include "mrc/reach.h"
#include "mrc/reconnect.h"
#include "mrc/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    WINDOW_FILES = 16 * 1024 * 1024,
    WEIGHT_JOB = 255,
    WEIGHT_META = 64,
    WEIGHT_BULK = 8,
    START_MS = 300 * 1000, /* for the job, once the agent runs */
    BYE_MS = 2000,
    SERVER_MS = 5000,
    SILENCE_MS = 30 * 1000,
};

struct provider {
    const struct provide_opts *o;
    struct err *e;
    struct mrc_outcome *out;
    int rc;
    struct loop *loop;
    struct mrc_link *link;
    struct mrc_port *start; /* NULL: the job runs, or it did before us */
    struct buf in;
    struct mrc_server server;
    struct mrc_connection connection;
    struct mrc_reconnect *again;
    struct loop_timer start_timer, bye_timer;
    uint64_t visit;
    int pumps, refused;
    bool has_started, is_over, is_link_over;
};

/* ---- the end ---- */

static void on_bye_late(void *ctx)
{
    ((struct provider *)ctx)->is_link_over = true;
}

static void end(struct provider *p)
{
    if (p->is_over)
        return;
    p->is_over = true;
    mrc_link_bye(p->link, 0, "");
    loop_timer_set(p->loop, &p->bye_timer, BYE_MS, on_bye_late, p);
}

static void fail(struct provider *p, int rc, const char *text)
{
    if (p->rc == 0) {
        p->rc = rc;
        snprintf(p->e->text, sizeof p->e->text, "%.60s: %.180s", p->o->options->host, text);
        p->out->code = 255;
    }
    end(p);
}

static void on_start_late(void *ctx)
{
    fail(ctx, -ETIMEDOUT, "the job has not been started for minutes");
}

static void started(struct provider *p)
{
    p->has_started = true;
    loop_timer_del(&p->start_timer);
    if (p->o->on_started)
        p->o->on_started(p->o->ctx);
    if (!p->pumps) /* it has no files of ours */
        end(p);
}

/* ---- the connection ---- */

static int connect_to(struct provider *p, bool is_batch, int *fd_out, struct err *e)
{
    struct mrc_transport_opts to;
    mrc_reach(p->o->options, &to);
    to.is_batch = is_batch;
    to.is_resumed = true;
    p->connection = (struct mrc_connection){ .fd = -1 };
    bool is_alone = p->o->options->no_hub || p->o->options->is_local;
    int rc = is_alone ? mrc_connect(&to, &p->connection, e)
                      : mrc_connect_shared(&to, "(files of a detached job)", &p->connection, e);
    if (rc == 0)
        *fd_out = take_fd(&p->connection.fd);
    return rc;
}

static int connect_again(void *ctx, bool may_ask UNUSED, int *fd_out, struct err *e)
{
    return connect_to(ctx, true, fd_out, e);
}

static void disconnect(void *ctx)
{
    mrc_leave(&((struct provider *)ctx)->connection);
}

static int greet(void *ctx, uint8_t *out, size_t size_bytes)
{
    return mrc_link_redial(((struct provider *)ctx)->link, out, size_bytes);
}

static void on_stream(void *ctx, int fd)
{
    struct provider *p = ctx;
    int rc = mrc_link_attach(p->link, fd, fd);
    if (rc < 0)
        mrc_link_give_up(p->link, rc, "the new connection can't be watched");
}

static void on_wait(void *ctx UNUSED, unsigned next_s UNUSED, const char *why UNUSED)
{
}

static void on_given_up(void *ctx, const char *why)
{
    mrc_link_give_up(((struct provider *)ctx)->link, -ETIMEDOUT, why);
}

static void on_lost(void *ctx, int code, const char *text)
{
    struct provider *p = ctx;
    if (p->is_over) {
        p->is_link_over = true;
        return;
    }
    log_keep("job %s: connection lost: %s", p->o->record->name, text);
    struct mrc_reconnect_opts ro = { .loop = p->loop,
                                     .wait_s = p->o->options->reconnect_s,
                                     .keep_fds = { -1, -1 },
                                     .connect = connect_again,
                                     .disconnect = disconnect,
                                     .greet = greet,
                                     .on_stream = on_stream,
                                     .on_wait = on_wait,
                                     .on_given_up = on_given_up,
                                     .ctx = p };
    if (!p->again && mrc_reconnect_new(&ro, &p->again) < 0)
        mrc_link_give_up(p->link, code, text);
    else
        mrc_reconnect_start(p->again);
}

static void on_resumed(void *ctx)
{
    struct provider *p = ctx;
    log_keep("job %s: the connection is back", p->o->record->name);
    mrc_reconnect_done(p->again);
}

static void on_link_end(void *ctx, int code, const char *text)
{
    struct provider *p = ctx;
    if (!p->is_over && p->rc == 0)
        fail(p, code ? code : -ECONNRESET, *text ? text : "the other side ended the session");
    p->is_link_over = true;
}

/* ---- the job's start ---- */

static void got_message(struct provider *p, const struct job_msg *m)
{
    char text[200];
    if (m->id == JOB_MSG_started) {
        log_at(LOG_VERBOSE, "%s: started, process %u there", p->o->options->host, m->started.pid);
        started(p);
    } else if (m->id == JOB_MSG_failed) {
        if (bytes_to_text(m->failed.text, text, sizeof text) < 0)
            snprintf(text, sizeof text, "failed without words");
        int rc = m->failed.code && m->failed.code < 4096 ? -(int)m->failed.code : -EIO;
        fail(p, rc, text);
        if (m->failed.stage == JOB_STAGE_EXEC)
            p->out->code = rc == -ENOENT ? 127 : 126;
    }
}

static void on_start_data(void *ctx, struct bytes body)
{
    struct provider *p = ctx;
    mrc_port_consumed(p->start, body.len);
    int rc = buf_append(&p->in, body.ptr, body.len);
    while (rc == 0) {
        struct job_msg m;
        size_t used;
        rc = job_msg_get((struct bytes){ buf_at(&p->in), (uint32_t)buf_len(&p->in) }, &m, &used);
        if (rc < 0 || !used)
            break;
        got_message(p, &m);
        buf_consume(&p->in, used);
    }
    if (rc < 0)
        fail(p, rc, "a message about the job makes no sense");
}

static void on_start_closed(void *ctx, int code, struct bytes text)
{
    struct provider *p = ctx;
    char why[160];
    p->start = NULL;
    if (p->has_started || p->is_over)
        return;
    if (!text.len || bytes_to_text(text, why, sizeof why) < 0)
        snprintf(why, sizeof why, "%s", code ? strerror(-code) : "who should hold the job has ended");
    fail(p, code ? code : -EIO, why);
}

static void on_start_eof(void *ctx)
{
    struct provider *p = ctx;
    if (p->start)
        mrc_port_end(p->start);
}

static const struct mrc_port_ops start_ops = { .on_data = on_start_data,
                                               .on_eof = on_start_eof,
                                               .on_closed = on_start_closed };

static int open_start(struct provider *p)
{
    const struct detach_record *r = p->o->record;
    const struct mrc_options *o = p->o->options;
    uint8_t request[HELD_START_MAX];
    struct held_start s = { .wait_s = o->reconnect_s,
                            .freeze_s = o->freeze_s,
                            .keep_mib = o->keep_output ? (uint32_t)o->keep_output : HELD_KEEP_MIB,
                            .has_files = r->has_files };
    memcpy(s.id, r->id, sizeof s.id);
    memcpy(s.secret, r->secret, sizeof s.secret);
    size_t len = held_start_put(request, &s);
    int rc = mrc_link_open(p->link, HELD_START_SERVICE, (struct bytes){ request, (uint32_t)len }, WEIGHT_JOB,
                           MRC_WINDOW_FIRST, &start_ops, p, &p->start);
    explicit_bzero(request, sizeof request);
    explicit_bzero(s.secret, sizeof s.secret);
    return rc < 0 ? rc : mrc_port_send(p->start, p->o->spec.ptr, p->o->spec.len);
}

/* ---- the files ---- */

static void on_files_done(void *ctx, int code)
{
    struct provider *p = ctx;
    if (code)
        p->refused = code;
    if (--p->pumps > 0)
        return;
    if (p->refused && !p->has_started)
        fail(p, p->refused, held_why(p->refused));
    else if (p->has_started)
        end(p); /* the job is over, or has another server */
}

static int open_files(struct provider *p, enum held_role role, int *fd, uint8_t weight)
{
    uint8_t head[HELD_HEAD_BYTES];
    struct mrc_pump_opts po = {
        .loop = p->loop, .fd_in = *fd, .fd_out = *fd, .on_done = on_files_done, .ctx = p
    };
    struct mrc_pump *pump;
    int rc = mrc_pump_new(&po, &pump);
    if (rc < 0)
        return rc;
    *fd = -1;
    p->pumps++;
    detach_head_of(p->o->record, role, p->visit, head);
    rc = mrc_pump_open(pump, p->link, HELD_STREAM_SERVICE, (struct bytes){ head, sizeof head }, weight, WINDOW_FILES);
    explicit_bzero(head, sizeof head);
    return rc;
}

static int serve_files(struct provider *p)
{
    struct mfs_serve_opts so = mrc_trees_serve(p->o->trees);
    AUTO_FD journal = record_journal(p->o->record);
    if (journal < 0)
        return err_set(p->e, -journal, "the journal of the job's files");
    so.has_journal = true;
    so.journal_fd = journal;
    int rc = mrc_serve_start(&so, &p->server, p->e);
    if (rc == 0)
        rc = open_files(p, HELD_META, &p->server.meta_fd, WEIGHT_META);
    if (rc == 0)
        rc = open_files(p, HELD_BULK, &p->server.bulk_fd, WEIGHT_BULK);
    return rc < 0 && !p->e->text[0] ? err_set(p->e, -rc, "channels of the files") : rc;
}

/* ---- life ---- */

static int begin(struct provider *p)
{
    int rc = crypto_random(&p->visit, sizeof p->visit);
    p->visit |= 1;
    if (rc == 0)
        rc = loop_new(&p->loop);
    if (rc < 0)
        return err_set(p->e, -rc, "event loop");
    struct mrc_link_opts lo = { .loop = p->loop,
                                .fd_in = -1,
                                .fd_out = -1,
                                .is_head = true,
                                .software = "mrc " PACKAGE_VERSION,
                                .silence_ms = mrc_silence_ms() ? mrc_silence_ms() : SILENCE_MS,
                                .hello_ms = mrc_silence_ms() ? mrc_silence_ms() : MRC_SILENCE_MAX_MS,
                                .on_lost = p->o->options->is_local ? NULL : on_lost,
                                .on_resumed = on_resumed,
                                .wait_s = p->o->options->is_local ? 0 : p->o->options->reconnect_s,
                                .on_end = on_link_end,
                                .ctx = p };
    rc = mrc_link_new(&lo, &p->link, p->e);
    if (rc == 0 && p->o->spec.len && (rc = open_start(p)) < 0)
        err_set(p->e, -rc, "ask for the job");
    if (rc == 0 && p->o->record->has_files)
        rc = serve_files(p);
    int fd = -1;
    if (rc == 0)
        rc = connect_to(p, !p->o->spec.len, &fd, p->e);
    if (rc == 0 && (rc = mrc_link_attach(p->link, fd, fd)) < 0)
        err_set(p->e, -rc, "watch the link");
    if (rc < 0)
        return rc;
    if (p->o->spec.len)
        loop_timer_set(p->loop, &p->start_timer, START_MS, on_start_late, p);
    else
        started(p);
    return 0;
}

int mrc_provide(const struct provide_opts *o, struct mrc_outcome *out, struct err *e)
{
    struct provider p = { .o = o, .e = e, .out = out, .connection = { .fd = -1 } };
    p.server = (struct mrc_server){ .meta_fd = -1, .bulk_fd = -1 };
    buf_init(&p.in, JOB_MSG_MAX + 8192);
    if (record_say_server(o->record) < 0)
        log_keep("job %s: mrc ps can't tell who serves its files", o->record->name);
    int rc = begin(&p);
    while (rc == 0 && !p.is_link_over && !(p.is_over && mrc_link_is_flushed(p.link)))
        rc = loop_turn(p.loop, -1);
    if (rc == 0)
        rc = p.rc;
    p.has_started = p.is_over = true; /* what is dropped now is no news */
    mrc_reconnect_free(p.again);
    if (p.link)
        mrc_link_free(p.link);
    mrc_leave(&p.connection);
    if (mrc_serve_end(&p.server, SERVER_MS) < 0)
        log_keep("job %s: the file server failed", o->record->name);
    loop_timer_del(&p.start_timer);
    loop_timer_del(&p.bye_timer);
    loop_free(p.loop);
    buf_fini(&p.in);
    return rc;
}

void mrc_provide_hide(void)
{
    setsid();
    prctl(PR_SET_NAME, "mrc-files");
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    mrc_log_here("files");
}
