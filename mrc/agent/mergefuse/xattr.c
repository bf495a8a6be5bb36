/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xattr.c: the kernel's requests about extended attributes. By name of a descriptor, because
 * links have some too: the working directory is /proc/self/fd. Must not know: how the
 * directories were mounted. */
#include "mrc/agent/mergefuse/parts.h"

#include "common/sys/fd.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

enum { XATTR_BYTES_MAX = 65536 /* the kernel's own limit */ };

static int open_named(fuse_ino_t ino, bool is_change, char text[16])
{
    char path[PATH_MAX];
    int rc = mergefuse_begin(ino, NULL, path);
    int fd = rc < 0 ? rc : merge_open_path(mergefuse_it.merge, path, is_change);
    mergefuse_end();
    if (fd >= 0)
        snprintf(text, 16, "%d", fd);
    return fd;
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t len_bytes, int flags)
{
    char text[16];
    AUTO_FD fd = open_named(ino, true, text);
    mergefuse_reply(
        req, fd < 0 ? fd : mergefuse_result(setxattr(text, name, value, len_bytes, flags)));
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    char text[16];
    AUTO_FD fd = open_named(ino, true, text);
    mergefuse_reply(req, fd < 0 ? fd : mergefuse_result(removexattr(text, name)));
}

/* name NULL: the list of names. */
static void reply_xattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size_bytes)
{
    char text[16];
    AUTO_FD fd = open_named(ino, false, text);
    size_t room = size_bytes < XATTR_BYTES_MAX ? size_bytes : XATTR_BYTES_MAX;
    char *value = malloc(room + 1);
    ssize_t n = fd < 0 || !value ? -1
                : name           ? getxattr(text, name, value, room)
                                 : listxattr(text, value, room);
    if (n < 0)
        mergefuse_reply(req, fd < 0 ? fd : !value ? -ENOMEM : -errno);
    else if (size_bytes == 0)
        fuse_reply_xattr(req, (size_t)n);
    else
        fuse_reply_buf(req, value, (size_t)n);
    free(value);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size_bytes)
{
    reply_xattr(req, ino, name, size_bytes);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size_bytes)
{
    reply_xattr(req, ino, NULL, size_bytes);
}

void mergefuse_xattr(struct fuse_lowlevel_ops *ops)
{
    ops->setxattr = op_setxattr;
    ops->getxattr = op_getxattr;
    ops->listxattr = op_listxattr;
    ops->removexattr = op_removexattr;
}
