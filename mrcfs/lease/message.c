/* SPDX-License-Identifier: GPL-2.0-or-later */
/* message.c: coding of the messages between broker and members.
 * Must not know: sockets. */
#include "mrcfs/lease/message.h"

#include <errno.h>

int mfs_lease_message_get(struct rd *r, struct mfs_lease_message *m)
{
    if (get_u8(r, &m->kind) < 0 || get_u8(r, &m->mode) < 0 || get_u64(r, &m->key.dev) < 0 ||
        get_u64(r, &m->key.ino) < 0)
        return -EPROTO;
    return m->kind >= MFS_LEASE_ACQUIRE && m->kind <= MFS_LEASE_WELCOME &&
                   m->mode <= MFS_LEASE_EXCLUSIVE
               ? 0
               : -EPROTO;
}

void mfs_lease_message_put(struct wr *w, const struct mfs_lease_message *m)
{
    put_u8(w, m->kind);
    put_u8(w, m->mode);
    put_u64(w, m->key.dev);
    put_u64(w, m->key.ino);
}

int mfs_lease_compare(const struct mfs_lease_key *a, const struct mfs_lease_key *b)
{
    if (a->dev != b->dev)
        return a->dev < b->dev ? -1 : 1;
    return a->ino < b->ino ? -1 : a->ino > b->ino;
}

uint64_t mfs_lease_hash(const struct mfs_lease_key *k)
{
    uint64_t x = k->ino ^ k->dev * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
