/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dentries.h: names in directories as the server told them under lease: what each means, absent
 * ones too, and whole listings. Must not know: FUSE, the connection, time. No I/O.
 *
 * A name that means a node keeps the node known. Who drops names may thereby make nodes
 * unknown: struct mfs_known pointers other than the directory's own are to be looked up anew.
 */
#ifndef MRCFS_CLIENT_DENTRIES_H
#define MRCFS_CLIENT_DENTRIES_H

#include "common/base/list.h"
#include "common/base/wire.h"
#include "mrcfs/client/known.h"

struct mfs_dentry {
    struct link by_name; /* in a bucket */
    struct link in_dir;
    struct mfs_known *dir;
    struct mfs_known *node; /* NULL: known to be absent */
    uint32_t hash;
    uint32_t len;
    uint8_t name[];
};

/* A directory's names in the order and with the cookies of the server: struct mfs_dirent one
 * after the other, without entries. */
struct mfs_listing {
    unsigned users; /* the directory itself, and who reads it */
    size_t len;
    uint8_t bytes[];
};

enum { MFS_DENTRIES_MAX = 200 * 1024 }; /* names of all directories; then the oldest go */

struct mfs_dentries {
    struct mfs_known_table *nodes;
    struct link *buckets;
    size_t bucket_count;
    size_t count;
    struct link dirs; /* directories with names, that was used or given one last at the end */
    size_t max;       /* MFS_DENTRIES_MAX, or fewer */
    /* node has lost its last name, and may become unknown. May be NULL. */
    void (*on_nameless)(void *ctx, const struct mfs_known *dir, struct bytes name,
                        const struct mfs_known *node);
    void *ctx;
};

MUST int mfs_dentries_init(struct mfs_dentries *t, struct mfs_known_table *nodes);
/* Before the nodes' table; makes nothing unknown. */
void mfs_dentries_fini(struct mfs_dentries *t);

/* NULL: nothing is known of the name. */
const struct mfs_dentry *mfs_dentry_find(const struct mfs_dentries *t,
                                         const struct mfs_known *dir, struct bytes name);
/* dir is in use: others lose their names first. */
void mfs_dentries_touch(struct mfs_dentries *t, struct mfs_known *dir);
/* A name of the node, for words to people; NULL: none is known. Looks at all. */
const struct mfs_dentry *mfs_dentry_of(const struct mfs_dentries *t, const struct mfs_known *node);
/* What the name means from now on; node NULL: it is absent. Without memory it is not known. */
void mfs_dentry_set(struct mfs_dentries *t, struct mfs_known *dir, struct bytes name,
                    struct mfs_known *node);
/* Nothing is known of the name any more, nor is the listing. */
void mfs_dentry_drop(struct mfs_dentries *t, struct mfs_known *dir, struct bytes name);
/* The same for all names of dir. */
void mfs_dentries_drop(struct mfs_dentries *t, struct mfs_known *dir);

/* dir's listing is bytes (copied), all of whose names were set: dir is complete, so what has no
 * dentry is absent. It stays complete when only the listing is dropped, because what changed
 * was set. */
void mfs_listing_set(struct mfs_known *dir, struct bytes bytes);
void mfs_listing_drop(struct mfs_known *dir);
/* A list of bytes (copied), one user. NULL without memory. */
struct mfs_listing *mfs_listing_new(struct bytes bytes);
/* Puts what readdir finds in dir, which is complete and in directory parent, into w, with cookies from 1 on. False: there is more
 * than one name, and so an order, which is the server's; or the kind or number of something is not known. */
MUST bool mfs_dentries_list(const struct mfs_known *dir, const struct mfs_known *parent, struct wr *w);
struct mfs_listing *mfs_listing_use(struct mfs_known *dir); /* NULL: none */
void mfs_listing_done(struct mfs_listing *l);

#endif
