/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.h: the broker's core: who holds which token, who waits for it.
 * Must not know: sockets, clocks (time is an argument), what tokens stand for.
 * Invariant: of one token there is one exclusive holder and no other, or any number of shared
 * ones; mfs_lease_table_check() proves it. Requests of one token are granted in the order they
 * came. Who has been asked to give something back is granted nothing of that token before it
 * has answered, so that a grant can't pass the answer on the way.
 * Source: docs/leases.md, "Tokens: between servers". */
#ifndef MRCFS_LEASE_TABLE_H
#define MRCFS_LEASE_TABLE_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "mrcfs/lease/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Tokens that one member holds or waits for. */
    MFS_LEASE_CLAIMS_MAX = 1 << 16,
};

/* A member, embedded in what the caller knows of it. Zeroed, then mfs_lease_party_init. */
struct mfs_lease_party {
    struct link claims;
    size_t claim_count;
};

struct mfs_lease_table_opts {
    /* Zeroed memory, or NULL; and giving it back. */
    void *(*alloc)(void *ctx, size_t size_bytes);
    void (*release)(void *ctx, void *ptr);
    /* m (GRANT, REFUSE or REVOKE) goes to p. Called from within the functions below; must not
     * call back. */
    void (*send)(void *ctx, struct mfs_lease_party *p, const struct mfs_lease_message *m);
    void *ctx;
};

struct mfs_lease_table {
    struct mfs_lease_table_opts o;
    struct mfs_lease_token **slots;
    size_t slot_count; /* a power of two */
    size_t token_count;
    struct link asked; /* claims that were asked to give back, longest first */
};

/* Returns 0 or -ENOMEM. */
MUST int mfs_lease_table_init(struct mfs_lease_table *t, const struct mfs_lease_table_opts *o);
/* Every party is gone. */
void mfs_lease_table_fini(struct mfs_lease_table *t);

void mfs_lease_party_init(struct mfs_lease_party *p);
/* p sends nothing any more: it holds and wants nothing. */
void mfs_lease_party_gone(struct mfs_lease_table *t, struct mfs_lease_party *p, int64_t now_ms);

/* p said m. Returns 0; -EPROTO for what p can't say now (p is to be dropped); -ENOSPC at
 * MFS_LEASE_CLAIMS_MAX and -ENOMEM for what can't be kept (p is to be dropped, unless it was a
 * TRY, which is refused with 0). */
MUST int mfs_lease_table_take(struct mfs_lease_table *t, struct mfs_lease_party *p,
                              const struct mfs_lease_message *m, int64_t now_ms);

/* Who was asked longest ago and has not answered, and when that was; NULL: nobody. */
struct mfs_lease_party *mfs_lease_table_late(const struct mfs_lease_table *t,
                                             int64_t *since_ms);

/* Does the invariant hold? For tests. */
bool mfs_lease_table_check(const struct mfs_lease_table *t);

#endif
