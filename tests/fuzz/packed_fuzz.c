/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packed_fuzz.c: any bytes as a packed message of the file protocol (without its length in
 * front): unpacking stays in bounds, and what unpacks can be packed and comes back the same. */
#include "mrcfs/ops.h"
#include "mrcfs/packer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

static void again(const uint8_t *plain, uint32_t bytes)
{
    struct mfs_packer p = { 0 };
    uint8_t *message = malloc(4 + (size_t)bytes),
            *out = malloc(mfs_packer_room(4 + (size_t)bytes)), *back = NULL;
    if (!message || !out)
        abort();
    memcpy(message + 4, plain, bytes);
    mfs_packer_init(&p, MFS_PACK_YES);
    size_t len = mfs_packer_pack(&p, message, 4 + (size_t)bytes, out);
    struct rd r = rd_of(out + 4, len ? len - 4 : 0);
    struct mfs_head h;
    if (len && (mfs_head_get(&r, &h) < 0 || h.kind != MFS_PACKED || h.plain_bytes != bytes ||
                mfs_unpack(&r, bytes, &back) < 0 || memcmp(back, plain, bytes)))
        abort();
    mfs_packer_fini(&p);
    free(back);
    free(out);
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    struct rd r = rd_of(ptr, len_bytes);
    struct mfs_head h;
    uint8_t *plain;
    if (mfs_head_get(&r, &h) < 0 || h.kind != MFS_PACKED ||
        mfs_unpack(&r, h.plain_bytes, &plain) < 0)
        return 0;
    again(plain, h.plain_bytes);
    free(plain);
    return 0;
}
