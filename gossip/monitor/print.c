/* SPDX-License-Identifier: GPL-2.0-or-later */
/* print.c: all nodes as plain text.
 * Must not know: terminals. */
#include "gossip/monitor/print.h"

#include "gossip/monitor/core/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLS_DEFAULT = 100,
    COLS_LEAST = 40,
    EXTRA_ROWS = 8
}; /* title, heads, totals, status: there is room for all */

static bool is_empty(const struct mon_screen *s, unsigned row)
{
    const struct mon_cell *cells = s->cells + (size_t)row * s->cols;
    unsigned col = 0;
    while (col < s->cols && cells[col].glyph == ' ')
        col++;
    return col == s->cols;
}

static void print_row(const struct mon_screen *s, unsigned row)
{
    const struct mon_cell *cells = s->cells + (size_t)row * s->cols;
    unsigned end = s->cols;
    while (end && cells[end - 1].glyph == ' ')
        end--;
    for (unsigned i = 0; i < end; i++) {
        unsigned g = cells[i].glyph;
        if (g < 0x80)
            putchar((int)g);
        else if (g < 0x800)
            printf("%c%c", (int)(0xc0 | g >> 6), (int)(0x80 | (g & 0x3f)));
        else
            printf("%c%c%c", (int)(0xe0 | g >> 12), (int)(0x80 | (g >> 6 & 0x3f)),
                   (int)(0x80 | (g & 0x3f)));
    }
    putchar('\n');
}

int print_table(const struct mon_table *t, struct mon_view *v, uint32_t start, struct err *e)
{
    const char *columns = getenv("COLUMNS");
    long cols = columns ? strtol(columns, NULL, 10) : COLS_DEFAULT;
    cols = cols < COLS_LEAST ? COLS_LEAST : cols > MON_COLS_MAX ? MON_COLS_MAX : cols;
    uint32_t *order = malloc((t->count + 1) * sizeof *order);
    size_t count = order ? mon_view_choose(v, t, order) : 0, first = 0;
    struct mon_screen s = { (unsigned)count + EXTRA_ROWS, (unsigned)cols, NULL };
    const struct mon_source from = { NULL, 0 };
    s.cells = malloc((size_t)s.rows * s.cols * sizeof *s.cells);
    if (!s.cells || !order) {
        free(s.cells);
        free(order);
        return err_set(e, ENOMEM, "print %zu nodes", t->count);
    }
    while (start && first < count && t->nodes[order[first]].number != start)
        first++;
    first = first < count ? first : 0;
    v->layout = MON_LIST;
    mon_layout(&s, v, t, order + first, count - first, &from);
    for (unsigned row = 0; row + 1 < s.rows;
         row++) /* without the last, which is about mosixd */
        if (row < 2 || !is_empty(&s, row))
            print_row(&s, row);
    free(s.cells);
    free(order);
    return ferror(stdout) || fflush(stdout) ? err_set(e, EIO, "write to standard output") : 0;
}

int print_raw(const char *ptr, size_t len_bytes, struct err *e)
{
    fwrite(ptr, 1, len_bytes, stdout);
    if (!len_bytes || ptr[len_bytes - 1] != '\n')
        putchar('\n');
    return ferror(stdout) || fflush(stdout) ? err_set(e, EIO, "write to standard output") : 0;
}

bool print_find_cluster(const struct mon_table *t, const char *name, int *number)
{
    char *rest;
    unsigned long n = strtoul(name, &rest, 10);
    for (size_t i = 0; i < t->cluster_count; i++)
        if (strcmp(t->clusters[i].name, name) == 0 ||
            (*name && !*rest && t->clusters[i].number == n)) {
            *number = (int)t->clusters[i].number;
            return true;
        }
    return false;
}
