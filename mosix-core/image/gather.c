/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gather.c: pages until they make a section.
 * Must not know: where they come from. */
#include "mosix-core/image/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mx_gather_fini(struct mx_gather *g)
{
    free(g->space);
    g->space = NULL;
}

static int write_section(struct mx_gather *g, const struct mx_sec *s, struct err *e)
{
    uint64_t before = g->w->written_bytes;
    int rc = mx_image_write(g->w, s, e);
    if (g->pack)
        mx_pack_written(g->pack, g->w->written_bytes - before);
    return rc;
}

/* Returns how long they are when they are packed; 0: they aren't. */
static long pack(struct mx_gather *g, const uint8_t *ptr, size_t len_bytes, struct err *e)
{
    long len = g->pack ? mx_pack_try(g->pack, ptr, len_bytes) : 0;
    return len < 0 ? err_set(e, (int)-len, "pack pages") : len;
}

static int write_run(struct mx_gather *g, uint64_t start, const uint8_t *ptr, size_t len_bytes,
                     struct err *e)
{
    long len = pack(g, ptr, len_bytes, e);
    if (len < 0)
        return (int)len;
    struct mx_sec plain = { .number = MX_SEC_pages,
                            .pages = { start, { ptr, (uint32_t)len_bytes } } };
    if (len == 0)
        return write_section(g, &plain, e);
    struct mx_sec small = { .number = MX_SEC_packed,
                            .packed = {
                                start, (uint32_t)len_bytes, { g->pack->out, (uint32_t)len } } };
    return write_section(g, &small, e);
}

static int write_scattered(struct mx_gather *g, struct err *e)
{
    uint8_t places[MX_GATHER_PLACES_MAX * MX_PLACE_BYTES];
    struct wr w = wr_of(places, sizeof places);
    long len = pack(g, g->space, g->bytes, e);
    if (len < 0)
        return (int)len;
    for (unsigned i = 0; i < g->places; i++) {
        put_u64(&w, g->starts[i]);
        put_u64(&w, g->ends[i]);
    }
    struct bytes body = { len ? g->pack->out : g->space,
                          (uint32_t)(len ? (size_t)len : g->bytes) };
    struct mx_sec s = { .number = MX_SEC_scattered,
                        .scattered = {
                            (uint32_t)g->bytes, { places, (uint32_t)wr_len(&w) }, body } };
    return write_section(g, &s, e);
}

int mx_gather_flush(struct mx_gather *g, struct err *e)
{
    int rc = g->places > 1    ? write_scattered(g, e)
             : g->places == 1 ? write_run(g, g->starts[0], g->space, g->bytes, e)
                              : 0;
    g->places = 0;
    g->bytes = 0;
    return rc;
}

void mx_gather_apart(struct mx_gather *g)
{
    g->is_apart = true;
}

int mx_gather_add(struct mx_gather *g, uint64_t start, const uint8_t *ptr, size_t len_bytes,
                  struct err *e)
{
    bool is_next = g->places && g->ends[g->places - 1] == start && !g->is_apart;
    bool is_full = g->bytes + len_bytes > MX_PACK_MAX;
    if (is_full || len_bytes >= MX_GATHER_WHOLE_BYTES) {
        int rc = mx_gather_flush(g, e);
        if (rc < 0)
            return rc;
        is_next = false;
    }
    if (len_bytes >= MX_GATHER_WHOLE_BYTES)
        return write_run(g, start, ptr, len_bytes, e);
    if (!g->space && !(g->space = malloc(MX_PACK_MAX)))
        return err_set(e, ENOMEM, "gather pages");
    memcpy(g->space + g->bytes, ptr, len_bytes);
    g->bytes += len_bytes;
    g->is_apart = false;
    if (!is_next)
        g->starts[g->places++] = start;
    g->ends[g->places - 1] = start + len_bytes;
    return 0;
}
