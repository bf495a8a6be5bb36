/* SPDX-License-Identifier: GPL-2.0-or-later */
/* paint.h: words and bars on a screen of cells; what has no room is left out.
 * Must not know: nodes. */
#ifndef GOSSIP_MONITOR_CORE_PAINT_H
#define GOSSIP_MONITOR_CORE_PAINT_H

#include "gossip/monitor/core/layout.h"
#include "gossip/monitor/core/shown.h"
#include "gossip/monitor/core/text.h"

/* What a layout draws: the rows from first to end of a screen. */
struct mon_canvas {
    const struct mon_screen *screen;
    struct mon_view *view;
    const struct mon_table *table;
    const uint32_t *order;
    uint32_t count;
    unsigned first, end;
};

void paint_clear(const struct mon_screen *s);
void paint_row(const struct mon_screen *s, unsigned row,
               enum mon_style style); /* blanks in a style */
void paint_cell(const struct mon_screen *s, unsigned row, unsigned col, uint16_t glyph,
                enum mon_style style);
/* At most width characters; returns how many there were. */
unsigned paint_words(const struct mon_screen *s, unsigned row, unsigned col, unsigned width,
                     const char *words, enum mon_style style);
/* Ending before col + width. */
void paint_right(const struct mon_screen *s, unsigned row, unsigned col, unsigned width,
                 const char *words, enum mon_style style);

struct paint_bar {
    unsigned row, col,
        width; /* of one that lies; of one that stands, row is its foot and width its height */
    int64_t value, whole, scale;
    enum mon_style style;
    bool is_log, is_ascii;
};
void paint_bar(const struct mon_screen *s, const struct paint_bar *b);
void paint_standing_bar(const struct mon_screen *s, const struct paint_bar *b,
                        unsigned breadth);

/* The layouts. */
void mon_layout_list(struct mon_canvas *c);
void mon_layout_bars(struct mon_canvas *c);
void mon_layout_map(struct mon_canvas *c);
void mon_layout_help(struct mon_canvas *c);

#endif
