/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supervise.c: process 1 of a job.
 * Must not know: the session, how the view was built.
 * Invariant: exactly one last word (exited or failed) is sent, after the job's tree is dead and
 * its files are home. */
#include "mrc/agent/supervise.h"

#include "common/sys/buf.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrc/agent/below.h"
#include "mrc/agent/command.h"
#include "mrc/agent/freeze.h"
#include "mrc/agent/readers.h"
#include "mrc/demand.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOOK_FIRST_MS = 1,
    LOOK_LAST_MS = 50,
    HEAD_LOOK_MS = 500,
    THAWED_MS = 500, /* that processes go on is told so late */
    BARRIER_LOOK_MS = 50,
    BARRIER_MS = 60 * 1000, /* for what is on its way to the head, while no write arrives there */
    HIDDEN_LOOKS =
        20, /* in a row, most of a second, that somebody was there who can't be looked at */
};

struct supervisor {
    const struct supervise_opts *o;
    struct buf in;
    int sigfd;
    pid_t job;
    bool is_over;
    int status;
    bool head_gone, is_view_lost, wants_end;
    char input[32];    /* the pipe that is standard input, as /proc shows it; empty: nothing to
                          look for */
    int look_after_ms; /* until the next look for readers of it */
    int hidden;        /* looks in a row */
    struct freeze freeze;
    uint32_t freeze_s;      /* 0: never; the head's being away is watched for it */
    uint64_t thawed_until_ms;
    uint64_t away_since_ms; /* 0: it is there */
};

static void say(struct supervisor *s, const struct job_msg *m)
{
    uint8_t space[1024];
    struct wr w = wr_of(space, sizeof space);
    job_msg_put(&w, m);
    if (w.is_full || s->head_gone)
        return;
    if (fd_write_full(s->o->sock, space, wr_len(&w)) < 0)
        s->head_gone = true;
}

static void say_failed(struct supervisor *s, enum job_stage stage, int rc, const char *text)
{
    struct job_msg m = { .id = JOB_MSG_failed };
    m.failed.stage = (uint8_t)stage;
    m.failed.code = (uint32_t)-rc;
    m.failed.text = bytes_of(text);
    say(s, &m);
}

/* The process group that a terminal's keys would reach. */
static pid_t foreground(struct supervisor *s)
{
    pid_t group = s->o->tty_fd >= 0 ? tcgetpgrp(s->o->tty_fd) : -1;
    return group > 1 ? group : s->job;
}

static void pass_signal(struct supervisor *s, const struct job_signal *m)
{
    int number = (int)m->number;
    if (number < 1 || number >= NSIG || s->job <= 0)
        return;
    if (s->is_over) {
        s->wants_end = number == SIGINT || number == SIGTERM || number == SIGHUP ||
                       number == SIGQUIT;
        return;
    }
    if (m->is_group)
        kill(-foreground(s), number);
    else
        kill(s->job, number);
    if (number == SIGCONT)
        kill(-s->job, SIGCONT);
}

static void set_winsize(struct supervisor *s, const struct job_winsize *m)
{
    struct winsize ws = { m->rows, m->columns, m->xpixels, m->ypixels };
    if (s->o->tty_fd >= 0)
        ioctl(s->o->tty_fd, TIOCSWINSZ, &ws); /* the kernel sends SIGWINCH */
}

static void thaw(struct supervisor *s)
{
    if (s->freeze.is_on)
        s->thawed_until_ms = clock_mono_ms() + THAWED_MS;
    freeze_off(&s->freeze);
}

static void take_messages(struct supervisor *s)
{
    uint8_t *spot;
    if (buf_reserve(&s->in, 4096, &spot) < 0) {
        s->head_gone = true;
        return;
    }
    ssize_t n = fd_read(s->o->sock, spot, 4096);
    if (n <= 0) {
        s->head_gone = true;
        return;
    }
    buf_commit(&s->in, (size_t)n);
    for (;;) {
        struct job_msg m;
        size_t used;
        if (job_msg_get((struct bytes){ buf_at(&s->in), (uint32_t)buf_len(&s->in) }, &m,
                        &used) < 0) {
            s->head_gone = true;
            return;
        }
        if (!used)
            return;
        if (m.id == JOB_MSG_signal)
            pass_signal(s, &m.signal);
        else if (m.id == JOB_MSG_winsize)
            set_winsize(s, &m.winsize);
        else if (m.id == JOB_MSG_patience)
            s->freeze_s = m.patience.freeze_s;
        else if (m.id == JOB_MSG_freeze && m.freeze.is_frozen && !s->is_over)
            freeze_on(&s->freeze);
        else if (m.id == JOB_MSG_freeze)
            thaw(s);
        buf_consume(&s->in, used);
    }
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (pid != s->job)
            continue;
        if ((WIFSTOPPED(status) || WIFCONTINUED(status)) && (s->freeze.is_on || clock_mono_ms() < s->thawed_until_ms))
            continue; /* it was us */
        if (WIFSTOPPED(status)) {
            say(s, &(struct job_msg){ .id = JOB_MSG_stopped,
                                      .stopped = { (uint32_t)WSTOPSIG(status) } });
        } else if (WIFCONTINUED(status)) {
            say(s, &(struct job_msg){ .id = JOB_MSG_continued });
        } else {
            s->is_over = true;
            s->status = status;
        }
    }
}

