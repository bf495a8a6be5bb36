/* SPDX-License-Identifier: GPL-2.0-or-later */
/* push_fuzz.c: any bytes from the target before the agent runs: the reader stays in bounds, and
 * what it finds doesn't depend on the pieces in which they come. The first byte is the length
 * of the pieces. */
#include "mrc/push.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

enum { EVENTS = 64 };

static size_t run(const uint8_t *ptr, size_t len, size_t piece, enum mrc_push_event *events,
                  size_t *count)
{
    static struct mrc_push_reader r;
    mrc_push_reader_init(&r, "0123456789abcdef");
    size_t at = 0;
    *count = 0;
    while (at < len && *count < EVENTS) {
        size_t take = len - at < piece ? len - at : piece, used;
        enum mrc_push_event event = mrc_push_feed(&r, ptr + at, take, &used);
        if (used > take || strlen(r.place) >= sizeof r.place ||
            strlen(r.words) >= sizeof r.words || strlen(r.arch) >= sizeof r.arch ||
            (event == MRC_PUSH_MORE && used != take))
            abort();
        at += used;
        if (event != MRC_PUSH_MORE)
            events[(*count)++] = event;
        if (event == MRC_PUSH_AGENT || event == MRC_PUSH_NOISY)
            break;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    enum mrc_push_event whole[EVENTS], pieces[EVENTS];
    size_t whole_count, pieces_count;
    if (len_bytes < 2)
        return 0;
    size_t piece = ptr[0] ? ptr[0] : 1;
    size_t a = run(ptr + 1, len_bytes - 1, len_bytes, whole, &whole_count);
    size_t b = run(ptr + 1, len_bytes - 1, piece, pieces, &pieces_count);
    if (whole_count != pieces_count ||
        memcmp(whole, pieces, whole_count * sizeof whole[0]) != 0 ||
        (whole_count < EVENTS && a != b))
        abort();
    return 0;
}
