/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conn.h: a connection to a host as a plain socket: a process of ours carries it over the
 * network; or, where calls go, gives it away over that socket (deputy/sealed.h), and ends it by
 * ending. Must not know: what is said on it. */
#ifndef MOSIX_CORE_MOVE_CONN_H
#define MOSIX_CORE_MOVE_CONN_H

#include "mosix-core/move/hello.h"
#include "mosix-core/move/note.h"
#include "mosix-core/net/wire.h"

#include <sys/types.h>

/* Notes of the process: the first says whether there is a connection, with words; the second
 * how it ended: rc 0 when the other side has ended it, else it was cut. */
struct mx_conn {
    pid_t pid; /* our child; 0: none */
    int plain; /* to be used; -1 when it was given away */
    int notes;
};

/* Starts it; what is written into plain goes when there is a connection. Returns 0 or -errno
 * with words. */
MUST int mx_conn_start(struct mx_conn *c, const struct mx_node *to,
                       const struct mx_identity *id, const struct mx_hello *hello,
                       struct err *e);
/* Ends the process and forgets it; accepts none. */
void mx_conn_end(struct mx_conn *c);

/* A child of ours that copies bytes both ways between two sockets until the first has ended;
 * takes both. Returns its number. */
MUST pid_t mx_conn_relay(int from, int to, struct err *e);

#endif
