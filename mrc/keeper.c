/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper.c: keeps a view: a session with an agent, and the file server.
 * Must not know: the job.
 * Processes: this is a fork of the mrc that wanted the view, a session of its own; the file server is
 * its child. It ends when its agent, its file server or its connection does, and, with the view's
 * last job, when whoever holds it lets go: the hub, or, while the hub doesn't know it, its mrc. */
#include "mrc/keeper.h"

#include "config.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/activity.h"
#include "mrc/agent/view.h"
#include "mrc/pump.h"
#include "mrc/push.h"
#include "mrc/reach.h"
#include "mrc/reconnect.h"
#include "mrc/serve.h"
#include "mrc/share.h"
#include "mrc/spec.h"
#include "mrc/watchjob.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
    HUB_ANSWER_MS = 2000,
    CHANNEL_MS = 10000, /* the hub says no before */
    START_MS = 20000,   /* for an agent */
    BYE_MS = 2000,
    SERVER_MS = 5000,
    SILENCE_MS = 30 * 1000, /* of the agent's: coming back too early costs little */
};

struct keeper {
    const struct mrc_keeper_opts *o;
    int mrc_fd, hub_fd; /* who holds us; -1: nobody any more, or not yet */
    int mark_fd;        /* to the file server */
    struct mrc_server server;
    struct loop *loop;
    struct mrc_link *link;
    struct mrc_port *job;
    struct buf in;
    struct loop_fd mrc_watch, hub_watch;
    struct loop_timer bye_timer;
    int pumps;
    struct watchjob watch; /* its figures only */
    struct mrc_reconnect *again; /* NULL: the connection was never lost */
    struct mrc_connection connection; /* in a process that makes a new one */
    bool is_finishing, is_over, is_link_over;
};

/* ---- words to mrc ---- */

static void say(struct keeper *k, const struct mrc_keeper_word *w)
{
    if (k->mrc_fd >= 0 && mrc_share_send(k->mrc_fd, w, sizeof *w, -1) < 0)
        log_at(LOG_VERBOSE, "mrc does not listen any more");
}

static void say_failed(struct keeper *k, const char *text)
{
    struct mrc_keeper_word w = { .kind = MRC_KEEPER_FAILED };
    snprintf(w.text, sizeof w.text, "%s", text);
    say(k, &w);
}

/* ---- the hub ---- */

static void what_of(const struct mrc_keeper_opts *o, char text[MRC_HUB_TEXT_BYTES])
{
    size_t used = (size_t)snprintf(text, MRC_HUB_TEXT_BYTES, "files of");
    for (size_t i = 0; i < o->trees->export_count && used < MRC_HUB_TEXT_BYTES; i++)
        used += (size_t)snprintf(text + used, MRC_HUB_TEXT_BYTES - used, " %s",
                                 o->trees->exports[i].path);
}

/* Returns 0 with *m its answer; space keeps the bytes. */
static int register_view(struct keeper *k, bool wants_agent, uint8_t space[MRC_HUB_MSG_MAX],
                         struct mrc_hub_msg *m, struct err *e)
{
    const struct mrc_keeper_opts *o = k->o;
    char what[MRC_HUB_TEXT_BYTES];
    AUTO_FD fd = -1;
    AUTO_FD hub = -1;
    int rc = mrc_hub_connect(&hub, e);
    if (rc < 0)
        return rc;
    what_of(o, what);
    *m = (struct mrc_hub_msg){ .id = MRC_HUB_view,
                               .view = { bytes_of(mrc_hub_version),
                                         { o->key, MRC_HUB_KEY_BYTES },
                                         bytes_of(o->host),
                                         { o->view, MRC_HUB_KEY_BYTES },
                                         { o->id, MRC_HUB_ID_BYTES },
                                         bytes_of(what),
                                         wants_agent } };
    rc = mrc_hub_send(hub, m, -1);
    if (rc == 0)
        rc = mrc_hub_wait(hub, HUB_ANSWER_MS, space, m, &fd);
    if (rc == 0 && m->id != MRC_HUB_registered)
        rc = -EPROTO;
    if (rc < 0)
        return err_set(e, -rc, "no answer from the hub");
    if (m->registered.is_ours)
        k->hub_fd = take_fd(&hub);
    return 0;
}

