/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layout.h: a screen of cells from a table of nodes, a view and a size.
 * Must not know: terminals, where the table comes from.
 * Nothing is said by colour alone: each style has words or glyphs of its own beside it. */
#ifndef GOSSIP_MONITOR_CORE_LAYOUT_H
#define GOSSIP_MONITOR_CORE_LAYOUT_H

#include "gossip/monitor/core/view.h"

enum { MON_ROWS_MAX = 1000, MON_COLS_MAX = 1000 };

enum mon_style {
    MON_PLAIN,
    MON_TITLE, /* first and last line */
    MON_HEAD,  /* of a column */
    MON_DIM,   /* old, free, not known */
    MON_LOW,   /* of a bar: little */
    MON_MIDDLE,
    MON_HIGH,
    MON_GOOD,   /* words: alive */
    MON_WARN,   /* words: SUSPECT, and what is not as it should be */
    MON_BAD,    /* words: DEAD */
    MON_KEYCAP, /* a key of the help */
    MON_STYLES
};

struct mon_cell {
    uint16_t glyph; /* a character of the basic plane, one column wide */
    uint8_t style;
};

/* cells: rows * cols, the caller's. */
struct mon_screen {
    unsigned rows, cols;
    struct mon_cell *cells;
};

/* What of the daemon is said in the last line. */
struct mon_source {
    const char *words;     /* why there is no answer; NULL when all is well */
    int64_t answer_age_ms; /* of what is shown; MON_UNKNOWN: nothing was ever heard */
};

/* Draws all cells. order: from mon_view_choose, count of them. Notes in v how much fits. rows
 * and cols may be 0. */
void mon_layout(const struct mon_screen *s, struct mon_view *v, const struct mon_table *t,
                const uint32_t *order, size_t count, const struct mon_source *from);

#endif
