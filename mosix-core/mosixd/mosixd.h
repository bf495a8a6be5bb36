/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosixd.h: what the daemon's children know: its directory, the map, the key.
 * Must not know: how a job moves. The daemon itself only listens and forks: all that is long,
 * or may go wrong, is done in a child. */
#ifndef MOSIX_CORE_MOSIXD_MOSIXD_H
#define MOSIX_CORE_MOSIXD_MOSIXD_H

#include "mosix-core/mosixd/cluster.h"
#include "mosix-core/mosixd/place.h"
#include "mosix-core/move/keeper.h"
#include "mosix-core/net/wire.h"
#include "mosix-core/sandbox/sandbox.h"

enum {
    MX_CHILDREN_MAX = 512,    /* of the daemon: connections from other nodes, and requests */
    MX_LISTING_MAX = 1 << 20, /* bytes of a list of jobs */
};

enum mx_daemon_note { MX_NOTE_CONFIGURATION = 'r', MX_NOTE_RULES = 'u', MX_NOTE_END = 'e' };

struct mx_daemon {
    char run[MX_RUN_MAX];
    struct mx_nodes nodes;
    int self; /* which of them this is */
    struct mx_identity id;
    struct mx_guest_limits limits;
    char freeze_dir[MX_FREEZE_DIR_MAX];
    char freeze_tag[2 * MX_RUN_MAX]; /* names of this daemon's files there begin with it */
    struct mx_cluster *cluster;
    int notes; /* to the daemon, from its children: a datagram for mx_cluster_take(), or one
                  byte: what is to be read anew, or that it is to end */
};

/* Processes of this node whose memory is in files now. */
unsigned mx_frost_count(const struct mx_daemon *d);

/* A connection from another node; takes fd. In a child. */
void mx_front(const struct mx_daemon *d, int fd);

/* A request of a program's on this node; takes fd. In a child. */
void mx_control(const struct mx_daemon *d, int fd);

#endif