/* An agent of the hub's; says to mrc whose view it is. Returns 1 when it is another's. */
static int agent_of_hub(struct keeper *k, int *fd_out, struct err *e)
{
    AUTO_FREE uint8_t *space = malloc(MRC_HUB_MSG_MAX);
    AUTO_FD fd = -1;
    struct mrc_hub_msg m;
    int rc = space ? register_view(k, true, space, &m, e) : err_set(e, ENOMEM, "keep a view");
    if (rc < 0)
        return rc;
    struct mrc_keeper_word w = { .kind = MRC_KEEPER_OURS };
    memcpy(w.id, k->o->id, sizeof w.id);
    if (!m.registered.is_ours) {
        if (m.registered.id.len != sizeof w.id)
            return err_say(e, ENOSPC, "the hub keeps no further view");
        w.kind = MRC_KEEPER_OTHER;
        w.mark = m.registered.mark;
        memcpy(w.id, m.registered.id.ptr, sizeof w.id);
        say(k, &w);
        return 1;
    }
    say(k, &w);
    do /* marks may come first */
        rc = mrc_hub_wait(k->hub_fd, CHANNEL_MS, space, &m, &fd);
    while (rc == 0 && m.id == MRC_HUB_mark);
    if (rc < 0)
        return err_set(e, -rc, "no agent from the hub");
    if (m.id != MRC_HUB_channel || fd < 0)
        return err_say(e, ECONNREFUSED, "the connection has no room for a further agent");
    *fd_out = take_fd(&fd);
    return 0;
}

/* One on the connection of our mrc. */
static int agent_of_mrc(struct keeper *k, struct bytes early, int *fd_out, struct err *e)
{
    AUTO_FREE struct mrc_agents *agents = calloc(1, sizeof *agents);
    int pair[2];
    int rc = agents ? mrc_agents_find(agents, e) : err_set(e, ENOMEM, "keep a view");
    if (rc == 0 && (rc = fd_socketpair(pair)) < 0)
        return err_set(e, -rc, "socket pair");
    if (rc < 0)
        return rc;
    AUTO_FD ours = pair[0];
    AUTO_FD theirs = pair[1];
    mrc_transport_tune(ours);
    rc = mrc_share_command(k->o->control, k->o->command, theirs);
    fd_close(&theirs);
    if (rc < 0)
        return err_set(e, -rc, "ask for a further agent");
    struct mrc_push_opts po = { .agents = agents,
                                .early = early.ptr,
                                .early_len = early.len,
                                .host = k->o->host,
                                .start_timeout_ms = START_MS };
    struct mrc_push_report report = { 0 };
    rc = mrc_push_run(ours, k->o->nonce, &po, &report, e);
    if (rc == 0)
        *fd_out = take_fd(&ours);
    return rc;
}

/* ---- the end ---- */

static void on_bye_late(void *ctx)
{
    struct keeper *k = ctx;
    k->is_link_over = true;
}

static void end(struct keeper *k)
{
    if (k->is_over)
        return;
    k->is_over = true;
    mrc_link_bye(k->link, 0, "");
    loop_timer_set(k->loop, &k->bye_timer, BYE_MS, on_bye_late, k);
}

/* Nobody holds the view any more: the agent ends it with its last job. */
static void finish(struct keeper *k)
{
    if (k->is_finishing)
        return;
    k->is_finishing = true;
    if (k->job)
        mrc_port_end(k->job);
}

static void on_link_end(void *ctx, int code UNUSED, const char *text UNUSED)
{
    struct keeper *k = ctx;
    k->is_link_over = true;
}

/* ---- the connection was lost: the view lets nobody in any more, and goes on for its jobs ---- */

static int connect_again(void *ctx, bool may_ask UNUSED, int *fd_out, struct err *e)
{
    struct keeper *k = ctx;
    struct mrc_transport_opts to;
    mrc_reach(k->o->options, &to);
    to.is_batch = true;
    k->connection = (struct mrc_connection){ .fd = -1 };
    int rc = mrc_connect_shared(&to, "(a view that was cut off)", &k->connection, e);
    if (rc == 0)
        *fd_out = take_fd(&k->connection.fd);
    return rc;
}

static void disconnect(void *ctx)
{
    struct keeper *k = ctx;
    mrc_leave(&k->connection);
}

static int greet(void *ctx, uint8_t *out, size_t size_bytes)
{
    struct keeper *k = ctx;
    return mrc_link_redial(k->link, out, size_bytes);
}

static void on_stream(void *ctx, int fd)
{
    struct keeper *k = ctx;
    int rc = mrc_link_attach(k->link, fd, fd);
    if (rc < 0)
        mrc_link_give_up(k->link, rc, "the new connection can't be watched");
}

static void on_wait(void *ctx UNUSED, unsigned next_s UNUSED, const char *why UNUSED)
{
}

