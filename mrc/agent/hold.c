/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hold.c: the holder's life, and the job's session, of which it is the head.
 * Must not know: visitors' streams.
 * Processes: holder - the job's agent, another process of our program, with all that a job has below it. The agent ends its job
 * when the holder's end of the session closes, also when the holder is killed. */
#include "mrc/agent/holdparts.h"

#include "config.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/agent/remains.h"
#include "mrc/push.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MAGIC_MS = 20 * 1000, /* for the job's agent to say that it is one */
    END_MS = 15 * 1000,   /* for it to end */
    HUNG_UP_MS = 5000,    /* for a job that is told to end, before it is killed */
    KILLED_MS = 30 * 1000, /* and then, for its last changes to come to the head */
};

static const char stopped_text[] = "its owner has ended it";

/* ---- the report to who started us ---- */

static void report(struct hold *h, const void *ptr, size_t len_bytes)
{
    if (h->report_fd >= 0 && fd_write_full(h->report_fd, ptr, len_bytes) < 0)
        log_keep("nobody waits for the job's start");
    fd_close(&h->report_fd);
}

static void maybe_let_agent_go(struct hold *h);

/* ---- from the job ---- */

/* Last words of our own, if the job had none. */
static void fail(struct hold *h, int code, const char *text)
{
    uint8_t space[600];
    struct wr w = wr_of(space, sizeof space);
    struct job_msg m = { .id = JOB_MSG_failed };
    m.failed.stage = JOB_STAGE_VIEW;
    m.failed.code = (uint32_t)code;
    m.failed.text = bytes_of(text);
    job_msg_put(&w, &m);
    if (w.is_full || buf_len(&h->last))
        return;
    log_keep("the job is lost: %s", text);
    report(h, space, wr_len(&w));
    hold_tell(h, space, wr_len(&w));
    if (buf_append(&h->last, space, wr_len(&w)) < 0)
        log_keep("no room for the job's last words");
}

static void got_message(struct hold *h, const struct job_msg *m, const uint8_t *ptr, size_t len_bytes)
{
    bool is_last = m->id == JOB_MSG_exited || m->id == JOB_MSG_failed || m->id == JOB_MSG_lost ||
                   m->id == JOB_MSG_used;
    if (m->id == JOB_MSG_started)
        h->pid = m->started.pid;
    if (m->id == JOB_MSG_started || m->id == JOB_MSG_failed)
        report(h, ptr, len_bytes);
    if (is_last && buf_append(&h->last, ptr, len_bytes) < 0)
        log_keep("no room for the job's last words");
    hold_tell(h, ptr, len_bytes);
}

static void on_job_data(void *ctx, struct bytes body)
{
    struct hold *h = ctx;
    mrc_port_consumed(h->job, body.len);
    int rc = buf_append(&h->in, body.ptr, body.len);
    while (rc == 0) {
        struct job_msg m;
        size_t used;
        rc = job_msg_get((struct bytes){ buf_at(&h->in), (uint32_t)buf_len(&h->in) }, &m, &used);
        if (rc < 0 || !used)
            break;
        got_message(h, &m, buf_at(&h->in), used);
        buf_consume(&h->in, used);
    }
    if (rc < 0)
        hold_end(h, "its agent says what makes no sense");
}

static void job_is_over(struct hold *h)
{
    if (h->is_job_over)
        return;
    h->is_job_over = true;
    log_keep("the job is over");
    fail(h, EIO, "the job's agent on the target has ended, and the job with it"); /* if it said nothing */
    hold_flush(h);
    hold_look(h);
    if (h->is_stopping)
        hold_end(h, stopped_text);
    else
        maybe_let_agent_go(h);
}

static void on_job_closed(void *ctx, int code UNUSED, struct bytes text UNUSED)
{
    struct hold *h = ctx;
    h->job = NULL;
    job_is_over(h);
}

static void on_job_eof(void *ctx)
{
    struct hold *h = ctx;
    if (h->job)
        mrc_port_end(h->job);
}

static const struct mrc_port_ops job_ops = { .on_data = on_job_data,
                                             .on_eof = on_job_eof,
                                             .on_closed = on_job_closed };

