/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ringlog.c: see ringlog.h.
 * Must not know: what is reported.
 * Invariant: the head is written after the line, so that a writer that is killed leaves at worst a damaged oldest
 * line, never a longer file. */
#include "common/sys/ringlog.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RING_BYTES = RINGLOG_BYTES - RINGLOG_HEAD_BYTES, LOCK_TRIES = 50, LOCK_WAIT_MS = 1 };

static const char head_begin[] = "mrc-log 1 ";

int ringlog_open(int dir_fd, const char *name, int *fd_out)
{
    struct stat st;
    AUTO_FD fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return -EPERM;
    *fd_out = take_fd(&fd);
    return 0;
}

static int set_lock(int fd, short kind)
{
    struct flock l = { .l_type = kind, .l_whence = SEEK_SET };
    int rc;
    for (int i = 0; i < LOCK_TRIES; i++) {
        rc = fcntl(fd, F_SETLK, &l) < 0 ? -errno : 0;
        if (rc != -EAGAIN && rc != -EACCES && rc != -EINTR)
            return rc;
        (void)poll(NULL, 0, LOCK_WAIT_MS);
    }
    return -EAGAIN;
}

static void unlock(int fd)
{
    struct flock l = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
    (void)fcntl(fd, F_SETLK, &l);
}

static int write_at(int fd, const char *ptr, size_t len, off_t at)
{
    ssize_t n;
    do
        n = pwrite(fd, ptr, len, at);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (size_t)n == len ? 0 : -ENOSPC;
}

static ssize_t read_at(int fd, char *ptr, size_t len, off_t at)
{
    size_t used = 0;
    while (used < len) {
        ssize_t n = pread(fd, ptr + used, len - used, at + (off_t)used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

/* How many bytes were ever written; 0 also for a file that makes no sense, which begins anew. */
static uint64_t read_head(int fd)
{
    char head[RINGLOG_HEAD_BYTES + 1] = "";
    char *end;
    if (read_at(fd, head, RINGLOG_HEAD_BYTES, 0) != RINGLOG_HEAD_BYTES ||
        memcmp(head, head_begin, sizeof head_begin - 1) != 0)
        return 0;
    unsigned long long total = strtoull(head + sizeof head_begin - 1, &end, 10);
    return *end == ' ' && total < UINT64_MAX / 2 ? total : 0;
}

static int write_head(int fd, uint64_t total)
{
    char head[RINGLOG_HEAD_BYTES + 1];
    snprintf(head, sizeof head, "%s%020llu \n", head_begin, (unsigned long long)total);
    return write_at(fd, head, RINGLOG_HEAD_BYTES, 0);
}

int ringlog_add(int fd, const char *text, size_t len_bytes)
{
    char line[RINGLOG_LINE_MAX];
    size_t len = len_bytes < sizeof line - 1 ? len_bytes : sizeof line - 1;
    for (size_t i = 0; i < len; i++)
        line[i] = (char)((unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i]);
    line[len++] = '\n';
    int rc = set_lock(fd, F_WRLCK);
    if (rc < 0)
        return rc;
    uint64_t total = read_head(fd);
    size_t at = (size_t)(total % RING_BYTES);
    size_t first = len < RING_BYTES - at ? len : RING_BYTES - at;
    /* The head first when there is none: else a full disk leaves lines that nobody finds. */
    rc = total ? 0 : write_head(fd, 0);
    if (rc == 0)
        rc = write_at(fd, line, first, RINGLOG_HEAD_BYTES + (off_t)at);
    if (rc == 0 && first < len)
        rc = write_at(fd, line + first, len - first, RINGLOG_HEAD_BYTES);
    if (rc == 0)
        rc = write_head(fd, total + len);
    unlock(fd);
    return rc;
}

int ringlog_read(int fd, char *text)
{
    bool is_locked = set_lock(fd, F_RDLCK) == 0; /* else a line may be torn */
    uint64_t total = read_head(fd);
    size_t at = (size_t)(total % RING_BYTES), older = total > RING_BYTES ? RING_BYTES - at : 0;
    ssize_t n = older ? read_at(fd, text, older, RINGLOG_HEAD_BYTES + (off_t)at) : 0;
    size_t used = n > 0 ? (size_t)n : 0;
    if (n >= 0)
        n = read_at(fd, text + used, at, RINGLOG_HEAD_BYTES);
    if (is_locked)
        unlock(fd);
    if (n < 0)
        return (int)n;
    used += (size_t)n;
    if (!older)
        return (int)used;
    char *first_end = memchr(text, '\n', used);
    size_t cut = first_end ? (size_t)(first_end - text) + 1 : used;
    memmove(text, text + cut, used - cut);
    return (int)(used - cut);
}
