/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect.c: transport and agent.
 * Must not know: jobs. */
#include "mrc/mrc.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/push.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRANSPORT_WAIT_MS = 2000 };

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

int mrc_connect(const struct mrc_transport_opts *t, struct mrc_connection *out, struct err *e)
{
    AUTO_FREE struct mrc_agents *agents = calloc(1, sizeof *agents);
    AUTO_FREE char *command = malloc(MRC_PUSH_COMMAND_BYTES);
    if (!agents || !command)
        return err_set(e, ENOMEM, "connection");
    int rc = mrc_agents_find(agents, e);
    if (rc < 0)
        return rc;
    struct mrc_push_opts po = { .agents = agents, .host = t->host, .start_timeout_ms = -1 };
    char nonce[MRC_PUSH_NONCE_BYTES];
    rc = mrc_push_command(command, MRC_PUSH_COMMAND_BYTES, nonce, &po, e);
    if (rc == 0)
        rc = start_transport(t, command, out, e);
    if (rc < 0)
        return rc;
    struct mrc_push_report report = { 0 };
    rc = mrc_push_run(out->fd, nonce, &po, &report, e);
    if (rc == 0) {
        log_at(LOG_VERBOSE,
               report.is_uploaded ? "%s: agent sent, %llu bytes"
                                  : "%s: agent was there, %llu bytes sent",
               t->host, (unsigned long long)report.sent_bytes);
        return 0;
    }
    fd_close(&out->fd);
    int status = transport_status(out->pid);
    if (status != -1) {
        out->pid = 0;
        /* It has said itself, and better, why there is no stream. */
        if (WIFEXITED(status) && WEXITSTATUS(status) == 255)
            e->text[0] = 0;
    }
    return rc;
}

void mrc_disconnect(struct mrc_connection *c)
{
    fd_close(&c->fd);
    if (c->pid > 0)
        kill(c->pid, SIGKILL); /* it ignores the others */
    c->pid = 0;
}
