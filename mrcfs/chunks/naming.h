/* SPDX-License-Identifier: GPL-2.0-or-later */
/* naming.h: whether the server names chunks: what it costs to hash them must be less than what
 * it may save. Must not know: how chunks are read and named. */
#ifndef MRCFS_CHUNKS_NAMING_H
#define MRCFS_CHUNKS_NAMING_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* A wire that takes so much a second (more than 1 Gbit/s) is nearly as fast as hashing
     * twice and a disk: nothing is kept because of it, but what is there already is used. */
    MFS_NAMING_FAST = 130000000,
    MFS_NAMING_TRIES =
        16, /* of so many answers one is named though few of those before were known */
};

/* Zeroed: nothing was seen yet. */
struct mfs_naming {
    unsigned misses_1024; /* of 1024 chunks lately so many were not there */
    unsigned turn;
};

enum mfs_naming_choice {
    MFS_NAME_NONE,
    MFS_NAME_KNOWN, /* only those that the client has: the others are not to be kept */
    MFS_NAME_ALL,
};

/* has_any: the client has chunks. */
enum mfs_naming_choice mfs_naming_choose(struct mfs_naming *n, uint64_t wire_rate,
                                         bool has_any);
/* Of so many chunks that were named so many were known. */
void mfs_naming_saw(struct mfs_naming *n, unsigned known, unsigned count);

#endif
