/* SPDX-License-Identifier: GPL-2.0-or-later */
/* activitycode.c: what is in the file of an activity, expanded from activity.def.
 * Must not know: files. */
#include "mrc/activity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

size_t activity_put(const struct activity *a, uint64_t turn, uint8_t space[ACTIVITY_BYTES])
{
    struct wr w = wr_of(space, ACTIVITY_BYTES);
    put_u32(&w, ACTIVITY_VERSION);
    put_u64(&w, turn);
#define FIELD(kind, name) put_##kind(&w, a->name);
#define TEXT(name, size) put_bytes(&w, bytes_of(a->name));
#include "mrc/activity.def"
#undef FIELD
#undef TEXT
    put_u64(&w, turn); /* the same at both ends: it was not being written */
    return wr_len(&w);
}

static int get_text(struct rd *r, char *to, size_t size_bytes)
{
    struct bytes v;
    int rc = get_bytes(r, &v);
    if (rc == 0)
        rc = bytes_to_text(v, to, size_bytes);
    for (char *at = to; rc == 0 && *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127)
            *at = '?';
    return rc < 0 ? -EPROTO : 0;
}

int activity_get(struct bytes contents, struct activity *a)
{
    struct rd r = rd_of(contents.ptr, contents.len);
    uint32_t version;
    uint64_t first, last;
    int rc = get_u32(&r, &version);
    if (rc == 0 && version != ACTIVITY_VERSION)
        return -EPROTO;
    if (rc == 0)
        rc = get_u64(&r, &first);
#define FIELD(kind, name)                                                                      \
    if (rc == 0)                                                                               \
        rc = get_##kind(&r, &a->name);
#define TEXT(name, size)                                                                       \
    if (rc == 0)                                                                               \
        rc = get_text(&r, a->name, sizeof a->name);
#include "mrc/activity.def"
#undef FIELD
#undef TEXT
    if (rc == 0)
        rc = get_u64(&r, &last);
    if (rc < 0 || a->kind > ACTIVITY_VIEW || a->state >= ACTIVITY_KILLED)
        return -EPROTO;
    return first == last ? 0 : -EAGAIN;
}

void activity_size_text(uint64_t bytes, char text[16])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
    double size = (double)bytes;
    size_t unit = 0;
    for (; size >= 999.95 && unit < ARRAY_LEN(units) - 1; unit++)
        size /= 1000;
    snprintf(text, 16, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}
