/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ask.h: questions to the person at the terminal: passwords, passphrases, yes or no.
 * Must not know: what the answers are for. */
#ifndef MRC_ASK_H
#define MRC_ASK_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>

enum { MRC_ASK_BYTES = 1024 }; /* longest answer, with the NUL */

/* Asks on /dev/tty, with echo off for a secret, or by $SSH_ASKPASS as ssh(1) says ("force",
 * "prefer", or without a terminal when there is a display). The terminal is put back after
 * signals too; Ctrl-Z stops the process and the question is asked again afterwards.
 * Returns the length of the answer (wipe it after use); -ENXIO nobody can be asked;
 * -ECANCELED Ctrl-C, end of file, or told to end. */
MUST int mrc_ask(const char *question, bool is_secret, char answer[MRC_ASK_BYTES]);

#endif
