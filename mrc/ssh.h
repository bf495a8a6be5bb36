/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ssh.h: a command on an SSH server through libssh2, in a process of its own.
 * Must not know: the session protocol. */
#ifndef MRC_SSH_H
#define MRC_SSH_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/sshconf.h"
#include "mrc/words.h"

struct mrc_ssh_ends {
    int stream;
    int control;             /* -1: none */
    struct mrc_words *words; /* for what a proxy says */
};

/* Connects, authenticates, runs o->command and moves bytes between it and ends->stream until
 * both are done. Only for a process of its own: it asks on the terminal and writes the
 * command's stderr to ours. On ends->control more commands are asked for on the same
 * connection, see mrc/share.h; then it also ends no sooner than that is closed. Takes both
 * descriptors. Returns 0 after a clean end; -ECANCELED when the other end of the stream is
 * closed or the person gave up; -EOPNOTSUPP, before anything was sent on the stream, when
 * libssh2 can't do what is needed but ssh might: e says what; -errno with words. */
MUST int mrc_ssh_run(const struct mrc_sshconf *c, const struct mrc_transport_opts *o,
                     const struct mrc_ssh_ends *ends, struct err *e);

#endif
