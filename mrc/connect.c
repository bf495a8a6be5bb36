/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect.c: transport and agent.
 * Must not know: jobs. */
#include "mrc/mrc.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/asking.h"
#include "mrc/push.h"
#include "mrc/words.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TRANSPORT_WAIT_MS = 2000,
    START_TIMEOUT_S = 60, /* for a command that gives a stream to a shell to say something */
    SSH_START_TIMEOUT_S = 240, /* ssh's own steps have bounds of their own, and better words */
    CONNECT_TIMEOUT_MAX_S = 86400
};

static int start_transport(const struct mrc_transport_opts *t, const char *command,
                           struct mrc_connection *out, struct err *e)
{
    struct mrc_transport_opts with_command = *t;
    with_command.command = command;
    struct mrc_stream stream;
    int rc = mrc_transport_start(&with_command, &stream, e);
    if (rc < 0)
        return rc;
    out->fd = stream.fd;
    out->pid = stream.pid;
    out->control = stream.control;
    out->words = stream.words;
    return 0;
}

/* Waits a moment for the transport's end. Returns its wait status, -1 while it still runs. */
static int transport_status(pid_t pid)
{
    AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd pf = { .fd = pidfd, .events = POLLIN };
    int n;
    do
        n = pidfd < 0 ? 0 : poll(&pf, 1, TRANSPORT_WAIT_MS);
    while (n < 0 && errno == EINTR);
    int status;
    return waitpid(pid, &status, WNOHANG) == pid ? status : -1;
}

/* ConnectTimeout of -o, for transports without an ssh that would read it. Returns 0 when there
 * is none. */
static int connect_timeout_s(const struct mrc_transport_opts *t, struct err *e)
{
    static const char name[] = "ConnectTimeout";
    for (size_t i = 0; i < t->ssh_option_count; i++) { /* the first one counts, as in ssh */
        const char *at = t->ssh_options[i];
        if (strncasecmp(at, name, sizeof name - 1) != 0)
            continue;
        at += sizeof name - 1;
        if (!*at || !strchr("= \t", *at))
            continue;
        at += strspn(at, "= \t");
        char *end;
        long seconds = strtol(at, &end, 10);
        if (end == at || *end || seconds < 0 || seconds > CONNECT_TIMEOUT_MAX_S)
            return err_say(e, EINVAL, "-o %.100s: a number of seconds is needed",
                           t->ssh_options[i]);
        return (int)seconds;
    }
    return 0;
}

static int start_timeout_ms(const struct mrc_transport_opts *t, struct err *e)
{
    bool is_ssh = t->kind != MRC_TRANSPORT_VIA && t->kind != MRC_TRANSPORT_LOCAL;
    if (is_ssh) /* ConnectTimeout bounds its own steps, and may be written as ssh allows */
        return SSH_START_TIMEOUT_S * 1000;
    int given_s = connect_timeout_s(t, e);
    return given_s < 0 ? given_s : (given_s ? given_s : START_TIMEOUT_S) * 1000;
}

static void close_control(struct mrc_connection *c)
{
    if (c->control > 0)
        close(c->control);
    c->control = 0;
}

static bool is_asking(void *ctx)
{
    const struct mrc_connection *c = ctx;
    return mrc_is_asking(c->pid);
}

/* Better words than those of the dialogue, which doesn't know the transport; those that are
 * too long for e are said at once. */
static void explain(const struct mrc_transport_opts *t, const struct mrc_push_report *r, int rc,
                    int timeout_ms, struct err *e)
{
    if (rc == -ENOSPC) {
        log_error("no place for the agent on %s, one of these must have room and run programs: "
                  "%s",
                  t->host, r->bad);
        e->text[0] = 0;
    } else if (rc == -ETIMEDOUT && !r->noise_bytes && t->kind == MRC_TRANSPORT_VIA) {
        err_set(e, 0,
                "nothing was heard for %d s from the command of --via, which should give a "
                "stream to a shell on %.60s (-o ConnectTimeout=SECONDS waits longer): %.80s",
                timeout_ms / 1000, t->host, t->via);
    }
}

