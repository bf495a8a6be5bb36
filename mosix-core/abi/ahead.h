/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.h: what a system call does to a file that is read ahead, and for how long what was sent
 * ahead may be given. Must not know: processes, sockets. Source: ahead.def. */
#ifndef MOSIX_CORE_ABI_AHEAD_H
#define MOSIX_CORE_ABI_AHEAD_H

#include "mosix-core/abi/calls.h"

enum {
    MX_AHEAD_STREAMS = 4,              /* files of a process that are read ahead at a time */
    MX_AHEAD_PIECE_MAX = 64 << 10,     /* bytes of one frame */
    MX_AHEAD_WINDOW_MIN = 256 << 10,   /* bytes that are sent and not taken, at first */
    MX_AHEAD_WINDOW_MAX = 8 << 20,     /* and at most: 1 Gbit/s for 64 ms */
    MX_AHEAD_QUEUE_MAX = 256 << 10,    /* bytes that wait for the connection: then no more */
    MX_AHEAD_REPORT_BYTES = 128 << 10, /* taken, until home is told */
    MX_AHEAD_GOOD_MS = 500,  /* so long after it has asked home the host may give what it has */
    MX_AHEAD_SLACK_MS = 100, /* and home keeps the file as it is for so much longer */
    MX_AHEAD_IDLE_MS = 2000, /* without a word of the host's it is given up */
};

/* In the order of how much they end. */
enum mx_ahead_effect {
    MX_AHEAD_STAYS,
    MX_AHEAD_ENDS,
    MX_AHEAD_DOUBLES, /* that descriptor, which another one of the process is the same as */
    MX_AHEAD_TOUCHES, /* that descriptor, which others may have from now on */
    MX_AHEAD_SHARES,  /* all descriptors */
    MX_AHEAD_SENDS,
};

/* What this call does to descriptor fd. line: of calls.def; NULL: it is in none. */
enum mx_ahead_effect mx_ahead_effect(const struct mx_call_line *line,
                                     const uint64_t args[MX_CALL_ARGS], int fd);

/* Does it open a file for writing, or for something that can't be seen here, and end with
 * EAGAIN where a lease would have it wait? */
bool mx_ahead_is_impatient(const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS]);

#endif
