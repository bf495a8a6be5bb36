/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ringlog.h: a log file that never grows: lines of several processes, of which the oldest make room.
 * Must not know: what is reported.
 * The file: a head of RINGLOG_HEAD_BYTES, text that says how many bytes were ever written, and the ring. Whoever
 * writes holds the file's lock (fcntl: it goes with its process), for a few milliseconds at most waited for. */
#ifndef COMMON_SYS_RINGLOG_H
#define COMMON_SYS_RINGLOG_H

#include "common/base/attr.h"

#include <stddef.h>

enum {
    RINGLOG_BYTES = 256 << 10, /* the file's size at most */
    RINGLOG_HEAD_BYTES = 32,
    RINGLOG_LINE_MAX = 600, /* with its newline */
};

/* Opens it in a directory, and makes it if it isn't there, for us alone. Returns 0; -EPERM what is there isn't
 * ours alone, or no ordinary file; -errno. */
MUST int ringlog_open(int dir_fd, const char *name, int *fd_out);
/* Adds a line (without newline; longer ones are cut, control characters become "?"). Returns 0; -EAGAIN somebody
 * holds the lock too long; -ENOSPC and other -errno: the line is lost, the others are not. One thread of a
 * process at a time. */
MUST int ringlog_add(int fd, const char *text, size_t len_bytes);
/* Whole lines, the oldest first, at text, which has room for RINGLOG_BYTES. Returns their length; -errno. */
MUST int ringlog_read(int fd, char *text);

#endif
