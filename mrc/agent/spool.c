/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spool.c: see spool.h.
 * Must not know: descriptors, sessions. */
#include "mrc/agent/spool.h"

#include <errno.h>

void spool_init(struct spool *s, size_t keep_max, size_t window_bytes)
{
    *s = (struct spool){ .keep_max = keep_max };
    buf_init(&s->kept, keep_max + window_bytes);
}

void spool_fini(struct spool *s)
{
    buf_fini(&s->kept);
}

static uint64_t pay(struct spool *s)
{
    if (buf_len(&s->kept) > s->keep_max)
        return 0;
    uint64_t credit = s->owed;
    s->owed = 0;
    return credit;
}

int spool_take(struct spool *s, struct bytes body, uint64_t *credit)
{
    if (body.len > buf_room(&s->kept))
        return -ENOSPC;
    int rc = buf_append(&s->kept, body.ptr, body.len);
    if (rc < 0)
        return rc;
    s->total += body.len;
    s->owed += body.len;
    *credit = pay(s);
    return 0;
}

void spool_visit(struct spool *s)
{
    s->sent = s->visit_at = s->acked;
}

struct bytes spool_next(const struct spool *s)
{
    return (struct bytes){ buf_at(&s->kept) + (s->sent - s->acked), (uint32_t)(s->total - s->sent) };
}

void spool_gave(struct spool *s, size_t len_bytes)
{
    s->sent += len_bytes;
}

int spool_confirm(struct spool *s, uint64_t total, uint64_t *credit)
{
    *credit = 0;
    if (total > s->sent - s->visit_at)
        return -EPROTO;
    if (s->visit_at + total <= s->acked)
        return 0; /* known */
    buf_consume(&s->kept, (size_t)(s->visit_at + total - s->acked));
    s->acked = s->visit_at + total;
    *credit = pay(s);
    return 0;
}

bool spool_is_given(const struct spool *s)
{
    return s->is_ended && s->sent == s->total;
}

bool spool_is_done(const struct spool *s)
{
    return s->is_ended && s->acked == s->total;
}
