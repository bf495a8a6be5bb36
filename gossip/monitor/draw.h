/* SPDX-License-Identifier: GPL-2.0-or-later */
/* draw.h: a screen of cells on the terminal, and its keys.
 * Must not know: what is on it. Its source is the only file that knows ncurses. */
#ifndef GOSSIP_MONITOR_DRAW_H
#define GOSSIP_MONITOR_DRAW_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "gossip/monitor/core/layout.h"

/* Takes the terminal of standard input and output, until draw_close. It is given back also by
 * exit() and when a signal that means a mistake of ours ends the program. Returns 0, or -ENOTTY
 * with words. */
MUST int draw_open(struct err *e);
void draw_close(void);

/* The size as the terminal says now; at most MON_ROWS_MAX and MON_COLS_MAX. */
void draw_size(unsigned *rows, unsigned *cols);
void draw_show(const struct mon_screen *s);
/* The screen is as something else has left it: all of it is drawn anew. */
void draw_again(void);

/* The next key that was typed, as view.h has them; false: none waits. */
bool draw_key(unsigned *key);

#endif
