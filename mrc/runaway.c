/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runaway.c: a job whose connection was lost: what the user sees, and the way back.
 * Must not know: how connections are made. Source: docs/resume.md. */
#include "mrc/runparts.h"

#include "common/sys/clock.h"
#include "common/sys/log.h"
#include "mrc/reconnect.h"
#include "mrc/statusline.h"
#include "mrc/tty.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    VIEW_LOOK_MS = 2000,
    VIEW_LOOKS = 2, /* without the keeper, in a row: the target may say it first */
};

static bool has_screen(const struct run *r)
{
    return r->stdio.has_tty;
}

uint32_t run_wait_s(const struct run *r)
{
    return r->o->reconnect ? r->o->wait_s : 0;
}

static int greet(void *ctx, uint8_t *out, size_t size_bytes)
{
    struct run *r = ctx;
    return mrc_link_redial(r->link, out, size_bytes);
}

static void on_stream(void *ctx, int fd)
{
    struct run *r = ctx;
    int rc = mrc_link_attach(r->link, fd, fd);
    if (rc < 0)
        mrc_link_give_up(r->link, rc, "the new connection can't be watched");
}

static void on_wait(void *ctx, unsigned next_s, const char *why)
{
    struct run *r = ctx;
    char text[400], when[40] = "trying again";
    if (r->o->options->quiet)
        return;
    if (next_s)
        snprintf(when, sizeof when, "trying again in %u s", next_s);
    snprintf(text, sizeof text, "mrc: %.60s: connection lost, %s (Ctrl-C ends)%s%s", r->o->options->host,
             when, *why ? ": " : "", why);
    mrc_statusline_show(STDERR_FILENO, has_screen(r), text);
    r->has_drawn = true;
}

static void on_given_up(void *ctx, const char *why)
{
    struct run *r = ctx;
    mrc_link_give_up(r->link, -ETIMEDOUT, why);
}

static int connect_again(void *ctx, bool may_ask, int *fd_out, struct err *e)
{
    struct run *r = ctx;
    return r->o->reconnect(r->o->ctx, may_ask, fd_out, e);
}

/* Keys are for the question until it is answered, and for the job again then. */
static bool on_ask(void *ctx)
{
    struct run *r = ctx;
    r->has_drawn = true;
    mrc_statusline_clear(STDERR_FILENO, has_screen(r));
    if (!mrc_tty_lend()) {
        run_take_terminal(r);
        return false;
    }
    r->is_asking = true;
    if (r->tty_in)
        mrc_pump_pause(r->tty_in, true);
    return true;
}

static void on_asked(void *ctx)
{
    struct run *r = ctx;
    mrc_tty_give_back();
    r->is_asking = false;
    run_take_terminal(r);
}

/* ---- the keeper of its view, which comes back by itself, unless it was killed: then only its agent's time would end the job ---- */

static bool sees_keeper(const struct run *r)
{
    char name[sizeof r->watch.file.now.view];
    struct activity view;
    size_t others;
    watchjob_view_name(r->o->keep->id, name, sizeof name);
    return activity_of_view(name, &view, &others) == 0;
}

static void on_view_timer(void *ctx)
{
    struct run *r = ctx;
    r->keeper_misses = sees_keeper(r) ? 0 : r->keeper_misses + 1;
    if (r->has_outcome || r->is_over || r->is_alone)
        return;
    loop_timer_set(r->loop, &r->view_timer, VIEW_LOOK_MS, on_view_timer, r);
    if (r->keeper_misses < VIEW_LOOKS || r->is_away)
        return;
    if (!r->has_started) {
        run_go_alone(r, "what kept the view has ended with the connection");
        return;
    }
    r->has_outcome = true;
    r->outcome = (struct mrc_outcome){ .by_signal = false, .code = 255 };
    r->rc = err_say(r->e, ECONNRESET,
                    "%.60s: the keeper of the view was killed while the connection was lost, and the job ends with it: what it "
                    "wrote last may not be here",
                    r->o->options->host);
    run_finish(r);
}

void run_note_keeper(struct run *r)
{
    r->has_keeper = r->o->keep->is_wanted && !r->is_alone && (r->has_keeper || sees_keeper(r));
}

static void disconnect(void *ctx)
{
    struct run *r = ctx;
    r->o->disconnect(r->o->ctx);
}

void run_on_lost(void *ctx, int code, const char *text)
{
    struct run *r = ctx;
    if (r->is_over) { /* all is here, but for the good-bye */
        r->is_done = true;
        return;
    }
    bool is_first = !r->is_away;
    r->is_away = true;
    if (is_first) {
        if (!r->away_count)
            run_note_keeper(r);
        r->away_count++;
        r->away_ms = clock_mono_ms();
    }
    watchjob_hide(&r->watch);
    run_stop_timers(r);
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
                                         .on_ask = on_ask,
                                         .on_asked = on_asked,
                                         .ctx = r };
        int rc = mrc_reconnect_new(&ro, &r->again);
        if (rc < 0) {
            mrc_link_give_up(r->link, code, text);
            return;
        }
    }
    if (is_first && isatty(STDERR_FILENO) != 1)
        log_warn("%s: connection lost, trying again", r->o->options->host);
    log_at(LOG_VERBOSE, "%s: %s", r->o->options->host, text);
    if (is_first)
        log_keep("%s: connection lost: %s", r->o->options->host, text);
    run_take_terminal(r); /* its keys make signals for us meanwhile */
    mrc_reconnect_start(r->again);
}

static void tell_back(struct run *r)
{
    struct mrc_link_stats s;
    uint64_t was_again = r->told_again, away_ms = clock_mono_ms() - r->away_ms;
    mrc_link_stats(r->link, &s);
    r->told_again = s.bytes_again;
    r->away_total_ms += away_ms;
    char text[200];
    snprintf(text, sizeof text, "%.60s: the connection is back after %.2f s, %llu bytes sent again", r->o->options->host,
             (double)away_ms / 1000, (unsigned long long)(s.bytes_again - was_again));
    log_at(LOG_VERBOSE, "%s", text);
    log_keep("%s", text);
}

void run_on_resumed(void *ctx)
{
    struct run *r = ctx;
    r->is_away = false;
    mrc_reconnect_done(r->again);
    mrc_statusline_clear(STDERR_FILENO, has_screen(r));
    tell_back(r);
    run_take_terminal(r);
    /* What we have drawn over; but a program may break off what it was doing for that. */
    if (r->has_drawn)
        run_redraw(r);
    else
        run_send_size(r);
    r->has_drawn = false;
    if (r->has_keeper)
        loop_timer_set(r->loop, &r->view_timer, VIEW_LOOK_MS, on_view_timer, r);
    run_set_timers(r);
}

void run_leave_away(struct run *r)
{
    mrc_statusline_clear(STDERR_FILENO, has_screen(r));
    if (r->o->held)
        log_warn("%s: the job is left alone, mrc attach takes it up again", r->o->options->host);
    else
        log_warn("%s: the job is left alone: it ends when it has waited for us for %u s", r->o->options->host,
             r->o->wait_s);
}

void run_end_away(struct run *r)
{
    if (r->is_away)
        mrc_statusline_clear(STDERR_FILENO, has_screen(r));
    mrc_reconnect_free(r->again);
    r->again = NULL;
}
