/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run.h: one job over one link, from this side: streams, signals, terminal, its end.
 * Must not know: how the link was made. */
#ifndef MRC_RUN_H
#define MRC_RUN_H

#include "common/base/wire.h"
#include "mrc/held.h"
#include "mrc/keeper.h"
#include "mrc/nest/nest.h"
#include "mrc/options.h"
#include "mrc/serve.h"
#include "mrc/trees.h"

/* How a job ended. */
struct mrc_outcome {
    bool by_signal;
    int code; /* exit status, or the signal */
    bool is_left; /* the job has not ended, as far as we know: we were told to */
};

/* The kept view that the job is to run in. */
struct mrc_keep {
    bool is_wanted;
    uint8_t id[MRC_HUB_ID_BYTES];
    uint64_t mark;
    int keeper_fd; /* to its keeper, if we have started that (mrc/keeper.h); else -1 */
    bool is_lost;  /* we could not */
};

/* A detached job that is there already (docs/detach.md): its streams are its holder's. */
struct mrc_held {
    uint8_t id[HELD_ID_BYTES], secret[HELD_SECRET_BYTES], kinds[3];
    bool has_tty;
    uint64_t visit;
    /* Afterwards: the job has ended, and all was taken; or it is not there. */
    bool is_over, is_gone;
};

struct mrc_run_opts {
    const struct mrc_options *options;
    const struct mrc_trees *trees;
    bool is_unwatched; /* nothing is told of it (mrc/activity.h): it is no head of its own */
    const struct mrc_nester *nester; /* NULL or without a socket: the job starts no others */
    struct mrc_held *held; /* NULL: a job of our own */
    struct mrc_keep *keep; /* keeper_fd may be set by connect */
    /* Starts the file server, *out, whose descriptors are taken: at once, unless a kept view is
     * wanted; else when that turns out not to be there. */
    int (*serve)(void *ctx, struct mrc_server **out, struct err *e);
    /* Connects to the agent: *fd_out is a stream to it, magic already read and early already
     * sent, and will be closed here. Asks the user what it has to ask. */
    int (*connect)(void *ctx, struct bytes early, int *fd_out, struct err *e);
    /* A lost connection: the same, in a process of its own and without sending, and without asking unless may_ask; NULL: it ends the job. Then
     * lets it go. */
    int (*reconnect)(void *ctx, bool may_ask, int *fd_out, struct err *e);
    void (*disconnect)(void *ctx);
    bool may_be_silent; /* the stream is part of another session, which knows when it is dead */
    uint32_t wait_s; /* how long that is tried, and waited for by the agent */
    void (*on_started)(void *ctx, uint32_t pid); /* the command runs there; may be NULL */
    void *ctx;
};

/* Runs the job to its end. Returns 0 with the outcome, or -errno with words when the job could
 * not be started or was lost; then *out has the exit status that fits: 127 command not found,
 * 126 not executable, 255. */
MUST int mrc_run(const struct mrc_run_opts *o, struct mrc_outcome *out, struct err *e);

#endif
