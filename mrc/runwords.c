/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runwords.c: what the agent says about a running job, and the keeper about its view.
 * Must not know: how the link was made. */
#include "mrc/runparts.h"

#include "common/sys/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
    r->outcome = (struct mrc_outcome){ .by_signal = false, .code = 255 };
    snprintf(r->e->text, sizeof r->e->text, "%.60s: %.190s", r->o->options->host, text);
}

/* ---- a kept view, and doing without ---- */

/* The kept view is not to be had: the job gets one of its own. */
void run_go_alone(struct run *r, const char *why)
{
    if (r->is_alone || r->has_started || r->has_outcome)
        return;
    r->is_alone = true;
    watchjob_alone(&r->watch);
    log_at(LOG_VERBOSE, "%s: a view of the job's own: %s", r->o->options->host, why);
    int rc = run_open_files(r);
    if (rc < 0) {
        r->has_outcome = true;
        r->outcome.code = 255;
        r->rc = rc;
    }
}

void run_on_keeper(void *ctx, uint32_t events)
{
    struct run *r = ctx;
    (void)events;
    struct mrc_keeper_word w;
    int rc = mrc_keeper_wait(r->o->keep->keeper_fd, 0, &w);
    if (rc == -ETIMEDOUT)
        return;
    if (rc == 0 && w.kind == MRC_KEEPER_FAILED)
        run_go_alone(r, w.text);
    if (rc == 0)
        return;
    loop_fd_del(&r->keeper_watch);
    run_go_alone(r, "what should keep it has ended");
}

static void got_message(struct run *r, const struct job_msg *m)
{
    switch (m->id) {
    case JOB_MSG_started:
        log_at(LOG_VERBOSE, "%s: started, process %u there", r->o->options->host,
               m->started.pid);
        r->has_started = true;
        loop_timer_del(&r->start_timer);
        run_take_terminal(r);
        run_note_keeper(r);
        if (r->o->held)
            run_redraw(r);
        watchjob_started(&r->watch, m->started.pid);
        if (r->o->on_started)
            r->o->on_started(r->o->ctx, m->started.pid);
        break;
    case JOB_MSG_stopped: run_stop_self(r); break;
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
    case JOB_MSG_left: run_held_left(r, &m->left); break;
    case JOB_MSG_unjoined: {
        char text[300];
        if (bytes_to_text(m->unjoined.text, text, sizeof text) < 0)
            text[0] = 0;
        clean(text);
        run_go_alone(r, text);
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
    run_maybe_end(r);
}

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
        run_finish(r);
    }
}

static void on_job_closed(void *ctx, int code, struct bytes text)
{
    struct run *r = ctx;
    r->job = NULL;
    if (r->o->held && !r->has_outcome && code == -ESRCH)
        r->o->held->is_gone = true;
    if (!r->has_outcome) {
        char why[MRC_TEXT_MAX];
        if (!text.len || bytes_to_text(text, why, sizeof why) < 0)
            snprintf(why, sizeof why, "%s",
                     r->o->held ? held_why(code) : code ? strerror(-code) : "the other side ended it");
        clean(why);
        r->has_outcome = true;
        r->outcome.code = 255;
        r->rc = err_set(r->e, 0, "%.60s: %s%s", r->o->options->host,
                        r->has_started && !r->o->held ? "the job was lost: " : "", why);
    }
    run_maybe_end(r);
}

static void on_job_eof(void *ctx)
{
    struct run *r = ctx;
    r->is_job_eof = true;
    if (r->o->held && !r->has_outcome) {
        r->has_outcome = true;
        r->outcome.code = 255;
        r->rc = err_say(r->e, ECONNRESET, "%.60s: %s", r->o->options->host, held_why(0));
        run_finish(r);
    } else if (r->o->held)
        run_maybe_end(r);
    else if (r->job)
        mrc_port_end(r->job);
}

const struct mrc_port_ops run_job_ops = { .on_data = on_job_data,
                                             .on_eof = on_job_eof,
                                             .on_closed = on_job_closed };

/* Statistics, asked for at the end */
