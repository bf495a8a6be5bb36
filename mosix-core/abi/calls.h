/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calls.h: the table of system calls: what each argument is and where the call is made.
 * Must not know: processes, the numbers of this machine's kernel. Source: calls.def, kinds.def.
 */
#ifndef MOSIX_CORE_ABI_CALLS_H
#define MOSIX_CORE_ABI_CALLS_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MX_CALL_ARGS = 6,
    MX_CALL_IDS = 512, /* all are below */
    MX_CALL_BYTES_MAX = 1 << 20, /* all that one call carries in one direction; more goes in
                                    pieces or otherwise */
    MX_CALL_PATH_MAX = 4096,     /* with its NUL, as for the kernel */
};

enum mx_form {
    MX_FORM_VALUE,   /* the argument is all */
    MX_FORM_TEXT,    /* it points to text */
    MX_FORM_COUNTED, /* to as many bytes as argument n says */
    MX_FORM_FIXED,   /* to bytes */
    MX_FORM_ARRAY,   /* to as many times bytes as argument n says */
    MX_FORM_BITS,    /* to as many bits as argument n says, in words of 64 */
    MX_FORM_ROOM,    /* to as many bytes as the 32 bits say to which argument n points */
    MX_FORM_TEXTS,   /* to pointers to texts, the last NULL */
    MX_FORM_MESSAGE, /* to a struct msghdr */
    MX_FORM_NESTED,  /* to a pointer to bytes, and their length (u64) */
};

enum mx_direction { MX_DIR_NONE = 0, MX_DIR_IN = 1, MX_DIR_OUT = 2, MX_DIR_BOTH = 3 };

enum mx_kind {
#define KIND(name, form, direction) MX_KIND_##name,
#include "mosix-core/abi/kinds.def"
#undef KIND
    MX_KINDS,
};

struct mx_kind_line {
    const char *name;
    enum mx_form form;
    enum mx_direction direction;
};
const struct mx_kind_line *mx_kind_line(enum mx_kind kind);

enum mx_where {
    MX_WHERE_HOME, /* the deputy makes it */
    MX_WHERE_HERE, /* the kernel that the body runs on, unseen */
    MX_WHERE_BOTH, /* the deputy, and when it succeeds there, this kernel too */
    MX_WHERE_SEEN, /* where the body is, as its supervisor does it */
};

struct mx_call_arg {
    uint8_t kind; /* enum mx_kind */
    uint8_t n;    /* which argument has the length */
    uint16_t bytes;
};

struct mx_call_line {
    uint16_t id;
    const char *name;
    enum mx_where where;
    int8_t variant; /* which argument must have value; -1: any */
    uint32_t value;
    uint8_t arg_count;
    struct mx_call_arg args[MX_CALL_ARGS];
};

/* Is the call sent home? */
static inline bool mx_call_travels(const struct mx_call_line *line)
{
    return line->where == MX_WHERE_HOME || line->where == MX_WHERE_BOTH;
}

/* Lines in the order of calls.def; NULL behind the last. */
const struct mx_call_line *mx_call_at(unsigned index);
/* NULL for an id that is not known. */
const struct mx_call_line *mx_call_by_id(uint16_t id);
/* The line for a call by this name with these arguments, or NULL. */
const struct mx_call_line *mx_call_pick(const char *name, const uint64_t args[MX_CALL_ARGS]);

#endif
