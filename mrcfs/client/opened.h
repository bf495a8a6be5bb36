/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opened.h: a file or directory that the kernel has open. */
#ifndef MRCFS_CLIENT_OPENED_H
#define MRCFS_CLIENT_OPENED_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "common/base/wire.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_call;
struct mfs_client;
struct mfs_session;

/* FUSE's handle is its address. */
struct mfs_opened {
    struct link open; /* in its session's files */
    uint64_t fh;      /* the server's */
    uint64_t node;
    bool is_written; /* since the last flush */
    bool had_locks;  /* of any kind, asked for through it */
    /* The whole file as it was at open, if it came along; for a moment. */
    uint8_t *head;
    size_t head_len;
    uint64_t head_until_ms;
    uint32_t changes; /* of the node, that it was opened after */
    /* Directories: entries received and not yet given to the kernel. */
    uint8_t *chunk;
    size_t chunk_at;
    size_t chunk_end;
    uint64_t cookie;      /* where the entry at chunk_at is */
    bool is_eof;          /* nothing follows the chunk */
    uint64_t notices;     /* that had come when the chunk was asked for */
    uint64_t last_listed; /* node given to the kernel last */
};

/* For the node of call, in its session. NULL without memory. */
struct mfs_opened *mfs_opened_new(struct mfs_call *call);
void mfs_opened_free(struct mfs_opened *f);
/* Keeps the contents that came along with open, if they are whole. */
void mfs_opened_keep_head(struct mfs_opened *f, const struct mfs_open_rep *m);
/* What a read of size bytes finds in them. False: they are not there any more, or a change was
 * made or reported since. */
MUST bool mfs_opened_head(const struct mfs_session *s, const struct mfs_opened *f, size_t size,
                          int64_t offset, struct bytes *out);
/* Closes a file of the server's that nobody waits for. */
void mfs_opened_release_unheard(struct mfs_client *c, uint64_t fh, bool is_dir);

#endif
