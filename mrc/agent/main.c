/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: mrc-agent: our program on the target: speaks the session protocol on its standard
 * input and output. Must not know: how it got here (mrc/push.c). Privilege: none needed; real
 * root builds the view without a user namespace. */
#include "config.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/agent/cache.h"
#include "mrc/agent/comeback.h"
#include "mrc/agent/doctor.h"
#include "mrc/agent/export.h"
#include "mrc/agent/held.h"
#include "mrc/agent/job.h"
#include "mrc/agent/logs.h"
#include "mrc/agent/nest.h"
#include "mrc/agent/remains.h"
#include "mrc/agent/view.h"
#include "mrc/push.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SILENCE_MAX_S = 86400,
    HELLO_MS = 600 * 1000, /* started ahead by a hub, it waits for a job */
    WAIT_MAX_S = 7 * 86400,
};

struct agent {
    mode_t login_umask;
    struct agent_held_opts held;
    struct loop *loop;
    struct mrc_link *link;
    struct agent_job *job;
    struct agent_export *export;
    struct comeback *comeback; /* of a session that may go on with another stream */
    struct handover *handover; /* we were started for another agent's session */
    struct loop_timer wait_timer;
    uint32_t wait_s;
    int silence_ms; /* of the head; 0: the usual */
    bool is_away, link_over, job_done;
    uint64_t told_again; /* bytes */
    char cache_dir[4096];
};

static void maybe_stop(struct agent *a)
{
    if (a->link_over && (a->job_done || a->handover))
        loop_stop(a->loop, 0);
}

static void on_job_done(void *ctx)
{
    struct agent *a = ctx;
    a->job_done = true;
    if (a->is_away && agent_job_is_view(a->job))
        mrc_link_give_up(a->link, 0, "the view has ended");
    else
        maybe_stop(a);
}

/* What is answered at once, beside jobs. */
static const struct {
    const char *name;
    int (*open)(const char *cache_dir, struct mrc_port *port, struct bytes request);
} services[] = { { "cache", agent_cache_open }, { "logs", agent_logs_open }, { "doctor", agent_doctor_open } };

static int on_open(void *ctx, struct mrc_port *port, struct bytes service, struct bytes request)
{
    struct agent *a = ctx;
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        if (service.len == strlen(services[i].name) &&
            !memcmp(service.ptr, services[i].name, service.len))
            return services[i].open(a->cache_dir, port, request);
    int rc = agent_nest_dial(a->loop, a->silence_ms, port, service, request);
    if (rc != -EOPNOTSUPP)
        return rc;
    rc = agent_held_open(&a->held, port, service, request);
    if (rc != -EOPNOTSUPP)
        return rc;
    rc = agent_export_open(a->export, port, service, request);
    return rc == -EOPNOTSUPP ? agent_job_open(a->job, port, service, request) : rc;
}

static void on_end(void *ctx, int code, const char *text)
{
    struct agent *a = ctx;
    if (code)
        log_at(LOG_VERBOSE, "%s", text);
    log_keep("the link ended%s%s", *text ? ": " : "", text);
    a->link_over = true;
    agent_job_abandon(a->job);
    maybe_stop(a);
}

/* ---- another stream ---- */

static void on_back(void *ctx)
{
    struct agent *a = ctx;
    loop_timer_del(&a->wait_timer);
    a->is_away = false;
    remains_say(REMAINS_RESUMED);
    struct mrc_link_stats s;
    mrc_link_stats(a->link, &s);
    log_keep("the head is back, %llu bytes sent again", (unsigned long long)(s.bytes_again - a->told_again));
    a->told_again = s.bytes_again;
    agent_held_away(false);
    agent_job_away(a->job, false);
}

static void on_waited(void *ctx)
{
    struct agent *a = ctx;
    mrc_link_give_up(a->link, -ETIMEDOUT, "the head has not come back");
}

static void on_lost(void *ctx, int code UNUSED, const char *text)
{
    struct agent *a = ctx;
    log_at(LOG_VERBOSE, "%s: waiting for the head", text);
    comeback_lost(a->comeback);
    if (!a->comeback) {
        on_waited(a);
        return;
    }
    log_keep("%s: waiting for the head for %u s", text, a->wait_s);
    loop_timer_set(a->loop, &a->wait_timer, (uint64_t)a->wait_s * 1000, on_waited, a);
    a->is_away = true;
    remains_say(REMAINS_WAITS);
    if (a->job_done && agent_job_is_view(a->job))
        loop_timer_set(a->loop, &a->wait_timer, 0, on_waited, a);
    agent_job_away(a->job, true);
    agent_held_away(true);
    if (agent_held_is_over())
        loop_timer_set(a->loop, &a->wait_timer, 0, on_waited, a);
}

/* We were only between the head and holders. */
static void on_held_over(void *ctx)
{
    struct agent *a = ctx;
    if (a->is_away)
        loop_timer_set(a->loop, &a->wait_timer, 0, on_waited, a);
}

static void on_handed_over(void *ctx)
{
    struct agent *a = ctx;
    loop_stop(a->loop, 0);
}

