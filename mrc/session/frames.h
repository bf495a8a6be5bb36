/* SPDX-License-Identifier: GPL-2.0-or-later */
/* frames.h: the session's frames as structs, with their coding.
 * Must not know: what a frame makes the session do. Source: mrc/session/frames.def,
 * docs/protocol-session.md. */
#ifndef MRC_SESSION_FRAMES_H
#define MRC_SESSION_FRAMES_H

#include "common/base/wire.h"

enum {
    MRC_FRAME_BODY_MAX = 64 * 1024,          /* bytes of stream in one data frame */
    MRC_FRAME_MAX = MRC_FRAME_BODY_MAX + 64, /* a longer frame is malformed */
    MRC_FRAME_HEAD = 5,                      /* length and id */
};

#define F(kind, field) wire_##kind field;
#define FRAME(id, name, fields)                                                                \
    struct mrc_##name {                                                                        \
        fields                                                                                 \
    };
#include "mrc/session/frames.def"
#undef FRAME
#undef F

enum mrc_frame_id {
#define FRAME(id, name, fields) MRC_FRAME_##name = id,
#include "mrc/session/frames.def"
#undef FRAME
};

struct mrc_frame {
    uint8_t id;
    union {
#define FRAME(id, name, fields) struct mrc_##name name;
#include "mrc/session/frames.def"
#undef FRAME
    };
};

/* Decodes the rest of a frame behind its length. Byte fields point into the input. Returns 0,
 * -EPROTO when malformed, -ENOENT when the id is unknown (to be skipped). */
MUST int mrc_frame_get(struct rd body, struct mrc_frame *f);

/* Writes length, id and fields. For data, body.ptr may be NULL: then the length counts body.len
 * bytes that the caller sends right behind. */
void mrc_frame_put(struct wr *w, const struct mrc_frame *f);

const char *mrc_frame_name(uint8_t id); /* NULL when unknown */

#endif
