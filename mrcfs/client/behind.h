/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.h: what the kernel was told is done before the server has done it (docs/leases.md):
 * writes to a file that nobody else has open, and changes of names and attributes (assume.h).
 * Must not know: libfuse (requests of the kernel that must wait are kept as bytes).
 *
 * All of it is sent in order, and done in that order. While something of a node is on the way,
 * whatever else concerns the node, and every other change, is sent in order too, so that it
 * finds what it expects. Locks, which may wait for others and tell them that something is done,
 * wait here until all that is on the way is made, and recalls until all of their node is. */
#ifndef MRCFS_CLIENT_BEHIND_H
#define MRCFS_CLIENT_BEHIND_H

#include "common/base/attr.h"
#include "mrcfs/client/known.h"
#include "mrcfs/client/rawfuse.h"
#include "mrcfs/ops.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_call;
struct mfs_client;
struct mfs_session;

enum {
    MFS_DIRTY_MAX = 8 << 20, /* bytes on the way above which the kernel is not asked for more */
};

/* Of a node; NULL in struct mfs_known: nothing is on the way. */
struct mfs_behind {
    unsigned calls;
    uint64_t end;        /* of all writes that are on the way together */
    struct link waiting; /* struct mfs_waiting */
};

/* Must the request of the kernel wait? */
bool mfs_behind_must_wait(struct mfs_session *s, const struct mfs_raw_request *in);
/* Keeps it (copied) until then; then mfs_session_take is called with it. Returns 0 or -ENOMEM.
 */
MUST int mfs_behind_wait(struct mfs_session *s, const void *ptr, size_t len_bytes);
/* The session ends: its requests do not wait any more. */
void mfs_behind_leave(struct mfs_session *s);
/* A recall of n that must wait likewise. False: it need not. */
MUST bool mfs_behind_recall(struct mfs_session *s, struct mfs_known *n, uint64_t serial);
/* The recall of n is to wait for all that is on the way now, of every node. False: nothing is, or no memory. */
MUST bool mfs_behind_put_off(struct mfs_session *s, struct mfs_known *n, uint64_t serial);
/* Must the call, about to be sent as op, come after what is on the way? */
bool mfs_behind_concerns(const struct mfs_call *call, enum mfs_op op, bool is_changing);

/* May anything be taken for done? Not after a failure, until all that was sent with it is
 * answered and of each failure somebody was told: then the order begins anew. */
bool mfs_behind_is_in_order(struct mfs_client *c);
/* May this write of n be answered before it is made? */
bool mfs_behind_may(struct mfs_session *s, const struct mfs_known *n, int host_flags);

/* The call is about to be sent, and the kernel to be answered: it changes the count nodes,
 * which stay known until it is made. Returns 0, or -ENOMEM: it must not be. */
MUST int mfs_behind_begin(struct mfs_call *call, struct mfs_known *const *nodes,
                          unsigned count);
/* It was sent, with so many bytes that count as dirty; or was not. */
void mfs_behind_sent(struct mfs_call *call, size_t dirty_bytes);
void mfs_behind_undo(struct mfs_call *call);
/* It, which was sent, reads from. */
void mfs_behind_reads(struct mfs_call *call, struct mfs_known *from);
/* Is anything that reads a file on the way? */
bool mfs_behind_is_copying(const struct mfs_client *c);
/* It was answered by the server. */
void mfs_behind_made(struct mfs_call *call, int rc);
/* The first failure of such calls on n that nobody was told, 0 none; told from now on. */
int mfs_behind_error(struct mfs_session *s, struct mfs_known *n);
/* A write of n up to end was taken for made; size of n as its writer sees it, who knows of it
 * size from the server. */
void mfs_behind_grows(struct mfs_known *n, uint64_t end);
uint64_t mfs_behind_size(const struct mfs_known *n, uint64_t size);

/* The notice: the server has not what a put named. Sends it. Returns 0; -EPROTO; -ENOMEM. */
MUST int mfs_behind_wanted(struct mfs_client *c, const struct mfs_head *h, struct rd *body);

/* All that waits is dropped, unanswered. */
void mfs_behind_free(struct mfs_known *n);

#endif
