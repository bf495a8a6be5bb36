/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reach.c: see reach.h.
 * Must not know: what is done with the connection. */
#include "mrc/reach.h"

#include "common/sys/log.h"

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

void mrc_reach(const struct mrc_options *o, struct mrc_transport_opts *out)
{
    static const char *identities[OPT_LIST_MAX], *ssh_options[OPT_LIST_MAX];
    *out = (struct mrc_transport_opts){ .kind = kind_of(o),
                                        .host = o->host,
                                        .user = o->user[0] ? o->user : NULL,
                                        .port = o->port,
                                        .config_file = o->config_file,
                                        .jump = o->jump,
                                        .identities = identities,
                                        .identity_count = list_of(&o->identities, identities),
                                        .ssh_options = ssh_options,
                                        .ssh_option_count =
                                            list_of(&o->ssh_options, ssh_options),
                                        .via = o->via,
                                        .forward_agent = o->forward_agent,
                                        .verbosity = o->quiet ? LOG_QUIET : (int)log_level() };
}