static void on_given_up(void *ctx, const char *why)
{
    struct keeper *k = ctx;
    mrc_link_give_up(k->link, -ETIMEDOUT, why);
}

static void on_lost(void *ctx, int code, const char *text)
{
    struct keeper *k = ctx;
    if (k->is_over) {
        k->is_link_over = true;
        return;
    }
    finish(k);
    if (!k->again) {
        struct mrc_reconnect_opts ro = { .loop = k->loop,
                                         .wait_s = k->o->options->reconnect_s,
                                         .keep_fds = { -1, -1 },
                                         .connect = connect_again,
                                         .disconnect = disconnect,
                                         .greet = greet,
                                         .on_stream = on_stream,
                                         .on_wait = on_wait,
                                         .on_given_up = on_given_up,
                                         .ctx = k };
        int rc = mrc_reconnect_new(&ro, &k->again);
        if (rc < 0) {
            mrc_link_give_up(k->link, code, text);
            return;
        }
    }
    mrc_reconnect_start(k->again);
}

static void on_resumed(void *ctx)
{
    struct keeper *k = ctx;
    mrc_reconnect_done(k->again);
}

/* ---- who holds us ---- */

static void on_hub(void *ctx, uint32_t events UNUSED)
{
    struct keeper *k = ctx;
    static uint8_t space[MRC_HUB_MSG_MAX];
    struct mrc_hub_msg m;
    AUTO_FD fd = -1;
    int rc = mrc_hub_wait(k->hub_fd, 0, space, &m, &fd);
    if (rc == -ETIMEDOUT)
        return;
    if (rc < 0) {
        loop_fd_del(&k->hub_watch);
        fd_close(&k->hub_fd);
        finish(k);
        return;
    }
    /* A full pipe: the file server is stuck; who waits for the mark has a bound. */
    if (m.id == MRC_HUB_mark && fd_write(k->mark_fd, &m.mark.mark, sizeof m.mark.mark) < 0)
        log_at(LOG_VERBOSE, "a mark was lost");
}

static int watch_hub(struct keeper *k)
{
    return loop_fd_add(k->loop, &k->hub_watch, k->hub_fd, EPOLLIN, on_hub, k);
}

static void on_mrc(void *ctx, uint32_t events UNUSED)
{
    struct keeper *k = ctx;
    char byte;
    int fd = -1;
    int rc = mrc_share_take(k->mrc_fd, &byte, 1, &fd);
    if (rc == -EAGAIN)
        return;
    if (rc == 1 && fd < 0) {
        static uint8_t space[MRC_HUB_MSG_MAX];
        struct mrc_hub_msg m;
        struct err why = { "" };
        if (k->hub_fd < 0 && register_view(k, false, space, &m, &why) == 0 && k->hub_fd >= 0 &&
            watch_hub(k) < 0)
            fd_close(&k->hub_fd);
        return; /* without the hub it ends with our mrc */
    }
    fd_close(&fd);
    loop_fd_del(&k->mrc_watch);
    fd_close(&k->mrc_fd);
    if (k->hub_fd < 0)
        finish(k);
}

/* ---- channels ---- */

static void got_failed(struct keeper *k, const struct job_failed *m)
{
    char text[200];
    if (bytes_to_text(m->text, text, sizeof text) < 0)
        snprintf(text, sizeof text, "failed without words");
    struct mrc_hub_msg unkept = { .id = MRC_HUB_unkept, .unkept = { bytes_of(text) } };
    if (m->code == EOPNOTSUPP && k->hub_fd >= 0 && mrc_hub_send(k->hub_fd, &unkept, -1) < 0)
        log_at(LOG_VERBOSE, "the hub does not listen any more");
    say_failed(k, text);
    log_keep("%s: no view: %s", k->o->host, text);
}

static void on_job_data(void *ctx, struct bytes body)
{
    struct keeper *k = ctx;
    mrc_port_consumed(k->job, body.len);
    int rc = buf_append(&k->in, body.ptr, body.len);
    while (rc == 0) {
        struct job_msg m;
        size_t used;
        rc = job_msg_get((struct bytes){ buf_at(&k->in), (uint32_t)buf_len(&k->in) }, &m, &used);
        if (rc < 0 || !used)
            break;
        if (m.id == JOB_MSG_failed && !k->is_finishing)
            got_failed(k, &m.failed);
        buf_consume(&k->in, used);
    }
    if (rc < 0)
        end(k);
}

static void on_job_closed(void *ctx, int code UNUSED, struct bytes text UNUSED)
{
    struct keeper *k = ctx;
    k->job = NULL;
    if (!k->pumps)
        end(k);
}

