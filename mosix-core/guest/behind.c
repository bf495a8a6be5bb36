/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.c: writes that are not waited for, where the body is.
 * Must not know: what a file is.
 * Whatever the body does afterwards comes home behind them, on the same connection, so nobody
 * can tell that they were made later. */
#include "mosix-core/guest/behind.h"

#include "common/sys/clock.h"
#include "mosix-core/guest/body.h"
#include "mosix-core/guest/parts.h"

#include <errno.h>

static bool has(const struct mx_behind *h, int fd)
{
    for (unsigned i = 0; i < h->count; i++)
        if (h->fds[i] == fd)
            return true;
    return false;
}

void mx_behind_look(struct mx_body *b, const struct mx_call_line *line,
                    const uint64_t args[MX_CALL_ARGS])
{
    struct mx_behind *h = &b->behind;
    h->waiting = 0;
    for (unsigned i = 0; i < h->count;)
        if (mx_behind_ends(line, args, h->fds[i]))
            h->fds[i] = h->fds[--h->count];
        else
            i++;
}

void mx_behind_leave(struct mx_body *b, bool *is_again)
{
    *is_again = b->behind.waiting != 0;
    b->behind.waiting = b->behind.count = 0;
}

/* Is there room for so much more on its way? One that is larger than all goes alone. */
static bool has_room(const struct mx_behind *h, uint64_t len_bytes)
{
    return h->sent == h->done || h->sent - h->done + len_bytes <= h->limit;
}

int mx_behind_write(struct guest *g, struct mx_body *b, const struct mx_call_line *line,
                    const uint64_t args[MX_CALL_ARGS], const struct mx_call_memory *m,
                    int64_t *result)
{
    struct mx_behind *h = &b->behind;
    uint64_t at, len_bytes = args[2];
    if (!h->count || !mx_behind_is_write(line, args, &at) || !has(h, (int)args[0]) ||
        g->is_pausing || buf_len(&g->link.out) > MX_BEHIND_QUEUE_MAX)
        return 0;
    if (!has_room(h, len_bytes)) {
        h->waiting = len_bytes;
        h->was_full = true;
        return 2;
    }
    struct wr *w = mx_link_begin(&g->link, MX_TALK_BEHIND_BYTES, b->who);
    put_u32(w, (uint32_t)args[0]);
    put_u64(w, at);
    if (m->read(m->ctx, args[1], w->at, (size_t)len_bytes) < 0)
        return 0; /* home's kernel knows what becomes of it */
    w->at += len_bytes;
    h->sent += len_bytes;
    if (!h->clocked_at) {
        h->clocked_at = h->sent;
        h->clocked_ms = clock_mono_ms();
    }
    *result = (int64_t)len_bytes;
    int rc = mx_link_send(&g->link);
    return rc < 0 ? rc : 1;
}

/* As much as a wire takes in a moment: what is on its way has to come home before a move. */
static void fit_limit(struct mx_behind *h)
{
    if (!h->clocked_at || h->done < h->clocked_at)
        return;
    uint64_t took_ms = clock_mono_ms() - h->clocked_ms;
    if (took_ms > MX_BEHIND_SLOW_MS && h->limit > MX_BEHIND_LIMIT_MIN)
        h->limit /= 2;
    else if (took_ms < MX_BEHIND_FAST_MS && h->was_full && h->limit < MX_BEHIND_LIMIT_MAX)
        h->limit *= 2;
    h->clocked_at = 0;
    h->was_full = false;
}

static int on_open(struct guest *g, struct mx_body *b, struct rd *r)
{
    struct mx_behind *h = &b->behind;
    uint32_t fd;
    if (get_u32(r, &fd) < 0 || rd_left(r))
        return -EPROTO;
    if (g->is_pausing || b->back != MX_BACK_NONE || h->count == MX_BEHIND_FDS ||
        has(h, (int)fd))
        return 0;
    h->fds[h->count++] = (int)fd;
    if (!h->limit)
        h->limit = MX_BEHIND_LIMIT_FIRST;
    return 0;
}

int mx_behind_frame(struct guest *g, struct mx_body *b, struct mx_talk_frame *f, bool *is_again)
{
    struct mx_behind *h = &b->behind;
    uint64_t done;
    uint8_t may;
    *is_again = false;
    if (f->kind == MX_TALK_BEHIND_OPEN)
        return on_open(g, b, &f->body);
    if (get_u64(&f->body, &done) < 0 || get_u8(&f->body, &may) < 0 || rd_left(&f->body) ||
        done > h->sent - h->done)
        return -EPROTO;
    h->done += done;
    fit_limit(h);
    if (!may) {
        mx_behind_leave(b, is_again);
    } else if (h->waiting && has_room(h, h->waiting)) {
        h->waiting = 0;
        *is_again = true;
    }
    return 0;
}
