/* SPDX-License-Identifier: GPL-2.0-or-later */
/* profile_fuzz.c: any bytes as a launch profile. What is taken for one can be read to its end and written again, to the same bytes. */
#include "mrcfs/profile/profile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    static uint8_t again[MFS_PROFILE_MAX];
    struct rd r = rd_of(ptr, len_bytes);
    struct wr w = wr_of(again, sizeof again);
    struct mfs_profile_entry e;
    size_t count = 0, written = 0;
    if (len_bytes > UINT32_MAX ||
        !mfs_profile_is_valid((struct bytes){ ptr, (uint32_t)len_bytes }))
        return 0;
    if (mfs_profile_begin(&r) < 0)
        abort();
    mfs_profile_put_begin(&w);
    int rc;
    while ((rc = mfs_profile_next(&r, count, &e)) == 1) {
        if (!mfs_profile_put(&w, &written, &e))
            abort();
        count++;
    }
    if (rc < 0 || count != written || wr_len(&w) != len_bytes ||
        memcmp(again, ptr, len_bytes) != 0)
        abort();
    return 0;
}
