/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeps.c: why nobody else can change an answer, from /proc. Must not know: calls, frames.
 * Source: credentials(7), user_namespaces(7), setpgid(2), proc(5). */
#include "mosix-core/deputy/keeps.h"

#include "common/sys/fd.h"
#include "mosix-core/abi/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_file(pid_t pid, const char *name, char *text, size_t size_bytes)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, size_bytes - 1);
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* In a user namespace an id that has no number there is shown as one that is nobody's, until
 * somebody else says which number it has. Where all have one that can't be. */
static bool has_all_ids(pid_t pid, const char *name)
{
    static const unsigned all = 4294967295;
    char text[256];
    unsigned first, count;
    return read_file(pid, name, text, sizeof text) &&
           sscanf(text, "%u %*u %u", &first, &count) == 2 && first == 0 && count == all;
}

/* Who has executed nothing since it was forked can be moved to another group by its parent. */
static bool has_executed(pid_t pid)
{
    static const unsigned forked_only = 0x40; /* PF_FORKNOEXEC, linux/sched.h of the kernel */
    char text[512];
    unsigned flags;
    const char *end = read_file(pid, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    return end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
           !(flags & forked_only);
}

uint8_t mx_keeps(pid_t pid)
{
    unsigned keeps = MX_KEEP_SESSION | MX_KEEP_EVER;
    if (has_all_ids(pid, "uid_map") && has_all_ids(pid, "gid_map"))
        keeps |= MX_KEEP_IDS;
    if (has_executed(pid))
        keeps |= MX_KEEP_GROUP;
    return (uint8_t)keeps;
}
