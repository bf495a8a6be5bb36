/* SPDX-License-Identifier: GPL-2.0-or-later */
/* asking.h: is the user being asked something by a process of ours?
 * Must not know: what for. */
#ifndef MRC_ASKING_H
#define MRC_ASKING_H

#include <stdbool.h>
#include <sys/types.h>

enum { MRC_ASKING_PROCESSES_MAX = 64 };

/* Whether root or one of its descendants reads a terminal, or is $SSH_ASKPASS, or the terminal
 * does not show what is typed (somebody asks for a password, perhaps as another user, whose
 * processes can't be looked at). */
bool mrc_is_asking(pid_t root);

#endif
