/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream.h: one byte stream of messages: read whole, written whole in the order given.
 * Must not know: what messages mean.
 * Threads: one reader calls mfs_stream_read; any thread calls mfs_stream_send, which writes
 * what the socket takes at once; a writer thread does the rest, so no sender ever waits for the
 * peer.
 */
#ifndef MRCFS_SERVER_STREAM_H
#define MRCFS_SERVER_STREAM_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/list.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_packer;

enum { MFS_STREAM_BUFFER = 64 * 1024 };

/* A message on its way out: the bytes [at, at + len) of memory. */
struct mfs_out {
    struct link link;
    uint8_t *at;
    size_t len;
    uint8_t memory[];
};

struct mfs_stream {
    const char *name;
    int fd;
    /* reader's own */
    uint8_t *buffer;
    size_t first;
    size_t end;
    bool is_cut; /* by mfs_stream_cut */
    /* senders' and writer's */
    pthread_mutex_t mu; /* guards what follows */
    pthread_cond_t has_more;
    struct link queue;
    size_t queued_bytes;        /* in queue or being written */
    bool is_writing;            /* the writer is at it, outside mu */
    bool is_closing;            /* the writer ends when the queue is empty */
    bool is_broken;             /* the peer is gone: everything sent is dropped */
    void (*on_room)(void *ctx); /* queued_bytes fell; called without mu */
    void *ctx;
    struct mfs_packer *packer; /* hears how fast the peer takes what is sent; may be NULL */
    pthread_t writer;
    bool has_writer;
};

/* fd is taken, also on failure. Returns 0 or -errno. */
MUST int mfs_stream_open(struct mfs_stream *s, const char *name, int fd);
/* Starts the writer. */
MUST int mfs_stream_start(struct mfs_stream *s, void (*on_room)(void *ctx), void *ctx);
/* Ends the writer: after it has written everything, or at once. */
void mfs_stream_stop(struct mfs_stream *s, bool is_at_once);
void mfs_stream_close(struct mfs_stream *s);

/* Reads one message without its length into heap memory that the caller frees. Returns 1, 0 at
 * the end of the stream, -EPROTO for a length out of bounds, -ECONNRESET for an end within a
 * message, -ENOMEM, -errno. */
MUST int mfs_stream_read(struct mfs_stream *s, uint8_t **message, size_t *len_bytes,
                         struct err *e);

/* No more is read than has come, from any thread; a message of which not all has come is none.
 */
void mfs_stream_cut(struct mfs_stream *s);

/* A message with room for size bytes, or NULL. */
struct mfs_out *mfs_out_new(size_t size_bytes);
/* Queues m (taken). */
void mfs_stream_send(struct mfs_stream *s, struct mfs_out *m);
size_t mfs_stream_queued(struct mfs_stream *s);

#endif
