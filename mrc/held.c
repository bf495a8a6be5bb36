/* SPDX-License-Identifier: GPL-2.0-or-later */
/* held.c: see held.h.
 * Must not know: sockets, jobs. */
#include "mrc/held.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int get_fixed(struct rd *r, uint8_t *out, size_t len_bytes)
{
    if (rd_left(r) < len_bytes)
        return -EPROTO;
    memcpy(out, r->at, len_bytes);
    r->at += len_bytes;
    return 0;
}

void held_head_put(uint8_t out[HELD_HEAD_BYTES], const struct held_head *h)
{
    struct wr w = wr_of(out, HELD_HEAD_BYTES);
    put_u32(&w, HELD_VERSION);
    put_u8(&w, h->role);
    put_raw(&w, h->id, sizeof h->id);
    put_raw(&w, h->secret, sizeof h->secret);
    put_u64(&w, h->visit);
}

int held_head_get(struct bytes in, struct held_head *h)
{
    struct rd r = rd_of(in.ptr, in.len);
    uint32_t version;
    if (in.len != HELD_HEAD_BYTES || get_u32(&r, &version) < 0 || version != HELD_VERSION ||
        get_u8(&r, &h->role) < 0 || get_fixed(&r, h->id, sizeof h->id) < 0 ||
        get_fixed(&r, h->secret, sizeof h->secret) < 0 || get_u64(&r, &h->visit) < 0 || !h->role ||
        h->role >= HELD_ROLES)
        return -EPROTO;
    return 0;
}

size_t held_start_put(uint8_t out[HELD_START_MAX], const struct held_start *s)
{
    struct wr w = wr_of(out, HELD_START_MAX);
    put_u32(&w, HELD_VERSION);
    put_raw(&w, s->id, sizeof s->id);
    put_raw(&w, s->secret, sizeof s->secret);
    put_u32(&w, s->wait_s);
    put_u32(&w, s->freeze_s);
    put_u32(&w, s->keep_mib);
    put_u8(&w, s->has_files);
    return wr_len(&w);
}

int held_start_get(struct bytes in, struct held_start *s)
{
    struct rd r = rd_of(in.ptr, in.len);
    uint32_t version;
    if (get_u32(&r, &version) < 0 || version != HELD_VERSION || get_fixed(&r, s->id, sizeof s->id) < 0 ||
        get_fixed(&r, s->secret, sizeof s->secret) < 0 || get_u32(&r, &s->wait_s) < 0 ||
        get_u32(&r, &s->freeze_s) < 0 || get_u32(&r, &s->keep_mib) < 0 || get_u8(&r, &s->has_files) < 0 ||
        rd_left(&r) || s->keep_mib > HELD_KEEP_MAX_MIB || s->has_files > 1)
        return -EPROTO;
    return 0;
}

const char *held_why(int code)
{
    if (code == -ESRCH)
        return "the job is not there any more: it was ended, or waited for too long, or the computer was started anew";
    if (code == -EOPNOTSUPP)
        return "the mrc-agent there is too old for detached jobs";
    return code ? strerror(-code) : "who holds the job has ended or sent us away";
}

void held_name(const uint8_t id[HELD_ID_BYTES], char out[HELD_NAME_BYTES])
{
    for (size_t i = 0; i < HELD_ID_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", id[i]);
}
