/* SPDX-License-Identifier: GPL-2.0-or-later */
/* broker.h: the process that all file servers of a user on this computer meet at.
 * Must not know: what tokens stand for, clients.
 * It belongs to nobody: whoever needs it first starts it, and it ends by itself when nobody has
 * been there for a while.
 * Source: docs/leases.md, "Tokens: between servers". */
#ifndef MRCFS_BROKER_BROKER_H
#define MRCFS_BROKER_BROKER_H

#include "common/base/attr.h"

enum {
    MFS_BROKER_MEMBERS_MAX = 128,
    /* What a member has not read yet. */
    MFS_BROKER_OUT_MAX = 4 << 20,
    MFS_BROKER_LINGER_MS = 3000,
    /* A member that was asked to give back and does not answer is taken for dead: longer than
     * any client's lease can last. */
    MFS_BROKER_PATIENCE_MS = 60000,
};

struct mfs_broker_opts {
    int listen_fd; /* taken */
    int dir_fd;    /* where the lock and the socket are; taken */
    int linger_ms;
    int patience_ms;
};

/* Serves until nobody is left; removes the socket. */
void mfs_broker_run(const struct mfs_broker_opts *o);

/* Forks a process that does mfs_broker_connect(dir) each time a byte is written to *fd_out, and
 * sends the descriptor there (fd_receive), or a byte without one. It ends when *fd_out is closed.
 * To be called while there is one thread. Returns 0 or -errno. */
MUST int mfs_broker_finder(const char *dir, int *fd_out);

#endif