static void on_stream_data(void *ctx, struct bytes body)
{
    struct hold_stream *s = ctx;
    uint64_t credit = 0;
    if (!s->has_spool)
        return;
    int rc = spool_take(&s->spool, body, &credit);
    if (rc < 0) {
        hold_end(s->hold, "its output can't be kept");
        return;
    }
    if (credit)
        mrc_port_consumed(s->port, credit);
    hold_flush_stream(s);
}

static void on_stream_eof(void *ctx)
{
    struct hold_stream *s = ctx;
    s->spool.is_ended = true;
    if (s->port && s->role == HELD_TTY) /* one that nobody has any more */
        mrc_port_end(s->port);
    hold_flush_stream(s);
}

static void on_stream_stop(void *ctx)
{
    struct hold_stream *s = ctx;
    s->has_input_ended = true;
    if (s->port)
        mrc_port_end(s->port);
}

static void on_stream_room(void *ctx)
{
    hold_stream_room(ctx);
}

static void on_stream_closed(void *ctx, int code UNUSED, struct bytes text UNUSED)
{
    struct hold_stream *s = ctx;
    s->port = NULL;
    s->spool.is_ended = true;
    hold_stream_gone(s);
    maybe_let_agent_go(s->hold);
}

static const struct mrc_port_ops stream_ops = { .on_data = on_stream_data,
                                                .on_eof = on_stream_eof,
                                                .on_stop = on_stream_stop,
                                                .on_room = on_stream_room,
                                                .on_closed = on_stream_closed };

/* ---- to the job ---- */

void hold_to_job(struct hold *h, const struct job_msg *m)
{
    uint8_t space[64];
    struct wr w = wr_of(space, sizeof space);
    job_msg_put(&w, m);
    if (h->job && !w.is_full && mrc_port_send(h->job, space, wr_len(&w)) < 0)
        log_keep("a message to the job was lost: its queue is full");
}

static int open_stream(struct hold *h, struct hold_stream *s)
{
    static const char *const names[HELD_ROLES] = { [HELD_STDIN] = "stdin",
                                                   [HELD_STDOUT] = "stdout",
                                                   [HELD_STDERR] = "stderr",
                                                   [HELD_TTY] = "tty" };
    if (!s->role)
        return 0;
    int rc = mrc_link_open(h->link, names[s->role], (struct bytes){ NULL, 0 }, HOLD_WEIGHT_STREAM, HOLD_WINDOW,
                           &stream_ops, s, &s->port);
    if (rc == 0 && !s->takes_input)
        mrc_port_end(s->port);
    return rc;
}

int hold_begin(struct hold *h)
{
    h->has_begun = true;
    int rc = mrc_link_open(h->link, "job", (struct bytes){ NULL, 0 }, HOLD_WEIGHT_JOB, MRC_WINDOW_FIRST, &job_ops, h,
                           &h->job);
    if (rc == 0 && h->start.has_files)
        rc = hold_files_open(h);
    for (size_t i = 0; rc == 0 && i < HOLD_STREAMS; i++)
        rc = open_stream(h, &h->streams[i]);
    if (rc == 0)
        rc = mrc_port_send(h->job, h->o->spec.ptr, h->o->spec.len);
    return rc;
}

/* ---- the end ---- */

static void on_late(void *ctx)
{
    struct hold *h = ctx;
    log_keep("the job's agent does not end");
    h->is_link_over = true;
}

static void let_agent_go(struct hold *h)
{
    if (h->is_let_go || h->is_link_over)
        return;
    h->is_let_go = true;
    mrc_link_bye(h->link, 0, "");
    loop_timer_set(h->loop, &h->end_timer, END_MS, on_late, h);
}

/* The agent is of no more use once all is here that it had. */
static void maybe_let_agent_go(struct hold *h)
{
    bool is_all = h->is_job_over;
    for (size_t i = 0; i < HOLD_STREAMS; i++)
        is_all &= !h->streams[i].port;
    if (is_all)
        let_agent_go(h);
}

void hold_end(struct hold *h, const char *why)
{
    if (h->is_ending)
        return;
    log_keep("ends: %s", why);
    h->is_ending = true;
    let_agent_go(h);
}

