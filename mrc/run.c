/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run.c: one job over one link.
 * Must not know: how the link was made.
 * Invariant: the outcome is reported only after all output was written here and the file
 * channels are closed, which the agent does when the job's file systems are unmounted: what the
 * job wrote is here then. */
#include "mrc/run.h"

#include "config.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/demand.h"
#include "mrc/input.h"
#include "mrc/mrc.h"
#include "mrc/pump.h"
#include "mrc/spec.h"
#include "mrc/tty.h"
#include "mrc/watchjob.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    WINDOW_OUTPUT = 4 * 1024 * 1024,
    WINDOW_FILES = 16 * 1024 * 1024,
    WEIGHT_JOB = 255, /* shares of the link: control before keys before metadata before bulk */
    WEIGHT_TTY = 128,
    WEIGHT_STREAM = 16,
    WEIGHT_META = 64,
    WEIGHT_BULK = 8,
    END_WAIT_MS = 60 * 1000,   /* for the last files after the job's end */
    FAILED_WAIT_MS = 5 * 1000, /* when there was no job */
    BYE_WAIT_MS = 2000,
    START_WAIT_MS = 300 * 1000, /* for the job, once the agent runs */
    FILES_LOST_MS = 3000,
    BACKGROUND_LOOK_MS = 250,
};

struct run {
    const struct mrc_run_opts *o;
    struct err *e;
    struct mrc_stdio stdio;
    int keys_fd; /* terminal to type at; -1 without */
    struct loop *loop;
    struct mrc_link *link;
    struct mrc_port *job;
    struct buf in;
    struct mrc_profile profile;
    struct mrc_pump *tty_in;
    struct watchjob watch;
    int output_pumps, file_pumps;
    int sigfd;
    struct loop_fd sig_watch, keeper_watch;
    struct loop_timer end_timer, terminal_timer, start_timer;
    sigset_t old_mask;
    bool is_alone; /* no kept view: the files are served by a server of ours */
    bool has_started, has_outcome, is_ending, is_over, is_lost, is_done;
    struct mrc_outcome outcome;
    int rc;
    struct mrc_nest *nest; /* NULL: the job starts no others */
    struct mrc_port *stats;
    bool stats_done;
};

static const int passed_signals[] = { SIGHUP,  SIGINT,  SIGQUIT,   SIGTERM, SIGUSR1,
                                      SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO,
                                      SIGTSTP, SIGCONT, SIGWINCH };

static void maybe_end(struct run *r);

static void send_msg(struct run *r, const struct job_msg *m)
{
    uint8_t space[64];
    struct wr w = wr_of(space, sizeof space);
    job_msg_put(&w, m);
    if (r->job && mrc_port_send(r->job, space, wr_len(&w)) < 0)
        log_at(LOG_VERBOSE, "a message to the job was lost: its queue is full");
}

static void send_signal(struct run *r, int number, bool is_group)
{
    send_msg(
        r, &(struct job_msg){ .id = JOB_MSG_signal, .signal = { (uint32_t)number, is_group } });
}

/* Terminal */

/* Whoever reads or changes the terminal from the background is stopped. */
static bool is_in_background(const struct run *r)
{
    pid_t foreground = tcgetpgrp(r->keys_fd);
    return foreground > 0 && foreground != getpgrp();
}

/* Makes the terminal raw, but for its signals until the job is there, and reads it; in the
 * background, as soon as we are no more: the shell doesn't always tell. */
static void take_terminal(void *ctx)
{
    struct run *r = ctx;
    if (r->keys_fd < 0 || isatty(r->keys_fd) != 1)
        return;
    bool is_background = is_in_background(r);
    if (r->tty_in)
        mrc_pump_pause(r->tty_in, is_background);
    if (is_background)
        loop_timer_set(r->loop, &r->terminal_timer, BACKGROUND_LOOK_MS, take_terminal, r);
    else if (mrc_tty_raw(r->keys_fd, !r->has_started) < 0)
        log_warn("the terminal can't be made raw: %s", strerror(errno));
}

