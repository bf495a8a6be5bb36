/* SPDX-License-Identifier: GPL-2.0-or-later */
/* statusline.h: one line on the user's terminal that comes and goes.
 * Must not know: what it says. */
#ifndef MRC_STATUSLINE_H
#define MRC_STATUSLINE_H

#include <stdbool.h>

/* Shows text, cut to the terminal's width, in place of what was shown before. If fd is no terminal nothing happens. has_screen: a
 * program there may have drawn on all of it: then the last line is used, and the cursor comes back to where it was. */
void mrc_statusline_show(int fd, bool has_screen, const char *text);
void mrc_statusline_clear(int fd, bool has_screen);

#endif
