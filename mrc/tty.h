/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tty.h: the user's terminal in raw mode and back.
 * Must not know: what is typed. */
#ifndef MRC_TTY_H
#define MRC_TTY_H

#include "mrc/job.h"

#include <stdbool.h>

/* The terminal's modes are saved at the first mrc_tty_raw and restored by mrc_tty_restore,
 * which may be called at any time and any number of times. fd must be a terminal.
 * keeps_signals: Ctrl-C and the like still make signals here; called again to change that. */
MUST int mrc_tty_raw(int fd, bool keeps_signals);
void mrc_tty_restore(void);

/* Our controlling terminal, in the modes that it had before us, for a process of ours that asks something there. False: there is none, or we
 * are not in its foreground. Given back, it has those modes again, whatever was left there. */
bool mrc_tty_lend(void);
void mrc_tty_give_back(void);

/* Size now. Returns 0 or -errno. */
MUST int mrc_tty_size(struct job_winsize *out);

#endif
