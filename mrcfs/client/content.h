/* SPDX-License-Identifier: GPL-2.0-or-later */
/* content.h: all bytes of one file, for as long as its only writer is the one who keeps them.
 * Must not know: nodes, leases, the kernel. No I/O.
 *
 * It begins with an empty file and follows each change, so that either every byte is known or none is: what would be too
 * long, or has no memory, is given up. */
#ifndef MRCFS_CLIENT_CONTENT_H
#define MRCFS_CLIENT_CONTENT_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MFS_CONTENT_MAX = 4 << 20 }; /* bytes of one file */

/* The zero value is an empty file. bytes belongs to it. */
struct mfs_content {
    uint8_t *bytes;
    size_t room_bytes; /* of memory */
    size_t size_bytes; /* of the file */
};

void mfs_content_fini(struct mfs_content *c);
/* Each returns 0; or -EFBIG, -ENOMEM: nothing was done, and what is there is no longer the file.
 * A write beyond the end leaves zeros between. */
MUST int mfs_content_write(struct mfs_content *c, uint64_t offset, struct bytes what);
MUST int mfs_content_cut(struct mfs_content *c, uint64_t size_bytes);
/* What a read of size_bytes finds: borrowed until the next change. */
struct bytes mfs_content_read(const struct mfs_content *c, uint64_t offset, size_t size_bytes);

#endif
