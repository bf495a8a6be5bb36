/* SPDX-License-Identifier: GPL-2.0-or-later */
/* do_attr.c: operations on attributes, extended attributes, inode flags; statfs, access.
 * Must not know: the wire's coding, threads.
 * Calls without an *at form use "N" in the worker's directory, which leads to the node itself,
 * a symbolic link too. */
#include "mrcfs/server/server.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

int mfs_do_getattr(struct mfs_call *o, const struct mfs_getattr_req *q,
                   struct mfs_getattr_rep *p)
{
    if (q->fh) {
        struct mfs_file *f;
        int rc = mfs_op_file(o, q->fh, &f);
        if (rc < 0 || (rc = mfs_need_file(o, f, MFS_LEASE_SHARED)) < 0)
            return rc;
        return mfs_file_attr(o, f, &p->attr);
    }
    struct mfs_node *n;
    int rc = mfs_op_node(o, q->node, &n);
    if (rc < 0 || (rc = mfs_need_node(o, n, MFS_LEASE_SHARED)) < 0)
        return rc;
    if ((rc = mfs_node_attr(o, n, &p->attr)) < 0)
        return rc;
    mfs_grant_attr(o, &n->identity, n->id, &p->attr);
    return 0;
}

int mfs_do_claim(struct mfs_call *o, const struct mfs_claim_req *q, struct mfs_claim_rep *p)
{
    struct mfs_node *n;
    int rc = mfs_op_node(o, q->node, &n);
    if (rc < 0 || (rc = mfs_claim_node(o, n)) < 0 || (rc = mfs_node_attr(o, n, &p->attr)) < 0)
        return rc;
    mfs_grant_attr(o, &n->identity, n->id, &p->attr);
    return 0;
}

/* ---- setattr ---- */

/* What setattr works on: a node, or an open file of it. */
struct subject {
    struct mfs_node *n;
    int file_fd; /* -1: none */
    bool is_writable;
};

static int subject_of(struct mfs_call *o, const struct mfs_setattr_req *q, struct subject *s)
{
    int rc = mfs_op_node_rw(o, q->node, &s->n);
    s->file_fd = -1;
    if (rc < 0 || !q->fh)
        return rc;
    struct mfs_file *f;
    rc = mfs_op_file(o, q->fh, &f);
    if (rc == 0 && f->holder.node != s->n)
        rc = -EBADF;
    if (rc == 0 && q->valid & MFS_SET_LOCKED && mfs_filelease_is_cut(o->srv, f))
        rc = -ESTALE;
    if (rc == 0) {
        s->file_fd = f->fd;
        s->is_writable = f->is_writable;
    }
    return rc;
}

/* The kernel here looks at the caller's groups in two cases that the client's kernel, which
 * knows them all, has judged already: a new group, and whether set-group-id survives chmod. */
static int vouch_groups(struct mfs_call *o, const struct mfs_setattr_req *q,
                        const struct subject *s)
{
    uint32_t vouched[2] = { UINT32_MAX, UINT32_MAX };
    if (!o->srv->callers.is_privileged || o->uid == 0)
        return 0;
    struct statx stx;
    int rc = mfs_statx(s->n->fd, "", AT_EMPTY_PATH, &stx);
    if (rc < 0)
        return rc;
    if (q->valid & MFS_SET_GID) {
        rc = mfs_id_to_server(&o->srv->gids, q->attr.gid, &vouched[0]);
        if (rc < 0)
            return rc;
        /* To keep the group everybody may who owns the file; set-group-id falls all the same.
         */
        if (vouched[0] == stx.stx_gid)
            vouched[0] = UINT32_MAX;
    }
    if ((q->valid & MFS_SET_MODE) && (q->attr.mode & S_ISGID))
        vouched[1] = stx.stx_gid;
    return mfs_caller_enter(&o->srv->callers, &o->worker->caller, o->uid, o->gid, vouched);
}

static int set_mode(struct mfs_call *o, const struct subject *s, uint32_t mode)
{
    if (s->n->identity.type == S_IFLNK)
        return -EOPNOTSUPP;
    return fchmodat(o->srv->proc_fd, mfs_fd_name(s->n->fd).text, mode & 07777, 0) < 0 ? -errno
                                                                                      : 0;
}

