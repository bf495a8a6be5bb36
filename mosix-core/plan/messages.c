/* SPDX-License-Identifier: GPL-2.0-or-later */
/* messages.c: coding of messages.def, and what must be true of what was decoded.
 * Must not know: sockets; what becomes of a message. */
#include "mosix-core/plan/messages.h"

#include <errno.h>
#include <string.h>

/* ---- as in messages.def ---- */

#define F(kind, field) wire_##kind field;
#define MESSAGE(number, name, fields)                                                          \
    struct raw_##name {                                                                        \
        fields                                                                                 \
    };
#include "mosix-core/plan/messages.def"
#undef MESSAGE
#undef F

#define F(kind, field)                                                                         \
    if (get_##kind(r, &x->field) < 0)                                                          \
        return -EPROTO;
#define MESSAGE(number, name, fields)                                                          \
    static int raw_##name##_get(struct rd *r, struct raw_##name *x)                            \
    {                                                                                          \
        fields return rd_left(r) ? -EPROTO : 0;                                                \
    }
#include "mosix-core/plan/messages.def"
#undef MESSAGE
#undef F

#define F(kind, field) put_##kind(w, x->field);
#define MESSAGE(number, name, fields)                                                          \
    static void raw_##name##_put(struct wr *w, const struct raw_##name *x)                     \
    {                                                                                          \
        fields                                                                                 \
    }
#include "mosix-core/plan/messages.def"
#undef MESSAGE
#undef F

/* ---- as the cores have them ---- */

static int order_get(struct rd *r, struct mx_message *m)
{
    struct raw_order x;
    if (raw_order_get(r, &x) < 0 || x.want >= MX_WANTS || x.stamp_ms < 0)
        return -EPROTO;
    m->order = (struct mx_order){
        .number = x.number, .move = x.move, .want = x.want, .stamp_ms = x.stamp_ms
    };
    return 0;
}

static int report_get(struct rd *r, struct mx_message *m)
{
    struct raw_report x;
    if (raw_report_get(r, &x) < 0 || x.is >= MX_STATES || x.why >= MX_WHYS || x.stamp_ms <= 0)
        return -EPROTO;
    m->report = (struct mx_report){ .number = x.number,
                                    .obeyed = x.obeyed,
                                    .move = x.move,
                                    .is = x.is,
                                    .why = x.why,
                                    .stamp_ms = x.stamp_ms,
                                    .progress = x.progress,
                                    .left_ms = x.left_ms };
    return 0;
}

/* They are shown to people on terminals. */
static int text_get(struct bytes from, struct mx_message *m)
{
    if (from.len > MX_WORDS_MAX)
        return -EPROTO;
    for (uint32_t i = 0; i < from.len; i++)
        m->words.text[i] = from.ptr[i] < ' ' || from.ptr[i] > '~' ? ' ' : (char)from.ptr[i];
    m->words.text[from.len] = 0;
    return 0;
}

static int words_get(struct rd *r, struct mx_message *m)
{
    struct raw_words x;
    if (raw_words_get(r, &x) < 0 || x.signal > 64)
        return -EPROTO;
    m->words.signal = x.signal;
    return text_get(x.text, m);
}

static int leave_get(struct rd *r, struct mx_message *m)
{
    struct raw_leave x;
    if (raw_leave_get(r, &x) < 0)
        return -EPROTO;
    m->leave.signal = 0;
    return text_get(x.text, m);
}

static void order_put(struct wr *w, const struct mx_message *m)
{
    const struct mx_order *o = &m->order;
    struct raw_order x = { o->number, o->move, (uint8_t)o->want, o->stamp_ms };
    raw_order_put(w, &x);
}

static void report_put(struct wr *w, const struct mx_message *m)
{
    const struct mx_report *p = &m->report;
    struct raw_report x = { p->number,       p->obeyed,   p->move,     (uint8_t)p->is,
                            (uint8_t)p->why, p->stamp_ms, p->progress, p->left_ms };
    raw_report_put(w, &x);
}

static void words_put(struct wr *w, const struct mx_message *m)
{
    struct raw_words x = { m->words.signal, bytes_of(m->words.text) };
    raw_words_put(w, &x);
}

static void leave_put(struct wr *w, const struct mx_message *m)
{
    struct raw_leave x = { bytes_of(m->leave.text) };
    raw_leave_put(w, &x);
}

static const struct {
    int (*get)(struct rd *r, struct mx_message *m);
    void (*put)(struct wr *w, const struct mx_message *m);
} codings[] = {
#define MESSAGE(number, name, fields) [number] = { name##_get, name##_put },
#include "mosix-core/plan/messages.def"
#undef MESSAGE
};

int mx_plan_get(struct rd *r, struct mx_message *m)
{
    struct rd head = *r;
    uint16_t len_bytes;
    uint8_t number;
    if (get_u16(&head, &len_bytes) < 0 || get_u8(&head, &number) < 0)
        return 0;
    if (len_bytes > MX_MESSAGE_MAX - MX_MESSAGE_HEAD_BYTES)
        return -EPROTO;
    if (rd_left(&head) < len_bytes)
        return 0;
    struct rd body = rd_of(head.at, len_bytes);
    bool is_known = number < ARRAY_LEN(codings) && codings[number].get;
    m->number = is_known ? number : 0;
    if (is_known && codings[number].get(&body, m) < 0)
        return -EPROTO;
    *r = rd_of(head.at + len_bytes, rd_left(&head) - len_bytes);
    return 1;
}

void mx_plan_put(struct wr *w, const struct mx_message *m)
{
    uint8_t body[MX_MESSAGE_MAX];
    struct wr b = wr_of(body, sizeof body);
    codings[m->number].put(&b, m);
    put_u16(w, (uint16_t)wr_len(&b));
    put_u8(w, (uint8_t)m->number);
    put_raw(w, body, wr_len(&b));
}