static void on_job_eof(void *ctx)
{
    finish(ctx);
}

static const struct mrc_port_ops job_ops = { .on_data = on_job_data,
                                             .on_eof = on_job_eof,
                                             .on_closed = on_job_closed };

static void on_files_done(void *ctx, int code UNUSED)
{
    struct keeper *k = ctx;
    k->watch.files[0] = k->watch.files[1] = NULL; /* neither is of use without the other */
    if (--k->pumps == 0)
        end(k);
}

static int open_files(struct keeper *k, const char *service, int *fd, uint8_t weight)
{
    struct mrc_pump_opts po = {
        .loop = k->loop, .fd_in = *fd, .fd_out = *fd, .on_done = on_files_done, .ctx = k
    };
    struct mrc_pump *p;
    int rc = mrc_pump_new(&po, &p);
    if (rc < 0)
        return rc;
    *fd = -1;
    k->watch.files[k->pumps++] = p;
    return mrc_pump_open(p, k->link, service, (struct bytes){ NULL, 0 }, weight, WINDOW_FILES);
}

static int serve_files(struct keeper *k, struct err *e)
{
    const struct mrc_trees *t = k->o->trees;
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc == 0)
        rc = fd_set_nonblock(pair[1], true);
    if (rc < 0)
        return err_set(e, -rc, "pipe");
    k->mark_fd = pair[1];
    struct mfs_serve_opts so = mrc_trees_serve(t);
    so.has_marks = true;
    so.mark_fd = pair[0];
    rc = mrc_serve_start(&so, &k->server, e);
    close(pair[0]);
    return rc;
}

/* Everything that is sent before the agent has said anything. */
static int open_session(struct keeper *k, struct err *e)
{
    int rc = loop_new(&k->loop);
    if (rc < 0)
        return err_set(e, -rc, "event loop");
    uint32_t wait_s = k->o->options->reconnect_s;
    struct mrc_link_opts lo = { .loop = k->loop,
                                .fd_in = -1,
                                .fd_out = -1,
                                .is_head = true,
                                .software = "mrc " PACKAGE_VERSION,
                                .silence_ms = mrc_silence_ms() ? mrc_silence_ms()
                                              : wait_s         ? SILENCE_MS
                                                               : 0,
                                .hello_ms = mrc_silence_ms() ? mrc_silence_ms() : MRC_SILENCE_MAX_MS,
                                .on_lost = wait_s ? on_lost : NULL,
                                .on_resumed = on_resumed,
                                .wait_s = wait_s,
                                .on_end = on_link_end,
                                .ctx = k };
    rc = mrc_link_new(&lo, &k->link, e);
    if (rc == 0)
        rc = serve_files(k, e);
    if (rc < 0)
        return rc;
    rc = mrc_link_open(k->link, "job", (struct bytes){ NULL, 0 }, WEIGHT_JOB, MRC_WINDOW_FIRST,
                       &job_ops, k, &k->job);
    if (rc == 0)
        rc = open_files(k, "fs-meta", &k->server.meta_fd, WEIGHT_META);
    if (rc == 0)
        rc = open_files(k, "fs-bulk", &k->server.bulk_fd, WEIGHT_BULK);
    if (rc < 0)
        return err_set(e, -rc, "channels of the view");
    rc = mrc_spec_put_view(k->o->options, k->o->trees, k->o->id, &k->job->queue, e);
    if (rc == 0)
        mrc_port_queued(k->job, buf_len(&k->job->queue));
    return rc;
}

/* Returns 1 when there is nothing to keep. */
static int connect_agent(struct keeper *k, struct err *e)
{
    AUTO_FREE uint8_t *early = malloc(MRC_EARLY_MAX);
    AUTO_FD fd = -1;
    int len = early ? mrc_link_early(k->link, early, MRC_EARLY_MAX) : -ENOMEM;
    if (len < 0)
        return err_set(e, -len, "first bytes of the session");
    struct bytes first = { early, (uint32_t)len };
    int rc = k->o->control >= 0 ? agent_of_mrc(k, first, &fd, e) : agent_of_hub(k, &fd, e);
    if (rc != 0)
        return rc;
    rc = k->o->control >= 0 ? 0 : fd_write_full(fd, early, (size_t)len);
    if (rc == 0) {
        int both = take_fd(&fd);
        rc = mrc_link_attach(k->link, both, both);
    }
    return rc < 0 ? err_set(e, -rc, "the agent's stream") : 0;
}

