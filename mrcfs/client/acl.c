/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acl.c: POSIX ACLs that say no more than a mode does (acl(5), linux/posix_acl_xattr.h): u32 version, then entries of u16 tag, u16
 * permissions, u32 id, little endian. No I/O. */
#include "mrcfs/client/acl.h"

enum { VERSION = 2, ENTRIES = 3 };

static const struct {
    uint16_t tag;
    unsigned shift;
} entries[ENTRIES] = { { 0x01, 6 }, { 0x04, 3 }, { 0x20, 0 } };

bool mfs_acl_is_mode(struct bytes acl, uint32_t *permissions)
{
    struct rd r = rd_of(acl.ptr, acl.len);
    uint32_t version, id, all = 0;
    uint16_t tag, perm;
    if (get_u32(&r, &version) < 0 || version != VERSION)
        return false;
    for (int i = 0; i < ENTRIES; i++) {
        if (get_u16(&r, &tag) < 0 || get_u16(&r, &perm) < 0 || get_u32(&r, &id) < 0 ||
            tag != entries[i].tag || perm > 7)
            return false;
        all |= (uint32_t)perm << entries[i].shift;
    }
    if (rd_left(&r))
        return false;
    *permissions = all;
    return true;
}
