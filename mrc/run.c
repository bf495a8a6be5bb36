/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run.c: one job over one link.
 * Must not know: how the link was made.
 * Invariant: the outcome is reported only after all output was written here and the file
 * channels are closed, which the agent does when the job's file systems are unmounted: what the
 * job wrote is here then. */
#include "mrc/runparts.h"

#include "config.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/tty.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BYE_WAIT_MS = 2000,
    SILENCE_MS = 30 * 1000, /* of the agent's, when the connection can be made anew */
};

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
    run_maybe_end(r);
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
    if (r->away_count)
        fprintf(stderr, "mrc: link: lost %u times, %.1f s together, %llu bytes sent again\n", r->away_count,
                (double)r->away_total_ms / 1000, (unsigned long long)s.bytes_again);
}

/* The end */

static void on_bye_timeout(void *ctx)
{
    struct run *r = ctx;
    r->is_done = true;
}

void run_finish(struct run *r)
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
        r->outcome = (struct mrc_outcome){ .by_signal = false, .code = 255 };
    }
    run_finish(r);
}

static void on_start_timeout(void *ctx)
{
    struct run *r = ctx;
    if (r->has_outcome)
        return;
    r->has_outcome = true;
    r->rc = err_set(r->e, 0, "%.60s: the agent has not started the job for %d s",
                    r->o->options->host, RUN_START_WAIT_MS / 1000);
    run_finish(r);
}

void run_set_timers(struct run *r)
{
    if (r->is_away || r->is_over)
        return;
    if (r->is_ending)
        loop_timer_set(r->loop, &r->end_timer, r->rc < 0 ? RUN_FAILED_WAIT_MS : RUN_END_WAIT_MS,
                       on_end_timeout, r);
    if (!r->has_started && !r->has_outcome)
        loop_timer_set(r->loop, &r->start_timer, RUN_START_WAIT_MS, on_start_timeout, r);
}

void run_stop_timers(struct run *r)
{
    loop_timer_del(&r->end_timer);
    loop_timer_del(&r->start_timer);
}

void run_maybe_end(struct run *r)
{
    if (!r->has_outcome || r->is_over)
        return;
    if (!r->is_ending) {
        r->is_ending = true;
        watchjob_ended(&r->watch);
        run_set_timers(r);
        if (r->tty_in)
            mrc_pump_end_in(r->tty_in);
        if (r->job && !r->o->held)
            mrc_port_end(r->job);
    }
    if (r->o->held)
        run_held_end(r);
    if (r->output_pumps || r->file_pumps || r->job)
        return;
    if (r->o->options->stats && !r->o->held && !r->stats && !r->stats_done && !r->is_lost &&
        mrc_link_open(r->link, "stats", (struct bytes){ NULL, 0 }, RUN_WEIGHT_JOB, MRC_WINDOW_FIRST,
                      &stats_ops, r, &r->stats) == 0) {
        mrc_port_end(r->stats);
        return;
    }
    if (!r->stats)
        run_finish(r);
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
        r->outcome = (struct mrc_outcome){ .by_signal = false, .code = 255 };
    }
    r->is_done = true;
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

/* To come back too early costs nothing but a connection. */
static int silence_ms(const struct run *r)
{
    if (r->o->may_be_silent)
        return INT_MAX;
    return mrc_silence_ms() ? mrc_silence_ms() : run_wait_s(r) ? SILENCE_MS : 0;
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
                                .silence_ms = silence_ms(r),
                                .hello_ms = mrc_silence_ms() ? mrc_silence_ms() : MRC_SILENCE_MAX_MS,
                                .on_open = on_open,
                                .on_lost = run_wait_s(r) ? run_on_lost : NULL,
                                .on_resumed = run_on_resumed,
                                .wait_s = run_wait_s(r),
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
    rc = run_open_channels(r);
    if (rc < 0)
        return r->e->text[0] ? rc : err_set(r->e, -rc, "channels of the job");
    rc = run_send_spec(r);
    if (rc < 0)
        return rc;
    watchjob_ask(&r->watch, r->link);
    struct job_winsize before = { 0 }, after = { 0 };
    (void)!mrc_tty_size(&before);
    rc = connect_link(r);
    if (rc < 0)
        return rc;
    rc = run_watch_signals(r);
    if (rc < 0)
        return err_set(r->e, -rc, "watch signals");
    if (r->o->keep->keeper_fd >= 0) {
        rc = loop_fd_add(r->loop, &r->keeper_watch, r->o->keep->keeper_fd, EPOLLIN, run_on_keeper, r);
        if (rc < 0)
            return err_set(r->e, -rc, "watch the view");
    } else if (r->o->keep->is_wanted && r->o->keep->is_lost) {
        run_go_alone(r, "its keeper could not be started");
    }
    run_take_terminal(r);
    (void)!mrc_tty_size(&after);
    if (memcmp(&before, &after, sizeof before) != 0)
        run_send_size(r);
    run_set_timers(r);
    return 0;
}

int mrc_run(const struct mrc_run_opts *o, struct mrc_outcome *out, struct err *e)
{
    struct run r = { .o = o, .e = e, .keys_fd = -1, .sigfd = -1, .outcome = { .code = 255 } };
    buf_init(&r.in, JOB_MSG_MAX + 8192);
    sigprocmask(SIG_BLOCK, NULL, &r.old_mask);
    mrc_stdio_plan(o->options, &r.stdio);
    for (int i = 0; o->held && i < 3; i++)
        r.stdio.kinds[i] = (enum job_fd)o->held->kinds[i];
    r.stdio.has_tty = o->held ? o->held->has_tty : r.stdio.has_tty;
    int rc = start(&r);
    while (rc == 0 && !r.is_done) {
        rc = loop_turn(r.loop, -1);
        watchjob_turn(&r.watch);
        if (r.is_over && mrc_link_is_flushed(r.link))
            break; /* what follows is the other side's business */
    }
    watchjob_end(&r.watch);
    run_end_away(&r);
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
    loop_timer_del(&r.taken_timer);
    loop_timer_del(&r.view_timer);
    fd_close(&r.sigfd);
    loop_free(r.loop);
    buf_fini(&r.in);
    mrc_profile_fini(&r.profile);
    sigprocmask(SIG_SETMASK, &r.old_mask, NULL);
    *out = r.outcome;
    return rc;
}
