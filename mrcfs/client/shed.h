/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shed.h: bounds the memory of nodes: the kernel, which forgets only when it lacks memory
 * itself, is asked to forget those that nothing else is known of. Must not know: libfuse, the
 * server.
 *
 * Linux from 6.18 on is asked by node, when there are MFS_KNOWN_MAX of them. Before, it can only be told to drop a name: that is
 * done when the client drops it itself, which is the last time that it knows it. */
#ifndef MRCFS_CLIENT_SHED_H
#define MRCFS_CLIENT_SHED_H

#include "common/base/wire.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mfs_known;
struct mfs_session;

enum {
    MFS_KNOWN_MAX = 256 * 1024, /* nodes; about 650 bytes each, and 400 at the server */
};

struct mfs_shed {
    size_t max;             /* MFS_KNOWN_MAX, or fewer */
    size_t look_at;         /* how many nodes there are when it is looked for some to shed; 0: max */
    atomic_bool is_refused; /* the kernel (before Linux 6.18) can't be asked by node */
};

/* Before any name is known. */
void mfs_shed_init(struct mfs_session *s);
/* Asks the kernel to forget some, if there are too many. What it uses it keeps. */
void mfs_shed_look(struct mfs_session *s);

#endif
