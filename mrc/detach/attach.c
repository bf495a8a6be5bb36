/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attach.c: mrc attach and mrc detach.
 * Must not know: the holder. */
#include "mrc/detach/detach.h"

#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/mrc.h"
#include "mrc/hub.h"
#include "mrc/question.h"
#include "mrc/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct attaching {
    const struct mrc_options *options; /* of the mrc that started it */
    const struct mrc_trees *trees;     /* NULL: they are not what they were, and are not served */
    const struct detach_record *record;
    struct mrc_connection connection;
};

/* ---- its files ---- */

static _Noreturn void be_provider(const struct attaching *a)
{
    struct err e = { "" };
    struct mrc_outcome out = { 0 };
    mrc_provide_hide();
    struct provide_opts po = { .options = a->options, .trees = a->trees, .record = a->record };
    log_keep("job %s: its files are served again", a->record->name);
    int rc = mrc_provide(&po, &out, &e);
    log_keep("job %s: its files are served no longer%s%s", a->record->name, rc < 0 ? ": " : "", e.text);
    _exit(rc < 0);
}

/* If nobody does: a process that is not our child, so that it is nobody's zombie. */
static int serve_files(const struct attaching *a, struct err *e)
{
    if (!a->record->has_files || !a->trees || record_lock(a->record) < 0)
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            fd_close_all_but((const int[]){ a->record->fd }, 1);
            be_provider(a);
        }
        _exit(0);
    }
    if (pid < 0)
        return err_set(e, errno, "fork");
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return 1;
}

/* ---- its streams ---- */

static int no_files(void *ctx, struct mrc_server **out, struct err *e)
{
    static struct mrc_server none = { .meta_fd = -1, .bulk_fd = -1 };
    (void)ctx;
    (void)e;
    *out = &none;
    return 0;
}

static int connect_to(struct attaching *a, bool is_batch, int *fd_out, struct err *e)
{
    const struct mrc_options *o = a->options;
    struct mrc_transport_opts to;
    mrc_reach(o, &to);
    to.is_batch = is_batch;
    to.is_resumed = true;
    a->connection = (struct mrc_connection){ .fd = -1 };
    int rc = o->no_hub || o->is_local ? mrc_connect(&to, &a->connection, e)
                                      : mrc_connect_shared(&to, "(attached to a detached job)", &a->connection, e);
    if (rc == 0)
        *fd_out = take_fd(&a->connection.fd);
    return rc;
}

static int connect_first(void *ctx, struct bytes early, int *fd_out, struct err *e)
{
    int rc = connect_to(ctx, false, fd_out, e);
    if (rc == 0 && (rc = fd_write_full(*fd_out, early.ptr, early.len)) < 0) {
        fd_close(fd_out);
        err_set(e, -rc, "the connection");
    }
    return rc;
}

static int connect_again(void *ctx, bool may_ask, int *fd_out, struct err *e)
{
    return connect_to(ctx, !may_ask, fd_out, e);
}

static void disconnect(void *ctx)
{
    mrc_leave(&((struct attaching *)ctx)->connection);
}

/* It is there: whoever serves its files finds it. */
static void on_started(void *ctx, uint32_t pid)
{
    struct attaching *a = ctx;
    struct err why = { "" };
    (void)pid;
    if (serve_files(a, &why) < 0)
        log_warn("%s: the job's files are not served: %s", a->options->host, why.text);
}

static int attach(struct attaching *a, struct mrc_outcome *out, struct err *e)
{
    const struct detach_record *r = a->record;
    struct mrc_held held = { .has_tty = r->has_tty };
    struct mrc_keep keep = { .keeper_fd = -1 };
    int rc = crypto_random(&held.visit, sizeof held.visit);
    if (rc < 0)
        return err_set(e, -rc, "a random number");
    held.visit |= 1;
    memcpy(held.id, r->id, sizeof held.id);
    memcpy(held.secret, r->secret, sizeof held.secret);
    memcpy(held.kinds, r->kinds, sizeof held.kinds);
    static struct mrc_trees none;
    struct mrc_run_opts ro = { .options = a->options,
                               .trees = a->trees ? a->trees : &none,
                               .keep = &keep,
                               .held = &held,
                               .serve = no_files,
                               .connect = connect_first,
                               .reconnect = a->options->is_local ? NULL : connect_again,
                               .disconnect = disconnect,
                               .wait_s = a->options->reconnect_s,
                               .on_started = on_started,
                               .ctx = a };
    rc = mrc_run(&ro, out, e);
    explicit_bzero(held.secret, sizeof held.secret);
    /* What a command of the user's leads to may be another computer each time. */
    if (held.is_over || (held.is_gone && !a->options->via))
        record_remove(r);
    return rc;
}

