/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: the mrc command: options, connection, one job, and its exit status as our own.
 * Must not know: protocols.
 * Privilege: none. Processes: mrc, a file server, a transport. */
#include "config.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/cachecommand.h"
#include "mrc/hub.h"
#include "mrc/mrc.h"
#include "mrc/options.h"
#include "mrc/run.h"
#include "mrc/serve.h"
#include "mrc/trees.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_MRC = 255, SERVER_WAIT_MS = 5000 };

/* Dies as the job died, so that whoever waits for us sees the same. */
static int die_by(int number)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none); /* the core belongs to the job, not to us */
    struct sigaction sa = { .sa_handler = SIG_DFL };
    sigaction(number, &sa, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), number);
    return 128 + number;
}

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
    int started_fd; /* of who waits for the start; -1 = nobody */
};

static void on_started(void *ctx, uint32_t pid)
{
    struct job *j = ctx;
    mrc_hub_job_started(&j->hub, &j->connection, pid);
    if (j->started_fd >= 0 && write(j->started_fd, "", 1) < 0)
        log_at(LOG_VERBOSE, "nobody waits for the start any more");
    fd_close(&j->started_fd);
}

static int serve_trees(const struct mrc_trees *t, struct mrc_server *server, struct err *e)
{
    struct mfs_serve_opts so = { .exports = t->exports,
                                 .export_count = t->export_count,
                                 .hide = (const char *const *)t->hide,
                                 .hide_count = t->hide_count,
                                 .show = (const char *const *)t->show,
                                 .show_count = t->show_count };
    return mrc_serve_start(&so, server, e);
}

static size_t list_of(const struct opt_list *from, const char **to)
{
    for (size_t i = 0; i < from->len; i++)
        to[i] = from->items[i].arg;
    return from->len;
}

static enum mrc_transport_kind kind_of(const struct mrc_options *o)
{
    static const enum mrc_transport_kind ssh[] = { MRC_TRANSPORT_AUTO, MRC_TRANSPORT_SSH2,
                                                   MRC_TRANSPORT_OPENSSH };
    if (o->is_local)
        return MRC_TRANSPORT_LOCAL;
    return o->via ? MRC_TRANSPORT_VIA : ssh[o->transport];
}

/* A waiting agent of the hub's, or a connection of our own that the hub may want. */
static int connect_by_hub(const struct mrc_options *o, struct mrc_transport_opts *to,
                          struct mrc_hub_job *hub, struct bytes early,
                          struct mrc_connection *out, struct err *e)
{
    int rc = mrc_hub_job_begin(hub, to, o->command, &out->fd, e);
    if (rc < 0)
        return rc;
    if (out->fd >= 0) {
        log_at(LOG_VERBOSE, "%s: by a connection that the hub keeps", o->host);
        rc = fd_write_full(out->fd, early.ptr, early.len);
        return rc < 0 ? err_set(e, -rc, "%s: the kept connection", o->host) : 0;
    }
    to->is_shared = hub->is_wanted;
    return mrc_connect_early(to, early, out, e);
}

/* hub: NULL for a connection that has nothing to do with it. */
static int connect_to(const struct mrc_options *o, struct mrc_hub_job *hub, struct bytes early,
                      struct mrc_connection *out, struct err *e)
{
    static const char *identities[OPT_LIST_MAX], *ssh_options[OPT_LIST_MAX];
    struct mrc_transport_opts to = { .kind = kind_of(o),
                                     .host = o->host,
                                     .user = o->user[0] ? o->user : NULL,
                                     .port = o->port,
                                     .config_file = o->config_file,
                                     .jump = o->jump,
                                     .identities = identities,
                                     .identity_count = list_of(&o->identities, identities),
                                     .ssh_options = ssh_options,
                                     .ssh_option_count = list_of(&o->ssh_options, ssh_options),
                                     .via = o->via,
                                     .forward_agent = o->forward_agent,
                                     .verbosity = o->quiet ? LOG_QUIET : (int)log_level() };
    if (hub && !o->no_hub)
        return connect_by_hub(o, &to, hub, early, out, e);
    return mrc_connect_early(&to, early, out, e);
}

