/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pack.c: LZO for pages, when the stream is what everybody waits for.
 * Must not know: whose pages. */
#include "mosix-core/image/pack.h"

#include "common/sys/clock.h"
#include "common/sys/lzo.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum {
    WINDOW_US = 50 * 1000, /* the stream's pace is measured for so long */
    WORTH_PERCENT = 90,    /* what does not become smaller than that is sent as it is */
    SKIP_MOST = 32,        /* pieces between two that are tried, when all are in vain */
};

void mx_pack_fini(struct mx_pack *p)
{
    free(p->out);
    free(p->work);
    p->out = NULL;
    p->work = NULL;
}

static bool is_full(const struct mx_pack *p)
{
    struct pollfd f = { p->sock, POLLOUT, 0 };
    return poll(&f, 1, 0) == 0;
}

static void note_pace(struct mx_pack *p, uint64_t bytes)
{
    uint64_t now_us = clock_mono_us(), took_us = now_us - p->window_us;
    p->window_bytes += bytes;
    if (p->window_us && took_us < WINDOW_US)
        return;
    /* A pause is no measure of the stream. */
    if (p->window_us && took_us < 2 * WINDOW_US) {
        uint64_t pace = p->window_bytes * 1000 / took_us;
        p->wire = p->wire ? (p->wire + pace) / 2 : pace;
    }
    p->window_us = now_us;
    p->window_bytes = 0;
}

/* Packing is to be faster than the stream, or pieces would wait for us and not for it. */
static bool is_worth_trying(struct mx_pack *p)
{
    if (!p->wire || (p->speed && p->wire + p->wire / 4 > p->speed) || !is_full(p))
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
    uint64_t start_us = clock_mono_us();
    long len = lzo_pack(p->work, ptr, len_bytes, p->out);
    uint64_t took_us = clock_mono_us() - start_us;
    bool is_small = len > 0 && (size_t)len * 100 < len_bytes * WORTH_PERCENT;
    if (is_small) {
        uint64_t speed = len_bytes * 1000 / (took_us ? took_us : 1);
        p->speed = p->speed ? (7 * p->speed + speed) / 8 : speed;
    }
    p->skip = is_small ? 0 : p->skip < SKIP_MOST ? 2 * p->skip + 1 : SKIP_MOST;
    p->skipped = 0;
    return is_small ? len : 0;
}

int mx_pack_write(struct mx_pack *p, struct mx_image_writer *w, uint64_t start,
                  const uint8_t *ptr, size_t len_bytes, struct err *e)
{
    long packed = 0;
    if (prepare(p) < 0)
        return err_set(e, ENOMEM, "pack pages");
    if (len_bytes <= MX_PACK_MAX && is_worth_trying(p))
        packed = try(p, ptr, len_bytes);
    struct mx_sec plain = { .number = MX_SEC_pages,
                            .pages = { start, { ptr, (uint32_t)len_bytes } } };
    struct mx_sec small = { .number = MX_SEC_packed,
                            .packed = {
                                start, (uint32_t)len_bytes, { p->out, (uint32_t)packed } } };
    int rc = mx_image_write(w, packed ? &small : &plain, e);
    note_pace(p, packed ? (uint64_t)packed : len_bytes);
    return rc;
}
