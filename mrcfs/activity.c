/* SPDX-License-Identifier: GPL-2.0-or-later */
/* activity.c: reading the name in struct mfs_activity while the server changes it.
 * Must not know: the server. */
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { TRIES = 100 };

int mfs_activity_name(const struct mfs_activity *a, char *name, size_t size_bytes)
{
    for (int i = 0; i < TRIES; i++) {
        char copy[sizeof a->name];
        uint32_t turns = atomic_load(&a->name_turns);
        memcpy(copy, a->name, sizeof copy);
        atomic_thread_fence(memory_order_acquire);
        if (turns % 2 || atomic_load(&a->name_turns) != turns)
            continue;
        copy[sizeof copy - 1] = 0;
        snprintf(name, size_bytes, "%s", copy);
        return 0;
    }
    return -EAGAIN;
}
