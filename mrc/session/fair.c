/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fair.c: start-time fair queueing.
 * Must not know: frames, channels. */
#include "mrc/session/fair.h"

void fair_update(const struct fair_clock *c, struct fair_sender *s, bool is_ready)
{
    if (is_ready && !s->was_ready && s->start < c->now)
        s->start = c->now;
    s->was_ready = is_ready;
}

void fair_charge(struct fair_clock *c, struct fair_sender *s, uint32_t len_bytes,
                 uint8_t weight)
{
    c->now = s->start;
    /* Scaled so that small packets of heavy senders still count. */
    s->start += ((uint64_t)len_bytes * 256) / (weight ? weight : 1) + 1;
}