/* What is to be seen of it, for mrc top and for its jobs. */
static void watch_view(struct keeper *k)
{
    struct activity *now = &k->watch.file.now;
    now->kind = ACTIVITY_VIEW;
    now->state = ACTIVITY_RUNNING;
    what_of(k->o, now->command);
    snprintf(now->host, sizeof now->host, "%s", k->o->host);
    k->watch.link = k->link;
    k->watch.server = k->server.activity;
    watchjob_begin(&k->watch, k->loop, NULL, k->o->id, false);
    watchjob_ask(&k->watch, k->link);
}

static int keep(struct keeper *k, struct err *e)
{
    int rc = open_session(k, e);
    if (rc == 0)
        rc = connect_agent(k, e);
    if (rc != 0)
        return rc;
    rc = loop_fd_add(k->loop, &k->mrc_watch, k->mrc_fd, EPOLLIN, on_mrc, k);
    if (rc == 0 && k->hub_fd >= 0)
        rc = watch_hub(k);
    if (rc < 0)
        return err_set(e, -rc, "watch the hub");
    watch_view(k);
    while (rc == 0 && !k->is_link_over && !(k->is_over && mrc_link_is_flushed(k->link))) {
        rc = loop_turn(k->loop, -1);
        watchjob_turn(&k->watch);
    }
    watchjob_end(&k->watch);
    return rc < 0 ? err_set(e, -rc, "event loop") : 0;
}

static _Noreturn void be_keeper(const struct mrc_keeper_opts *o, int mrc_fd)
{
    setsid();
    prctl(PR_SET_NAME, "mrc-view");
    fd_close_all_but((const int[]){ mrc_fd, o->control }, 2);
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    struct sigaction sa = { .sa_handler = SIG_DFL };
    for (int i = 1; i < NSIG; i++)
        if (i != SIGPIPE)
            sigaction(i, &sa, NULL); /* fails for SIGKILL and SIGSTOP only */
    signal(SIGHUP, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir("/") < 0)
        _exit(1);
    mrc_log_here("keeper");
    log_keep("%s: starts a view", o->host);
    struct keeper k = { .o = o, .mrc_fd = mrc_fd, .hub_fd = -1, .mark_fd = -1 };
    struct err e = { "" };
    buf_init(&k.in, JOB_MSG_MAX + 8192);
    k.server = (struct mrc_server){ .meta_fd = -1, .bulk_fd = -1 };
    int rc = keep(&k, &e);
    if (rc < 0)
        say_failed(&k, e.text);
    log_keep("%s: the view ends%s%s", o->host, rc < 0 ? ": " : "", e.text);
    /* What the server still has to do it does; then it ends, or is ended. */
    mrc_reconnect_free(k.again);
    if (k.link)
        mrc_link_free(k.link);
    fd_close(&k.mark_fd);
    _exit(mrc_serve_end(&k.server, SERVER_MS) < 0 || rc < 0);
}

int mrc_keeper_start(const struct mrc_keeper_opts *o, int *fd_out, struct err *e)
{
    int ours, theirs;
    int rc = mrc_share_pair(&ours, &theirs);
    if (rc < 0)
        return err_set(e, -rc, "socket pair");
    pid_t pid = fork();
    if (pid == 0)
        be_keeper(o, theirs);
    rc = pid < 0 ? err_set(e, errno, "fork the keeper of the view") : 0;
    close(theirs);
    if (rc < 0)
        close(ours);
    else
        *fd_out = ours;
    return rc;
}

static int add_texts(struct buf *b, char *const *list, size_t count)
{
    uint32_t n = (uint32_t)count;
    int rc = buf_append(b, &n, sizeof n);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = buf_append(b, list[i], strlen(list[i]) + 1);
    return rc;
}

bool mrc_keeper_key(const struct mrc_options *o, const struct mrc_trees *t,
                    uint8_t out[MRC_HUB_KEY_BYTES])
{
    AUTO(buf_fini) struct buf b = { 0 };
    buf_init(&b, 2 * JOB_MSG_MAX);
    /* What a job does to an overlay or scratch tree is its own. */
    for (size_t i = 0; i < t->count; i++)
        if (t->list[i].kind != VIEW_HEAD && t->list[i].kind != VIEW_TARGET)
            return false;
    if (!t->export_count || mrc_spec_put_view(o, t, NULL, &b, NULL) < 0 ||
        add_texts(&b, t->hide, t->hide_count) < 0 || add_texts(&b, t->show, t->show_count) < 0)
        return false;
    crypto_sha256(out, buf_at(&b), buf_len(&b));
    return true;
}
