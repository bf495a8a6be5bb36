/* SPDX-License-Identifier: GPL-2.0-or-later */
/* owndir.c: see owndir.h.
 * Must not know: what is in it. */
#include "common/sys/owndir.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int owndir_open(const char *path, int *fd_out, struct err *e)
{
    char own[32];
    struct stat st;
    if (!path) {
        snprintf(own, sizeof own, "/tmp/mrc-%u", (unsigned)geteuid());
        path = own;
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(e, errno, "make %s", path);
    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, errno, "%s", path);
    if (st.st_uid != geteuid() || (st.st_mode & 077))
        return err_say(e, EPERM, "%s is not ours alone", path);
    *fd_out = take_fd(&fd);
    return 0;
}
