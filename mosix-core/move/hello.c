/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello.c: coding of hello.h.
 * Must not know: how connections are made. */
#include "mosix-core/move/hello.h"

#include <errno.h>
#include <string.h>

/* Names are shown to people. */
static int get_name(struct rd *r, char *name, size_t size)
{
    struct bytes v;
    if (get_bytes(r, &v) < 0 || bytes_to_text(v, name, size) < 0)
        return -EPROTO;
    for (char *at = name; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    return 0;
}

int mx_hello_get(struct rd *r, struct mx_hello *h)
{
    uint16_t version;
    uint8_t stream;
    if (get_u16(r, &version) < 0)
        return -EPROTO;
    if (version != MX_HELLO_VERSION)
        return -ENOTSUP;
    if (get_u8(r, &stream) < 0 || stream < MX_STREAM_ORDERS || stream >= MX_STREAM_END)
        return -EPROTO;
    h->stream = stream;
    for (unsigned i = 0; i < MX_TOKEN_BYTES; i++)
        if (get_u8(r, &h->token[i]) < 0)
            return -EPROTO;
    if (get_u32(r, &h->move) < 0 || get_u32(r, &h->pid) < 0 ||
        get_i64(r, &h->now.mono_ns) < 0 || get_i64(r, &h->now.boot_ns) < 0 ||
        get_u32(r, &h->need_mb) < 0 || get_u64(r, &h->cpu) < 0 ||
        get_name(r, h->home, sizeof h->home) < 0 ||
        get_name(r, h->program, sizeof h->program) < 0)
        return -EPROTO;
    return rd_left(r) || h->now.mono_ns < 0 || h->now.boot_ns < 0 ? -EPROTO : 0;
}

void mx_hello_put(struct wr *w, const struct mx_hello *h)
{
    put_u16(w, MX_HELLO_VERSION);
    put_u8(w, (uint8_t)h->stream);
    put_raw(w, h->token, sizeof h->token);
    put_u32(w, h->move);
    put_u32(w, h->pid);
    put_i64(w, h->now.mono_ns);
    put_i64(w, h->now.boot_ns);
    put_u32(w, h->need_mb);
    put_u64(w, h->cpu);
    put_bytes(w, bytes_of(h->home));
    put_bytes(w, bytes_of(h->program));
}
