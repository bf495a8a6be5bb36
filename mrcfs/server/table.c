/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.c: chained hash table that doubles when it holds more members than slots.
 * Must not know: what is in it. */
#include "mrcfs/server/table.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

static size_t slot_of(uint64_t key, size_t slot_count)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15u;
    return (size_t)(key >> 32) & (slot_count - 1);
}

static int grow(struct mfs_table *t)
{
    size_t wanted = t->slot_count ? 2 * t->slot_count : FIRST_SLOTS;
    struct mfs_link **slots = calloc(wanted, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < t->slot_count; i++) {
        for (struct mfs_link *l = t->slots[i], *next; l; l = next) {
            next = l->next;
            struct mfs_link **slot = &slots[slot_of(l->key, wanted)];
            l->next = *slot;
            *slot = l;
        }
    }
    free(t->slots);
    t->slots = slots;
    t->slot_count = wanted;
    return 0;
}

int mfs_table_add(struct mfs_table *t, struct mfs_link *l, uint64_t key)
{
    if (t->count >= t->slot_count && grow(t) < 0 && !t->slot_count)
        return -ENOMEM;
    struct mfs_link **slot = &t->slots[slot_of(key, t->slot_count)];
    l->key = key;
    l->next = *slot;
    *slot = l;
    t->count++;
    return 0;
}

static struct mfs_link *with_key(struct mfs_link *l, uint64_t key)
{
    while (l && l->key != key)
        l = l->next;
    return l;
}

struct mfs_link *mfs_table_find(const struct mfs_table *t, uint64_t key)
{
    return t->slot_count ? with_key(t->slots[slot_of(key, t->slot_count)], key) : NULL;
}

struct mfs_link *mfs_table_next(const struct mfs_link *l)
{
    return with_key(l->next, l->key);
}

void mfs_table_remove(struct mfs_table *t, struct mfs_link *l)
{
    struct mfs_link **at = &t->slots[slot_of(l->key, t->slot_count)];
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    l->next = NULL;
    t->count--;
}

struct mfs_link *mfs_table_any(const struct mfs_table *t)
{
    for (size_t i = 0; i < t->slot_count; i++)
        if (t->slots[i])
            return t->slots[i];
    return NULL;
}

void mfs_table_fini(struct mfs_table *t)
{
    free(t->slots);
    *t = (struct mfs_table){ 0 };
}