static void send_size(struct run *r)
{
    struct job_msg m = { .id = JOB_MSG_winsize };
    if (r->stdio.has_tty && mrc_tty_size(&m.winsize) == 0)
        send_msg(r, &m);
}

/* The job stopped: so do we, the shell is to notice. What we are continued by continues the
 * job. */
static void stop_self(struct run *r)
{
    watchjob_hide(&r->watch);
    mrc_tty_restore();
    mrc_link_pause(r->link);
    kill(getpid(), SIGSTOP);
    take_terminal(r);
    send_size(r);
    send_signal(r, SIGCONT, true);
}

/* Signals that came to us */

static bool is_fatal(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

/* There is no job yet that could be told. */
static void give_up(struct run *r, int number)
{
    r->has_outcome = true;
    r->outcome = (struct mrc_outcome){ true, number };
    r->is_done = true;
}

static void on_signal(void *ctx, uint32_t events)
{
    struct run *r = ctx;
    (void)events;
    struct signalfd_siginfo si;
    while (read(r->sigfd, &si, sizeof si) == sizeof si) {
        int n = (int)si.ssi_signo;
        if (n == SIGWINCH)
            send_size(r);
        else if (n == SIGCONT)
            send_signal(r, n, true);
        else if (!is_fatal(n))
            send_signal(r, n, si.ssi_code == SI_KERNEL);
        else if (r->has_outcome)
            r->is_done = true; /* only the last files are waited for: the user need not */
        else if (!r->has_started)
            give_up(r, n);
        else
            send_signal(r, n, si.ssi_code == SI_KERNEL);
    }
}

static int watch_signals(struct run *r)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(passed_signals); i++) {
        struct sigaction sa;
        if (sigaction(passed_signals[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
            sigaddset(&set, passed_signals[i]);
    }
    sigprocmask(SIG_BLOCK, &set, &r->old_mask);
    r->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r->sigfd < 0)
        return -errno;
    return loop_fd_add(r->loop, &r->sig_watch, r->sigfd, EPOLLIN, on_signal, r);
}

/* Words of the agent */

static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void got_failed(struct run *r, const struct job_failed *m)
{
    char text[400];
    if (bytes_to_text(m->text, text, sizeof text) < 0)
        snprintf(text, sizeof text, "failed without words");
    clean(text);
    int rc = m->code && m->code < 4096 ? -(int)m->code : -EIO;
    r->has_outcome = true;
    r->rc = rc;
    r->outcome.code = 255;
    if (m->stage == JOB_STAGE_EXEC)
        r->outcome.code = rc == -ENOENT ? 127 : 126;
    snprintf(r->e->text, sizeof r->e->text, "%.60s: %.190s", r->o->options->host, text);
}

/* Whatever the job's own status: it was told that its files were written. */
static void got_lost(struct run *r, const struct job_lost *m)
{
    char text[400];
    if (bytes_to_text(m->text, text, sizeof text) < 0)
        snprintf(text, sizeof text, "some of what the job wrote is lost");
    clean(text);
    r->rc = m->code && m->code < 4096 ? -(int)m->code : -EIO;
    r->outcome = (struct mrc_outcome){ false, 255 };
    snprintf(r->e->text, sizeof r->e->text, "%.60s: %.190s", r->o->options->host, text);
}

/* ---- a kept view, and doing without ---- */

static int open_files(struct run *r);

/* The kept view is not to be had: the job gets one of its own. */
static void go_alone(struct run *r, const char *why)
{
    if (r->is_alone || r->has_started || r->has_outcome)
        return;
    r->is_alone = true;
    watchjob_alone(&r->watch);
    log_at(LOG_VERBOSE, "%s: a view of the job's own: %s", r->o->options->host, why);
    int rc = open_files(r);
    if (rc < 0) {
        r->has_outcome = true;
        r->outcome.code = 255;
        r->rc = rc;
    }
}

static void on_keeper(void *ctx, uint32_t events)
{
    struct run *r = ctx;
    (void)events;
    struct mrc_keeper_word w;
    int rc = mrc_keeper_wait(r->o->keep->keeper_fd, 0, &w);
    if (rc == -ETIMEDOUT)
        return;
    if (rc == 0 && w.kind == MRC_KEEPER_FAILED)
        go_alone(r, w.text);
    if (rc == 0)
        return;
    loop_fd_del(&r->keeper_watch);
    go_alone(r, "what should keep it has ended");
}

static void got_message(struct run *r, const struct job_msg *m)
{
    switch (m->id) {
    case JOB_MSG_started:
        log_at(LOG_VERBOSE, "%s: started, process %u there", r->o->options->host,
               m->started.pid);
        r->has_started = true;
        loop_timer_del(&r->start_timer);
        take_terminal(r);
        watchjob_started(&r->watch, m->started.pid);
        if (r->o->on_started)
            r->o->on_started(r->o->ctx, m->started.pid);
        break;
    case JOB_MSG_stopped: stop_self(r); break;
    case JOB_MSG_exited:
        r->has_outcome = true;
        r->outcome.by_signal = m->exited.by_signal != 0;
        r->outcome.code = (int)(m->exited.code & 0xff);
        break;
    case JOB_MSG_failed: got_failed(r, &m->failed); break;
    case JOB_MSG_lost: got_lost(r, &m->lost); break;
    case JOB_MSG_used:
        if (r->has_outcome && !r->outcome.by_signal) /* else it is only a part */
            mrc_profile_save(&r->profile, m->used.profile);
        break;
    case JOB_MSG_unjoined: {
        char text[300];
        if (bytes_to_text(m->unjoined.text, text, sizeof text) < 0)
            text[0] = 0;
        clean(text);
        go_alone(r, text);
        break;
    }
    case JOB_MSG_notice: {
        char text[1100];
        if (bytes_to_text(m->notice.text, text, sizeof text) == 0) {
            clean(text);
            log_at((enum log_level)m->notice.level, "%s: %s", r->o->options->host, text);
        }
        break;
    }
    default: break;
    }
    maybe_end(r);
}

static void finish(struct run *r);

static void on_job_data(void *ctx, struct bytes body)
{
    struct run *r = ctx;
    mrc_port_consumed(r->job, body.len);
    int rc = buf_append(&r->in, body.ptr, body.len);
    while (rc == 0) {
        struct job_msg m;
        size_t used;
        rc =
            job_msg_get((struct bytes){ buf_at(&r->in), (uint32_t)buf_len(&r->in) }, &m, &used);
        if (rc < 0 || !used)
            break;
        got_message(r, &m);
        buf_consume(&r->in, used);
    }
    if (rc < 0) {
        r->has_outcome = true;
        r->outcome.code = 255;
        r->rc = err_set(r->e, 0, "%.60s: a message about the job makes no sense",
                        r->o->options->host);
        finish(r);
    }
}

static void on_job_closed(void *ctx, int code, struct bytes text)
{
    struct run *r = ctx;
    r->job = NULL;
    if (!r->has_outcome) {
        char why[160];
        if (!text.len || bytes_to_text(text, why, sizeof why) < 0)
            snprintf(why, sizeof why, "%s", code ? strerror(-code) : "the other side ended it");
        clean(why);
        r->has_outcome = true;
        r->outcome.code = 255;
        r->rc = err_set(r->e, 0, "%.60s: %s%s", r->o->options->host,
                        r->has_started ? "the job was lost: " : "", why);
    }
    maybe_end(r);
}

static void on_job_eof(void *ctx)
{
    struct run *r = ctx;
    if (r->job)
        mrc_port_end(r->job);
}

static const struct mrc_port_ops job_ops = { .on_data = on_job_data,
                                             .on_eof = on_job_eof,
                                             .on_closed = on_job_closed };

/* Statistics, asked for at the end */

static void on_stats_data(void *ctx, struct bytes body)
{
    struct run *r = ctx;
    mrc_port_consumed(r->stats, body.len);
    ssize_t n = write(STDERR_FILENO, body.ptr, body.len);
    (void)n; /* it was only for reading */
}

static void on_stats_closed(void *ctx, int code, struct bytes text)
{
    struct run *r = ctx;
    (void)code;
    (void)text;
    r->stats = NULL;
    r->stats_done = true;
    maybe_end(r);
}

static const struct mrc_port_ops stats_ops = { .on_data = on_stats_data,
                                               .on_closed = on_stats_closed };

static void print_link_stats(struct run *r)
{
    struct mrc_link_stats s;
    mrc_link_stats(r->link, &s);
    fprintf(stderr,
            "mrc: link: %llu bytes sent, %llu bytes received, %llu frames sent, %llu frames "
            "received\n",
            (unsigned long long)s.bytes_out, (unsigned long long)s.bytes_in,
            (unsigned long long)s.frames_out, (unsigned long long)s.frames_in);
}

/* The end */

static void on_bye_timeout(void *ctx)
{
    struct run *r = ctx;
    r->is_done = true;
}

static void finish(struct run *r)
{
    if (r->is_over)
        return;
    r->is_over = true;
    if (r->o->options->stats)
        print_link_stats(r);
    mrc_link_bye(r->link, 0, "");
    loop_timer_set(r->loop, &r->end_timer, BYE_WAIT_MS, on_bye_timeout, r);
}

static void on_end_timeout(void *ctx)
{
    struct run *r = ctx;
    if (!r->rc) {
        r->rc =
            err_say(r->e, ETIMEDOUT, "%.60s: the job ended, but its files were not released",
                    r->o->options->host);
        r->outcome = (struct mrc_outcome){ false, 255 };
    }
    finish(r);
}

static void maybe_end(struct run *r)
{
    if (!r->has_outcome || r->is_over)
        return;
    if (!r->is_ending) {
        r->is_ending = true;
        watchjob_ended(&r->watch);
        loop_timer_set(r->loop, &r->end_timer, r->rc < 0 ? FAILED_WAIT_MS : END_WAIT_MS,
                       on_end_timeout, r);
        if (r->tty_in)
            mrc_pump_end_in(r->tty_in);
        if (r->job)
            mrc_port_end(r->job);
    }
    if (r->output_pumps || r->file_pumps || r->job)
        return;
    if (r->o->options->stats && !r->stats && !r->stats_done && !r->is_lost &&
        mrc_link_open(r->link, "stats", (struct bytes){ NULL, 0 }, WEIGHT_JOB, MRC_WINDOW_FIRST,
                      &stats_ops, r, &r->stats) == 0) {
        mrc_port_end(r->stats);
        return;
    }
    if (!r->stats)
        finish(r);
}

static int on_open(void *ctx, struct mrc_port *port, struct bytes service, struct bytes request)
{
    struct run *r = ctx;
    (void)request;
    return mrc_nest_open(r->nest, port, service);
}

static void on_link_end(void *ctx, int code, const char *text)
{
    struct run *r = ctx;
    r->is_lost = true;
    if (!r->has_outcome || !r->is_over) {
        if (!r->rc) {
            r->rc = code ? code : -ECONNRESET;
            snprintf(r->e->text, sizeof r->e->text, "%.60s: %s", r->o->options->host,
                     *text ? text : "the other side ended the session");
        }
        r->outcome = (struct mrc_outcome){ false, 255 };
    }
    r->is_done = true;
}

static void on_start_timeout(void *ctx)
{
    struct run *r = ctx;
    if (r->has_outcome)
        return;
    r->has_outcome = true;
    r->rc = err_set(r->e, 0, "%.60s: the agent has not started the job for %d s",
                    r->o->options->host, START_WAIT_MS / 1000);
    finish(r);
}

/* Channels */

static void on_output_done(void *ctx, int code)
{
    struct run *r = ctx;
    (void)code;
    r->output_pumps--;
    maybe_end(r);
}

static void on_tty_done(void *ctx, int code)
{
    struct run *r = ctx;
    r->tty_in = NULL;
    on_output_done(ctx, code);
}

static void on_files_lost(void *ctx)
{
    struct run *r = ctx;
    r->has_outcome = true;
    r->rc =
        err_set(r->e, 0,
                "the file server on this computer ended, and with it the job on %.60s: what "
                "it wrote last may not be here",
                r->o->options->host);
    finish(r);
}

static void on_files_done(void *ctx, int code)
{
    struct run *r = ctx;
    (void)code;
    r->file_pumps--;
    if (!r->has_outcome && !r->is_over) /* the job's end, if it is that, may be on its way */
        loop_timer_set(r->loop, &r->end_timer, FILES_LOST_MS, on_files_lost, r);
    maybe_end(r);
}

static void on_meta_done(void *ctx, int code)
{
    ((struct run *)ctx)->watch.files[0] = NULL;
    on_files_done(ctx, code);
}

static void on_bulk_done(void *ctx, int code)
{
    ((struct run *)ctx)->watch.files[1] = NULL;
    on_files_done(ctx, code);
}

static void on_output(void *ctx, const uint8_t *ptr, size_t len_bytes)
{
    struct run *r = ctx;
    watchjob_output(&r->watch, ptr, len_bytes);
}

static int own(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* The job of "ls | mrc -t host less" reads the terminal besides standard input. */
static int open_keys(const struct run *r)
{
    if (!r->stdio.has_tty || r->stdio.kinds[0] == JOB_FD_NULL)
        return -1;
    if (r->stdio.kinds[0] == JOB_FD_TTY)
        return own(0);
    return open("/dev/tty", O_RDWR | O_CLOEXEC);
}

struct channel {
    const char *service;
    int fd_in, fd_out; /* taken */
    uint8_t weight;
    uint64_t window;
    void (*on_done)(void *ctx, int code);
    int *counter;
};

static int open_channel(struct run *r, const struct channel *c, struct mrc_pump **out)
{
    struct mrc_pump_opts po = {
        .loop = r->loop, .fd_in = c->fd_in, .fd_out = c->fd_out, .on_done = c->on_done, .ctx = r
    };
    if (c->fd_out >= 0 && isatty(c->fd_out) == 1)
        po.on_output = on_output;
    struct mrc_pump *p;
    int rc = mrc_pump_new(&po, &p);
    if (rc < 0)
        return rc;
    rc = mrc_pump_open(p, r->link, c->service, (struct bytes){ NULL, 0 }, c->weight, c->window);
    if (rc == 0 && c->counter)
        ++*c->counter;
    if (out)
        *out = p;
    return rc;
}

static void on_input_done(void *ctx, int code)
{
    (void)ctx; /* nobody waits for input */
    (void)code;
}

/* The ordinary case is a stream: a program may take a pipe for a pipe, but a file that asks for
 * each read looks to it like a file of no length (gzip warns and fails). */
static int open_input(struct run *r)
{
    if (r->o->options->reads_ahead || mrc_input_is_ours(0)) {
        struct channel c = { "stdin",       own(0),        -1,  WEIGHT_STREAM,
                             WINDOW_OUTPUT, on_input_done, NULL };
        return open_channel(r, &c, NULL);
    }
    struct mrc_supply *s;
    int rc = mrc_supply_new(r->loop, 0, on_output_done, r, &s);
    if (rc == 0)
        rc = mrc_supply_open(s, r->link, WEIGHT_STREAM);
    if (rc == 0)
        r->output_pumps++; /* until what was not used is given back */
    return rc;
}

/* Starts the file server and opens the channels between it and the job's agent. */
static int open_files(struct run *r)
{
    struct mrc_server *server = NULL;
    int rc = r->o->serve(r->o->ctx, &server, r->e);
    if (rc < 0)
        return rc;
    struct channel meta = { "fs-meta",     server->meta_fd, server->meta_fd, WEIGHT_META,
                            WINDOW_FILES,  on_meta_done,    &r->file_pumps };
    struct channel bulk = { "fs-bulk",     server->bulk_fd, server->bulk_fd, WEIGHT_BULK,
                            WINDOW_FILES,  on_bulk_done,    &r->file_pumps };
    bool has_files = meta.fd_in >= 0;
    server->meta_fd = server->bulk_fd = -1;
    struct mrc_pump *pumps[2] = { NULL, NULL };
    if (has_files)
        rc = open_channel(r, &meta, &pumps[0]);
    if (rc == 0 && has_files)
        rc = open_channel(r, &bulk, &pumps[1]);
    r->watch.server = server->activity;
    r->watch.files[0] = pumps[0];
    r->watch.files[1] = pumps[1];
    return rc < 0 ? err_set(r->e, -rc, "channels of the files") : 0;
}

static int open_channels(struct run *r)
{
    static const char *const names[] = { "stdin", "stdout", "stderr" };
    int rc = mrc_link_open(r->link, "job", (struct bytes){ NULL, 0 }, WEIGHT_JOB,
                           MRC_WINDOW_FIRST, &job_ops, r, &r->job);
    r->is_alone = !r->o->keep->is_wanted;
    if (rc == 0 && r->is_alone)
        rc = open_files(r);
    if (rc == 0 && r->stdio.has_tty) {
        /* What has no place on standard output, because that is no terminal, goes to one. */
        bool is_stdout = r->stdio.kinds[1] == JOB_FD_TTY;
        int out = is_stdout ? 1 : isatty(2) == 1 ? 2 : isatty(0) == 1 ? 0 : 1;
        r->keys_fd = open_keys(r);
        struct channel tty = { "tty",         own(r->keys_fd), own(out),        WEIGHT_TTY,
                               WINDOW_OUTPUT, on_tty_done,     &r->output_pumps };
        rc = open_channel(r, &tty, &r->tty_in);
    }
    for (int i = 0; rc == 0 && i < 3; i++) {
        if (r->stdio.kinds[i] != JOB_FD_STREAM)
            continue;
        struct channel c = {
            names[i], -1, own(i), WEIGHT_STREAM, WINDOW_OUTPUT, on_output_done, &r->output_pumps
        };
        rc = i == 0 ? open_input(r) : open_channel(r, &c, NULL);
    }
    return rc;
}

static int send_spec(struct run *r)
{
    const struct mrc_keep *keep = r->o->keep;
    mrc_profile_load(&r->profile, r->o->options, r->o->trees);
    int rc = mrc_spec_put(r->o->options, r->o->trees, &r->stdio, &r->profile,
                          keep->is_wanted ? keep->id : NULL, keep->mark, &r->job->queue, r->e);
    if (rc == 0)
        mrc_port_queued(r->job, buf_len(&r->job->queue));
    return rc;
}

/* What opens the session travels with what starts the agent: that saves a round trip. Until
 * then the terminal and the signals are the transport's, which may have to ask something. */
static int connect_link(struct run *r)
{
    AUTO_FREE uint8_t *early = malloc(MRC_EARLY_MAX);
    if (!early)
        return err_set(r->e, ENOMEM, "connection");
    int len = mrc_link_early(r->link, early, MRC_EARLY_MAX);
    if (len < 0)
        return err_set(r->e, -len, "first bytes of the session");
    int fd;
    int rc = r->o->connect(r->o->ctx, (struct bytes){ early, (uint32_t)len }, &fd, r->e);
    if (rc < 0)
        return rc;
    rc = mrc_link_attach(r->link, fd, fd);
    return rc < 0 ? err_set(r->e, -rc, "watch the link") : 0;
}

static int start(struct run *r)
{
    int rc = loop_new(&r->loop);
    if (rc < 0)
        return err_set(r->e, -rc, "event loop");
    struct mrc_link_opts lo = { .loop = r->loop,
                                .fd_in = -1,
                                .fd_out = -1,
                                .is_head = true,
                                .software = "mrc " PACKAGE_VERSION,
                                .silence_ms = mrc_silence_ms(),
                                .on_open = on_open,
                                .on_end = on_link_end,
                                .ctx = r };
    rc = mrc_link_new(&lo, &r->link, r->e);
    if (rc == 0 && r->o->nester && r->o->nester->sock >= 0 &&
        (rc = mrc_nest_new(r->loop, &r->link, r->o->nester, &r->nest)) < 0)
        err_set(r->e, -rc, "jobs of the job's");
    if (rc < 0)
        return rc;
    if (!r->o->is_unwatched)
        watchjob_begin(&r->watch, r->loop, r->o->options,
                       r->o->keep->is_wanted ? r->o->keep->id : NULL, r->stdio.has_tty);
    r->watch.link = r->link;
    rc = open_channels(r);
    if (rc < 0)
        return r->e->text[0] ? rc : err_set(r->e, -rc, "channels of the job");
    rc = send_spec(r);
    if (rc < 0)
        return rc;
    watchjob_ask(&r->watch, r->link);
    struct job_winsize before = { 0 }, after = { 0 };
    (void)!mrc_tty_size(&before);
    rc = connect_link(r);
    if (rc < 0)
        return rc;
    rc = watch_signals(r);
    if (rc < 0)
        return err_set(r->e, -rc, "watch signals");
    if (r->o->keep->keeper_fd >= 0) {
        rc = loop_fd_add(r->loop, &r->keeper_watch, r->o->keep->keeper_fd, EPOLLIN, on_keeper, r);
        if (rc < 0)
            return err_set(r->e, -rc, "watch the view");
    } else if (r->o->keep->is_wanted && r->o->keep->is_lost) {
        go_alone(r, "its keeper could not be started");
    }
    take_terminal(r);
    (void)!mrc_tty_size(&after);
    if (memcmp(&before, &after, sizeof before) != 0)
        send_size(r);
    loop_timer_set(r->loop, &r->start_timer, START_WAIT_MS, on_start_timeout, r);
    return 0;
}

int mrc_run(const struct mrc_run_opts *o, struct mrc_outcome *out, struct err *e)
{
    struct run r = { .o = o, .e = e, .keys_fd = -1, .sigfd = -1, .outcome = { false, 255 } };
    buf_init(&r.in, JOB_MSG_MAX + 8192);
    sigprocmask(SIG_BLOCK, NULL, &r.old_mask);
    mrc_stdio_plan(o->options, &r.stdio);
    int rc = start(&r);
    while (rc == 0 && !r.is_done) {
        rc = loop_turn(r.loop, -1);
        watchjob_turn(&r.watch);
        if (r.is_over && mrc_link_is_flushed(r.link))
            break; /* what follows is the other side's business */
    }
    watchjob_end(&r.watch);
    mrc_tty_restore();
    fd_close(&r.keys_fd);
    if (rc == 0)
        rc = r.rc;
    r.has_outcome = r.is_over = true; /* what the ports say when they are dropped is no news */
    if (r.link)
        mrc_link_free(r.link);
    mrc_nest_free(r.nest);
    loop_fd_del(&r.sig_watch);
    loop_fd_del(&r.keeper_watch);
    loop_timer_del(&r.end_timer);
    loop_timer_del(&r.terminal_timer);
    loop_timer_del(&r.start_timer);
    fd_close(&r.sigfd);
    loop_free(r.loop);
    buf_fini(&r.in);
    mrc_profile_fini(&r.profile);
    sigprocmask(SIG_SETMASK, &r.old_mask, NULL);
    *out = r.outcome;
    return rc;
}