static void signal_job(struct hold *h, int number)
{
    hold_to_job(h, &(struct job_msg){ .id = JOB_MSG_signal, .signal = { (uint32_t)number, 1 } });
}

static void on_not_stopped(void *ctx)
{
    struct hold *h = ctx;
    if (h->is_job_over)
        return;
    if (h->is_killing) {
        hold_end(h, stopped_text);
        return;
    }
    h->is_killing = true;
    log_keep("the job does not end: it is killed");
    signal_job(h, SIGKILL);
    loop_timer_set(h->loop, &h->stop_timer, KILLED_MS, on_not_stopped, h);
}

void hold_stop(struct hold *h)
{
    if (h->is_job_over || !h->pid) {
        hold_end(h, stopped_text);
        return;
    }
    if (h->is_stopping)
        return;
    h->is_stopping = true;
    if (h->is_frozen)
        hold_to_job(h, &(struct job_msg){ .id = JOB_MSG_freeze, .freeze = { 0 } });
    h->is_frozen = false;
    signal_job(h, SIGHUP);
    signal_job(h, SIGCONT);
    loop_timer_set(h->loop, &h->stop_timer, HUNG_UP_MS, on_not_stopped, h);
}

void hold_maybe_done(struct hold *h)
{
    if (!h->is_job_over || !h->is_told_end)
        return;
    hold_end(h, "all was taken");
}

static void on_link_end(void *ctx, int code UNUSED, const char *text)
{
    struct hold *h = ctx;
    if (!h->is_let_go)
        log_keep("the session with the job's agent has ended: %s", text);
    h->is_link_over = true;
    job_is_over(h);
}

/* ---- a head that stays away ---- */

static void on_freeze(void *ctx)
{
    struct hold *h = ctx;
    if (h->is_job_over)
        return;
    h->is_frozen = true;
    log_keep("nobody was there for %u s: the job is frozen", h->start.freeze_s);
    hold_to_job(h, &(struct job_msg){ .id = JOB_MSG_freeze, .freeze = { 1 } });
}

static void on_away(void *ctx)
{
    hold_end(ctx, "nobody was there for too long");
}

void hold_look(struct hold *h)
{
    bool is_somebody = hold_is_there(h, h->visit) || hold_is_there(h, h->files.visit);
    if (is_somebody) {
        h->is_away = false;
        loop_timer_del(&h->away_timer);
        loop_timer_del(&h->freeze_timer);
        if (h->is_frozen)
            hold_to_job(h, &(struct job_msg){ .id = JOB_MSG_freeze, .freeze = { 0 } });
        h->is_frozen = false;
    } else if (!h->is_away) {
        h->is_away = true;
        loop_timer_set(h->loop, &h->away_timer, (uint64_t)h->start.wait_s * 1000, on_away, h);
        if (h->start.freeze_s)
            loop_timer_set(h->loop, &h->freeze_timer, (uint64_t)h->start.freeze_s * 1000, on_freeze, h);
    }
}

/* ---- life ---- */

/* The job's agent says the same as any other before its session begins. */
static int skip_magic(int fd)
{
    char magic[sizeof MRC_AGENT_MAGIC];
    size_t len = strlen(MRC_AGENT_MAGIC), have = 0;
    uint64_t end_ms = clock_mono_ms() + MAGIC_MS;
    while (have < len) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (clock_mono_ms() >= end_ms)
            return -ETIMEDOUT;
        if (poll(&p, 1, 1000) <= 0)
            continue;
        ssize_t n = fd_read(fd, magic + have, len - have);
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
        have += (size_t)n;
    }
    return memcmp(magic, MRC_AGENT_MAGIC, len) ? -EPROTO : 0;
}

static int start_agent(const struct hold_opts *o, int *fd_out)
{
    int pair[2];
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return rc;
    pid_t pid = fork();
    if (pid == 0) {
        umask(o->login_umask);
        if (dup2(pair[1], 0) == 0 && dup2(pair[1], 1) == 1)
            execl("/proc/self/exe", "mrc-agent", (char *)NULL);
        _exit(1);
    }
    rc = pid < 0 ? -errno : 0;
    close(pair[1]);
    if (rc == 0)
        rc = skip_magic(pair[0]);
    if (rc < 0)
        close(pair[0]);
    else
        *fd_out = pair[0];
    return rc;
}

