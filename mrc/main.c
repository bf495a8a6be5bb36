/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: the mrc command: options, connection, one job, and its exit status as our own.
 * Must not know: protocols.
 * Privilege: none. Processes: mrc, a file server, a transport. */
#include "config.h"

#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/detach/detach.h"
#include "mrc/dieby.h"
#include "mrc/hub.h"
#include "mrc/keeper.h"
#include "mrc/many.h"
#include "mrc/mrc.h"
#include "mrc/nest/nest.h"
#include "mrc/options.h"
#include "mrc/reach.h"
#include "mrc/run.h"
#include "mrc/serve.h"
#include "mrc/trees.h"
#include "mrc/verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_MRC = 255, SERVER_WAIT_MS = 5000, KEEPER_MS = 3000, PARALLEL = 32, SILENCE_LAST_S = 86400 };

/* -f: the caller's process ends with 0 when the job has started, the job goes on in the one
 * that returns. */
static int go_background(int *started_fd, struct err *e)
{
    int pair[2];
    int rc = fd_pipe(pair);
    if (rc < 0)
        return err_set(e, -rc, "pipe");
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "fork");
    if (pid == 0) {
        close(pair[0]);
        setsid();
        *started_fd = pair[1];
        return 0;
    }
    close(pair[1]);
    char byte;
    if (fd_read_full(pair[0], &byte, 1) == 1)
        _exit(0);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_MRC);
}

struct job {
    const struct mrc_options *options;
    struct mrc_connection connection;
    struct mrc_hub_job hub;
    const struct mrc_trees *trees;
    struct mrc_keep keep;
    struct mrc_server server;
    int started_fd; /* of who waits for the start; -1 = nobody */
};

static void on_started(void *ctx, uint32_t pid)
{
    struct job *j = ctx;
    bool is_kept = mrc_hub_job_started(&j->hub, &j->connection, pid);
    if (is_kept && j->keep.keeper_fd >= 0)
        mrc_keeper_register(j->keep.keeper_fd);
    if (j->started_fd >= 0 && write(j->started_fd, "", 1) < 0)
        log_at(LOG_VERBOSE, "nobody waits for the start any more");
    fd_close(&j->started_fd);
}

static int serve_trees(void *ctx, struct mrc_server **out, struct err *e)
{
    struct job *j = ctx;
    *out = &j->server;
    if (!j->trees->export_count)
        return 0; /* all files are the target's */
    struct mfs_serve_opts so = mrc_trees_serve(j->trees);
    return mrc_serve_start(&so, &j->server, e);
}

/* The keeper of the view that is wanted: on the hub's connection, or on that which we have made. */
static int start_keeper(struct job *j, const uint8_t *view, struct err *e)
{
    const struct mrc_connection *c = &j->connection;
    struct mrc_keeper_opts ko = { .options = j->options,
                                  .trees = j->trees,
                                  .key = j->hub.key,
                                  .view = view,
                                  .id = j->keep.id,
                                  .host = j->hub.host,
                                  .control = c->control > 0 ? c->control : -1,
                                  .command = c->command,
                                  .nonce = c->nonce };
    return mrc_keeper_start(&ko, &j->keep.keeper_fd, e);
}

/* A view that is to be kept on the hub's connection: somebody else may just have had it made. */
static int keep_by_hub(struct job *j, struct err *e)
{
    struct mrc_keeper_word w;
    int rc = start_keeper(j, j->hub.view, e);
    if (rc == 0 && (rc = mrc_keeper_wait(j->keep.keeper_fd, KEEPER_MS, &w)) < 0)
        err_set(e, -rc, "no word from the view's keeper");
    if (rc == 0 && w.kind == MRC_KEEPER_FAILED)
        rc = err_say(e, ECANCELED, "%s", w.text);
    if (rc < 0 || w.kind == MRC_KEEPER_OTHER)
        fd_close(&j->keep.keeper_fd);
    if (rc < 0)
        return rc;
    memcpy(j->keep.id, w.id, sizeof j->keep.id);
    j->keep.mark = w.mark;
    return 0;
}

/* Which view the job will have: a kept one that is there, one that is to be kept, or its own. */
static void choose_view(struct job *j)
{
    struct err why = { "" };
    int rc = -ECANCELED;
    if (!j->hub.is_wanted || !j->hub.wants_view)
        return;
    if (j->hub.why_not[0]) {
        err_say(&why, 0, "%s", j->hub.why_not);
    } else if (j->hub.has_view) {
        memcpy(j->keep.id, j->hub.view_id, sizeof j->keep.id);
        j->keep.mark = j->hub.mark;
        rc = 0;
    } else {
        rc = crypto_random(j->keep.id, sizeof j->keep.id);
        if (rc == 0 && j->connection.fd >= 0)
            rc = keep_by_hub(j, &why);
    }
    j->keep.is_wanted = rc == 0;
    if (rc < 0)
        log_at(LOG_VERBOSE, "%s: a view of the job's own: %s", j->options->host, why.text);
    j->hub.has_view = j->keep.is_wanted;
    memcpy(j->hub.view_id, j->keep.id, sizeof j->hub.view_id);
}

