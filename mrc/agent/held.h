/* SPDX-License-Identifier: GPL-2.0-or-later */
/* held.h: the channels of the head that concern detached jobs (docs/detach.md): one starts a holder, the others are streams to
 * one.
 * Must not know: what a holder does. */
#ifndef MRC_AGENT_HELD_H
#define MRC_AGENT_HELD_H

#include "mrc/link.h"

#include <sys/types.h>

/* What the agent has to do with holders. */
struct agent_held_opts {
    struct loop *loop;
    mode_t login_umask;
    /* No holder wants anything of us any more: who waits for the head for them need not. */
    void (*on_over)(void *ctx);
    void *ctx;
};

/* Returns 0, -EOPNOTSUPP: another service, or -errno. */
MUST int agent_held_open(const struct agent_held_opts *o, struct mrc_port *port, struct bytes service,
                         struct bytes request);

/* The head can't be reached, or can again: told to the holders. */
void agent_held_away(bool is_away);
/* Had there been streams to holders, and are there none any more? */
bool agent_held_is_over(void);

#endif
