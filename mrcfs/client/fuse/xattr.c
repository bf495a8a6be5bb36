/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xattr.c: the kernel's requests about extended attributes. */
#include "mrcfs/client/fuse/fuse.h"

#include "common/sys/clock.h"
#include "mrcfs/client/acl.h"
#include "mrcfs/client/assume.h"

#include <errno.h>
#include <string.h>

/* It is about to get or lose attributes by us. */
static void forget_plain(fuse_req_t req, fuse_ino_t ino)
{
    struct mfs_session *s = mfs_fuse_session(req);
    struct mfs_known *n = mfs_session_known(s, ino);
    if (n) {
        n->plain_until_ms = 0;
        n->attr.flags &= ~(uint32_t)MFS_ATTR_PLAIN;
    }
}

static const char access_acl[] = "system.posix_acl_access";
static const char default_acl[] = "system.posix_acl_default";

/* Known to have no extended attributes? */
static bool is_plain(fuse_req_t req, fuse_ino_t ino)
{
    struct mfs_session *s = mfs_fuse_session(req);
    const struct mfs_known *n = mfs_session_known(s, ino);
    const struct mfs_attr *a = mfs_lease_attr(s, n); /* a recall is of all attributes */
    return (a && a->flags & MFS_ATTR_PLAIN) ||
           (n && n->plain_until_ms && clock_mono_ms() < n->plain_until_ms);
}

/* What copies permissions (cp -a) sets an ACL that is only a mode. Answered before it is made, as chmod is. */
static bool set_mode(fuse_req_t req, fuse_ino_t ino, const char *name, struct bytes value)
{
    struct mfs_session *s = mfs_fuse_session(req);
    const struct mfs_known *n = mfs_session_known(s, ino);
    uint32_t permissions;
    if (!is_plain(req, ino) || strcmp(name, access_acl) != 0 ||
        !mfs_acl_is_mode(value, &permissions))
        return false;
    struct mfs_caller who = mfs_fuse_caller(req);
    struct mfs_setattr_req m = { .node = n->number,
                                 .valid = MFS_SET_MODE,
                                 .attr = { .mode = (n->attr.mode & 07000) | permissions } };
    return mfs_assume_setattr(s, &who, &m);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags)
{
    if (!flags &&
        set_mode(req, ino, name, (struct bytes){ (const uint8_t *)value, (uint32_t)size })) {
        fuse_reply_err(req, 0);
        return;
    }
    forget_plain(req, ino);
    struct mfs_call *call = mfs_fuse_begin(req, ino, mfs_fuse_done);
    if (!call)
        return;
    mfs_lease_write(call, call->node);
    struct mfs_setxattr_req m = { call->node,
                                  bytes_of(name),
                                  { (const uint8_t *)value, (uint32_t)size },
                                  mfs_xattr_from_host(flags) };
    SEND_CHANGE(setxattr, call, call->node, &m, m.name.len + size);
}

/* getxattr and listxattr answer alike; call->size is what the caller has room for. */
static int on_xattr(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_getxattr_rep m = { 0 };
    if (rc == 0 && (mfs_getxattr_rep_get(body, &m) < 0 || m.length > MFS_XATTR_SIZE_MAX ||
                    m.value.len > MFS_XATTR_SIZE_MAX))
        return -EPROTO;
    if (rc == 0 && call->size && m.value.len > call->size)
        rc = -ERANGE;
    if (rc < 0)
        mfs_fuse_error(call->req, rc);
    else if (call->size)
        fuse_reply_buf(call->req, (const char *)m.value.ptr, m.value.len);
    else
        fuse_reply_xattr(call->req, m.length);
    return 0;
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    if (is_plain(req, ino)) {
        mfs_fuse_session(req)->client->stats.cache_hits++;
        fuse_reply_err(req, ENODATA);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_xattr);
    if (!call)
        return;
    call->size = size;
    struct mfs_getxattr_req m = { call->node, bytes_of(name), (uint32_t)size };
    SEND(getxattr, call, &m, m.name.len);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    if (is_plain(req, ino)) {
        mfs_fuse_session(req)->client->stats.cache_hits++;
        if (size)
            fuse_reply_buf(req, NULL, 0);
        else
            fuse_reply_xattr(req, 0);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, on_xattr);
    if (!call)
        return;
    call->size = size;
    struct mfs_listxattr_req m = { call->node, (uint32_t)size };
    SEND(listxattr, call, &m, 0);
}

/* To remove an ACL that isn't there is no error to whom the file belongs. It may take set-id bits away. */
static bool has_no_acl(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct mfs_session *s = mfs_fuse_session(req);
    const struct mfs_known *n = mfs_session_known(s, ino);
    struct mfs_caller who = mfs_fuse_caller(req);
    return is_plain(req, ino) && (!strcmp(name, access_acl) || !strcmp(name, default_acl)) &&
           mfs_assume_may_change(s, &who, n) && !(n->attr.mode & 07000);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    if (has_no_acl(req, ino, name)) {
        mfs_fuse_session(req)->client->stats.cache_hits++;
        fuse_reply_err(req, 0);
        return;
    }
    struct mfs_call *call = mfs_fuse_begin(req, ino, mfs_fuse_done);
    if (!call)
        return;
    mfs_lease_write(call, call->node);
    struct mfs_removexattr_req m = { call->node, bytes_of(name) };
    SEND_CHANGE(removexattr, call, call->node, &m, m.name.len);
}

void mfs_fuse_xattr(struct fuse_lowlevel_ops *ops)
{
    ops->setxattr = op_setxattr;
    ops->getxattr = op_getxattr;
    ops->listxattr = op_listxattr;
    ops->removexattr = op_removexattr;
}
