/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opened.h: a file or directory that the kernel has open. */
#ifndef MRCFS_CLIENT_OPENED_H
#define MRCFS_CLIENT_OPENED_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "common/base/wire.h"
#include "common/sys/buf.h"
#include "mrcfs/chunks/chunk.h"
#include "mrcfs/client/scan.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_call;
struct mfs_known;
struct mfs_listing;
struct mfs_reading;
struct mfs_client;
struct mfs_session;

/* A file handle of the server's that stays open for reading after the file that it was opened
 * for, while its node is held (lease.h): opens that the server isn't asked about read through
 * it. */
struct mfs_handle {
    uint64_t fh;
    uint32_t uid; /* of whom it was opened for */
    unsigned users;
    bool is_dropped;  /* ends with the last user */
    uint64_t recall;  /* that it was dropped for, which must be answered first; 0 = none */
    /* In its session's dropped ones until then; before, in the readers, of this node. */
    struct link link;
    struct mfs_known *node;
};

/* FUSE's handle is its address. */
struct mfs_opened {
    struct link open; /* in its session's files */
    uint64_t
        fh; /* the server's; 0: the reader's, or of a directory that is read from its listing */
    struct mfs_handle *reader;
    struct mfs_listing *listing;
    size_t listing_at;
    bool is_listing_made; /* of what was made in it, not the server's */
    bool may_be_kept; /* opened for reading only, of a held node */
    uint32_t uid, gid;
    bool is_alone;    /* its node is ours alone by it (own.h) */
    bool is_readable; /* it may be read as well as written */
    int host_flags;   /* that it was opened with */
    struct link parked; /* closed, but not at the server (deferred.h), since parked_ms */
    uint64_t parked_ms;
    struct mfs_later *later; /* the server has not been asked about it yet (fuse/later.c) */
    uint64_t node;
    bool is_written; /* since the last flush */
    bool had_locks;  /* of any kind, asked of the server through it */
    bool are_locks_moving, are_locks_lost; /* locks.h */
    /* The whole file as it was at open, if it came along; for a moment. */
    uint8_t *head;
    size_t head_len;
    uint64_t head_until_ms;
    bool is_head_leased; /* … or as long as the lease lasts */
    uint32_t changes; /* of the node, that it was opened after */
    uint64_t size;      /* as it was at open */
    uint64_t next_read; /* where the last read ended */
    struct mfs_reading *reading; /* ahead of the kernel (session.h); NULL: never yet */
    /* Names of chunks to come that are in the cache here (fuse/fetch.c), from number first_chunk
     * on; as long as the node's lease lasts and its changes are these. */
    struct mfs_chunk_rec *coming;
    size_t coming_count;
    uint64_t first_chunk;
    uint32_t coming_changes, coming_own_changes;
    uint32_t ahead; /* how many were asked for last */
    uint64_t names_end; /* up to there they were asked for while reading ahead */
    /* Directories: entries received and not yet given to the kernel. */
    uint8_t *chunk;
    size_t chunk_at;
    size_t chunk_end;
    uint64_t cookie;      /* where the entry at chunk_at is */
    bool is_eof;          /* nothing follows the chunk */
    uint64_t notices;     /* that had come when the chunk was asked for */
    struct mfs_order order; /* of what was received */
    bool has_start; /* what is there is the directory as it was at open, and nothing of it was read */
    /* What was received from the first entry on, to become the listing. */
    bool is_gathering;
    uint32_t gather_changes; /* of the directory when that began */
    struct buf gathered;
};

enum { MFS_READERS_MAX = 4096 }; /* handles kept open for opens to come */

/* The handle to read through. */
static inline uint64_t mfs_opened_fh(const struct mfs_opened *f)
{
    return f->fh || !f->reader ? f->fh : f->reader->fh;
}
/* f is being closed, its handle is not needed any more: keeps it as its node's reader if it
 * can. */
MUST bool mfs_opened_keep(struct mfs_session *s, struct mfs_opened *f);
/* fh, opened for reading for uid, becomes n's reader. Returns false without memory, or when all others are in use. */
MUST bool mfs_handle_set(struct mfs_session *s, struct mfs_known *n, uint64_t fh, uint32_t uid);
/* Opens f through its node's reader. False: there is none for this user. */
MUST bool mfs_opened_use_reader(struct mfs_session *s, struct mfs_opened *f, uint32_t uid);
void mfs_opened_done_reader(struct mfs_session *s, struct mfs_opened *f);
/* n's reader is not to be used any more; n is no longer held. */
void mfs_handle_drop(struct mfs_session *s, struct mfs_known *n);
/* The same for a recall: the handle keeps programs at the server waiting until _recalled, when it was answered. */
void mfs_handle_recall(struct mfs_session *s, struct mfs_known *n, uint64_t recall);
void mfs_handle_recalled(struct mfs_session *s, uint64_t recall);

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
