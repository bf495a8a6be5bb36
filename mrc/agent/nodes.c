/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.c: names of a tree that somebody remembers by number.
 * Must not know: FUSE, what the names stand for.
 * Invariant: a node with a parent is in the table and counts as a use of its parent. */
#include "mrc/agent/nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_FIRST = 1024 };

int nodes_init(struct nodes *t)
{
    *t = (struct nodes){ .bucket_count = BUCKETS_FIRST };
    t->buckets = calloc(t->bucket_count, sizeof *t->buckets);
    t->root.lookups = 1;
    return t->buckets ? 0 : -ENOMEM;
}

void nodes_fini(struct nodes *t)
{
    for (size_t i = 0; i < t->bucket_count; i++) {
        while (t->buckets[i]) {
            struct node *n = t->buckets[i];
            t->buckets[i] = n->next;
            free(n->name);
            free(n);
        }
    }
    free(t->buckets);
}

int node_path(const struct node *n, const char *name, char *text, size_t size_bytes)
{
    char *at = text + size_bytes - 1;
    *at = 0;
    for (;;) {
        if (name) {
            size_t len = strlen(name);
            if ((size_t)(at - text) < len + 1)
                return -ENAMETOOLONG;
            at -= len;
            memcpy(at, name, len);
            *--at = '/';
        }
        if (!n->name)
            break; /* the root */
        if (!n->parent)
            return -ENOENT;
        name = n->name;
        n = n->parent;
    }
    if (!*at)
        *--at = '/';
    memmove(text, at, strlen(at) + 1);
    return 0;
}

static size_t hash_of(const struct node *parent, const char *name)
{
    uint64_t h = (uint64_t)(uintptr_t)parent * 0x9e3779b97f4a7c15u; /* then FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32);
}

static struct node **spot_of(const struct nodes *t, const struct node *parent, const char *name)
{
    struct node **spot = &t->buckets[hash_of(parent, name) & (t->bucket_count - 1)];
    while (*spot && ((*spot)->parent != parent || strcmp((*spot)->name, name)))
        spot = &(*spot)->next;
    return spot;
}

/* Twice the buckets; if there is no memory, it stays as it is. */
static void grow(struct nodes *t)
{
    struct nodes larger = { .bucket_count = 2 * t->bucket_count };
    larger.buckets = calloc(larger.bucket_count, sizeof *larger.buckets);
    if (!larger.buckets)
        return;
    for (size_t i = 0; i < t->bucket_count; i++) {
        while (t->buckets[i]) {
            struct node *n = t->buckets[i];
            t->buckets[i] = n->next;
            struct node **spot = spot_of(&larger, n->parent, n->name);
            n->next = *spot;
            *spot = n;
        }
    }
    free(t->buckets);
    t->buckets = larger.buckets;
    t->bucket_count = larger.bucket_count;
}

static void insert(struct nodes *t, struct node *parent, struct node *n)
{
    if (t->count >= t->bucket_count)
        grow(t);
    struct node **spot = spot_of(t, parent, n->name);
    n->parent = parent;
    n->next = *spot;
    *spot = n;
    parent->uses++;
    t->count++;
}

/* Frees n and those above it that nobody needs any more. */
static void settle(struct nodes *t, struct node *n)
{
    while (n && n != &t->root && !n->lookups && !n->uses) {
        struct node *parent = n->parent;
        if (parent) {
            struct node **spot = spot_of(t, parent, n->name);
            *spot = n->next;
            parent->uses--;
            t->count--;
        }
        free(n->name);
        free(n);
        n = parent;
    }
}

/* Takes n out of the table; its parent's use is the caller's to drop. */
static struct node *take_out(struct nodes *t, struct node **spot)
{
    struct node *n = *spot;
    struct node *parent = n->parent;
    *spot = n->next;
    n->parent = NULL;
    parent->uses--;
    t->count--;
    return n;
}

struct node *node_get(struct nodes *t, struct node *parent, const char *name)
{
    struct node *n = *spot_of(t, parent, name);
    if (!n) {
        n = calloc(1, sizeof *n);
        if (!n || !(n->name = strdup(name))) {
            free(n);
            return NULL;
        }
        insert(t, parent, n);
    }
    n->lookups++;
    return n;
}

void node_forget(struct nodes *t, struct node *n, uint64_t count)
{
    n->lookups -= count < n->lookups ? count : n->lookups;
    settle(t, n);
}

void node_unuse(struct nodes *t, struct node *n)
{
    n->uses--;
    settle(t, n);
}

void nodes_remove(struct nodes *t, struct node *parent, const char *name)
{
    struct node **spot = spot_of(t, parent, name);
    if (*spot)
        settle(t, take_out(t, spot));
}

/* Puts n, which is in no place, at name in parent. */
static int put_at(struct nodes *t, struct node *n, struct node *parent, const char *name)
{
    char *copy = strdup(name);
    if (!copy) {
        settle(t, n);
        return -ENOMEM;
    }
    free(n->name);
    n->name = copy;
    insert(t, parent, n);
    return 0;
}

int nodes_rename(struct nodes *t, struct node *from, const char *from_name, struct node *to,
                 const char *to_name, bool is_exchange)
{
    struct node **spot = spot_of(t, from, from_name);
    struct node *moved = *spot ? take_out(t, spot) : NULL;
    spot = spot_of(t, to, to_name);
    struct node *other = *spot ? take_out(t, spot) : NULL;
    int rc = moved ? put_at(t, moved, to, to_name) : 0;
    if (other && is_exchange && put_at(t, other, from, from_name) < 0)
        rc = -ENOMEM;
    else if (other && !is_exchange)
        settle(t, other);
    return rc;
}
