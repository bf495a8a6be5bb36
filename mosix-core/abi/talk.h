/* SPDX-License-Identifier: GPL-2.0-or-later */
/* talk.h: what a body's supervisor and the deputy say to each other: frames of u32 length, u8
 * kind, u32 who, and what talk.def says of the kind. Must not know: sockets, processes. who: 0
 * for the first thread of the process that moved, else the number at home of a child that it
 * made while away, or of a thread. What is said of a process is said to its first thread. Order
 * is kept in each direction, and that is what makes signals exact: a SIGNAL comes before the
 * answer of the call that it took out; a CALL says how many signals its sender had seen, and is
 * not made when the home has sent more: the handler runs first, as it would at home. */
#ifndef MOSIX_CORE_ABI_TALK_H
#define MOSIX_CORE_ABI_TALK_H

#include "common/base/wire.h"

enum {
    MX_TALK_HEAD_BYTES = 9,
    MX_FRAME_MAX = (1 << 20) + (32 << 10), /* bytes of a frame, without its length */
    MX_TALK_SIGINFO_BYTES = 128,
    MX_TALK_TEXT_MAX = 200,     /* bytes of words, with their NUL */
    MX_FETCH_FIRST = INT32_MAX, /* of FETCH: no process has this number */
};

enum mx_talk {
#define TALK(id, name, comment) MX_TALK_##name = id,
#include "mosix-core/abi/talk.def"
#undef TALK
};

/* Of END. */
enum mx_talk_end {
    MX_END_GONE = 0,
    MX_END_EXEC = 1, /* it is another program now, at home */
    MX_END_HOME = 2, /* it goes on at home */
};

struct mx_talk_frame {
    enum mx_talk kind;
    uint32_t who;
    struct rd body; /* a view of the input */
};

/* Begins a frame in an empty w, whose length mx_talk_close puts in front. */
void mx_talk_begin(struct wr *w, enum mx_talk kind, uint32_t who);
/* Returns -ENOSPC when it didn't fit, or is over MX_FRAME_MAX. */
MUST int mx_talk_close(struct wr *w);

/* Words, and what came as such: always ended by NUL, and without what a terminal obeys. */
void mx_talk_put_text(struct wr *w, const char *text);
void mx_talk_get_text(struct rd *r, char text[MX_TALK_TEXT_MAX]);

/* The next frame of in. Returns how many bytes it has, 0 when it is not yet whole, -EPROTO. */
MUST int64_t mx_talk_next(struct bytes in, struct mx_talk_frame *f);

#endif
