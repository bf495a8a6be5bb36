/* SPDX-License-Identifier: GPL-2.0-or-later */
/* input.h: may what a job leaves unread of a descriptor be wanted by somebody else?
 * Must not know: jobs, the session. */
#ifndef MRC_INPUT_H
#define MRC_INPUT_H

#include <stdbool.h>

enum { MRC_INPUT_ANCESTORS_MAX = 64 };

/* True if fd is a pipe, socket or file that no ancestor of ours can read: then nothing is lost
 * by reading ahead. In "tar c . | mrc host gzip" the shell has closed its copies; in "while
 * read x; do mrc host true; done" the loop holds the same pipe. (dash holds it as well while it
 * runs "mrc host gzip <file", so there it is false.) False in doubt: another user's parent,
 * more ancestors than MRC_INPUT_ANCESTORS_MAX, no /proc. Source: proc(5). */
bool mrc_input_is_ours(int fd);

#endif
