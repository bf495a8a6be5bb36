/* SPDX-License-Identifier: GPL-2.0-or-later */
/* topcommand.h: mrc top: what this user's jobs do at the moment.
 * Must not know: how jobs tell it (activity.h). */
#ifndef MRC_TOPCOMMAND_H
#define MRC_TOPCOMMAND_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/activity.h"

#include <stdbool.h>
#include <stddef.h>

struct top_opts {
    bool is_once; /* one list, of half a second, and the end; so too if standard output is no terminal */
    bool wants_json; /* the same in JSON */
};

/* Prints until the user types q. Returns 0 or -errno with words. */
MUST int mrc_top(const struct top_opts *o, struct err *e);

/* ---- toplist.c ---- */

struct top_row {
    struct activity now;
    uint64_t sent_rate, received_rate; /* bytes a second */
    uint64_t age_ms;
};

struct top_list {
    struct top_row *rows; /* by host, views before jobs, then by age */
    size_t count, jobs;
    uint64_t at_ms; /* when it was made; 0: never */
};

/* Takes a new list in place of the one before, with the rates between the two. Returns 0 or -errno. */
MUST int top_list_next(struct top_list *l);
void top_list_fini(struct top_list *l);
/* The rates of now against before (which is of the same process), pure. */
void top_row_rates(struct top_row *now, const struct activity *before);

/* ---- topscreen.c ---- */

/* The terminal, taken for a list that changes. */
MUST int top_screen_begin(struct err *e);
void top_screen_end(void);
/* Shows text, which has lines, cut to the terminal's size; waits wait_ms for a key or a change of size. Returns
 * false when the user wants no more. */
bool top_screen_show(const char *text, int wait_ms);

#endif
