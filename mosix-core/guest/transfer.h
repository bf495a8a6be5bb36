/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transfer.h: reads and writes that are more than one call at home: vectors, and more bytes
 * than one call carries. Must not know: processes, sockets; memory is a struct mx_call_memory.
 * The buffers are seen as one run of bytes, which goes in pieces, and what one call would give
 * is given: less than was asked for only where a piece gave less. A read goes on only if there
 * is more already: what would have to be waited for is left. */
#ifndef MOSIX_CORE_GUEST_TRANSFER_H
#define MOSIX_CORE_GUEST_TRANSFER_H

#include "mosix-core/abi/marshal.h"

enum { MX_VECTORS_MAX = 1024 }; /* of one call, as the kernel has it */

struct mx_transfer {
    struct mx_call_memory memory;       /* of the body */
    bool is_active, is_read, is_asking; /* asking: whether there is more */
    const char *name;                   /* of the call for a piece */
    uint64_t args[MX_CALL_ARGS];        /* of the whole */
    int position_arg;                   /* which is the position in the file; -1: none */
    uint64_t total_bytes, done_bytes;
    int error;       /* that the call has if its descriptor is right; 0: none */
    uint8_t poll[8]; /* a struct pollfd */
    unsigned count;
    struct {
        uint64_t at, len_bytes;
    } vectors[MX_VECTORS_MAX];
};

/* Is this a call for us? Then it is begun. */
bool mx_transfer_begin(struct mx_transfer *t, const char *name,
                       const uint64_t args[MX_CALL_ARGS], const struct mx_call_memory *m);

/* The next call to be made at home: its line, arguments, and the memory that they point into,
 * which lives as long as t. */
const struct mx_call_line *mx_transfer_next(struct mx_transfer *t, uint64_t args[MX_CALL_ARGS],
                                            struct mx_call_memory *m);

/* That call gave result. Returns whether it was the last: *whole is what the whole gives. */
bool mx_transfer_result(struct mx_transfer *t, int64_t result, int64_t *whole);

#endif
