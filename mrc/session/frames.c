/* SPDX-License-Identifier: GPL-2.0-or-later */
/* frames.c: coding of the session's frames, expanded from frames.def.
 * Must not know: what a frame makes the session do. */
#include "mrc/session/frames.h"

#include <errno.h>

#define F(kind, field)                                                                         \
    if ((rc = get_##kind(r, &m->field)) < 0)                                                   \
        return rc;
#define FRAME(id, name, fields)                                                                \
    static int name##_get(struct rd *r, struct mrc_##name *m)                                  \
    {                                                                                          \
        int rc;                                                                                \
        fields return 0;                                                                       \
    }
#include "mrc/session/frames.def"
#undef FRAME
#undef F

#define F(kind, field) put_##kind(w, m->field);
#define FRAME(id, name, fields)                                                                \
    static void name##_put(struct wr *w, const struct mrc_##name *m)                           \
    {                                                                                          \
        fields                                                                                 \
    }
#include "mrc/session/frames.def"
#undef FRAME
#undef F

static int fields_get(struct rd *r, struct mrc_frame *f)
{
    switch (f->id) {
#define FRAME(id, name, fields)                                                                \
    case id:                                                                                   \
        return name##_get(r, &f->name);
#include "mrc/session/frames.def"
#undef FRAME
    default: return -ENOENT;
    }
}

static void fields_put(struct wr *w, const struct mrc_frame *f)
{
    switch (f->id) {
#define FRAME(id, name, fields)                                                                \
    case id:                                                                                   \
        name##_put(w, &f->name);                                                               \
        break;
#include "mrc/session/frames.def"
#undef FRAME
    default: w->is_full = true; break;
    }
}

int mrc_frame_get(struct rd body, struct mrc_frame *f)
{
    int rc = get_u8(&body, &f->id);
    if (rc < 0)
        return rc;
    rc = fields_get(&body, f);
    if (rc < 0)
        return rc;
    return rd_left(&body) ? -EPROTO : 0;
}

/* A data frame whose body the caller sends itself. */
static void data_head_put(struct wr *w, const struct mrc_data *m)
{
    put_u32(w, m->chan);
    put_u64(w, m->offset);
    put_u32(w, m->body.len);
}

void mrc_frame_put(struct wr *w, const struct mrc_frame *f)
{
    uint8_t *length_at = w->at;
    put_u32(w, 0);
    put_u8(w, f->id);
    uint32_t outside = 0;
    if (f->id == MRC_FRAME_data && !f->data.body.ptr) {
        data_head_put(w, &f->data);
        outside = f->data.body.len;
    } else {
        fields_put(w, f);
    }
    if (w->is_full)
        return;
    struct wr length = wr_of(length_at, 4);
    put_u32(&length, (uint32_t)(w->at - length_at) - 4 + outside);
}

const char *mrc_frame_name(uint8_t id)
{
    switch (id) {
#define FRAME(number, name, fields)                                                            \
    case number:                                                                               \
        return #name;
#include "mrc/session/frames.def"
#undef FRAME
    default: return NULL;
    }
}
