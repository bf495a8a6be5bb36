/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pack.c: LZO for pages, when the stream is what everybody waits for.
 * Must not know: whose pages. */
#include "mosix-core/image/pack.h"

#include "common/sys/clock.h"
#include "common/sys/lzo.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum {
    WINDOW_US = 50 * 1000, /* the stream's pace is measured for so long */
    WORTH_PERCENT = 90,    /* what does not become smaller than that is sent as it is */
    BLOCKED_PERCENT = 15,  /* of the time: then the stream is what is waited for */
    SKIP_MOST = 32,        /* pieces between two that are tried, when all are in vain */
};

void mx_pack_fini(struct mx_pack *p)
{
    free(p->out);
    free(p->work);
    p->out = NULL;
    p->work = NULL;
}

/* What this thread has used: that others had the processor meanwhile says nothing of packing.
 */
static uint64_t processor_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void note_pace(struct mx_pack *p, uint64_t bytes)
{
    uint64_t now_us = clock_mono_us(), took_us = now_us - p->window_us;
    uint64_t wrote_us = now_us - p->write_us, used_us = processor_us() - p->write_cpu_us;
    p->window_bytes += bytes;
    p->window_blocked_us += wrote_us > used_us ? wrote_us - used_us : 0;
    if (p->window_us && took_us < WINDOW_US)
        return;
    /* A pause is no measure of the stream. */
    if (p->window_us && took_us < 2 * WINDOW_US) {
        uint64_t pace = p->window_bytes * 1000 / took_us;
        p->wire = p->wire ? (p->wire + pace) / 2 : pace;
        p->is_blocked = p->window_blocked_us * 100 >= took_us * BLOCKED_PERCENT;
    }
    p->window_us = now_us;
    p->window_bytes = p->window_blocked_us = 0;
}

/* Packing is to be so much faster than the stream that pieces don't wait for us, nor for who
 * unpacks them. */
static bool is_worth_trying(struct mx_pack *p)
{
    if (!p->wire || (p->speed && 2 * p->wire > p->speed) || !p->is_blocked)
        return false;
    return p->skipped++ >= p->skip;
}

static int prepare(struct mx_pack *p)
{
    if (!p->out)
        p->out = malloc(lzo_room(MX_PACK_MAX));
    if (!p->work)
        p->work = malloc(lzo_work_bytes());
    return p->out && p->work ? 0 : -ENOMEM;
}

/* Returns the packed length, or 0: not worth it. */
static long try(struct mx_pack *p, const uint8_t *ptr, size_t len_bytes)
{
    uint64_t start_us = processor_us();
    long len = lzo_pack(p->work, ptr, len_bytes, p->out);
    uint64_t took_us = processor_us() - start_us;
    bool is_small = len > 0 && (size_t)len * 100 < len_bytes * WORTH_PERCENT;
    if (is_small) {
        uint64_t speed = len_bytes * 1000 / (took_us ? took_us : 1);
        p->speed = p->speed ? (7 * p->speed + speed) / 8 : speed;
    }
    p->skip = is_small ? 0 : p->skip < SKIP_MOST ? 2 * p->skip + 1 : SKIP_MOST;
    p->skipped = 0;
    p->packed_bytes += is_small ? len_bytes : 0;
    return is_small ? len : 0;
}

long mx_pack_try(struct mx_pack *p, const uint8_t *ptr, size_t len_bytes)
{
    long len = 0;
    if (len_bytes <= MX_PACK_MAX && is_worth_trying(p))
        len = prepare(p) < 0 ? -ENOMEM : try(p, ptr, len_bytes);
    p->write_us = clock_mono_us();
    p->write_cpu_us = processor_us();
    return len;
}

void mx_pack_written(struct mx_pack *p, size_t len_bytes)
{
    note_pace(p, len_bytes);
}
