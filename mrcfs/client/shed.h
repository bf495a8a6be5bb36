/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shed.h: bounds the memory of nodes: the kernel, which forgets only when it lacks memory
 * itself, is asked to forget those that nothing else is known of. Must not know: libfuse, the
 * server. */
#ifndef MRCFS_CLIENT_SHED_H
#define MRCFS_CLIENT_SHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mfs_session;

enum {
    MFS_KNOWN_MAX = 320 * 1024, /* nodes; about 600 bytes each, and 400 at the server */
};

struct mfs_shed {
    size_t look_at;         /* how many nodes there are when it is looked for some to shed; 0:
                               MFS_KNOWN_MAX */
    atomic_bool is_refused; /* the kernel (before Linux 6.18) can't be asked */
};

/* Asks the kernel to forget some, if there are too many. What it uses it keeps. */
void mfs_shed_look(struct mfs_session *s);

#endif
