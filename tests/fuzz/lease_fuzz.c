/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lease_fuzz.c: any bytes as what two members say to the broker: its table stays right, is never
 * more than they may have, and is empty when they have gone. */
#include "mrcfs/lease/table.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

static long live;

static void *take_memory(void *ctx UNUSED, size_t size)
{
    live++;
    return calloc(1, size);
}

static void give_memory(void *ctx UNUSED, void *p)
{
    live--;
    free(p);
}

static void on_send(void *ctx UNUSED, struct mfs_lease_party *p UNUSED,
                    const struct mfs_lease_message *m)
{
    if (m->kind != MFS_LEASE_GRANT && m->kind != MFS_LEASE_REFUSE && m->kind != MFS_LEASE_REVOKE)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    struct mfs_lease_table t;
    struct mfs_lease_table_opts o = { take_memory, give_memory, on_send, NULL };
    struct mfs_lease_party parties[2];
    struct rd r = rd_of(ptr, len_bytes);
    uint8_t who;
    if (mfs_lease_table_init(&t, &o) < 0)
        return 0;
    for (int i = 0; i < 2; i++)
        mfs_lease_party_init(&parties[i]);
    while (get_u8(&r, &who) == 0 && rd_left(&r) >= MFS_LEASE_MESSAGE_BYTES) {
        struct mfs_lease_message m;
        struct rd one = rd_of(r.at, MFS_LEASE_MESSAGE_BYTES);
        r.at += MFS_LEASE_MESSAGE_BYTES;
        struct mfs_lease_party *p = &parties[who & 1];
        if (mfs_lease_message_get(&one, &m) < 0 || mfs_lease_table_take(&t, p, &m, 0) < 0) {
            mfs_lease_party_gone(&t, p, 0); /* it is dropped, and comes again */
            mfs_lease_party_init(p);
        }
        if (!mfs_lease_table_check(&t))
            abort();
    }
    for (int i = 0; i < 2; i++)
        mfs_lease_party_gone(&t, &parties[i], 0);
    if (t.token_count)
        abort();
    mfs_lease_table_fini(&t);
    if (live)
        abort();
    return 0;
}
