/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runchannels.c: the channels of a job, and the files they join.
 * Must not know: how the link was made. */
#include "mrc/runparts.h"

#include "mrc/demand.h"
#include "mrc/firstlaunch.h"
#include "mrc/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WINDOW_FILES = 16 * 1024 * 1024,
    WEIGHT_META = 64,
    WEIGHT_BULK = 8,
};

void run_output_done(void *ctx, int code)
{
    struct run *r = ctx;
    (void)code;
    r->output_pumps--;
    run_maybe_end(r);
}

void run_tty_done(void *ctx, int code)
{
    struct run *r = ctx;
    r->tty_in = NULL;
    run_output_done(ctx, code);
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
    run_finish(r);
}

static void on_files_done(void *ctx, int code)
{
    struct run *r = ctx;
    (void)code;
    r->file_pumps--;
    if (!r->has_outcome && !r->is_over) /* the job's end, if it is that, may be on its way */
        loop_timer_set(r->loop, &r->end_timer, RUN_FILES_LOST_MS, on_files_lost, r);
    run_maybe_end(r);
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

int run_own(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* The job of "ls | mrc -t host less" reads the terminal besides standard input. */
static int open_keys(const struct run *r)
{
    if (!r->stdio.has_tty || r->stdio.kinds[0] == JOB_FD_NULL)
        return -1;
    if (r->stdio.kinds[0] == JOB_FD_TTY)
        return run_own(0);
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
        struct channel c = { "stdin",       run_own(0),        -1,  RUN_WEIGHT_STREAM,
                             RUN_WINDOW_OUTPUT, on_input_done, NULL };
        return open_channel(r, &c, NULL);
    }
    struct mrc_supply *s;
    int rc = mrc_supply_new(r->loop, 0, run_output_done, r, &s);
    if (rc == 0)
        rc = mrc_supply_open(s, r->link, RUN_WEIGHT_STREAM);
    if (rc == 0)
        r->output_pumps++; /* until what was not used is given back */
    return rc;
}

/* Starts the file server and opens the channels between it and the job's agent. */
int run_open_files(struct run *r)
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

/* What has no place on standard output, because that is no terminal, goes to one. */
int run_terminal_out(struct run *r)
{
    bool is_stdout = r->stdio.kinds[1] == JOB_FD_TTY;
    int out = is_stdout ? 1 : isatty(2) == 1 ? 2 : isatty(0) == 1 ? 0 : 1;
    r->keys_fd = open_keys(r);
    return run_own(out);
}

int run_open_channels(struct run *r)
{
    if (r->o->held)
        return run_held_open(r);
    static const char *const names[] = { "stdin", "stdout", "stderr" };
    int rc = mrc_link_open(r->link, "job", (struct bytes){ NULL, 0 }, RUN_WEIGHT_JOB,
                           MRC_WINDOW_FIRST, &run_job_ops, r, &r->job);
    r->is_alone = !r->o->keep->is_wanted;
    if (rc == 0 && r->is_alone)
        rc = run_open_files(r);
    if (rc == 0 && r->stdio.has_tty) {
        int out = run_terminal_out(r);
        struct channel tty = { "tty",         run_own(r->keys_fd), out,        RUN_WEIGHT_TTY,
                               RUN_WINDOW_OUTPUT, run_tty_done,     &r->output_pumps };
        rc = open_channel(r, &tty, &r->tty_in);
    }
    for (int i = 0; rc == 0 && i < 3; i++) {
        if (r->stdio.kinds[i] != JOB_FD_STREAM)
            continue;
        struct channel c = {
            names[i], -1, run_own(i), RUN_WEIGHT_STREAM, RUN_WINDOW_OUTPUT, run_output_done, &r->output_pumps
        };
        rc = i == 0 ? open_input(r) : open_channel(r, &c, NULL);
    }
    return rc;
}

int run_send_spec(struct run *r)
{
    if (r->o->held)
        return 0; /* it runs */
    const struct mrc_keep *keep = r->o->keep;
    mrc_profile_load(&r->profile, r->o->options, r->o->trees);
    if (r->profile.is_on && !r->profile.given.len && r->profile.room)
        r->profile.given = (struct bytes){
            r->profile.room,
            (uint32_t)mrc_first_launch(r->o->options, r->o->trees, getenv("PATH"),
                                       getenv("LD_LIBRARY_PATH"), r->profile.room)
        };
    int rc = mrc_spec_put(r->o->options, r->o->trees, &r->stdio, &r->profile,
                          keep->is_wanted ? keep->id : NULL, keep->mark, &r->job->queue, r->e);
    if (rc == 0)
        mrc_port_queued(r->job, buf_len(&r->job->queue));
    if (rc == 0 && r->o->options->freeze_s)
        run_send(r, &(struct job_msg){ .id = JOB_MSG_patience, .patience = { r->o->options->freeze_s } });
    return rc;
}
