/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mapping.h: a file of home's that a body maps: its bytes are copied into memory that is the
 * body's own. Must not know: sockets. Calls at home are made by the caller, one after another,
 * as for mx_transfer. Private mappings are what they would be, but that later changes of the
 * file are never seen. Shared ones of a descriptor that can't be written are copied too. All
 * other shared ones are for home. */
#ifndef MOSIX_CORE_GUEST_MAPPING_H
#define MOSIX_CORE_GUEST_MAPPING_H

#include "mosix-core/abi/marshal.h"
#include "mosix-core/image/tracee.h"

struct mx_body;

enum mx_mapping_step {
    MX_MAP_NONE,
    MX_MAP_STAT,  /* asks what the file is */
    MX_MAP_FLAGS, /* and whether it may be written */
    MX_MAP_CHECK, /* and whether it may be read */
    MX_MAP_READ,  /* memory is there, and is being filled; the body stands still */
};

struct mx_mapping {
    enum mx_mapping_step step;
    uint64_t args[MX_CALL_ARGS];
    uint8_t stat[144];
    uint64_t at, done_bytes, file_bytes; /* file_bytes: of the file, in the mapping */
    struct mx_tracee t;
};

enum { MX_MAPPING_MORE = 1, MX_MAPPING_HOME = 2 };

/* b waits in mmap. Returns 0: calls are to be made; MX_MAPPING_HOME: it is shared, and may be
 * written; -errno: what mmap gives. */
MUST int mx_mapping_begin(struct mx_body *b);

/* The next call at home. */
const struct mx_call_line *mx_mapping_next(struct mx_body *b, uint64_t args[MX_CALL_ARGS],
                                           struct mx_call_memory *m);

/* It gave result. Returns MX_MAPPING_MORE when there are more; MX_MAPPING_HOME: it may become
 * what can be written, and nothing has been done yet; 0 when it is over: the body goes on, with
 * the signals that came meanwhile; -ESRCH when it is gone. */
MUST int mx_mapping_result(struct mx_body *b, int listener, int64_t result, struct err *e);

#endif
