/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reach.h: how the host that the user named is reached, from mrc's options.
 * Must not know: what is done with the connection. */
#ifndef MRC_REACH_H
#define MRC_REACH_H

#include "mrc/options.h"
#include "mrc/transport.h"

/* *out points into o and into memory of our own, which the next call overwrites. */
void mrc_reach(const struct mrc_options *o, struct mrc_transport_opts *out);

#endif
