/* SPDX-License-Identifier: GPL-2.0-or-later */
/* messages.h: orders, reports and words as bytes.
 * Must not know: sockets; what becomes of a message.
 * On the stream: u16 length of what follows the number, u8 number, fields. A message of a
 * number that is not known is for somebody newer, and is passed over; one that is known and too
 * short, too long or out of range is refused, and with it who has sent it. Source:
 * messages.def. */
#ifndef MOSIX_CORE_PLAN_MESSAGES_H
#define MOSIX_CORE_PLAN_MESSAGES_H

#include "common/base/wire.h"
#include "mosix-core/plan/holder.h"

enum {
    MX_MESSAGE_HEAD_BYTES = 3,
    MX_MESSAGE_MAX = 512, /* bytes of a message on the stream */
    MX_WORDS_MAX = 255,   /* bytes of words */
};

enum mx_message_number {
#define MESSAGE(number, name, fields) MX_MESSAGE_##name = number,
#include "mosix-core/plan/messages.def"
#undef MESSAGE
};

struct mx_message {
    unsigned number; /* enum mx_message_number; 0: not known */
    union {
        struct mx_order order;
        struct mx_report report;
        struct {
            uint8_t signal;
            char text[MX_WORDS_MAX + 1]; /* printable; anything else has become a space */
        } words, leave;                  /* leave: without a signal */
    };
};

/* Takes one message from the start of r. Returns 1; 0 when it has not come whole: nothing was
 * taken; -EPROTO. */
MUST int mx_plan_get(struct rd *r, struct mx_message *m);

/* w: room for MX_MESSAGE_MAX bytes. Words that are too long are cut. */
void mx_plan_put(struct wr *w, const struct mx_message *m);

#endif
