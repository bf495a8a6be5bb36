/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names.c: checks of names and attributes that came from a server.
 * Must not know: FUSE, connections. */
#include "mrcfs/client/names.h"

#include <string.h>
#include <sys/stat.h>

bool mfs_name_is_valid(struct bytes name)
{
    return name.len > 0 && name.len <= MFS_NAME_MAX && !memchr(name.ptr, '/', name.len) &&
           !memchr(name.ptr, 0, name.len);
}

bool mfs_name_is_dots(struct bytes name)
{
    return (name.len == 1 && name.ptr[0] == '.') ||
           (name.len == 2 && name.ptr[0] == '.' && name.ptr[1] == '.');
}

bool mfs_attr_is_valid(const struct mfs_attr *a)
{
    switch (a->mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK: break;
    default: return false;
    }
    return !(a->mode & ~(uint32_t)(S_IFMT | 07777)) && a->size <= INT64_MAX &&
           a->blocks <= INT64_MAX && a->atime_nsec < 1000000000 && a->mtime_nsec < 1000000000 &&
           a->ctime_nsec < 1000000000;
}