/* Standard input is a pipe: is it the head's input? */
static void find_input(struct supervisor *s)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", s->o->fds[0]);
    ssize_t n = s->o->demand_sock >= 0 && s->o->fds[0] >= 0
                    ? readlink(path, s->input, sizeof s->input - 1)
                    : -1;
    if (n < 0 || strncmp(s->input, "pipe:", 5))
        s->input[0] = 0;
    s->look_after_ms = LOOK_FIRST_MS;
}

/* Passes on that the job waits for input. The agent hangs up when it need not be told any more.
 */
static void look_for_readers(struct supervisor *s)
{
    uint64_t size = 0;
    enum readers_want want = readers_look(s->input, &size);
    int longer = s->look_after_ms * 2 < LOOK_LAST_MS ? s->look_after_ms * 2 : LOOK_LAST_MS;
    s->look_after_ms = want > READERS_HIDDEN ? LOOK_FIRST_MS : longer;
    /* Without a pid namespace those of other users are always there. */
    bool is_hidden = want == READERS_HIDDEN && s->o->view->has_pid_ns;
    s->hidden = is_hidden ? s->hidden + 1 : 0;
    if (s->hidden >= HIDDEN_LOOKS) {
        want = READERS_READ; /* better too early than never */
        s->hidden = 0;
    }
    if (want <= READERS_HIDDEN)
        return;
    uint8_t space[DEMAND_LEN];
    struct wr w = wr_of(space, sizeof space);
    put_u8(&w, want == READERS_READ ? DEMAND_READ : DEMAND_POLL);
    put_u64(&w, size);
    ssize_t n = send(s->o->demand_sock, space, sizeof space, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN)
        s->input[0] = 0;
}

/* One turn of waiting; false when the time is over. */
static bool wait_turn(struct supervisor *s, int timeout_ms)
{
    bool watches_view = s->o->joined && !s->is_view_lost;
    struct pollfd pf[3] = { { .fd = s->sigfd, .events = POLLIN },
                            { .fd = s->head_gone ? -1 : s->o->sock, .events = POLLIN },
                            { .fd = watches_view ? s->o->joined->sock : -1, .events = 0 } };
    int n = poll(pf, 3, timeout_ms);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    struct signalfd_siginfo si;
    if (pf[0].revents && read(s->sigfd, &si, sizeof si) > 0)
        reap(s);
    if (pf[1].revents)
        take_messages(s);
    if (pf[2].revents)
        s->is_view_lost = true;
    return true;
}

/* Without a pid namespace: every process below us gets the signal, children before parents; we are their subreaper.
 * Returns how many. */
static int kill_below(int number)
{
    AUTO_FREE struct below_proc *list = NULL;
    int count = below_list(getpid(), &list), met = 0;
    for (int i = count - 1; i >= 0; i--) {
        if (list[i].pid <= 1)
            continue;
        if (number)
            kill(list[i].pid, number);
        met++;
    }
    return met;
}

static bool anybody_left(struct supervisor *s)
{
    if (!s->o->view->has_pid_ns)
        return kill_below(0) > 0;
    return kill(-1, 0) == 0;
}

static void kill_all(struct supervisor *s, int number)
{
    if (s->o->view->has_pid_ns)
        kill(-1, number);
    else
        kill_below(number);
}

/* The agent says on a page that all can read whether the head can be reached. */
static void look_for_head(struct supervisor *s)
{
    uint64_t now_ms = clock_mono_ms();
    if (!s->freeze_s || !s->o->behind)
        return;
    if (!atomic_load(&s->o->behind->is_away)) {
        s->away_since_ms = 0;
        thaw(s);
        return;
    }
    if (!s->away_since_ms)
        s->away_since_ms = now_ms;
    if (now_ms - s->away_since_ms >= (uint64_t)s->freeze_s * 1000)
        freeze_on(&s->freeze);
}

/* Ends what the job left running: asked first, then not. */
static void end_tree(struct supervisor *s)
{
    if (anybody_left(s)) {
        kill_all(s, SIGHUP);
        kill_all(s, SIGCONT);
    }
    uint64_t until = clock_mono_ms() + SUPERVISE_GRACE_MS;
    while (anybody_left(s) && clock_mono_ms() < until)
        wait_turn(s, 20);
    for (int i = 0; i < 100 && anybody_left(s); i++) {
        kill_all(s, SIGKILL);
        wait_turn(s, 20);
    }
    reap(s);
}

