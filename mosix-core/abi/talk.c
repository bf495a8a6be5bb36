/* SPDX-License-Identifier: GPL-2.0-or-later */
/* talk.c: heads of frames. Must not know: sockets, processes. */
#include "mosix-core/abi/talk.h"

#include <errno.h>
#include <string.h>

void mx_talk_begin(struct wr *w, enum mx_talk kind, uint32_t who)
{
    put_u32(w, 0);
    put_u8(w, (uint8_t)kind);
    put_u32(w, who);
}

int mx_talk_close(struct wr *w)
{
    struct wr head = wr_of(w->start, 4);
    if (w->is_full || wr_len(w) - 4 > MX_FRAME_MAX)
        return -ENOSPC;
    put_u32(&head, (uint32_t)wr_len(w) - 4);
    return 0;
}

void mx_talk_put_text(struct wr *w, const char *text)
{
    put_raw(w, text, strnlen(text, MX_TALK_TEXT_MAX - 1));
}

void mx_talk_get_text(struct rd *r, char text[MX_TALK_TEXT_MAX])
{
    size_t len = rd_left(r) < MX_TALK_TEXT_MAX - 1 ? rd_left(r) : MX_TALK_TEXT_MAX - 1;
    for (size_t i = 0; i < len; i++)
        text[i] = r->at[i] < ' ' || r->at[i] > '~' ? '?' : (char)r->at[i];
    text[len] = 0;
}

static bool is_known(uint8_t kind)
{
    static const uint8_t known[] = {
#define TALK(id, name, comment) id,
#include "mosix-core/abi/talk.def"
#undef TALK
    };
    for (unsigned i = 0; i < ARRAY_LEN(known); i++)
        if (known[i] == kind)
            return true;
    return false;
}

int64_t mx_talk_next(struct bytes in, struct mx_talk_frame *f)
{
    struct rd r = rd_of(in.ptr, in.len);
    uint32_t len_bytes;
    uint8_t kind;
    if (get_u32(&r, &len_bytes) < 0)
        return 0;
    if (len_bytes < MX_TALK_HEAD_BYTES - 4 || len_bytes > MX_FRAME_MAX)
        return -EPROTO;
    if (rd_left(&r) < len_bytes)
        return 0;
    r = rd_of(r.at, len_bytes);
    if (get_u8(&r, &kind) < 0 || !is_known(kind) || get_u32(&r, &f->who) < 0)
        return -EPROTO;
    f->kind = (enum mx_talk)kind;
    f->body = r;
    return (int64_t)len_bytes + 4;
}