static void on_hello(void *ctx, const struct mrc_hello *hello)
{
    struct agent *a = ctx;
    uint64_t attempt, received;
    if (!mrc_resume_get(hello->resume, &a->wait_s, &attempt, &received))
        return;
    a->wait_s = a->wait_s < WAIT_MAX_S ? a->wait_s : WAIT_MAX_S;
    int rc;
    if (attempt) {
        struct handover_opts ho = { a->loop, a->link, on_handed_over, a };
        rc = handover_new(&ho, hello, &a->handover);
        if (rc < 0)
            mrc_link_bye(a->link, rc, "the return makes no sense");
        return;
    }
    struct comeback_opts co = { a->loop, a->link, on_back, a };
    rc = comeback_new(&co, hello, &a->comeback);
    if (rc < 0)
        log_at(LOG_VERBOSE, "a lost connection will end the job: %s", strerror(-rc));
}

static int make_dirs(char *path)
{
    for (char *at = path + 1; *at; at++)
        if (*at == '/') {
            *at = 0;
            int rc = mkdir(path, 0700);
            *at = '/';
            if (rc < 0 && errno != EEXIST)
                return -errno;
        }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Where views keep their records: beside the agent's own file, which push chose to be writable
 * and ours. */
static int find_cache_dir(struct agent *a, struct err *e)
{
    const char *given =
        getenv("MRC_AGENT_CACHE"); /* for an agent that was not pushed but installed */
    if (given && given[0] == '/') {
        snprintf(a->cache_dir, sizeof a->cache_dir, "%s", given);
    } else {
        ssize_t n = readlink("/proc/self/exe", a->cache_dir, sizeof a->cache_dir - 1);
        if (n < 0)
            return err_set(e, errno, "read /proc/self/exe");
        a->cache_dir[n] = 0;
        char *slash = strrchr(a->cache_dir, '/');
        if (slash)
            *slash = 0;
    }
    if (make_dirs(a->cache_dir) < 0 || access(a->cache_dir, W_OK) < 0)
        return err_set(e, errno, "cache directory %s", a->cache_dir);
    return 0;
}

/* Standard input and output become the link's; a job must never inherit them. */
static int take_stdio(int *in, int *out)
{
    *in = fcntl(0, F_DUPFD_CLOEXEC, 3);
    *out = fcntl(1, F_DUPFD_CLOEXEC, 3);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (*in < 0 || *out < 0 || null_fd < 0)
        return -errno;
    if (dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0)
        return -errno;
    return 0;
}

static int run(struct agent *a, struct err *e)
{
    int rc = find_cache_dir(a, e);
    if (rc < 0)
        return rc;
    AUTO_FD dir = open(a->cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    log_keep_in(dir, "agent");
    log_keep("starts, of version " PACKAGE_VERSION);
    view_cleanup(a->cache_dir);
    int in, out;
    rc = take_stdio(&in, &out);
    if (rc == 0)
        rc = fd_write_full(out, MRC_AGENT_MAGIC, strlen(MRC_AGENT_MAGIC));
    if (rc == 0)
        rc = loop_new(&a->loop);
    if (rc < 0)
        return err_set(e, -rc, "standard input and output");
    a->held = (struct agent_held_opts){ a->loop, a->login_umask, on_held_over, a };
    struct agent_job_opts jo = {
        .loop = a->loop, .cache_dir = a->cache_dir, .login_umask = a->login_umask, .on_done = on_job_done, .ctx = a
    };
    rc = agent_job_new(&jo, &a->job);
    if (rc == 0)
        rc = agent_export_new(a->loop, &a->export);
    if (rc < 0)
        return err_set(e, -rc, "job");
    struct mrc_link_opts lo = { .loop = a->loop,
                                .fd_in = in,
                                .fd_out = out,
                                .software = "mrc-agent " PACKAGE_VERSION,
                                .silence_ms = a->silence_ms,
                                .hello_ms = a->silence_ms ? a->silence_ms : HELLO_MS,
                                .on_open = on_open,
                                .on_hello = on_hello,
                                .on_lost = on_lost,
                                .on_end = on_end,
                                .ctx = a };
    rc = mrc_link_new(&lo, &a->link, e);
    if (rc < 0)
        return rc;
    rc = loop_run(a->loop);
    loop_timer_del(&a->wait_timer);
    handover_free(a->handover);
    comeback_free(a->comeback);
    agent_job_free(a->job);
    mrc_link_free(a->link);
    agent_export_free(a->export);
    loop_free(a->loop);
    return rc < 0 ? err_set(e, -rc, "event loop") : 0;
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    if (!strcmp(name ? name + 1 : argv[0], "mrc"))
        return agent_nest_main(argc, argv);
    log_init("mrc-agent", LOG_NORMAL);
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        printf("mrc-agent %s\n", PACKAGE_VERSION);
        return 0;
    }
    static const char silence[] = "--silence=";
    int silence_ms = 0;
    if (argc == 2 && !strncmp(argv[1], silence, sizeof silence - 1)) {
        long seconds = strtol(argv[1] + sizeof silence - 1, NULL, 10);
        silence_ms = seconds > 0 && seconds <= SILENCE_MAX_S ? (int)seconds * 1000 : 0;
        argc = 1;
    }
    if (argc != 1 || isatty(0)) {
        fprintf(stderr, "mrc-agent is started by mrc on the target; see mrc(1)\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* the end of the link is what ends us */
    struct agent a = { .login_umask = umask(077), .silence_ms = silence_ms };
    struct err e = { "" };
    if (run(&a, &e) < 0) {
        log_error("%s", e.text);
        return 1;
    }
    return 0;
}
