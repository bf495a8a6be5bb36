/* SPDX-License-Identifier: GPL-2.0-or-later */
/* marshal_fuzz.c: any bytes as a call that comes home, and as the answer to one: what is taken
 * points into the arena only, is answered, and what is given writes no byte that was not asked
 * for. The first two bytes are which line is asked, 8 bytes the result. */
#include "mosix-core/abi/marshal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

static const uint64_t base = 0x700000000000;
static const struct mx_call_wait *waiting;

static int on_read(void *ctx, uint64_t address, void *ptr, size_t len_bytes)
{
    (void)ctx;
    memset(ptr, (int)address & 0x7f, len_bytes);
    return address % 7 ? 0 : -1;
}

static int on_write(void *ctx, uint64_t address, const void *ptr, size_t len_bytes)
{
    (void)ctx;
    (void)ptr;
    /* A message's answer goes where its struct says. */
    if (waiting->message.at)
        return 0;
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        if (waiting->outs[i].address == address && len_bytes <= waiting->outs[i].room_bytes)
            return 0;
    abort();
}

static void take(struct rd r, int64_t result)
{
    static uint8_t arena[MX_CALL_ARENA_BYTES], answer[MX_CALL_BYTES_MAX + 4096];
    struct mx_call_frame f;
    if (mx_call_take(&r, arena, base, &f) < 0)
        return;
    for (unsigned i = 0; i < f.line->arg_count; i++) {
        if (!f.spans[i].is_there)
            continue;
        if (f.args[i] != base + f.spans[i].at)
            abort();
        enum mx_form form = mx_kind_line((enum mx_kind)f.line->args[i].kind)->form;
        if ((form == MX_FORM_MESSAGE && f.spans[i].len_bytes < MX_MESSAGE_BYTES) ||
            (form == MX_FORM_TEXTS && f.spans[i].len_bytes < 8))
            abort();
        if (f.spans[i].at > sizeof arena || f.spans[i].len_bytes > sizeof arena - f.spans[i].at)
            abort();
    }
    struct wr w = wr_of(answer, sizeof answer);
    if (mx_call_answer(&f, arena, result, &w) < 0)
        abort();
}

static void give(const struct mx_call_line *line, struct rd r)
{
    static uint8_t request[MX_CALL_BYTES_MAX + 4096];
    static const struct mx_call_memory m = { NULL, on_read, on_write };
    const uint64_t args[MX_CALL_ARGS] = { 4, 8, 16, 32, 64, 128 };
    struct mx_call_wait wait;
    struct wr w = wr_of(request, sizeof request);
    int64_t result;
    if (mx_call_ask(line, args, &m, &w, &wait) < 0)
        return;
    waiting = &wait;
    if (mx_call_give(&wait, &r, &m, &result) < 0)
        return;
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    struct rd r = rd_of(ptr, len_bytes);
    uint16_t which;
    int64_t result;
    if (get_u16(&r, &which) < 0 || get_i64(&r, &result) < 0)
        return 0;
    take(r, result);
    const struct mx_call_line *line = mx_call_at(which);
    if (line && mx_call_travels(line))
        give(line, r);
    return 0;
}
