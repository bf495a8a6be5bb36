/* SPDX-License-Identifier: GPL-2.0-or-later */
/* message.h: a struct msghdr of sendmsg and recvmsg as bytes, with all that it points to, and
 * back. Must not know: sockets; what control messages say (descriptors in them are home's, as
 * all are). Asked: u32 length or room of name, of control (MX_MESSAGE_NONE: there is none), of
 * data; of a message that is sent their bytes. Answered, for one that is received: u32 length
 * of name, of control, flags; the bytes of name, of control, of data. */
#ifndef MOSIX_CORE_ABI_MESSAGE_H
#define MOSIX_CORE_ABI_MESSAGE_H

#include "common/base/wire.h"

#include <stdint.h>

struct mx_call_memory;

enum {
    MX_MESSAGE_BYTES = 56,       /* of the struct */
    MX_MESSAGE_PARTS_MAX = 1024, /* of the data */
    MX_MESSAGE_NONE = -1,
    MX_MESSAGE_CONTROL_MAX = 64 << 10,
    MX_MESSAGE_DATA_MAX = (1 << 20) - (128 << 10),
};

/* Where an answer goes, as it was when the call was asked. */
struct mx_message_wait {
    uint64_t at, name_at, control_at, parts_at;
    uint32_t name_room, control_room, data_room, part_count;
};

/* Puts the message at address of the body's memory; is_out: it is to be received. Returns 0;
 * -EFAULT; -EMSGSIZE for more parts than there may be; -EINVAL, -ENOBUFS as the kernel. More
 * data than MX_MESSAGE_DATA_MAX is cut. */
MUST int mx_message_put(struct wr *w, const struct mx_call_memory *m, uint64_t address,
                        bool is_out, struct mx_message_wait *wait);

/* Lays out what mx_message_put made in room_bytes at arena, whose address is base: the struct
 * first. Returns how many bytes it needs, -EPROTO. */
MUST int64_t mx_message_take(struct bytes in, bool is_out, uint8_t *arena, uint32_t room_bytes,
                             uint64_t base);

/* Puts the answer of a received message. */
void mx_message_answer(struct wr *w, const uint8_t *arena, uint32_t len_bytes, uint64_t base,
                       int64_t result);

/* Writes it into the body's memory. Returns 0, -EFAULT, -EPROTO. */
MUST int mx_message_give(const struct mx_message_wait *wait, struct bytes in,
                         const struct mx_call_memory *m);

#endif
