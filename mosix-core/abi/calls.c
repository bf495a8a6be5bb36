/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calls.c: the tables of calls.def and kinds.def.
 * Must not know: processes, the numbers of this machine's kernel. */
#include "mosix-core/abi/calls.h"

#include <string.h>

static const struct mx_kind_line kinds[MX_KINDS] = {
#define KIND(name, form, direction)                                                            \
    [MX_KIND_##name] = { #name, MX_FORM_##form, MX_DIR_##direction },
#include "mosix-core/abi/kinds.def"
#undef KIND
};

const struct mx_kind_line *mx_kind_line(enum mx_kind kind)
{
    return &kinds[kind];
}

/* Kinds as they are written in calls.def. */
/* clang-format off */
#define INT               { MX_KIND_INT, 0, 0 }
#define LONG              { MX_KIND_LONG, 0, 0 }
#define SIZE              { MX_KIND_SIZE, 0, 0 }
#define FD                { MX_KIND_FD, 0, 0 }
#define ADDR              { MX_KIND_ADDR, 0, 0 }
#define PATH              { MX_KIND_PATH, 0, 0 }
#define IN(n)             { MX_KIND_IN, n, 0 }
#define OUT(n)            { MX_KIND_OUT, n, 0 }
#define IN_FIXED(b)       { MX_KIND_IN_FIXED, 0, b }
#define OUT_FIXED(b)      { MX_KIND_OUT_FIXED, 0, b }
#define BOTH_FIXED(b)     { MX_KIND_BOTH_FIXED, 0, b }
#define IN_ARRAY(n, b)    { MX_KIND_IN_ARRAY, n, b }
#define BOTH_ARRAY(n, b)  { MX_KIND_BOTH_ARRAY, n, b }
#define OUT_ARRAY(n, b)   { MX_KIND_OUT_ARRAY, n, b }
#define BOTH_BITS(n)      { MX_KIND_BOTH_BITS, n, 0 }
#define ROOM(n)           { MX_KIND_ROOM, n, 0 }
#define NESTED(b)         { MX_KIND_NESTED, 0, b }
#define MESSAGE_IN        { MX_KIND_MESSAGE_IN, 0, 0 }
#define MESSAGE_OUT       { MX_KIND_MESSAGE_OUT, 0, 0 }
#define TEXTS             { MX_KIND_TEXTS, 0, 0 }
#define LENGTH            { MX_KIND_LENGTH, 0, 4 }

/* How many arguments a line has: the length of its list. */
#define COUNT(...) (sizeof (struct mx_call_arg[]){ { 0, 0, 0 }, ##__VA_ARGS__ } / sizeof(struct mx_call_arg) - 1)

static const struct mx_call_line lines[] = {
#define CALL(id, name, where, ...) { id, #name, MX_WHERE_##where, -1, 0, COUNT(__VA_ARGS__), { __VA_ARGS__ } },
#define VARIANT(id, name, variant, value, where, ...) \
    { id, #name, MX_WHERE_##where, variant, value, COUNT(__VA_ARGS__), { __VA_ARGS__ } },
#include "mosix-core/abi/calls.def"
#undef CALL
#undef VARIANT
};
/* clang-format on */

const struct mx_call_line *mx_call_at(unsigned index)
{
    return index < ARRAY_LEN(lines) ? &lines[index] : NULL;
}

/* Places of lines by their ids, and one more. */
enum {
#define CALL(id, ...)    AT_##id,
#define VARIANT(id, ...) AT_##id,
#include "mosix-core/abi/calls.def"
#undef CALL
#undef VARIANT
};
static const uint16_t places[MX_CALL_IDS] = {
#define CALL(id, ...)    [id] = AT_##id + 1,
#define VARIANT(id, ...) [id] = AT_##id + 1,
#include "mosix-core/abi/calls.def"
#undef CALL
#undef VARIANT
};

const struct mx_call_line *mx_call_by_id(uint16_t id)
{
    return id < MX_CALL_IDS && places[id] ? &lines[places[id] - 1] : NULL;
}

const struct mx_call_line *mx_call_pick(const char *name, const uint64_t args[MX_CALL_ARGS])
{
    for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
        const struct mx_call_line *l = &lines[i];
        if (strcmp(l->name, name) == 0 &&
            (l->variant < 0 || (uint32_t)args[l->variant] == l->value))
            return l;
    }
    return NULL;
}
