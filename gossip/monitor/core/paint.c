/* SPDX-License-Identifier: GPL-2.0-or-later */
/* paint.c: words and bars on a screen of cells.
 * Must not know: nodes. */
#include "gossip/monitor/core/paint.h"

#include <string.h>

enum { EIGHTHS = 8 };

void paint_cell(const struct mon_screen *s, unsigned row, unsigned col, uint16_t glyph,
                enum mon_style style)
{
    if (row < s->rows && col < s->cols)
        s->cells[(size_t)row * s->cols + col] = (struct mon_cell){ glyph, (uint8_t)style };
}

void paint_row(const struct mon_screen *s, unsigned row, enum mon_style style)
{
    for (unsigned col = 0; col < s->cols; col++)
        paint_cell(s, row, col, ' ', style);
}

void paint_clear(const struct mon_screen *s)
{
    for (unsigned row = 0; row < s->rows; row++)
        paint_row(s, row, MON_PLAIN);
}

unsigned paint_words(const struct mon_screen *s, unsigned row, unsigned col, unsigned width,
                     const char *words, enum mon_style style)
{
    unsigned n = 0;
    for (; words[n] && n < width; n++)
        paint_cell(s, row, col + n, (unsigned char)words[n], style);
    return n;
}

void paint_right(const struct mon_screen *s, unsigned row, unsigned col, unsigned width,
                 const char *words, enum mon_style style)
{
    size_t len = strlen(words);
    unsigned blank = len < width ? width - (unsigned)len : 0;
    paint_words(s, row, col + blank, width - blank, words, style);
}

void paint_bar(const struct mon_screen *s, const struct paint_bar *b)
{
    unsigned per_cell = b->is_ascii ? 1 : EIGHTHS;
    unsigned full = mon_shown_steps(b->value, b->scale, b->width * per_cell, b->is_log);
    unsigned whole = mon_shown_steps(b->whole, b->scale, b->width, b->is_log);
    for (unsigned i = 0; i < b->width; i++) {
        unsigned part = full > i * per_cell ? full - i * per_cell : 0;
        if (part >= per_cell)
            paint_cell(s, b->row, b->col + i, b->is_ascii ? '#' : 0x2588, b->style);
        else if (part)
            paint_cell(s, b->row, b->col + i, (uint16_t)(0x2590 - part), b->style);
        else if (i < whole)
            paint_cell(s, b->row, b->col + i, b->is_ascii ? '+' : 0x2591, MON_DIM);
        else
            paint_cell(s, b->row, b->col + i, b->is_ascii ? '.' : 0x00b7, MON_DIM);
    }
}

void paint_standing_bar(const struct mon_screen *s, const struct paint_bar *b, unsigned breadth)
{
    unsigned per_cell = b->is_ascii ? 1 : EIGHTHS;
    unsigned full = mon_shown_steps(b->value, b->scale, b->width * per_cell, b->is_log);
    unsigned whole = mon_shown_steps(b->whole, b->scale, b->width, b->is_log);
    for (unsigned i = 0; i < b->width && i <= b->row; i++) {
        unsigned part = full > i * per_cell ? full - i * per_cell : 0;
        for (unsigned j = 0; j < breadth; j++) {
            if (part >= per_cell)
                paint_cell(s, b->row - i, b->col + j, b->is_ascii ? '#' : 0x2588, b->style);
            else if (part)
                paint_cell(s, b->row - i, b->col + j, (uint16_t)(0x2580 + part), b->style);
            else if (i < whole)
                paint_cell(s, b->row - i, b->col + j, b->is_ascii ? '+' : 0x2591, MON_DIM);
        }
    }
}
