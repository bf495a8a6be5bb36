/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect.c: transport and agent.
 * Must not know: jobs. */
#include "mrc/connect.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/magic.h"
#include "mrc/transport.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

int mrc_connect(const struct mrc_options *o, struct mrc_connection *out, struct err *e)
{
    static const char *identities[OPT_LIST_MAX], *ssh_options[OPT_LIST_MAX];
    char command[4096];
    snprintf(command, sizeof command, "exec %s", getenv("MRC_AGENT"));
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
                                     .verbosity = (int)log_level() };
    struct mrc_stream stream;
    int rc = mrc_transport_start(&to, &stream, e);
    if (rc < 0)
        return rc;
    out->fd = stream.fd;
    out->pid = stream.pid;
    char magic[64];
    ssize_t n = fd_read_full(out->fd, magic, strlen(MRC_AGENT_MAGIC));
    if (n != (ssize_t)strlen(MRC_AGENT_MAGIC) || memcmp(magic, MRC_AGENT_MAGIC, (size_t)n))
        return err_set(e, EPROTO, "magic");
    return 0;
}

void mrc_disconnect(struct mrc_connection *c)
{
    fd_close(&c->fd);
    free(c->early);
    c->early = NULL;
}
