/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect.c: transport and agent.
 * Must not know: jobs. */
#include "mrc/connect.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/push.h"
#include "mrc/transport.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRANSPORT_WAIT_MS = 2000 };

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

static int start_transport(const struct mrc_options *o, const char *command,
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
                                     .command = command,
                                     .forward_agent = o->forward_agent,
                                     .is_batch = o->background,
                                     .verbosity = (int)log_level() };
    struct mrc_stream stream;
    int rc = mrc_transport_start(&to, &stream, e);
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

int mrc_connect(const struct mrc_options *o, struct mrc_connection *out, struct err *e)
{
    AUTO_FREE struct mrc_agents *agents = calloc(1, sizeof *agents);
    AUTO_FREE char *command = malloc(MRC_PUSH_COMMAND_BYTES);
    if (!agents || !command)
        return err_set(e, ENOMEM, "connection");
    int rc = mrc_agents_find(agents, e);
    if (rc < 0)
        return rc;
    struct mrc_push_opts po = { .agents = agents, .host = o->host, .start_timeout_ms = -1 };
    char nonce[MRC_PUSH_NONCE_BYTES];
    rc = mrc_push_command(command, MRC_PUSH_COMMAND_BYTES, nonce, &po, e);
    if (rc == 0)
        rc = start_transport(o, command, out, e);
    if (rc < 0)
        return rc;
    struct mrc_push_report report = { 0 };
    rc = mrc_push_run(out->fd, nonce, &po, &report, e);
    if (rc == 0) {
        log_at(LOG_VERBOSE,
               report.is_uploaded ? "%s: agent sent, %llu bytes"
                                  : "%s: agent was there, %llu bytes sent",
               o->host, (unsigned long long)report.sent_bytes);
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
        kill(c->pid, SIGTERM);
    c->pid = 0;
}