static void plan_streams(struct hold *h, const uint8_t kinds[3])
{
    static const uint8_t roles[HOLD_STREAMS] = { HELD_STDIN, HELD_STDOUT, HELD_STDERR, HELD_TTY };
    bool has_tty = false;
    size_t keep = (size_t)h->start.keep_mib << 20;
    for (int i = 0; i < 3; i++)
        has_tty |= kinds[i] == JOB_FD_TTY;
    for (size_t i = 0; i < HOLD_STREAMS; i++) {
        struct hold_stream *s = &h->streams[i];
        bool is_there = i == 3 ? has_tty : kinds[i] == JOB_FD_STREAM;
        *s = (struct hold_stream){ .hold = h, .role = is_there ? roles[i] : 0, .fd = -1 };
        s->takes_input = i == 0 || i == 3;
        s->has_spool = is_there && i != 0;
        spool_init(&s->spool, s->has_spool ? keep : 0, HOLD_WINDOW);
        s->spool.is_ended = !s->has_spool;
    }
}

static int hold(struct hold *h, struct err *e)
{
    int fd = -1;
    int rc = loop_new(&h->loop);
    if (rc == 0)
        rc = start_agent(h->o, &fd);
    if (rc < 0)
        return err_set(e, -rc, "start the job's agent");
    struct mrc_link_opts lo = { .loop = h->loop,
                                .fd_in = fd,
                                .fd_out = fd,
                                .is_head = true,
                                .software = "mrc-agent " PACKAGE_VERSION,
                                .on_end = on_link_end,
                                .ctx = h };
    rc = mrc_link_new(&lo, &h->link, e);
    if (rc == 0 && (rc = hold_listen(h)) < 0)
        return err_set(e, -rc, "listen for the head");
    if (rc == 0 && !h->start.has_files && (rc = hold_begin(h)) < 0)
        return err_set(e, -rc, "channels of the job");
    hold_look(h);
    while (rc == 0 && !h->is_link_over)
        rc = loop_turn(h->loop, -1);
    /* The job's words outlive its agent. */
    while (rc == 0 && !h->is_ending)
        rc = loop_turn(h->loop, -1);
    return rc < 0 ? err_set(e, -rc, "event loop") : 0;
}

static _Noreturn void be_holder(const struct hold_opts *o, int report_fd)
{
    struct err e = { "" };
    setsid();
    fd_close_all_but((const int[]){ report_fd, o->listen_fd, log_keep_fd() }, 3);
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    log_keep_as("holder");
    remains_say(REMAINS_HOLDS);
    struct hold *h = calloc(1, sizeof *h);
    if (!h)
        _exit(1);
    *h = (struct hold){ .o = o, .start = *o->start, .report_fd = report_fd, .listen_fd = o->listen_fd, .job_fd = -1 };
    h->files = (struct hold_files){ .fds = { -1, -1 }, .next_fds = { -1, -1 } };
    buf_init(&h->in, JOB_MSG_MAX + 8192);
    buf_init(&h->last, JOB_MSG_MAX + 8192);
    buf_init(&h->from_visit, HOLD_WORDS_MAX);
    buf_init(&h->to_visit, 2 * JOB_MSG_MAX);
    plan_streams(h, o->fd_kinds);
    int rc = hold(h, &e);
    if (rc < 0)
        fail(h, -rc, e.text);
    hold_visit_fini(h);
    if (h->link)
        mrc_link_free(h->link);
    _exit(rc < 0);
}

int hold_start(const struct hold_opts *o, int *report_out)
{
    int pair[2];
    int rc = fd_socketpair(pair);
    if (rc < 0)
        return rc;
    pid_t pid = fork();
    if (pid == 0) { /* nobody would wait for it as our child */
        if (fork() == 0)
            be_holder(o, pair[1]);
        _exit(0);
    }
    rc = pid < 0 ? -errno : 0;
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    close(pair[1]);
    if (rc < 0)
        close(pair[0]);
    else
        *report_out = pair[0];
    return rc;
}
