/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.c: the calls of behind.h. Must not know: processes, sockets. */
#include "mosix-core/abi/behind.h"

#include <string.h>

/* Positions from there on are a file system's business. */
static const uint64_t far_at = UINT64_C(1) << 42;

/* What they do leaves all promises as they were. */
static const char *const harmless[] = {
    "write",   "pwrite64", "writev",     "pwritev",   "pwritev2",  "read",
    "pread64", "readv",    "preadv",     "preadv2",   "fstat",     "newfstatat",
    "statx",   "fstatfs",  "fsync",      "fdatasync", "fadvise64", "poll",
    "getppid", "getpid",   "getdents64", "access",    "faccessat", "readlink",
};

/* These end those of the descriptors that they name. */
static const char *const local[] = { "close",     "lseek",     "open",     "openat",
                                     "ftruncate", "unlink",    "unlinkat", "rename",
                                     "renameat",  "fallocate", "mkdir",    "fcntl",
                                     "flock",     "dup",       "dup2",     "dup3" };

static bool is_in(const char *const *names, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

bool mx_behind_ends(const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS], int fd)
{
    if (!line)
        return true;
    if (is_in(harmless, ARRAY_LEN(harmless), line->name))
        return false;
    bool is_local = is_in(local, ARRAY_LEN(local), line->name);
    for (unsigned i = 0; is_local && i < line->arg_count; i++)
        if (line->args[i].kind == MX_KIND_FD && (int)args[i] == fd)
            return true;
    return !is_local;
}

bool mx_behind_is_write(const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS],
                        uint64_t *at)
{
    bool is_at = strcmp(line->name, "pwrite64") == 0;
    *at = is_at ? args[3] : mx_behind_nowhere;
    if (!is_at && strcmp(line->name, "write") != 0)
        return false;
    return args[2] > 0 && args[2] <= MX_CALL_BYTES_MAX && (!is_at || args[3] < far_at);
}
