/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quote.h: words for a POSIX shell.
 * Must not know: what the words are for. */
#ifndef MRC_QUOTE_H
#define MRC_QUOTE_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>

/* Writes word so that any POSIX shell reads it as that one word again. Returns the length
 * without the NUL, or -ENAMETOOLONG when it does not fit (out is then an empty text). */
MUST int mrc_quote(char *out, size_t size_bytes, const char *word);

/* Is the program that the shell command text starts one that hands its arguments, joined by
 * blanks, to a shell over there (ssh and its like), rather than as they are (kubectl exec)?
 * Assignments and the usual wrappers (env, sudo, sshpass …) before it are skipped. */
bool mrc_via_rejoins(const char *text);

/* The shell command that runs `sh -c command` by the user's via command.
 * Returns 0 or -ENAMETOOLONG. */
MUST int mrc_via_command(char *out, size_t size_bytes, const char *via, const char *command);

#endif
