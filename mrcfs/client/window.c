/* SPDX-License-Identifier: GPL-2.0-or-later */
/* window.c: how far ahead of its reader a file is asked for, and how much the way to the server
 * holds.
 * Must not know: files, sockets, clocks. No I/O.
 *
 * The window is four times what was read in order, so that little is in vain when a reader
 * stops, and grows within two round trips to what the way holds. The kernel alone is never more
 * than 128 KiB ahead, and an ordinary user can't change that. */
#include "mrcfs/client/window.h"

enum {
    GROWTH = 4,
    RUN_MIN = 64 << 10,    /* read in order before anything is asked for ahead */
    START_MIN = 128 << 10, /* a first read of so much at the file's start is one in order:
                              nobody who looks at its head asks for that */
    IDLE_US = 1000000,
    SAMPLES = 8, /* whose mean counts */
    WHOLE_US = 100000, /* a file's bytes may take so long, or a round trip, for each read elsewhere */
    WHOLES = 16, /* that are counted */
};

void mfs_rate_sent(const struct mfs_rate *r, struct mfs_rate_sample *x, uint64_t now_us)
{
    *x = (struct mfs_rate_sample){ now_us, r->delivered_bytes };
}

void mfs_rate_came(struct mfs_rate *r, const struct mfs_rate_sample *x, size_t bytes,
                   uint64_t now_us)
{
    uint64_t took_us = now_us > x->sent_us ? now_us - x->sent_us : 1;
    r->delivered_bytes += bytes;
    uint64_t delivered = r->delivered_bytes - x->delivered_bytes;
    uint64_t rate =
        delivered < UINT64_MAX / 1000000 ? delivered * 1000000 / took_us : r->bytes_per_s;
    /* What was held up comes at once: one sample says little. */
    r->bytes_per_s =
        r->bytes_per_s ? r->bytes_per_s - r->bytes_per_s / SAMPLES + rate / SAMPLES : rate;
    /* While much is on the way, answers wait for each other, and the way seems longer than it
     * is: only after a rest can it be seen to have become so. */
    bool was_idle = x->sent_us > r->last_us && x->sent_us - r->last_us > IDLE_US;
    if (!r->least_us || was_idle || took_us < r->least_us)
        r->least_us = took_us;
    r->last_us = now_us;
}

void mfs_rate_echo(struct mfs_rate *r, uint64_t took_us)
{
    if (took_us && (!r->least_us || took_us < r->least_us))
        r->least_us = took_us;
}

size_t mfs_rate_window(const struct mfs_rate *r)
{
    uint64_t us = r->least_us < 10000000 ? r->least_us : 10000000;
    uint64_t rate = r->bytes_per_s < 1ULL << 40 ? r->bytes_per_s : 1ULL << 40;
    uint64_t holds = rate / 1000 * us / 1000;
    if (holds >= MFS_READ_WINDOW_MAX / 5 * 4)
        return MFS_READ_WINDOW_MAX;
    uint64_t want = holds + (holds / 4 > MFS_READ_PIECE_MAX ? holds / 4 : MFS_READ_PIECE_MAX);
    want = want < MFS_READ_WINDOW_MAX ? want : MFS_READ_WINDOW_MAX;
    return want < MFS_READ_WINDOW_MIN ? MFS_READ_WINDOW_MIN : (size_t)want;
}

/* The next multiple of a step. */
static uint64_t up(uint64_t at)
{
    return (at + MFS_READ_STEP_BYTES - 1) / MFS_READ_STEP_BYTES * MFS_READ_STEP_BYTES;
}

enum mfs_read_order mfs_window_judge(const struct mfs_window *w, uint64_t offset)
{
    if (w->run_bytes && (offset == w->next || (offset > w->next && offset < w->end)))
        return MFS_READ_NEXT;
    bool is_second = w->stray_next && offset == w->stray_next;
    return w->end <= w->next || is_second ? MFS_READ_ANEW : MFS_READ_STRAY;
}

void mfs_window_read(struct mfs_window *w, uint64_t offset, size_t size_bytes,
                     uint64_t file_bytes, size_t limit_bytes, struct mfs_range *ask)
{
    enum mfs_read_order order = mfs_window_judge(w, offset);
    bool is_run = order == MFS_READ_NEXT || (offset == 0 && size_bytes >= START_MIN);
    bool is_sane =
        file_bytes <= INT64_MAX && offset <= file_bytes && size_bytes <= INT64_MAX - offset;
    *ask = (struct mfs_range){ 0, 0 };
    w->stray_next = order == MFS_READ_STRAY && is_sane ? offset + size_bytes : 0;
    if (order == MFS_READ_ANEW)
        *w = (struct mfs_window){ .jumps = w->jumps, .wholes = w->wholes };
    if (order == MFS_READ_STRAY || !is_sane)
        return;
    w->next = offset + size_bytes;
    w->run_bytes += size_bytes;
    uint64_t ahead = w->run_bytes < limit_bytes / GROWTH ? w->run_bytes * GROWTH : limit_bytes;
    uint64_t first = w->end > w->next ? w->end : w->next;
    uint64_t end = w->next + ahead, file_end = up(file_bytes);
    end = end >= file_end ? file_end : end / MFS_READ_STEP_BYTES * MFS_READ_STEP_BYTES;
    uint64_t least = ahead / 8 < MFS_READ_PIECE_MAX ? ahead / 8 : MFS_READ_PIECE_MAX;
    bool is_worth = first < end && (end == file_end || end - first >= least);
    if (is_run && w->run_bytes >= RUN_MIN && is_worth) {
        *ask = (struct mfs_range){ first, end };
        w->end = end;
    }
}

bool mfs_window_wants_whole(struct mfs_window *w, const struct mfs_rate *r, uint64_t offset,
                            uint64_t file_bytes)
{
    bool is_first = !w->next && !w->jumps && !w->wholes;
    if (mfs_window_judge(w, offset) == MFS_READ_NEXT || (is_first && offset == 0))
        return false;
    w->jumps += w->jumps < UINT16_MAX;
    uint64_t may = (uint64_t)w->jumps * MFS_READ_WHOLE_BYTES >> w->wholes;
    if (!file_bytes || file_bytes > may || file_bytes > MFS_READ_WHOLE_MAX)
        return false;
    uint64_t us = r->least_us > WHOLE_US ? r->least_us : WHOLE_US;
    uint64_t rate = r->bytes_per_s < 1ULL << 32 ? r->bytes_per_s : 1ULL << 32;
    us = us < 10000000 ? us : 10000000;
    if (rate && file_bytes * 1000000 / w->jumps > rate * us)
        return false;
    w->jumps = 0;
    w->wholes += w->wholes < WHOLES;
    return true;
}

size_t mfs_window_piece(const struct mfs_range *ask, bool is_waited_for)
{
    uint64_t left = ask->end - ask->first;
    uint64_t want = is_waited_for ? left / 4 : left;
    want = want < MFS_READ_PIECE_MAX ? want : MFS_READ_PIECE_MAX;
    uint64_t end = up(ask->first + (want ? want : 1));
    return (size_t)((end < ask->end ? end : ask->end) - ask->first);
}

void mfs_window_cut(struct mfs_window *w, uint64_t end)
{
    if (w->end > end)
        w->end = end;
}
