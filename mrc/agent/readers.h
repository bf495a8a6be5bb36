/* SPDX-License-Identifier: GPL-2.0-or-later */
/* readers.h: who of a job waits for its standard input, when that is a pipe: a pipe itself
 * can't tell. Must not know: where the bytes come from. Source: proc(5), /proc/pid/syscall: the
 * system call that a sleeping thread is in. */
#ifndef MRC_AGENT_READERS_H
#define MRC_AGENT_READERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum readers_want {
    READERS_NONE,
    READERS_HIDDEN, /* somebody's calls may not be looked at: it may be starting or ending, or
                       hide itself */
    READERS_READ,   /* a read of size bytes waits */
    READERS_POLL,   /* somebody waits until there is something */
};

/* Looks at every process below /proc but our own. link: what readlink gives for the pipe
 * ("pipe:[123]"). Who waits counts before who hides. */
enum readers_want readers_look(const char *link, uint64_t *size);

#endif
