/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runterm.c: the terminal and the signals of a running job, from this side.
 * Must not know: how the link was made. */
#include "mrc/runparts.h"

#include "common/sys/log.h"
#include "mrc/tty.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { BACKGROUND_LOOK_MS = 250 };

static const int passed_signals[] = { SIGHUP,  SIGINT,  SIGQUIT,   SIGTERM, SIGUSR1,
                                      SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO,
                                      SIGTSTP, SIGCONT, SIGWINCH };

void run_send(struct run *r, const struct job_msg *m)
{
    uint8_t space[64];
    struct wr w = wr_of(space, sizeof space);
    job_msg_put(&w, m);
    if (r->job && mrc_port_send(r->job, space, wr_len(&w)) < 0)
        log_at(LOG_VERBOSE, "a message to the job was lost: its queue is full");
}

void run_send_signal(struct run *r, int number, bool is_group)
{
    run_send(
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
void run_take_terminal(void *ctx)
{
    struct run *r = ctx;
    if (r->keys_fd < 0 || isatty(r->keys_fd) != 1 || r->is_asking)
        return;
    bool is_background = is_in_background(r);
    if (r->tty_in)
        mrc_pump_pause(r->tty_in, is_background);
    if (is_background)
        loop_timer_set(r->loop, &r->terminal_timer, BACKGROUND_LOOK_MS, run_take_terminal, r);
    else if (mrc_tty_raw(r->keys_fd, !r->has_started || r->is_away) < 0)
        log_warn("the terminal can't be made raw: %s", strerror(errno));
}

void run_send_size(struct run *r)
{
    struct job_msg m = { .id = JOB_MSG_winsize };
    if (r->stdio.has_tty && mrc_tty_size(&m.winsize) == 0)
        run_send(r, &m);
}

/* A program that draws draws anew when its terminal changes. */
void run_redraw(struct run *r)
{
    struct job_msg m = { .id = JOB_MSG_winsize };
    if (r->stdio.has_tty && mrc_tty_size(&m.winsize) == 0 && m.winsize.rows > 1) {
        m.winsize.rows--;
        run_send(r, &m);
    }
    run_send_size(r);
}

/* The job stopped: so do we, the shell is to notice. What we are continued by continues the
 * job. */
void run_stop_self(struct run *r)
{
    watchjob_hide(&r->watch);
    mrc_tty_restore();
    mrc_link_pause(r->link);
    kill(getpid(), SIGSTOP);
    run_take_terminal(r);
    run_send_size(r);
    run_send_signal(r, SIGCONT, true);
}

/* Signals that came to us */

static bool is_fatal(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

/* There is no job that could be told. */
static void give_up(struct run *r, int number)
{
    if (r->is_away)
        run_leave_away(r);
    r->has_outcome = true;
    r->outcome = (struct mrc_outcome){ true, number, r->is_away };
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
            run_send_size(r);
        else if (n == SIGCONT)
            run_send_signal(r, n, true);
        else if (!is_fatal(n))
            run_send_signal(r, n, si.ssi_code == SI_KERNEL);
        else if (r->has_outcome)
            r->is_done = true; /* only the last files are waited for: the user need not */
        else if (r->o->held && n == SIGHUP)
            run_held_leave(r); /* the terminal has gone, the job need not */
        else if (!r->has_started || r->is_away)
            give_up(r, n);
        else
            run_send_signal(r, n, si.ssi_code == SI_KERNEL);
    }
}

int run_watch_signals(struct run *r)
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