/* Asks the hub for a waiting agent, and settles the view. */
static int prepare(struct job *j, struct mrc_transport_opts *to, struct err *e)
{
    uint8_t view[MRC_HUB_KEY_BYTES];
    if (j->options->no_hub)
        return 0;
    bool wants_view = mrc_keeper_key(j->options, j->trees, view);
    int rc = mrc_hub_job_begin(&j->hub, to, j->options->command, wants_view ? view : NULL,
                               &j->connection.fd, e);
    if (rc == 0)
        choose_view(j);
    return rc;
}

/* A waiting agent of the hub's, or a connection of our own that the hub may want. */
static int connect_job(void *ctx, struct bytes early, int *fd_out, struct err *e)
{
    struct job *j = ctx;
    int rc;
    if (j->connection.fd >= 0) {
        log_at(LOG_VERBOSE, "%s: by a connection that the hub keeps", j->options->host);
        rc = fd_write_full(j->connection.fd, early.ptr, early.len);
        if (rc < 0)
            return err_set(e, -rc, "%s: the kept connection", j->options->host);
    } else {
        struct mrc_transport_opts to;
        mrc_reach(j->options, &to);
        to.is_shared = j->hub.is_wanted;
        to.is_resumed = j->options->reconnect_s > 0;
        rc = mrc_connect_early(&to, early, &j->connection, e);
        if (rc < 0)
            return rc;
        struct err why = { "" };
        if (j->keep.is_wanted &&
            (j->connection.control <= 0 || start_keeper(j, j->hub.view, &why) < 0))
            j->keep.is_lost = true;
    }
    *fd_out = take_fd(&j->connection.fd);
    return 0;
}

/* In a process of its own: j->connection is that process's. */
static int reconnect_job(void *ctx, bool may_ask, int *fd_out, struct err *e)
{
    struct job *j = ctx;
    struct mrc_transport_opts to;
    mrc_reach(j->options, &to);
    to.is_batch = !may_ask;
    to.is_resumed = true;
    j->connection = (struct mrc_connection){ .fd = -1 };
    int rc = j->options->no_hub ? mrc_connect(&to, &j->connection, e)
                                : mrc_connect_shared(&to, "(a job that was cut off)", &j->connection, e);
    if (rc == 0)
        *fd_out = take_fd(&j->connection.fd);
    return rc;
}

static void disconnect_job(void *ctx)
{
    struct job *j = ctx;
    mrc_leave(&j->connection);
}

static int run_job(const struct mrc_options *o, const struct mrc_trees *t,
                   const struct mrc_nester *nester, struct mrc_outcome *out, struct err *e)
{
    struct job j = { .options = o,
                     .connection = { .fd = -1 },
                     .hub = { .fd = -1 },
                     .trees = t,
                     .keep = { .keeper_fd = -1 },
                     .server = { .meta_fd = -1, .bulk_fd = -1 },
                     .started_fd = -1 };
    struct mrc_transport_opts to;
    mrc_reach(o, &to);
    mrc_log_here("mrc"); /* for its file server */
    log_keep_no_errors();
    int rc = o->background ? go_background(&j.started_fd, e) : 0;
    if (rc < 0)
        return rc;
    rc = prepare(&j, &to, e);
    if (rc == 0) {
        struct mrc_run_opts ro = { .options = o,
                                   .trees = t,
                                   .keep = &j.keep,
                                   .nester = nester,
                                   .serve = serve_trees,
                                   .connect = connect_job,
                                   .reconnect = o->is_local ? NULL : reconnect_job,
                                   .disconnect = disconnect_job,
                                   .wait_s = o->reconnect_s,
                                   .on_started = on_started,
                                   .ctx = &j };
        rc = mrc_run(&ro, out, e);
    }
    mrc_leave(&j.connection);
    mrc_hub_job_end(&j.hub);
    fd_close(&j.keep.keeper_fd);
    int served = mrc_serve_end(&j.server, SERVER_WAIT_MS);
    if (served == -EPROTO && (rc == 0 || e->text[0]))
        rc =
            err_say(e, EPROTO,
                    "%.60s asked for files in a way that is none of the protocol's: is that an "
                    "mrc-agent of this version, and not hostile?",
                    o->host);
    else if (served < 0 && rc == 0 && !out->is_left)
        rc = err_say(e, EIO, "the file server failed: what the job wrote may not all be here");
    fd_close(&j.started_fd);
    return rc;
}

static int hosts_of(struct mrc_options *o, struct mrc_hostset *hosts, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < o->hosts.len && rc == 0; i++)
        rc = o->hosts.items[i].id == HOSTS_FILE
                 ? mrc_hostset_add_file(hosts, o->hosts.items[i].arg, e)
                 : mrc_hostset_add(hosts, o->hosts.items[i].arg, e);
    for (size_t i = 0; i < hosts->count && rc == 0; i++) {
        static struct mrc_options tried;
        tried = *o;
        rc = mrc_options_host(&tried, hosts->names[i], e);
    }
    if (rc == 0 && !hosts->count)
        rc = err_say(e, EINVAL, "there is no host in what --hosts and --hosts-file name");
    return rc;
}