/* What programs wrote through shared mappings may still be in this kernel only. */
static int bring_home(struct supervisor *s, struct err *e)
{
    int rc = 0;
    if (s->o->behind && !atomic_load(&s->o->behind->mappable))
        return 0; /* there were none; opening the trees would only take its time */
    for (size_t i = 0; i < s->o->head_path_count; i++) {
        AUTO_FD fd = open(s->o->head_paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || syncfs(fd) < 0) {
            int why = errno;
            if (why != ENOENT && why != EACCES && why != ENOTCONN)
                rc = err_set(e, why, "bring %s home", s->o->head_paths[i]);
        }
    }
    return rc;
}

/* Has the head sent a signal that ends jobs? The job has ended: it is meant for us. */
static bool is_told_to_end(struct supervisor *s)
{
    struct pollfd p = { .fd = s->head_gone ? -1 : s->o->sock, .events = POLLIN };
    if (poll(&p, 1, 0) == 1)
        take_messages(s);
    return s->head_gone || s->wants_end;
}

/* In a view that goes on: all that the job wrote is on the head, or is lost; what it had open is closed.
 * With a view of its own the view's end says that. */
static int wait_barrier(struct supervisor *s, int *lost_rc, struct err *e)
{
    const struct mfs_behind_count *b = s->o->behind;
    int rc = joined_barrier(s->o->joined);
    uint64_t made = atomic_load(&b->made), since_ms = clock_mono_ms();
    while (rc == 0 && (rc = joined_barrier_wait(s->o->joined, BARRIER_LOOK_MS, lost_rc, e)) ==
                          -ETIMEDOUT) {
        uint64_t now = atomic_load(&b->made), now_ms = clock_mono_ms();
        since_ms = now == made && !atomic_load(&b->is_away) ? since_ms : now_ms;
        made = now;
        if (is_told_to_end(s))
            return err_say(e, EINTR, "interrupted: what the job wrote may not all be on the head");
        if (now_ms - since_ms > BARRIER_MS)
            return err_say(e, ETIMEDOUT,
                           "the head does not answer: what the job wrote may not all be there");
        rc = 0;
    }
    return rc;
}

static int come_home(struct supervisor *s, int *lost_rc, struct err *e)
{
    int rc = s->is_view_lost ? -ECONNRESET : bring_home(s, e);
    if (rc == 0 && s->o->joined)
        rc = wait_barrier(s, lost_rc, e);
    if (rc == -ECONNRESET)
        err_say(e, ECONNRESET,
                "the view that the job shared has ended, and the job with it: what it wrote "
                "last may not be on the head");
    return rc;
}

static void report_end(struct supervisor *s)
{
    struct err e = { "" };
    int lost_rc = 0;
    int rc = come_home(s, &lost_rc, &e);
    if (rc < 0) {
        say_failed(s, JOB_STAGE_END, rc, e.text);
        return;
    }
    struct job_msg m = { .id = JOB_MSG_exited };
    m.exited.by_signal = WIFSIGNALED(s->status) != 0;
    m.exited.code =
        (uint32_t)(WIFSIGNALED(s->status) ? WTERMSIG(s->status) : WEXITSTATUS(s->status));
    m.exited.has_core = WIFSIGNALED(s->status) && WCOREDUMP(s->status);
    say(s, &m);
    if (lost_rc < 0)
        say(s, &(struct job_msg){ .id = JOB_MSG_lost,
                                  .lost = { (uint32_t)-lost_rc, bytes_of(e.text) } });
}

int supervise(const struct supervise_opts *o)
{
    struct supervisor s = { .o = o };
    buf_init(&s.in, JOB_MSG_MAX + 8192);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all,
                NULL); /* a first process gets no signal that it did not ask for; make sure */
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    s.sigfd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    setsid();
    if (o->tty_fd >= 0)
        ioctl(o->tty_fd, TIOCSCTTY, 0);
    struct err e = { "" };
    enum job_stage stage = JOB_STAGE_EXEC;
    int rc =
        s.sigfd < 0 ? err_set(&e, errno, "signalfd") : command_start(o, &s.job, &stage, &e);
    find_input(&s);
    uint64_t next_look_ms = 0;
    for (int i = 0; i < 3; i++) {
        int fd = o->fds[i];
        fd_close(&fd); /* so that the end of the job's output is the end of the pipe */
    }
    if (rc < 0) {
        say_failed(&s, stage, rc, e.text);
        return 1;
    }
    say(&s, &(struct job_msg){ .id = JOB_MSG_started, .started = { (uint32_t)s.job } });
    while (!s.is_over && !s.head_gone && !s.is_view_lost) {
        if (s.input[0] && clock_mono_ms() >= next_look_ms) {
            look_for_readers(&s);
            next_look_ms = clock_mono_ms() + (uint64_t)s.look_after_ms;
        }
        wait_turn(&s, s.input[0] ? s.look_after_ms : s.freeze_s ? HEAD_LOOK_MS : -1);
        look_for_head(&s);
    }
    end_tree(&s);
    report_end(&s);
    return 0;
}
