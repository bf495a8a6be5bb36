/* SPDX-License-Identifier: GPL-2.0-or-later */
/* roots.h: attributes of the exports' roots, asked for before anything is mounted: each mount
 * begins with that question. Must not know: FUSE. */
#ifndef MRCFS_CLIENT_ROOTS_H
#define MRCFS_CLIENT_ROOTS_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

struct mfs_call;
struct mfs_client;

/* Asks for those of all exports, under lease. */
void mfs_roots_ask(struct mfs_client *c);
/* Answers call, a getattr of a root by the kernel that was not sent, through its fn, now or
 * when the answer comes; once for each root. False: nothing was done. */
MUST bool mfs_roots_take(struct mfs_call *call);
/* Node may have changed, or 0: all may have. */
void mfs_roots_changed(struct mfs_client *c, uint64_t node);
void mfs_roots_free(struct mfs_client *c);

#endif
