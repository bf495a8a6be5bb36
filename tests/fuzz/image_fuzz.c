/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_fuzz.c: any bytes as the sections of an image, without checksums: what is taken is
 * valid, is coded as it was, and lies in the mappings or is found not to. */
#include "mosix-core/image/form/sections.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

enum { KEPT = 64 };

enum { SINCE_MAX = 64 }; /* bytes that newer versions of a section may have more */

/* What is said since a newer version stands behind the rest, and is 0. */
static void check_coding(const struct mx_sec *s, unsigned of_version, struct bytes body)
{
    uint8_t *again = malloc(body.len + SINCE_MAX);
    if (!again)
        abort();
    struct wr w = wr_of(again, body.len + SINCE_MAX);
    mx_sec_put(&w, s);
    if (w.is_full || wr_len(&w) < body.len || memcmp(again, body.ptr, body.len) != 0)
        abort();
    if (of_version == mx_section_version(s->number) && wr_len(&w) != body.len)
        abort();
    for (size_t i = body.len; i < wr_len(&w); i++)
        if (again[i])
            abort();
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    static struct mx_sec_mapping mappings[KEPT];
    uint32_t count = 0;
    struct mx_image_order o;
    struct rd r = rd_of(ptr, len_bytes);
    struct mx_section_head h;
    mx_image_order_init(&o);
    while (mx_section_head_get(&r, &h) == 0 && rd_left(&r) >= h.len_bytes) {
        struct bytes body = { r.at, h.len_bytes };
        struct mx_sec s;
        r.at += h.len_bytes;
        if (mx_sec_get(&h, body, &s) < 0)
            continue;
        check_coding(&s, h.version, body);
        if (mx_image_order_take(&o, &s) < 0)
            continue;
        if (s.number == MX_SEC_mapping && o.mappings == 1)
            count = 0; /* a round's list replaces the one before */
        if (s.number == MX_SEC_mapping && count < KEPT)
            mappings[count++] = s.mapping;
        if (s.number == MX_SEC_pages) {
            const struct mx_sec_mapping *m = mx_mapping_find(mappings, count, s.pages.start,
                                                             s.pages.start + s.pages.body.len);
            if (m && (m->start > s.pages.start || m->end < s.pages.start + s.pages.body.len))
                abort();
        }
    }
    for (uint32_t i = 1; i < count; i++)
        if (mappings[i].start < mappings[i - 1].end)
            abort();
    return 0;
}
