/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lzo.h: fast compression in memory; its source is the only file that knows liblzo2.
 * Must not know: what is compressed. */
#ifndef COMMON_SYS_LZO_H
#define COMMON_SYS_LZO_H

#include "common/base/attr.h"

#include <stddef.h>

/* Room that packing len_bytes may need at most. */
size_t lzo_room(size_t len_bytes);
/* Memory that one call of lzo_pack works in. */
size_t lzo_work_bytes(void);

/* Packs into out, which has lzo_room(len_bytes); work has lzo_work_bytes(), aligned as malloc
 * does. Returns the packed length, or -EIO (the library doesn't work here). */
MUST long lzo_pack(void *work, const void *ptr, size_t len_bytes, void *out);
/* Unpacks what may come from anybody into exactly out_bytes at out; never writes beyond.
 * Returns 0, or -EPROTO: malformed, or of another length. */
MUST int lzo_unpack(const void *ptr, size_t len_bytes, void *out, size_t out_bytes);

#endif
