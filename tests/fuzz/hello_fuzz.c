/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello_fuzz.c: any bytes as what a node says of a connection to another one: what is taken is in range, is text where it
 * is text, and comes out the same when it is said again. */
#include "mosix-core/move/hello.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

static void is_text(const char *text, size_t size)
{
    const char *end = memchr(text, 0, size);
    if (!end)
        abort();
    for (; text < end; text++)
        if (*text < ' ' || *text > '~')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    struct rd r = rd_of(ptr, len_bytes);
    struct mx_hello h = { 0 }, again = { 0 };
    uint8_t space[512];
    struct wr w = wr_of(space, sizeof space);
    if (mx_hello_get(&r, &h) < 0)
        return 0;
    if (h.stream < MX_STREAM_ORDERS || h.stream >= MX_STREAM_END || h.now.mono_ns < 0 || h.now.boot_ns < 0)
        abort();
    is_text(h.home, sizeof h.home);
    is_text(h.program, sizeof h.program);
    mx_hello_put(&w, &h);
    r = rd_of(space, wr_len(&w));
    if (w.is_full || mx_hello_get(&r, &again) < 0)
        abort();
    if (again.stream != h.stream || again.move != h.move || again.pid != h.pid || again.now.mono_ns != h.now.mono_ns ||
        again.now.boot_ns != h.now.boot_ns || again.cpu != h.cpu ||
        strcmp(again.home, h.home) != 0 || strcmp(again.program, h.program) != 0 ||
        memcmp(again.token, h.token, sizeof h.token) != 0)
        abort();
    return 0;
}
