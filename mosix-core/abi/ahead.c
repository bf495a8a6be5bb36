/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.c: the table of ahead.def. Must not know: processes, sockets. Source: open(2). */
#include "mosix-core/abi/ahead.h"

#include <string.h>

enum {
    STAYS = MX_AHEAD_STAYS,
    ENDS = MX_AHEAD_ENDS,
    DOUBLES = MX_AHEAD_DOUBLES,
    SHARES = MX_AHEAD_SHARES,
    SENDS = MX_AHEAD_SENDS,
    OPENS,
};

/* Of open, on x86-64. */
enum { READ_WRITE_MASK = 03, TRUNCATES = 01000, DOES_NOT_WAIT = 04000 };

static const struct {
    const char *name;
    int effect;
} effects[] = {
#define AHEAD(name, effect) { #name, effect },
#include "mosix-core/abi/ahead.def"
#undef AHEAD
};

static int find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(effects); i++)
        if (strcmp(effects[i].name, name) == 0)
            return effects[i].effect;
    return MX_AHEAD_TOUCHES;
}

/* The flags with which it opens a file; of those that don't say so here: that it writes. */
static uint64_t open_flags(const char *name, const uint64_t args[MX_CALL_ARGS])
{
    if (strcmp(name, "open") == 0)
        return args[1];
    if (strcmp(name, "openat") == 0)
        return args[2];
    return strcmp(name, "openat2") == 0 ? 1 | DOES_NOT_WAIT : 1;
}

static bool writes(uint64_t flags)
{
    return (flags & READ_WRITE_MASK) != 0 || (flags & TRUNCATES) != 0;
}

enum mx_ahead_effect mx_ahead_effect(const struct mx_call_line *line,
                                     const uint64_t args[MX_CALL_ARGS], int fd)
{
    if (!line)
        return MX_AHEAD_SHARES;
    int effect = find(line->name);
    if (effect == OPENS)
        return writes(open_flags(line->name, args)) ? MX_AHEAD_ENDS : MX_AHEAD_STAYS;
    if (effect == MX_AHEAD_SHARES || effect == MX_AHEAD_SENDS)
        return (enum mx_ahead_effect)effect;
    for (unsigned i = 0; i < line->arg_count; i++)
        if (line->args[i].kind == MX_KIND_FD && (int)args[i] == fd)
            return (enum mx_ahead_effect)effect;
    return MX_AHEAD_STAYS;
}

bool mx_ahead_is_impatient(const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS])
{
    if (!line)
        return true;
    if (find(line->name) != OPENS)
        return false;
    uint64_t flags = open_flags(line->name, args);
    return writes(flags) && (flags & DOES_NOT_WAIT) != 0;
}
