/* SPDX-License-Identifier: GPL-2.0-or-later */
/* profile.c: profiles to and from bytes: "mrcp", u8 version, then for each entry u16 parent, u8 flags, u16 turn,
 * u16 length, name.
 * Must not know: files, connections. */
#include "mrcfs/profile/profile.h"

#include <errno.h>
#include <string.h>

enum { VERSION = 1, HEAD_BYTES = 5, NAME_BYTES_MAX = 1024, PATH_BYTES_MAX = 4095 };

static const uint8_t head[HEAD_BYTES] = { 'm', 'r', 'c', 'p', VERSION };

int mfs_profile_begin(struct rd *r)
{
    if (rd_left(r) < sizeof head || memcmp(r->at, head, sizeof head) != 0)
        return -EPROTO;
    r->at += sizeof head;
    return 0;
}

static bool is_name(struct bytes n)
{
    bool is_dots = n.len && n.ptr[0] == '.' && (n.len == 1 || (n.len == 2 && n.ptr[1] == '.'));
    return n.len && n.len <= NAME_BYTES_MAX && !is_dots && !memchr(n.ptr, '/', n.len) &&
           !memchr(n.ptr, 0, n.len);
}

static bool is_path(struct bytes n)
{
    return n.len && n.len <= PATH_BYTES_MAX && n.ptr[0] == '/' && !memchr(n.ptr, 0, n.len);
}

int mfs_profile_next(struct rd *r, size_t count, struct mfs_profile_entry *e)
{
    struct mfs_profile_entry got;
    uint16_t len;
    if (!rd_left(r))
        return 0;
    if (count >= MFS_PROFILE_ENTRIES_MAX || get_u16(r, &got.parent) < 0 ||
        get_u8(r, &got.flags) < 0 || get_u16(r, &got.turn) < 0 || get_u16(r, &len) < 0 || len > rd_left(r))
        return -EPROTO;
    got.name = (struct bytes){ r->at, len };
    bool is_root = got.parent == MFS_PROFILE_ROOT;
    if (got.flags & ~MFS_PROFILE_FLAGS || got.turn >= MFS_PROFILE_OPENS_MAX || (!is_root && got.parent >= count) ||
        !(is_root ? is_path(got.name) : is_name(got.name)))
        return -EPROTO;
    r->at += len;
    *e = got;
    return 1;
}

bool mfs_profile_is_valid(struct bytes all)
{
    struct rd r = rd_of(all.ptr, all.len);
    struct mfs_profile_entry e;
    size_t count = 0;
    int rc = all.len <= MFS_PROFILE_MAX ? mfs_profile_begin(&r) : -EPROTO;
    if (rc == 0)
        while ((rc = mfs_profile_next(&r, count, &e)) > 0)
            count++;
    return rc == 0;
}

void mfs_profile_put_begin(struct wr *w)
{
    put_raw(w, head, sizeof head);
}

bool mfs_profile_put(struct wr *w, size_t *count, const struct mfs_profile_entry *e)
{
    bool is_root = e->parent == MFS_PROFILE_ROOT;
    if (*count >= MFS_PROFILE_ENTRIES_MAX || (!is_root && e->parent >= *count) ||
        !(is_root ? is_path(e->name) : is_name(e->name)) ||
        e->turn >= MFS_PROFILE_OPENS_MAX || (size_t)(w->end - w->at) < 7 + (size_t)e->name.len)
        return false;
    put_u16(w, e->parent);
    put_u8(w, e->flags & MFS_PROFILE_FLAGS);
    put_u16(w, e->turn);
    put_u16(w, (uint16_t)e->name.len);
    put_raw(w, e->name.ptr, e->name.len);
    ++*count;
    return true;
}
