/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.c: the calls of behind.h. Must not know: processes, sockets. */
#include "mosix-core/abi/behind.h"

#include "mosix-core/abi/ahead.h"

#include <string.h>

/* Positions from there on are a file system's business. */
static const uint64_t far_at = UINT64_C(1) << 42;

static const char *const harmless[] = {
    "write", "pwrite64",  "writev",          "pwritev",   "pwritev2",   "read",  "pread64",
    "readv", "preadv",    "preadv2",         "fstat",     "newfstatat", "statx", "fstatfs",
    "fsync", "fdatasync", "sync_file_range", "fadvise64", "mmap",
};

bool mx_behind_ends(const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS], int fd)
{
    if (mx_ahead_effect(line, args, -1) >= MX_AHEAD_SHARES)
        return true;
    for (unsigned i = 0; i < ARRAY_LEN(harmless); i++)
        if (strcmp(line->name, harmless[i]) == 0)
            return false;
    for (unsigned i = 0; i < line->arg_count; i++)
        if (line->args[i].kind == MX_KIND_FD && (int)args[i] == fd)
            return true;
    return false;
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