static int set_owner(struct mfs_call *o, const struct subject *s, uint32_t valid,
                     const struct mfs_attr *a)
{
    uint32_t uid = UINT32_MAX, gid = UINT32_MAX;
    int rc = 0;
    if (valid & MFS_SET_UID)
        rc = mfs_id_to_server(&o->srv->uids, a->uid, &uid);
    if (rc == 0 && (valid & MFS_SET_GID))
        rc = mfs_id_to_server(&o->srv->gids, a->gid, &gid);
    if (rc < 0)
        return rc;
    return fchownat(s->n->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno
                                                                                     : 0;
}

/* What chown to nothing and, on set-id files, the kernel before a write asks for: that set-id
 * bits fall. Who does not own the file may not, but the write then goes on. Both come as the
 * same request: what tells them apart in the client's kernel (ATTR_FORCE, ATTR_CTIME) has no
 * place in FUSE's, and neither has the open file. So while such a file is open for writing, a
 * chown to nothing by who does not own it succeeds, without effect, instead of EPERM: the other
 * mistake would be a write that fails. */
static int drop_privileges(struct mfs_call *o, const struct subject *s)
{
    if (s->n->identity.type == S_IFLNK)
        return 0;
    int rc = fchownat(s->n->fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH) < 0 ? -errno : 0;
    return rc == -EPERM && mfs_files_has_writer(&o->srv->files, s->n) ? 0 : rc;
}

static int set_size(struct mfs_call *o, const struct subject *s, uint64_t size)
{
    if (s->n->identity.type != S_IFREG)
        return s->n->identity.type == S_IFDIR ? -EISDIR : -EINVAL;
    if (size > INT64_MAX)
        return -EINVAL;
    /* An open file may be cut whatever its mode is by now. */
    if (s->file_fd >= 0 && s->is_writable)
        return ftruncate(s->file_fd, (off_t)size) < 0 ? -errno : 0;
    mfs_fileleases_yield(o, &s->n->identity);
    AUTO_FD fd = mfs_open_real(o, s->n, O_WRONLY);
    if (fd < 0)
        return fd;
    return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

static int set_times(struct mfs_call *o, const struct subject *s, uint32_t valid,
                     const struct mfs_attr *a)
{
    struct timespec ts[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
    if (((valid & MFS_SET_ATIME) && a->atime_nsec >= 1000000000) ||
        ((valid & MFS_SET_MTIME) && a->mtime_nsec >= 1000000000))
        return -EINVAL;
    if (valid & MFS_SET_ATIME)
        ts[0] = (struct timespec){ a->atime_sec, a->atime_nsec };
    if (valid & MFS_SET_MTIME)
        ts[1] = (struct timespec){ a->mtime_sec, a->mtime_nsec };
    if (valid & MFS_SET_ATIME_NOW)
        ts[0].tv_nsec = UTIME_NOW;
    if (valid & MFS_SET_MTIME_NOW)
        ts[1].tv_nsec = UTIME_NOW;
    return utimensat(o->srv->proc_fd, mfs_fd_name(s->n->fd).text, ts, 0) < 0 ? -errno : 0;
}

int mfs_do_setattr(struct mfs_call *o, const struct mfs_setattr_req *q,
                   struct mfs_setattr_rep *p)
{
    const uint32_t times =
        MFS_SET_ATIME | MFS_SET_MTIME | MFS_SET_ATIME_NOW | MFS_SET_MTIME_NOW;
    struct subject s = { 0 };
    if (q->valid & ~(uint32_t)MFS_SET_ALL)
        return -EINVAL;
    int rc = subject_of(o, q, &s);
    if (rc == 0)
        rc = mfs_need_data(o, s.n, MFS_LEASE_EXCLUSIVE);
    if (rc == 0)
        rc = vouch_groups(o, q, &s);
    if (rc == 0 && !q->valid)
        rc = drop_privileges(o, &s);
    if (rc == 0 && (q->valid & MFS_SET_MODE))
        rc = set_mode(o, &s, q->attr.mode);
    if (rc == 0 && (q->valid & (MFS_SET_UID | MFS_SET_GID)))
        rc = set_owner(o, &s, q->valid, &q->attr);
    if (rc == 0 && (q->valid & MFS_SET_SIZE))
        rc = set_size(o, &s, q->attr.size);
    if (rc == 0 && (q->valid & times))
        rc = set_times(o, &s, q->valid, &q->attr);
    if (rc < 0 || (rc = mfs_node_attr(o, s.n, &p->attr)) < 0)
        return rc;
    mfs_grant_attr(o, &s.n->identity, s.n->id, &p->attr);
    return 0;
}

int mfs_do_access(struct mfs_call *o, const struct mfs_access_req *q,
                  struct mfs_access_rep *p UNUSED)
{
    struct mfs_node *n;
    if (q->mask & ~(uint32_t)(MFS_ACCESS_R | MFS_ACCESS_W | MFS_ACCESS_X))
        return -EINVAL;
    bool is_write = q->mask & MFS_ACCESS_W;
    int rc = is_write ? mfs_op_node_rw(o, q->node, &n) : mfs_op_node(o, q->node, &n);
    if (rc < 0 || (rc = mfs_need_node(o, n, MFS_LEASE_SHARED)) < 0)
        return rc;
    int mode = (q->mask & MFS_ACCESS_R ? R_OK : 0) | (is_write ? W_OK : 0) |
               (q->mask & MFS_ACCESS_X ? X_OK : 0);
    return faccessat(o->srv->proc_fd, mfs_fd_name(n->fd).text, mode, AT_EACCESS) < 0 ? -errno
                                                                                     : 0;
}

int mfs_do_statfs(struct mfs_call *o, const struct mfs_statfs_req *q, struct mfs_statfs_rep *p)
{
    struct mfs_node *n;
    struct statvfs v;
    int rc = mfs_op_node(o, q->node, &n);
    if (rc < 0)
        return rc;
    if (fstatvfs(n->fd, &v) < 0)
        return -errno;
    *p = (struct mfs_statfs_rep){
        .bsize = v.f_bsize,
        .frsize = v.f_frsize,
        .blocks = v.f_blocks,
        .bfree = v.f_bfree,
        .bavail = v.f_bavail,
        .files = v.f_files,
        .ffree = v.f_ffree,
        .favail = v.f_favail,
        .namemax = v.f_namemax,
    };
    return 0;
}

/* ---- extended attributes ---- */

/* A security label of this computer means nothing on the other one, and tools that copy labels
 * would fail there. */
static const char label_xattr[] = "security.selinux";

static int xattr_name(struct bytes v, char name[MFS_XATTR_NAME_MAX + 1])
{
    int rc = bytes_to_text(v, name, MFS_XATTR_NAME_MAX + 1);
    if (rc < 0)
        return rc == -EPROTO ? -EINVAL : -ERANGE;
    return *name ? 0 : -ERANGE;
}

static bool is_acl(const char *name)
{
    return !strcmp(name, "system.posix_acl_access") ||
           !strcmp(name, "system.posix_acl_default");
}

/* Maps the users and groups in an ACL's coded form (acl(5), linux/posix_acl_xattr.h): u32
 * version, then entries of u16 tag, u16 permissions, u32 id, little endian. What is not an ACL
 * is left for the kernel to refuse. */
static int map_acl(const struct mfs_server *srv, uint8_t *acl, size_t len, bool is_to_client)
{
    enum { VERSION = 2, TAG_USER = 2, TAG_GROUP = 8, HEAD = 4, ENTRY = 8 };
    struct rd r = rd_of(acl, len);
    uint32_t version, id;
    uint16_t tag, perm;
    if (get_u32(&r, &version) < 0 || version != VERSION || (len - HEAD) % ENTRY)
        return 0;
    while (get_u16(&r, &tag) == 0 && get_u16(&r, &perm) == 0 && get_u32(&r, &id) == 0) {
        const struct mfs_id_map *m = tag == TAG_USER    ? &srv->uids
                                     : tag == TAG_GROUP ? &srv->gids
                                                        : NULL;
        if (!m)
            continue;
        int rc = 0;
        if (is_to_client)
            id = mfs_id_to_client(m, id);
        else
            rc = mfs_id_to_server(m, id, &id);
        if (rc < 0)
            return rc;
        struct wr w = wr_of(acl + (r.at - acl) - 4, 4);
        put_u32(&w, id);
    }
    return 0;
}

int mfs_do_setxattr(struct mfs_call *o, const struct mfs_setxattr_req *q,
                    struct mfs_setxattr_rep *p UNUSED)
{
    char name[MFS_XATTR_NAME_MAX + 1];
    struct mfs_node *n;
    int flags;
    int rc = mfs_xattr_to_host(q->xflags, &flags);
    if (rc < 0 || (rc = mfs_op_node_rw(o, q->node, &n)) < 0 ||
        (rc = mfs_need_node(o, n, MFS_LEASE_EXCLUSIVE)) < 0 ||
        (rc = xattr_name(q->name, name)) < 0)
        return rc;
    if (q->value.len > MFS_XATTR_SIZE_MAX)
        return -E2BIG;
    if (!strcmp(name, label_xattr))
        return -EOPNOTSUPP;
    AUTO_FREE uint8_t *value = malloc(q->value.len + 1);
    if (!value)
        return -ENOMEM;
    memcpy(value, q->value.ptr, q->value.len);
    if (is_acl(name) && (rc = map_acl(o->srv, value, q->value.len, false)) < 0)
        return rc;
    return setxattr(mfs_fd_name(n->fd).text, name, value, q->value.len, flags) < 0 ? -errno : 0;
}

int mfs_do_getxattr(struct mfs_call *o, const struct mfs_getxattr_req *q,
                    struct mfs_getxattr_rep *p)
{
    char name[MFS_XATTR_NAME_MAX + 1];
    struct mfs_node *n;
    uint8_t *at = NULL;
    int rc = mfs_op_node(o, q->node, &n);
    if (rc < 0 || (rc = mfs_need_node(o, n, MFS_LEASE_SHARED)) < 0 ||
        (rc = xattr_name(q->name, name)) < 0)
        return rc;
    if (!strcmp(name, label_xattr))
        return -ENODATA;
    size_t size = q->size < MFS_XATTR_SIZE_MAX ? q->size : MFS_XATTR_SIZE_MAX;
    if (size && (rc = mfs_op_payload(o, size, &at)) < 0)
        return rc;
    ssize_t len = getxattr(mfs_fd_name(n->fd).text, name, at, size);
    if (len < 0)
        return -errno;
    p->length = (uint32_t)len;
    if (!size)
        return 0;
    if (is_acl(name) && (rc = map_acl(o->srv, at, (size_t)len, true)) < 0)
        return rc;
    p->value = (struct bytes){ NULL, (uint32_t)len };
    o->out->len = (size_t)len;
    return 0;
}

/* Takes the names that are not shown out of a list; returns its new length. */
static size_t filter_names(uint8_t *list, size_t len)
{
    size_t kept = 0;
    for (size_t at = 0; at < len;) {
        size_t one = strnlen((char *)list + at, len - at) + 1;
        if (one > len - at)
            break;
        if (strcmp((char *)list + at, label_xattr)) {
            memmove(list + kept, list + at, one);
            kept += one;
        }
        at += one;
    }
    return kept;
}

int mfs_do_listxattr(struct mfs_call *o, const struct mfs_listxattr_req *q,
                     struct mfs_listxattr_rep *p)
{
    struct mfs_node *n;
    uint8_t *at;
    int rc = mfs_op_node(o, q->node, &n);
    if (rc < 0 || (rc = mfs_need_node(o, n, MFS_LEASE_SHARED)) < 0 ||
        (rc = mfs_op_payload(o, MFS_XATTR_SIZE_MAX, &at)) < 0)
        return rc;
    ssize_t len = listxattr(mfs_fd_name(n->fd).text, (char *)at, MFS_XATTR_SIZE_MAX);
    if (len < 0)
        return -errno;
    size_t kept = filter_names(at, (size_t)len);
    if (q->size && kept > q->size)
        return -ERANGE;
    p->length = (uint32_t)kept;
    p->names = (struct bytes){ NULL, q->size ? (uint32_t)kept : 0 };
    o->out->len = p->names.len;
    return 0;
}

int mfs_do_removexattr(struct mfs_call *o, const struct mfs_removexattr_req *q,
                       struct mfs_removexattr_rep *p UNUSED)
{
    char name[MFS_XATTR_NAME_MAX + 1];
    struct mfs_node *n;
    int rc = mfs_op_node_rw(o, q->node, &n);
    if (rc < 0 || (rc = mfs_need_node(o, n, MFS_LEASE_EXCLUSIVE)) < 0 ||
        (rc = xattr_name(q->name, name)) < 0)
        return rc;
    if (!strcmp(name, label_xattr))
        return -ENODATA;
    return removexattr(mfs_fd_name(n->fd).text, name) < 0 ? -errno : 0;
}

/* ---- inode flags ---- */

int mfs_do_getflags(struct mfs_call *o, const struct mfs_getflags_req *q,
                    struct mfs_getflags_rep *p)
{
    struct mfs_node *n;
    unsigned flags = 0;
    int rc = mfs_op_node(o, q->node, &n);
    if (rc < 0 || (rc = mfs_need_node(o, n, MFS_LEASE_SHARED)) < 0)
        return rc;
    AUTO_FD fd = mfs_open_real(o, n, O_RDONLY);
    if (fd < 0)
        return fd == -ENXIO || fd == -ELOOP ? -ENOTTY : fd;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return -errno;
    p->iflags = flags;
    return 0;
}

int mfs_do_setflags(struct mfs_call *o, const struct mfs_setflags_req *q,
                    struct mfs_setflags_rep *p UNUSED)
{
    struct mfs_node *n;
    unsigned flags = q->iflags;
    int rc = mfs_op_node_rw(o, q->node, &n);
    if (rc < 0 || (rc = mfs_need_node(o, n, MFS_LEASE_EXCLUSIVE)) < 0)
        return rc;
    AUTO_FD fd = mfs_open_real(o, n, O_RDONLY);
    if (fd < 0)
        return fd == -ENXIO || fd == -ELOOP ? -ENOTTY : fd;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;
}