/* -N: everything but a job. */
static int run_nothing(const struct mrc_options *o, struct err *e)
{
    struct mrc_connection connection = { .fd = -1 };
    int rc = connect_to(o, NULL, (struct bytes){ NULL, 0 }, &connection, e);
    mrc_disconnect(&connection);
    return rc;
}

/* mrc cache: a connection of its own, so that it can be asked while jobs run. */
static int run_cache(const struct mrc_options *o, struct err *e)
{
    struct mrc_connection connection = { .fd = -1 };
    int rc = connect_to(o, NULL, (struct bytes){ NULL, 0 }, &connection, e);
    if (rc == 0)
        rc = mrc_cache_command(take_fd(&connection.fd), o->host, o->is_clearing, e);
    mrc_disconnect(&connection);
    return rc;
}

static int connect_job(void *ctx, struct bytes early, int *fd_out, struct err *e)
{
    struct job *j = ctx;
    int rc = connect_to(j->options, &j->hub, early, &j->connection, e);
    if (rc == 0)
        *fd_out = take_fd(&j->connection.fd);
    return rc;
}

static int run_job(const struct mrc_options *o, const struct mrc_trees *t,
                   struct mrc_outcome *out, struct err *e)
{
    struct job j = {
        .options = o, .connection = { .fd = -1 }, .hub = { .fd = -1 }, .started_fd = -1
    };
    int rc = o->background ? go_background(&j.started_fd, e) : 0;
    if (rc < 0)
        return rc;
    struct mrc_server server = { 0, -1, -1 };
    if (t->export_count) /* else all files are the target's */
        rc = serve_trees(t, &server, e);
    if (rc == 0) {
        struct mrc_run_opts ro = { .options = o,
                                   .trees = t,
                                   .server = &server,
                                   .connect = connect_job,
                                   .on_started = on_started,
                                   .ctx = &j };
        rc = mrc_run(&ro, out, e);
    }
    mrc_disconnect(&j.connection);
    mrc_hub_job_end(&j.hub);
    int served = mrc_serve_end(&server, SERVER_WAIT_MS);
    if (served == -EPROTO && (rc == 0 || e->text[0]))
        rc =
            err_say(e, EPROTO,
                    "%.60s asked for files in a way that is none of the protocol's: is that an "
                    "mrc-agent of this version, and not hostile?",
                    o->host);
    else if (served < 0 && rc == 0)
        rc = err_say(e, EIO, "the file server failed: what the job wrote may not all be here");
    fd_close(&j.started_fd);
    return rc;
}

static int run_verb(const struct mrc_options *o, struct err *e)
{
    if (o->verb == VERB_PS)
        return mrc_hub_ps(e);
    if (o->verb == VERB_CACHE)
        return run_cache(o, e);
    return mrc_hub_stop(o->host[0] ? o->host : NULL, o->with_jobs, e);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--hub-process") == 0)
        return mrc_hub_main();
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
    log_init("mrc", o.quiet ? LOG_QUIET
                            : (enum log_level)(o.verbose > LOG_TRACE ? LOG_TRACE : o.verbose));
    signal(SIGPIPE, SIG_IGN);
    static struct mrc_trees trees;
    struct mrc_outcome out = { false, EXIT_MRC };
    if (o.verb != VERB_JOB) {
        rc = run_verb(&o, &e);
        out.code = rc < 0 ? EXIT_MRC : 0;
    } else if (o.no_command) {
        rc = run_nothing(&o, &e);
        out.code = rc < 0 ? EXIT_MRC : 0;
    } else {
        rc = mrc_trees_make(&o, &trees, &e);
    }
    if (rc == 0 && !o.no_command && o.verb == VERB_JOB)
        rc = run_job(&o, &trees, &out, &e);
    mrc_trees_fini(&trees);
    if (rc < 0) {
        if (e.text[0]) /* empty: the transport has said it */
            log_error("%s", e.text);
        return out.code ? out.code : EXIT_MRC;
    }
    return out.by_signal ? die_by(out.code) : out.code;
}
