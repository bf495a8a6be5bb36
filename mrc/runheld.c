/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runheld.c: being attached to a detached job: its streams are its holder's, which keeps what we have not confirmed.
 * Must not know: how the link was made. Source: docs/detach.md. */
#include "mrc/runparts.h"

#include "common/sys/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    TELL_MS = 30, /* what was written is told so late at most … */
    TELL_BYTES = 64 * 1024, /* … or when it is so much */
};

/* ---- what was written here ---- */

static void tell(struct run_taken *t)
{
    if (t->total == t->told || !t->run->job)
        return;
    t->told = t->total;
    run_send(t->run, &(struct job_msg){ .id = JOB_MSG_taken, .taken = { t->role, t->total } });
}

static void on_tell(void *ctx)
{
    struct run *r = ctx;
    for (size_t i = 0; i < ARRAY_LEN(r->taken); i++)
        if (r->taken[i].run)
            tell(&r->taken[i]);
}

static void on_output(void *ctx, const uint8_t *ptr, size_t len_bytes)
{
    struct run_taken *t = ctx;
    if (t->role == HELD_TTY)
        watchjob_output(&t->run->watch, ptr, len_bytes);
    if (!len_bytes)
        return;
    if (t->total == t->told)
        loop_timer_set(t->run->loop, &t->run->taken_timer, TELL_MS, on_tell, t->run);
    t->total += len_bytes;
    if (t->total - t->told >= TELL_BYTES)
        tell(t);
}

static void leave(struct run *r);

/* Its reader here has gone: the job is not to be ended by that, and what it prints is kept. */
static bool is_unread(int fd)
{
    struct pollfd p = { .fd = fd };
    return poll(&p, 1, 0) == 1 && p.revents & (POLLERR | POLLHUP);
}

static void on_output_done(void *ctx, int code)
{
    struct run_taken *t = ctx;
    tell(t);
    if (t->role != HELD_TTY && !t->run->has_outcome && is_unread(t->role == HELD_STDOUT ? STDOUT_FILENO : STDERR_FILENO))
        leave(t->run);
    if (t->role == HELD_TTY)
        run_tty_done(t->run, code);
    else
        run_output_done(t->run, code);
}

static void on_input_done(void *ctx, int code)
{
    (void)ctx; /* nobody waits for input */
    (void)code;
}

/* ---- channels ---- */

static struct bytes head_of(const struct run *r, enum held_role role, uint8_t space[HELD_HEAD_BYTES])
{
    const struct mrc_held *held = r->o->held;
    struct held_head h = { .role = (uint8_t)role, .visit = held->visit };
    memcpy(h.id, held->id, sizeof h.id);
    memcpy(h.secret, held->secret, sizeof h.secret);
    held_head_put(space, &h);
    explicit_bzero(h.secret, sizeof h.secret);
    return (struct bytes){ space, HELD_HEAD_BYTES };
}

static int open_stream(struct run *r, enum held_role role, int fd_in, int fd_out)
{
    uint8_t space[HELD_HEAD_BYTES];
    struct run_taken *t = role == HELD_STDIN ? NULL : &r->taken[role - HELD_STDOUT];
    struct mrc_pump_opts po = { .loop = r->loop, .fd_in = fd_in, .fd_out = fd_out, .on_done = on_input_done };
    struct mrc_pump *p;
    if (t) {
        *t = (struct run_taken){ .run = r, .role = (uint8_t)role };
        po.on_done = on_output_done;
        po.on_output = on_output;
        po.ctx = t;
    }
    int rc = mrc_pump_new(&po, &p);
    if (rc < 0)
        return rc;
    rc = mrc_pump_open(p, r->link, HELD_STREAM_SERVICE, head_of(r, role, space),
                       role == HELD_TTY ? RUN_WEIGHT_TTY : RUN_WEIGHT_STREAM, RUN_WINDOW_OUTPUT);
    explicit_bzero(space, sizeof space);
    if (rc == 0 && t)
        r->output_pumps++;
    if (role == HELD_TTY)
        r->tty_in = p;
    return rc;
}

int run_held_open(struct run *r)
{
    uint8_t space[HELD_HEAD_BYTES];
    r->is_alone = true;
    int rc = mrc_link_open(r->link, HELD_STREAM_SERVICE, head_of(r, HELD_JOB, space), RUN_WEIGHT_JOB, MRC_WINDOW_FIRST,
                           &run_job_ops, r, &r->job);
    explicit_bzero(space, sizeof space);
    if (rc == 0 && r->stdio.has_tty) {
        int out = run_terminal_out(r);
        rc = open_stream(r, HELD_TTY, run_own(r->keys_fd), out);
    }
    for (int i = 0; rc == 0 && i < 3; i++)
        if (r->stdio.kinds[i] == JOB_FD_STREAM)
            rc = open_stream(r, HELD_STDIN + (unsigned)i, i ? -1 : run_own(0), i ? run_own(i) : -1);
    return rc;
}

/* ---- the end ---- */

void run_held_end(struct run *r)
{
    if (!r->job || !r->is_job_eof || r->output_pumps || r->o->held->is_over || r->has_left)
        return;
    on_tell(r);
    r->o->held->is_over = true;
    run_send(r, &(struct job_msg){ .id = JOB_MSG_taken, .taken = { HELD_TAKEN_END, 0 } });
    mrc_port_end(r->job);
}

static void leave(struct run *r)
{
    r->has_left = r->has_outcome = true;
    r->outcome = (struct mrc_outcome){ .by_signal = false, .code = 0, .is_left = true };
    on_tell(r);
    run_finish(r);
}

void run_held_left(struct run *r, const struct job_left *m)
{
    char text[200];
    if (!r->o->held || r->has_outcome)
        return;
    if (bytes_to_text(m->text, text, sizeof text) < 0)
        snprintf(text, sizeof text, "the visit is over");
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    leave(r);
    if (m->is_asked) {
        log_warn("%s: %s", r->o->options->host, text);
        return;
    }
    r->outcome.code = 255;
    r->rc = err_say(r->e, ECANCELED, "%.60s: %.190s", r->o->options->host, text);
}

void run_held_leave(struct run *r)
{
    leave(r);
}
