/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.h: which system calls leave a promise that writes to a descriptor will succeed as it
 * was, and how much may be on its way. Must not know: processes, sockets. */
#ifndef MOSIX_CORE_ABI_BEHIND_H
#define MOSIX_CORE_ABI_BEHIND_H

#include "mosix-core/abi/calls.h"

enum {
    MX_BEHIND_FDS = 4,                 /* descriptors of a process with such a promise */
    MX_BEHIND_LIMIT_MIN = 64 << 10,    /* bytes that are sent and not known to be written; */
    MX_BEHIND_LIMIT_FIRST = 256 << 10, /* so many at first, */
    MX_BEHIND_LIMIT_MAX = 8 << 20,     /* and at most: 1 Gbit/s for 64 ms */
    MX_BEHIND_FAST_MS = 50,            /* written so soon: twice as many may be on their way; */
    MX_BEHIND_SLOW_MS = 200,           /* later than this: half as many */
    MX_BEHIND_QUEUE_MAX = 16 << 20,    /* bytes that wait for the connection, of all bodies */
};

/* What is not its offset: of the frame BEHIND_BYTES. */
static const uint64_t mx_behind_nowhere = UINT64_MAX;

/* Does this call end what was promised of descriptor fd? What only reads, writes or asks
 * doesn't, and what is done to other descriptors; of any other call it is not known what it
 * changes. What home is asked for in the name of a call must end no more than that does. line:
 * of calls.def; NULL: it is in none. */
bool mx_behind_ends(const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS], int fd);

/* Is it one that a promise is of? Then *at is where it writes, or mx_behind_nowhere. */
bool mx_behind_is_write(const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS],
                        uint64_t *at);

#endif
