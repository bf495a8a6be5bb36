/* SPDX-License-Identifier: GPL-2.0-or-later */
/* moves.c: between which directories a move can't fail with EXDEV.
 * Must not know: the wire, leases.
 * Source: rename(2); ext4_rename and xfs_rename (project quotas), fscrypt_prepare_rename
 * (keys), ovl_rename (directories). */
#include "mrcfs/server/server.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Headers of the build machine may be older. */
enum { ENCRYPTED = 0x800, INHERITS_PROJECT = 0x20000000 };

/* A directory in which a project's quota or a key begins may refuse what comes from elsewhere;
 * on an overlay directories can't be moved that are of a lower layer. */
static enum mfs_moves look(struct mfs_call *o, const struct mfs_node *dir)
{
    const struct mfs_served *x = &o->srv->exports[dir->export_number];
    struct statfs s;
    int flags = 0;
    if (!x->root_mount || dir->identity.mount != x->root_mount ||
        dir->identity.dev != x->root_dev)
        return MFS_MOVES_NO;
    AUTO_FD fd = mfs_open_real(o, dir, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return MFS_MOVES_UNKNOWN; /* this caller may not look */
    if (fstatfs(fd, &s) < 0 || s.f_type == OVERLAYFS_SUPER_MAGIC)
        return MFS_MOVES_NO;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return errno == ENOTTY || errno == EOPNOTSUPP ? MFS_MOVES_YES : MFS_MOVES_NO;
    return flags & (ENCRYPTED | INHERITS_PROJECT) ? MFS_MOVES_NO : MFS_MOVES_YES;
}

bool mfs_op_moves(struct mfs_call *o, struct mfs_node *dir)
{
    uint8_t moves = __atomic_load_n(&dir->moves, __ATOMIC_RELAXED);
    if (moves == MFS_MOVES_UNKNOWN) {
        moves = (uint8_t)look(o, dir);
        __atomic_store_n(&dir->moves, moves, __ATOMIC_RELAXED);
    }
    return moves == MFS_MOVES_YES;
}
