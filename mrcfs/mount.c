/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount.c: puts a FUSE file system on a directory.
 * Must not know: what is served.
 * Privilege: mount(2) as root; others run the set-uid fusermount3. */
#include "mrcfs/mount.h"

#include "common/sys/fd.h"
#include "common/sys/fusermount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPTIONS_BYTES = 1024 };

/* What the kernel's FUSE is told. */
static int make_text(const struct mfs_client *c, const struct mfs_mount_opts *o, int fuse_fd,
                     char *text)
{
    bool allow_other = o->allow_other || o->allow_root;
    int rc =
        mfs_client_mount_opts(c, fuse_fd, getuid(), getgid(), allow_other, text, OPTIONS_BYTES);
    size_t len = rc < 0 ? 0 : strlen(text);
    /* Others than the server's user come in, and the server can't tell them apart: so this
     * kernel checks. */
    bool is_checked_here = o->default_permissions || allow_other;
    if (rc == 0 && is_checked_here && !strstr(text, "default_permissions"))
        rc = snprintf(text + len, OPTIONS_BYTES - len, ",default_permissions") <
                     (int)(OPTIONS_BYTES - len)
                 ? 0
                 : -ENOSPC;
    return rc;
}

static int mount_as_root(const struct mfs_client *c, const struct mfs_mount_opts *o,
                         const char *source, const char *where, int *fd_out, struct err *e)
{
    char text[OPTIONS_BYTES];
    AUTO_FD fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "open /dev/fuse");
    int rc = make_text(c, o, fd, text);
    if (rc < 0)
        return err_set(e, -rc, "mount at %s", where);
    if (mount(source, where, "fuse.mrcfs", o->flags, text) < 0)
        return err_set(e, errno, "mount at %s", where);
    *fd_out = take_fd(&fd);
    return 0;
}

static const struct {
    unsigned long flag;
    const char *name;
} flag_names[] = {
    { MS_NOEXEC, "noexec" },         { MS_SYNCHRONOUS, "sync" },
    { MS_DIRSYNC, "dirsync" },       { MS_NOATIME, "noatime" },
    { MS_NODIRATIME, "nodiratime" }, { MS_STRICTATIME, "strictatime" },
};

static int mount_as_user(const struct mfs_client *c, const struct mfs_mount_opts *o,
                         const char *source, const char *where, int *fd_out, struct err *e)
{
    char text[OPTIONS_BYTES];
    int rc = make_text(c, o, 0, text);
    size_t len = rc < 0 ? 0 : strlen(text);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(flag_names); i++) {
        if (!(o->flags & flag_names[i].flag))
            continue;
        int n = snprintf(text + len, sizeof text - len, ",%s", flag_names[i].name);
        if (n < 0 || (size_t)n >= sizeof text - len)
            rc = -ENOSPC;
        else
            len += (size_t)n;
    }
    if (rc < 0)
        return err_set(e, -rc, "mount at %s", where);
    struct fusermount_opts f = { .source = source,
                                 .text = text,
                                 .is_read_only = o->flags & MS_RDONLY,
                                 .allow_other = o->allow_other || o->allow_root };
    return fusermount_mount(where, &f, fd_out, e);
}

int mfs_mount(const struct mfs_client *c, const struct mfs_mount_opts *o, const char *source,
              const char *where, int *fd_out, struct err *e)
{
    struct stat st;
    if (stat(where, &st) < 0)
        return err_set(e, errno, "mount point %s", where);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ENOTDIR, "mount point %s", where);
    return geteuid() == 0 ? mount_as_root(c, o, source, where, fd_out, e)
                          : mount_as_user(c, o, source, where, fd_out, e);
}
