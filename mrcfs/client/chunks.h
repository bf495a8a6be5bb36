/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chunks.h: the client's cache of chunks (docs/chunks.md): what comes from the server is kept
 * on disk, what is there already is read there. Must not know: FUSE, calls. Threads: one of its
 * own does everything that touches the disk; all functions are for the loop's. */
#ifndef MRCFS_CLIENT_CHUNKS_H
#define MRCFS_CLIENT_CHUNKS_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "common/base/wire.h"
#include "common/sys/loop.h"
#include "mrcfs/chunks/chunk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MFS_CHUNKS_WAITING_MAX = 64, /* to be written; further ones are not kept */
    MFS_TAGS_MAX =
        48 * 1024, /* of chunks that the server has not been told of; further ones it isn't */
};

struct mfs_chunks;

/* One chunk wanted, or a part of it; embedded in its owner until fn is called. */
struct mfs_chunk_load {
    struct link link;
    struct mfs_chunk_name name;
    uint32_t len_bytes; /* of the whole chunk */
    size_t first;       /* where the part begins in it */
    size_t part_bytes;
    uint8_t *to;
    int rc;
    uint64_t sample; /* of the whole chunk, by mfs_seen_sample; 0: too short */
    uint64_t index;  /* the owner's: which chunk of its file */
    void (*fn)(struct mfs_chunk_load *l); /* in the loop's thread; rc: 0 or -errno */
    void *ctx;
};

struct mfs_chunks_stats {
    uint64_t used, used_bytes; /* parts that were read here instead of being sent */
    uint64_t missed;           /* … that were not there, or damaged */
    uint64_t damaged;          /* of these */
    uint64_t kept;             /* chunks that were written */
    uint64_t left_out;         /* that were not: the disk or the store is full, or slow */
};

/* dir: where the cache is or will be. Starts the thread. Returns 0 or -errno. */
MUST int mfs_chunks_new(struct loop *loop, const char *dir, struct mfs_chunks **out);
/* Ends it: loads that wait are answered with -ECANCELED first. */
void mfs_chunks_free(struct mfs_chunks *x);

/* The disk has been looked through, and can be used. NULL: never. */
bool mfs_chunks_is_on(const struct mfs_chunks *x);

/* l (borrowed until its fn is called) is read. */
void mfs_chunks_load(struct mfs_chunks *x, struct mfs_chunk_load *l);
/* A part of a chunk came from the server: kept when it is whole. Returns its bytes then, to be used
 * before the next call; else NULL. */
const uint8_t *mfs_chunks_keep(struct mfs_chunks *x, const struct mfs_chunk_rec *rec,
                               size_t first, const uint8_t *part, size_t len_bytes);

/* Tags that the server is to be told next: of chunks that are there, and that were taken to be
 * and are not. Views are valid until the next call of any function here. */
void mfs_chunks_tags(struct mfs_chunks *x, struct bytes *have, struct bytes *gone);

void mfs_chunks_stats(struct mfs_chunks *x, struct mfs_chunks_stats *out);
/* Why the cache can't be used, if it can't; else empty. */
void mfs_chunks_why_off(struct mfs_chunks *x, char *text, size_t size_bytes);

#endif
