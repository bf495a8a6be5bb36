/* SPDX-License-Identifier: GPL-2.0-or-later */
/* progress.c: see progress.h.
 * Must not know: terminals. */
#include "mrc/progress.h"

#include <string.h>

enum { RATE_WEIGHT = 4 }; /* looks over which the rate is smoothed */

static void begin(struct progress *p, const struct progress_look *l, uint64_t first_bytes)
{
    p->is_moving = true;
    p->since_ms = l->now_ms;
    p->first_bytes = first_bytes;
    p->rate = 0;
}

static void measure(struct progress *p, const struct progress_look *l, uint64_t moved)
{
    uint64_t took_ms = l->now_ms - p->look_ms;
    if (!took_ms)
        return;
    uint64_t rate = moved * 1000 / took_ms;
    p->rate = p->rate ? (p->rate * (RATE_WEIGHT - 1) + rate) / RATE_WEIGHT : rate;
}

enum progress_order progress_step(struct progress *p, const struct progress_look *l, struct progress_line *out)
{
    /* Another view's figures may begin anew. */
    uint64_t before = p->is_begun && l->sent_bytes >= p->sent_bytes ? p->sent_bytes : l->sent_bytes;
    uint64_t moved = l->sent_bytes - before;
    bool moves = p->is_begun && (moved >= PROGRESS_LEAST || (moved && l->unsent_bytes));
    bool was_shown = p->is_shown;
    if (moves)
        p->last_ms = l->now_ms;
    if (moves && (!p->is_moving || l->has_printed))
        begin(p, l, before);
    if (p->is_moving && !moves && (l->now_ms - p->last_ms >= PROGRESS_QUIET_MS || l->has_printed))
        p->is_moving = false;
    if (p->is_moving)
        measure(p, l, moved);
    p->is_begun = true;
    p->look_ms = l->now_ms;
    p->sent_bytes = l->sent_bytes;
    p->is_shown = p->is_moving && l->is_allowed && l->now_ms - p->since_ms >= PROGRESS_WAIT_MS;
    if (!p->is_shown)
        return was_shown ? PROGRESS_ERASE : PROGRESS_NOTHING;
    *out = (struct progress_line){ l->sent_bytes - p->first_bytes, p->rate };
    return PROGRESS_DRAW;
}

void progress_erased(struct progress *p)
{
    p->is_shown = false;
}
