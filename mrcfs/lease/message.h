/* SPDX-License-Identifier: GPL-2.0-or-later */
/* message.h: what a broker and its members say to each other: tokens, modes, messages.
 * Must not know: sockets, who says what when.
 * All messages have one size and go on a stream socket of this computer.
 * Source: docs/leases.md, "Tokens: between servers". */
#ifndef MRCFS_LEASE_MESSAGE_H
#define MRCFS_LEASE_MESSAGE_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum { MFS_LEASE_VERSION = 1, MFS_LEASE_MESSAGE_BYTES = 18 };

enum mfs_lease_mode { MFS_LEASE_NONE, MFS_LEASE_SHARED, MFS_LEASE_EXCLUSIVE };

/* A file or directory of this computer. */
struct mfs_lease_key {
    uint64_t dev;
    uint64_t ino;
};

enum mfs_lease_kind {
    /* From a member. mode is what is wanted: more than is held. TRY: now or not at all. Of one
     * token only one of these is unanswered at a time. */
    MFS_LEASE_ACQUIRE = 1,
    MFS_LEASE_TRY = 2,
    /* Unasked: mode is what is kept. Not while an ACQUIRE or TRY is unanswered. */
    MFS_LEASE_RELEASE = 3,
    /* The answer to each REVOKE: mode is what is kept, no more than it said. */
    MFS_LEASE_GIVEN = 4,
    /* From the broker. mode is what is held from now on. */
    MFS_LEASE_GRANT = 5,
    MFS_LEASE_REFUSE = 6, /* the answer to TRY when it would have to wait */
    MFS_LEASE_REVOKE = 7, /* mode is what may be kept */
    /* The broker's first: key.dev is MFS_LEASE_VERSION. */
    MFS_LEASE_WELCOME = 8,
};

struct mfs_lease_message {
    uint8_t kind;
    uint8_t mode;
    struct mfs_lease_key key;
};

/* Returns 0, or -EPROTO for too few bytes or an unknown kind or mode. */
MUST int mfs_lease_message_get(struct rd *r, struct mfs_lease_message *m);
void mfs_lease_message_put(struct wr *w, const struct mfs_lease_message *m);

static inline bool mfs_lease_is_same(const struct mfs_lease_key *a,
                                     const struct mfs_lease_key *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

/* The order in which an operation that needs several tokens takes them: <0, 0, >0. */
int mfs_lease_compare(const struct mfs_lease_key *a, const struct mfs_lease_key *b);
uint64_t mfs_lease_hash(const struct mfs_lease_key *k);

#endif
