/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layout_help.c: what the keys do (keys.def).
 * Must not know: terminals. */
#include "gossip/monitor/core/paint.h"

static const struct {
    const char *key, *words;
} keys[] = {
#define KEY(key, words) { key, words },
#include "gossip/monitor/core/keys.def"
#undef KEY
};

enum { KEY_COLS = 9, COUNT = sizeof keys / sizeof *keys };

void mon_layout_help(struct mon_canvas *c)
{
    struct mon_view *v = c->view;
    unsigned rows = c->end - c->first;
    v->help_page = rows;
    if (v->help_first + rows > COUNT)
        v->help_first = COUNT > rows ? COUNT - rows : 0;
    for (unsigned i = 0; i < rows && v->help_first + i < COUNT; i++) {
        paint_words(c->screen, c->first + i, 1, KEY_COLS, keys[v->help_first + i].key,
                    MON_KEYCAP);
        paint_words(c->screen, c->first + i, KEY_COLS + 2, c->screen->cols,
                    keys[v->help_first + i].words, MON_PLAIN);
    }
}
