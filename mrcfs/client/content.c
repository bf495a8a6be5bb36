/* SPDX-License-Identifier: GPL-2.0-or-later */
/* content.c: all bytes of one file.
 * Must not know: nodes, leases, the kernel. No I/O.
 * Invariant: memory between size_bytes and room_bytes is zero, so that growing shows zeros. */
#include "mrcfs/client/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096 };

void mfs_content_fini(struct mfs_content *c)
{
    free(c->bytes);
    *c = (struct mfs_content){ 0 };
}

static int make_room(struct mfs_content *c, size_t size_bytes)
{
    size_t room = c->room_bytes ? c->room_bytes : FIRST_BYTES;
    while (room < size_bytes)
        room *= 2;
    if (room == c->room_bytes)
        return 0;
    uint8_t *more = realloc(c->bytes, room);
    if (!more)
        return -ENOMEM;
    memset(more + c->room_bytes, 0, room - c->room_bytes);
    c->bytes = more;
    c->room_bytes = room;
    return 0;
}

int mfs_content_write(struct mfs_content *c, uint64_t offset, struct bytes what)
{
    if (offset > MFS_CONTENT_MAX || what.len > MFS_CONTENT_MAX - offset)
        return -EFBIG;
    if (!what.len)
        return 0;
    size_t end = (size_t)offset + what.len;
    int rc = make_room(c, end);
    if (rc < 0)
        return rc;
    memcpy(c->bytes + offset, what.ptr, what.len);
    if (end > c->size_bytes)
        c->size_bytes = end;
    return 0;
}

int mfs_content_cut(struct mfs_content *c, uint64_t size_bytes)
{
    if (size_bytes > MFS_CONTENT_MAX)
        return -EFBIG;
    size_t size = (size_t)size_bytes;
    int rc = size > c->size_bytes ? make_room(c, size) : 0;
    if (rc < 0)
        return rc;
    if (size < c->size_bytes)
        memset(c->bytes + size, 0, c->size_bytes - size);
    c->size_bytes = size;
    return 0;
}

struct bytes mfs_content_read(const struct mfs_content *c, uint64_t offset, size_t size_bytes)
{
    if (offset >= c->size_bytes)
        return (struct bytes){ NULL, 0 };
    size_t left = c->size_bytes - (size_t)offset;
    return (struct bytes){ c->bytes + offset,
                           (uint32_t)(size_bytes < left ? size_bytes : left) };
}