int mrc_attach(const struct mrc_options *given, struct mrc_outcome *out, struct err *e)
{
    static struct mrc_options o;
    static struct mrc_trees trees;
    struct err why = { "" };
    struct detach_record r;
    int rc = record_find(given->host, &r, e);
    if (rc < 0)
        return rc;
    o.verbose = given->verbose;
    o.quiet = given->quiet;
    rc = record_restore(&r, &o, &trees, &why);
    bool can_serve = rc == 0;
    if (rc < 0 && rc != -ESTALE) {
        record_fini(&r);
        *e = why;
        return rc;
    }
    struct attaching a = { .options = &o, .trees = can_serve ? &trees : NULL, .record = &r, .connection = { .fd = -1 } };
    if (!can_serve && r.has_files && !record_is_served(&r))
        log_warn("%s: its files are not served: %s", o.host, why.text);
    mrc_log_here("mrc");
    log_keep_no_errors();
    if (!given->files_only) {
        rc = attach(&a, out, e);
    } else if (!can_serve) {
        *e = why;
        rc = -ESTALE;
    } else {
        rc = serve_files(&a, e);
        out->code = 0;
        if (rc == 0)
            log_at(LOG_VERBOSE, "%s: the job's files are served already, or are all the target's", o.host);
        rc = rc < 0 ? rc : 0;
    }
    mrc_leave(&a.connection);
    mrc_trees_fini(&trees);
    record_fini(&r);
    return rc;
}

/* The answer to HELD_LEAVE or HELD_END. */
static void on_yes_or_no(void *ctx, struct bytes body)
{
    *(bool *)ctx = body.len && body.ptr[0] == 1;
}

int mrc_detach_job(const struct mrc_options *given, struct err *e)
{
    static struct mrc_options o;
    static struct mrc_trees trees;
    struct detach_record r;
    uint8_t head[HELD_HEAD_BYTES];
    bool is_ending = given->is_ending;
    if (given->is_forgetting && is_ending)
        return err_say(e, EINVAL, "detach --end asks the target to end the job, --forget asks it nothing: give one of them");
    if (given->is_forgetting)
        return mrc_detach_forget(given->host, e);
    int rc = record_find(given->host, &r, e);
    if (rc < 0)
        return rc;
    o.verbose = given->verbose;
    o.quiet = given->quiet;
    rc = record_restore(&r, &o, &trees, e);
    struct attaching a = { .options = &o, .record = &r, .connection = { .fd = -1 } };
    int fd = -1;
    if (rc == 0 || rc == -ESTALE)
        rc = connect_to(&a, false, &fd, e);
    if (rc == 0) {
        bool was_there = false;
        detach_head_of(&r, is_ending ? HELD_END : HELD_LEAVE, 1, head);
        struct mrc_question q = { .host = o.host,
                                  .service = HELD_STREAM_SERVICE,
                                  .what = "the job",
                                  .request = { head, sizeof head },
                                  .on_data = on_yes_or_no,
                                  .ctx = &was_there };
        rc = mrc_question(fd, &q, e);
        explicit_bzero(head, sizeof head);
        if (rc == -ESRCH)
            rc = err_say(e, ESRCH, "%.60s: %s", o.host, held_why(rc));
        else if (rc == 0 && is_ending && !was_there)
            log_warn("%s: the job was over already; what it said and nobody has read is gone", o.host);
        else if (rc == 0 && !is_ending && !was_there)
            rc = err_say(e, ENOENT, "%.60s: nobody is attached to the job", o.host);
    }
    mrc_leave(&a.connection);
    if (rc == 0 && is_ending) /* who serves its files hears of the end by itself */
        record_remove(&r);
    mrc_trees_fini(&trees);
    record_fini(&r);
    return rc < 0 ? rc : 0;
}
