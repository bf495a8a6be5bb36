/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lzo.c: LZO1X by liblzo2.
 * Must not know: what is compressed. */
#include "common/sys/lzo.h"

#include <errno.h>
#include <lzo/lzo1x.h>

size_t lzo_room(size_t len_bytes)
{
    /* The library's documentation: what can't be compressed grows by at most this. */
    return len_bytes + len_bytes / 16 + 64 + 3;
}

size_t lzo_work_bytes(void)
{
    return LZO1X_1_MEM_COMPRESS;
}

long lzo_pack(void *work, const void *ptr, size_t len_bytes, void *out)
{
    lzo_uint packed_bytes = 0;
    if (lzo_init() != LZO_E_OK ||
        lzo1x_1_compress(ptr, len_bytes, out, &packed_bytes, work) != LZO_E_OK)
        return -EIO;
    return (long)packed_bytes;
}

int lzo_unpack(const void *ptr, size_t len_bytes, void *out, size_t out_bytes)
{
    lzo_uint unpacked_bytes = out_bytes;
    if (lzo1x_decompress_safe(ptr, len_bytes, out, &unpacked_bytes, NULL) != LZO_E_OK ||
        unpacked_bytes != out_bytes)
        return -EPROTO;
    return 0;
}