/* A program that ended well but gave no agent may have said why. */
static void add_words(const struct mrc_connection *c, struct err *e)
{
    char why[MRC_WORDS_WHY_BYTES];
    if (!e->text[0] || log_level() >= LOG_VERBOSE)
        return;
    mrc_words_last(c->words, why);
    size_t used = strlen(e->text);
    if (why[0])
        snprintf(e->text + used, sizeof e->text - used, " (it says: %s)", why);
}

int mrc_connect(const struct mrc_transport_opts *t, struct mrc_connection *out, struct err *e)
{
    return mrc_connect_early(t, (struct bytes){ NULL, 0 }, out, e);
}

int mrc_connect_early(const struct mrc_transport_opts *t, struct bytes early,
                      struct mrc_connection *out, struct err *e)
{
    AUTO_FREE struct mrc_agents *agents = calloc(1, sizeof *agents);
    AUTO_FREE char *command = malloc(MRC_PUSH_COMMAND_BYTES);
    if (!agents || !command)
        return err_set(e, ENOMEM, "connection");
    int rc = mrc_agents_find(agents, e);
    if (rc < 0)
        return rc;
    int timeout_ms = start_timeout_ms(t, e);
    if (timeout_ms < 0)
        return timeout_ms;
    char args[32] = "";
    if (mrc_silence_ms())
        snprintf(args, sizeof args, "--silence=%d", mrc_silence_ms() / 1000);
    struct mrc_push_opts po = { .agents = agents,
                                .agent_args = args,
                                .early = early.ptr,
                                .early_len = early.len,
                                .host = t->host,
                                .start_timeout_ms = timeout_ms,
                                .is_asking = is_asking,
                                .ctx = out };
    char nonce[MRC_PUSH_NONCE_BYTES];
    rc = mrc_push_command(command, MRC_PUSH_COMMAND_BYTES, nonce, &po, e);
    if (rc == 0)
        rc = start_transport(t, command, out, e);
    if (rc < 0)
        return rc;
    struct mrc_push_report report = { 0 };
    rc = mrc_push_run(out->fd, nonce, &po, &report, e);
    if (rc == 0) {
        mrc_words_flush(out->words); /* they explain no failure, and come before the job's */
        log_at(LOG_VERBOSE,
               report.is_uploaded ? "%s: agent sent, %llu bytes"
                                  : "%s: agent was there, %llu bytes sent",
               t->host, (unsigned long long)report.sent_bytes);
        out->sent_bytes = report.is_uploaded ? report.sent_bytes : 0;
        if (out->control) {
            out->command = take_ptr(&command);
            snprintf(out->nonce, sizeof out->nonce, "%s", nonce);
        }
        return 0;
    }
    explain(t, &report, rc, timeout_ms, e);
    if (rc == -ETIMEDOUT || rc == -ENOSPC) {
        mrc_disconnect(out);
        return rc;
    }
    fd_close(&out->fd);
    close_control(out);
    int status = transport_status(out->pid);
    if (status != -1)
        out->pid = 0;
    int code = status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (code == 255) /* it has said itself, and better, why there is no stream */
        e->text[0] = 0;
    else if (code && !report.noise_bytes && t->kind == MRC_TRANSPORT_VIA)
        err_say(
            e, -rc,
            "the command of --via ended with status %d%s: %.60s; it should give a stream to "
            "a shell on %.60s",
            code, code == 127 ? " (not found, here or over there)" : "", t->via, t->host);
    add_words(out, e);
    return rc;
}

static void let_go(struct mrc_connection *c, bool is_killed)
{
    fd_close(&c->fd);
    close_control(c);
    free(take_ptr(&c->command));
    if (c->hub > 0)
        close(c->hub);
    c->hub = 0;
    if (c->pid > 0 && is_killed)
        kill(c->pid, SIGKILL); /* it ignores the others */
    c->pid = 0;
    if (c->words > 0) {
        mrc_words_flush(c->words);
        close(c->words);
    }
    c->words = 0;
}

void mrc_disconnect(struct mrc_connection *c)
{
    let_go(c, true);
}

void mrc_leave(struct mrc_connection *c)
{
    let_go(c, false);
}
