/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chunkstore.h: chunks in files of a directory of the user's, found again by any later process.
 * Must not know: where chunks come from. Source: docs/chunks.md.
 *
 * Several processes use one store at a time without waiting for each other: a chunk appears
 * whole, by renaming, what is read is compared with its name, and whoever needs room removes
 * what was not used for longest. Nothing that goes wrong here is more than a chunk that isn't
 * there. One thread uses a struct mfs_store. */
#ifndef MRCFS_CHUNKSTORE_H
#define MRCFS_CHUNKSTORE_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrcfs/chunks/chunk.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    MFS_STORE_PERCENT_MAX = 10,     /* of the file system */
    MFS_STORE_FREE_PERCENT = 5,     /* of the file system: what is left free for others */
    MFS_STORE_TEMP_OLD_S = 15 * 60, /* unfinished chunks so old were left by a crash */
};
static const uint64_t MFS_STORE_BYTES_MAX = 2ull << 30;

struct mfs_store_opts {
    const char *dir; /* "chunks" is made in it */
    uint64_t
        limit_bytes; /* 0: MFS_STORE_BYTES_MAX or MFS_STORE_PERCENT_MAX, whichever is smaller */
    void (*on_step)(void *ctx, const char *what); /* for tests: before each change on disk */
    void *ctx;
};

struct mfs_store_usage {
    uint64_t chunks;
    uint64_t bytes;
    uint64_t limit_bytes;
};

struct mfs_store;

/* Returns 0; -EPERM: the directory isn't ours alone; or -errno, with words. */
MUST int mfs_store_open(const struct mfs_store_opts *o, struct mfs_store **out, struct err *e);
void mfs_store_close(struct mfs_store *s);
/* There must be a directory before; nothing is made. -ENOENT: there is none. */
MUST int mfs_store_open_existing(const struct mfs_store_opts *o, struct mfs_store **out,
                                 struct err *e);

/* Looks through all that is there, calls fn (may be NULL) for each chunk, and removes what
 * crashes left. Returns 0 or -errno. */
MUST int mfs_store_scan(struct mfs_store *s,
                        void (*fn)(void *ctx, const struct mfs_chunk_name *name), void *ctx,
                        struct mfs_store_usage *out);

void mfs_chunk_name_of(struct mfs_chunk_name *out, const void *ptr, size_t len_bytes);

/* Returns 0 (also if it was there); -EINVAL: the contents have another name, or a wrong length;
 * -ENOSPC: the disk or the store is full; -EAGAIN: another process is making room; or -errno.
 * Then nothing is left. */
MUST int mfs_store_add(struct mfs_store *s, const struct mfs_chunk_name *name, const void *ptr,
                       size_t len_bytes);
/* Reads a chunk into MFS_CHUNK_BYTES. Returns its length; -ENOENT; -EBADMSG: it was damaged,
 * and is removed; or -errno. */
MUST ssize_t mfs_store_load(struct mfs_store *s, const struct mfs_chunk_name *name,
                            uint8_t *out);

/* Removes all. Returns 0 or -errno with words; *removed_bytes in any case. */
MUST int mfs_store_clear(struct mfs_store *s, uint64_t *removed_bytes, struct err *e);

#endif
