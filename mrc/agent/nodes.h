/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.h: names of a tree that somebody remembers by number: paths of what was looked up, kept
 * right over renames and removals.
 * Must not know: FUSE, what the names stand for.
 * Threads: none of its own; the caller locks. */
#ifndef MRC_AGENT_NODES_H
#define MRC_AGENT_NODES_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One name. Lives as long as it is referred to, has children, or is used. */
struct node {
    struct node *parent; /* NULL for the root, and for a name that was removed */
    char *name;
    uint64_t lookups;  /* how often it was told to the kernel, less what it has forgotten */
    uint64_t uses;     /* children and open files */
    struct node *next; /* in its bucket */
    void *file;        /* the caller's: an open file of it, or NULL */
};

struct nodes {
    struct node root;
    struct node **buckets;
    size_t bucket_count;
    size_t count;
};

MUST int nodes_init(struct nodes *t);
void nodes_fini(struct nodes *t);

/* Writes the path of n, or of name in it if name isn't NULL. Returns 0, -ENOENT when it was
 * removed, -ENAMETOOLONG. */
MUST int node_path(const struct node *n, const char *name, char *text, size_t size_bytes);

/* The node of name in parent, made if need be, looked up once more. NULL: out of memory. */
struct node *node_get(struct nodes *t, struct node *parent, const char *name);

/* Drops count lookups, or one use. */
void node_forget(struct nodes *t, struct node *n, uint64_t count);
void node_unuse(struct nodes *t, struct node *n);

/* The name is gone; the node stays as long as it is known. */
void nodes_remove(struct nodes *t, struct node *parent, const char *name);

/* The name moved, over what was there; is_exchange: they changed places. Returns 0 or -ENOMEM
 * (then the node counts as removed). */
MUST int nodes_rename(struct nodes *t, struct node *from, const char *from_name,
                      struct node *to, const char *to_name, bool is_exchange);

#endif
