/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fd.h: file descriptors that own themselves; full reads and writes; EINTR is handled here and
 * nowhere else. Must not know: protocols. */
#ifndef COMMON_SYS_FD_H
#define COMMON_SYS_FD_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes *fd unless it is negative and makes it -1; errno is kept. */
void fd_close(int *fd);
#define AUTO_FD AUTO(fd_close) int

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* One read or write, repeated after EINTR. Returns the count, or -errno. */
MUST ssize_t fd_read(int fd, void *ptr, size_t len_bytes);
MUST ssize_t fd_write(int fd, const void *ptr, size_t len_bytes);

/* Whole length on a blocking descriptor. fd_read_full returns the bytes read, less than asked
 * only at end of file. */
MUST ssize_t fd_read_full(int fd, void *ptr, size_t len_bytes);
MUST int fd_write_full(int fd, const void *ptr, size_t len_bytes);

MUST int fd_set_nonblock(int fd, bool is_nonblocking);
MUST int fd_set_cloexec(int fd, bool is_cloexec);

/* Connected pair of stream sockets, close-on-exec. */
MUST int fd_socketpair(int pair[2]);
MUST int fd_pipe(int pair[2]);

/* Closes every descriptor from 3 on but the given ones: for a child that goes on without exec and must not keep open
 * what its parent relies on being closed. */
void fd_close_all_but(const int *keep, size_t count);

/* Passes one descriptor (and one byte) over a unix socket; the receiver gets it close-on-exec.
 */
MUST int fd_send(int sock, int fd_to_pass);
MUST int fd_receive(int sock, int *fd_out);

#endif
