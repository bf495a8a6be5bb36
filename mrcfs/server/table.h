/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.h: hash table of 64-bit keys; members embed their link and may share a key.
 * Must not know: what is in it. Locking is the owner's. */
#ifndef MRCFS_SERVER_TABLE_H
#define MRCFS_SERVER_TABLE_H

#include "common/base/attr.h"

#include <stddef.h>
#include <stdint.h>

struct mfs_link {
    struct mfs_link *next;
    uint64_t key;
};

struct mfs_table {
    struct mfs_link **slots;
    size_t slot_count; /* a power of two, 0 before the first member */
    size_t count;
};

/* Adds l under key. Returns 0, or -ENOMEM (only while the table is empty; later growth that
 * fails just makes it slower). */
MUST int mfs_table_add(struct mfs_table *t, struct mfs_link *l, uint64_t key);
/* The first member with this key, or NULL; _next: another one after l. */
struct mfs_link *mfs_table_find(const struct mfs_table *t, uint64_t key);
struct mfs_link *mfs_table_next(const struct mfs_link *l);
/* l must be in t. */
void mfs_table_remove(struct mfs_table *t, struct mfs_link *l);
/* Any member, or NULL when there is none; for emptying a table. */
struct mfs_link *mfs_table_any(const struct mfs_table *t);
/* Frees the slots, not the members. */
void mfs_table_fini(struct mfs_table *t);

#endif
