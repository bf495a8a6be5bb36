/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper.h: the head's end of a kept view: a process with the session to the agent that keeps the
 * view on the target, and the file server for it. It is started by the mrc that wants the view, so
 * that it has this mrc's files, whatever namespace they are in, and it outlives this mrc when the
 * hub knows it. Must not know: the job.
 * Source: docs/views.md. */
#ifndef MRC_KEEPER_H
#define MRC_KEEPER_H

#include "mrc/hub.h"
#include "mrc/options.h"
#include "mrc/trees.h"

struct mrc_keeper_opts {
    const struct mrc_options *options;
    const struct mrc_trees *trees;
    const uint8_t *key;    /* of the connection, for the hub; MRC_HUB_KEY_BYTES */
    const uint8_t *view;   /* likewise, of the view */
    const uint8_t *id;     /* of the view to be; MRC_HUB_ID_BYTES */
    const char *host;      /* as the hub knows it */
    /* A connection that the hub doesn't have (yet): where channels are asked for, and how agents are
     * started; else control is -1, and the hub gives an agent. */
    int control;
    const char *command, *nonce;
};

/* What the keeper says to its mrc, one message each. */
struct mrc_keeper_word {
    enum {
        MRC_KEEPER_OURS,   /* the hub has it: jobs may join id */
        MRC_KEEPER_OTHER,  /* somebody else was first: id and mark */
        MRC_KEEPER_FAILED, /* text */
    } kind;
    uint8_t id[MRC_HUB_ID_BYTES];
    uint64_t mark;
    char text[240];
};

/* Can this view be kept: is nothing in it one job's own, and are there files to serve? Then out is its
 * key for the hub. */
bool mrc_keeper_key(const struct mrc_options *o, const struct mrc_trees *t,
                    uint8_t out[MRC_HUB_KEY_BYTES]);

/* Forks it. *fd_out: a socket to it, close-on-exec, that keeps messages whole: when it is closed before
 * mrc_keeper_register, the view ends with its last job. To be called while there is one thread. */
MUST int mrc_keeper_start(const struct mrc_keeper_opts *o, int *fd_out, struct err *e);

/* Waits for a word. Returns 0; -ECONNRESET the keeper has ended; -ETIMEDOUT (0: none is there now);
 * -EPROTO. */
MUST int mrc_keeper_wait(int fd, int timeout_ms, struct mrc_keeper_word *out);

/* The hub has the connection now: let it have the view. */
void mrc_keeper_register(int fd);

#endif