/* --hosts: returns MRC_MANY_CHILD in a process that has one of the hosts in o now; or
 * MRC_MANY_ENDED when all is over, or -errno. */
static int run_many(struct mrc_options *o, struct mrc_outcome *out, struct err *e)
{
    struct mrc_hostset hosts = { 0 };
    struct mrc_many_outcome many;
    struct mrc_many_opts mo = { .is_mixed = o->output == OUTPUT_MIXED,
                                .mode = o->output == OUTPUT_ORDER ? MRC_MANYOUT_ORDER
                                                                  : MRC_MANYOUT_PREFIX };
    int rc = hosts_of(o, &hosts, e);
    if (rc == 0) {
        mo.hosts = hosts.names;
        mo.count = hosts.count;
        mo.at_once = o->parallel ? (size_t)o->parallel : PARALLEL;
        /* Several can't ask on one terminal. What the user said comes before it and counts. */
        if (mo.at_once > 1 && mo.count > 1 && o->ssh_options.len < OPT_LIST_MAX)
            o->ssh_options.items[o->ssh_options.len++].arg = "BatchMode=yes";
        rc = mrc_many(&mo, &many, e);
    }
    if (rc == MRC_MANY_CHILD) {
        o->no_input = true;
        rc = mrc_options_host(o, hosts.names[many.host], e);
        rc = rc == 0 ? MRC_MANY_CHILD : rc;
    } else if (rc == MRC_MANY_ENDED) {
        *out = many.by_signal ? (struct mrc_outcome){ .by_signal = true, .code = many.by_signal }
                              : (struct mrc_outcome){ .by_signal = false, .code = many.code };
    }
    mrc_hostset_fini(&hosts);
    return rc;
}

static void init_log(const struct mrc_options *o)
{
    int level = o->quiet ? LOG_QUIET : o->verbose > LOG_TRACE ? LOG_TRACE : o->verbose;
    log_init("mrc", (enum log_level)level);
}

/* Our connection goes through that of the job which wanted us: it ends with that, and is silent as long as that is made anew. */
static int be_nested(struct mrc_options *o, uint32_t outer_s)
{
    char text[16];
    uint32_t silence_s = outer_s + MRC_SILENCE_MAX_MS / 1000;
    snprintf(text, sizeof text, "%u", silence_s < SILENCE_LAST_S ? silence_s : SILENCE_LAST_S);
    o->reconnect_s = 0;
    return outer_s && !mrc_silence_ms() ? setenv("MRC_SILENCE", text, 1) : 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--hub-process") == 0)
        return mrc_hub_main();
    if (argc == 5 && strcmp(argv[1], "--nest-dial") == 0)
        return mrc_nest_dial_main(argv[2], argv[3], argv[4]);
    static struct mrc_options o;
    struct err e = { "" };
    log_init("mrc", LOG_NORMAL);
    int rc = mrc_options_parse(&o, argc, argv, &e);
    if (rc == OPT_DONE)
        return 0;
    if (rc < 0) {
        log_error("%s", e.text);
        return EXIT_MRC;
    }
    init_log(&o);
    signal(SIGPIPE, SIG_IGN);
    static struct mrc_trees trees;
    struct mrc_outcome out = { .code = EXIT_MRC };
    if (o.hosts.len) {
        rc = run_many(&o, &out, &e);
        if (rc < 0)
            log_error("%s", e.text);
        if (rc != MRC_MANY_CHILD)
            return rc < 0 ? EXIT_MRC : out.by_signal ? mrc_die_by(out.code) : out.code;
    }
    struct mrc_nester nester = { .sock = -1 };
    for (uint32_t outer_s = o.reconnect_s;
         o.verb == VERB_JOB && (rc = mrc_nester_start(&o, &nester, &e)) == MRC_NEST_CHILD;) {
        init_log(&o); /* and its job may start others in turn */
        if (be_nested(&o, outer_s) < 0)
            rc = err_set(&e, errno, "environment");
        if (rc < 0)
            break;
    }
    if (rc < 0) {
        out.code = EXIT_MRC;
    } else if (o.verb == VERB_ATTACH) {
        rc = mrc_attach(&o, &out, &e);
    } else if (o.verb != VERB_JOB || o.no_command) {
        rc = mrc_verb(&o, &e);
        out.code = rc < 0 ? EXIT_MRC : rc;
    } else {
        rc = mrc_trees_make(&o, &trees, &e);
        if (rc == 0 && o.detach)
            rc = mrc_detach(&o, argc, argv, &trees, &out, &e);
        else if (rc == 0)
            rc = run_job(&o, &trees, &nester, &out, &e);
    }
    mrc_nester_end(&nester);
    mrc_trees_fini(&trees);
    if (rc < 0) {
        if (e.text[0]) /* empty: the transport has said it */
            log_error("%s", e.text);
        return out.code ? out.code : EXIT_MRC;
    }
    return out.by_signal ? mrc_die_by(out.code) : out.code;
}
