/* SPDX-License-Identifier: GPL-2.0-or-later */
/* belief.h: what leases.c and fileleases.c share: what hangs on a token.
 * Must not know: operations.
 * The member's lock is held in everything here. */
#ifndef MRCFS_SERVER_BELIEF_H
#define MRCFS_SERVER_BELIEF_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "mrcfs/broker/member.h"
#include "mrcfs/server/table.h"

#include <stdbool.h>
#include <stdint.h>

struct mfs_server;

/* What the client may believe under one token. A file may be several nodes. */
struct mfs_belief {
    uint64_t generation;
    uint64_t *nodes;
    unsigned count;
    unsigned size;
    unsigned recalls; /* unanswered */
    unsigned rounds;
    bool is_sole; /* the client may have put off changes: it must hear of who only looks, too */
    uint64_t made_epoch; /* the token's, of a file that was made in order: what the client put off for it rests on nothing older */
    struct link fileleases; /* the kernel's, of open files */
    bool is_breaking;       /* somebody here waits in open, truncate */
    int64_t break_end_ms;   /* he goes on then at the latest */
};

/* A lease of the kernel on an open file; its file's until it is closed. */
struct mfs_filelease {
    struct mfs_link by_fd;
    struct link of_token;
    struct mfs_token *token; /* pinned */
    int fd;
    bool is_write;
    bool is_set; /* the kernel has it */
    bool is_cut; /* one for writing that ended before the client knew: what it did under it may not be done */
};

/* t's belief, made if there is none; NULL without memory. */
struct mfs_belief *mfs_belief_of(struct mfs_token *t);
/* Somebody here waits for t's file: recalls it, then gives up its leases. */
void mfs_belief_break(struct mfs_server *srv, struct mfs_token *t);
/* Is t such that something can be granted now? */
bool mfs_belief_may_grant(struct mfs_server *srv, const struct mfs_token *t);

/* Gives up the kernel's leases of t: all, or those for writing. is_cut: the client has not agreed. */
void mfs_fileleases_end(struct mfs_token *t, bool is_write_only, bool is_cut);
bool mfs_fileleases_have_write(const struct mfs_token *t);

#endif
