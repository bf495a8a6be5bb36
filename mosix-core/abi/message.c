/* SPDX-License-Identifier: GPL-2.0-or-later */
/* message.c: messages of sendmsg and recvmsg. Must not know: sockets.
 * The struct of x86-64: name, u32 length and a gap, parts, how many, control, its length, i32
 * flags and a gap. */
#include "mosix-core/abi/message.h"

#include "mosix-core/abi/marshal.h"

#include <errno.h>
#include <string.h>

enum { NAME_MAX_BYTES = 128 }; /* struct sockaddr_storage */

struct header {
    uint64_t name, parts, part_count, control, control_bytes;
    uint32_t name_bytes, flags;
};

static int get_header(struct rd r, struct header *h)
{
    uint32_t gap;
    int rc = get_u64(&r, &h->name);
    if (rc < 0 || (rc = get_u32(&r, &h->name_bytes)) < 0 || (rc = get_u32(&r, &gap)) < 0 ||
        (rc = get_u64(&r, &h->parts)) < 0 || (rc = get_u64(&r, &h->part_count)) < 0 ||
        (rc = get_u64(&r, &h->control)) < 0 || (rc = get_u64(&r, &h->control_bytes)) < 0)
        return rc;
    return get_u32(&r, &h->flags);
}

static void put_header(struct wr *w, const struct header *h)
{
    put_u64(w, h->name);
    put_u32(w, h->name_bytes);
    put_u32(w, 0);
    put_u64(w, h->parts);
    put_u64(w, h->part_count);
    put_u64(w, h->control);
    put_u64(w, h->control_bytes);
    put_u32(w, h->flags);
    put_u32(w, 0);
}

static int read_header(const struct mx_call_memory *m, uint64_t address, struct header *h)
{
    uint8_t raw[MX_MESSAGE_BYTES] = { 0 };
    if (m->read(m->ctx, address, raw, sizeof raw) < 0)
        return -EFAULT;
    return get_header(rd_of(raw, sizeof raw), h);
}

static int read_part(const struct mx_call_memory *m, uint64_t parts, uint64_t i, uint64_t *at,
                     uint64_t *len_bytes)
{
    uint8_t raw[16] = { 0 };
    struct rd r = rd_of(raw, sizeof raw);
    if (m->read(m->ctx, parts + 16 * i, raw, sizeof raw) < 0)
        return -EFAULT;
    return get_u64(&r, at) < 0 || get_u64(&r, len_bytes) < 0 ? -EFAULT : 0;
}

static int count_data(const struct mx_call_memory *m, const struct header *h, uint64_t *sum)
{
    *sum = 0;
    if (h->part_count > MX_MESSAGE_PARTS_MAX)
        return -EMSGSIZE;
    for (uint64_t i = 0; i < h->part_count; i++) {
        uint64_t at, len;
        int rc = read_part(m, h->parts, i, &at, &len);
        if (rc < 0)
            return rc;
        if (len > INT64_MAX)
            return -EINVAL;
        *sum += len < (uint64_t)INT32_MAX ? len : (uint64_t)INT32_MAX;
    }
    return 0;
}

/* Straight into the message. */
static int put_from(struct wr *w, const struct mx_call_memory *m, uint64_t at,
                    uint64_t len_bytes)
{
    if ((uint64_t)(w->end - w->at) < len_bytes) {
        w->is_full = true;
        return 0;
    }
    if (len_bytes && m->read(m->ctx, at, w->at, len_bytes) < 0)
        return -EFAULT;
    w->at += len_bytes;
    return 0;
}

static int put_data(struct wr *w, const struct mx_call_memory *m, const struct header *h,
                    uint64_t left_bytes)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < h->part_count; i++) {
        uint64_t at = 0, len = 0;
        rc = read_part(m, h->parts, i, &at, &len);
        if (len > left_bytes)
            len = left_bytes;
        if (rc == 0)
            rc = put_from(w, m, at, len);
        left_bytes -= len;
    }
    return rc;
}

int mx_message_put(struct wr *w, const struct mx_call_memory *m, uint64_t address, bool is_out,
                   struct mx_message_wait *wait)
{
    struct header h;
    uint64_t data = 0;
    int rc = read_header(m, address, &h);
    if (rc == 0)
        rc = count_data(m, &h, &data);
    if (rc < 0)
        return rc;
    if (h.name_bytes > NAME_MAX_BYTES)
        h.name_bytes = NAME_MAX_BYTES; /* as the kernel does */
    bool has_control = h.control && h.control_bytes;
    if (data > MX_MESSAGE_DATA_MAX)
        data = MX_MESSAGE_DATA_MAX; /* as a kernel may that is short of memory; so long a
                                       datagram it refuses still */
    if (is_out && h.control_bytes > MX_MESSAGE_CONTROL_MAX)
        h.control_bytes = MX_MESSAGE_CONTROL_MAX;
    if (h.control_bytes > MX_MESSAGE_CONTROL_MAX)
        return -ENOBUFS; /* the kernel's own limit is less */
    *wait =
        (struct mx_message_wait){ .at = address,
                                  .name_at = h.name,
                                  .control_at = h.control,
                                  .parts_at = h.parts,
                                  .name_room = h.name ? h.name_bytes : 0,
                                  .control_room = has_control ? (uint32_t)h.control_bytes : 0,
                                  .data_room = (uint32_t)data,
                                  .part_count = (uint32_t)h.part_count };
    put_u32(w, h.name ? h.name_bytes : (uint32_t)MX_MESSAGE_NONE);
    put_u32(w, has_control ? (uint32_t)h.control_bytes : (uint32_t)MX_MESSAGE_NONE);
    put_u32(w, (uint32_t)data);
    if (is_out)
        return 0;
    rc = h.name ? put_from(w, m, h.name, h.name_bytes) : 0;
    if (rc == 0 && has_control)
        rc = put_from(w, m, h.control, h.control_bytes);
    return rc < 0 ? rc : put_data(w, m, &h, data);
}

/* ---- at home ---- */

/* A stretch of the arena, filled from in when the message is sent. */
static int place(struct rd *in, bool is_out, uint32_t len_bytes, uint8_t *arena,
                 uint32_t room_bytes, uint32_t *used, uint32_t *at)
{
    *used = (*used + 7) / 8 * 8;
    if (*used > room_bytes || len_bytes > room_bytes - *used ||
        (!is_out && rd_left(in) < len_bytes))
        return -EPROTO;
    *at = *used;
    if (is_out) {
        memset(arena + *used, 0, len_bytes);
    } else {
        memcpy(arena + *used, in->at, len_bytes);
        in->at += len_bytes;
    }
    *used += len_bytes;
    return 0;
}

int64_t mx_message_take(struct bytes in, bool is_out, uint8_t *arena, uint32_t room_bytes,
                        uint64_t base)
{
    static const uint32_t none = (uint32_t)MX_MESSAGE_NONE;
    enum { PART_BYTES = 16 };
    struct rd r = rd_of(in.ptr, in.len);
    uint32_t name, control, data, used = MX_MESSAGE_BYTES + PART_BYTES, at = 0;
    struct header h = { .parts = base + MX_MESSAGE_BYTES, .part_count = 1 };
    if (get_u32(&r, &name) < 0 || get_u32(&r, &control) < 0 || get_u32(&r, &data) < 0)
        return -EPROTO;
    if ((name != none && name > NAME_MAX_BYTES) ||
        (control != none && control > MX_MESSAGE_CONTROL_MAX) || data > MX_MESSAGE_DATA_MAX)
        return -EPROTO; /* more than mx_message_put asks for, and than an answer has room for */
    int rc = name == none ? 0 : place(&r, is_out, name, arena, room_bytes, &used, &at);
    h.name = name == none ? 0 : base + at;
    h.name_bytes = name == none ? 0 : name;
    if (rc == 0 && control != none)
        rc = place(&r, is_out, control, arena, room_bytes, &used, &at);
    h.control = control == none ? 0 : base + at;
    h.control_bytes = control == none ? 0 : control;
    if (rc == 0)
        rc = place(&r, is_out, data, arena, room_bytes, &used, &at);
    if (rc < 0 || rd_left(&r))
        return -EPROTO;
    struct wr w = wr_of(arena, MX_MESSAGE_BYTES + PART_BYTES);
    put_header(&w, &h);
    put_u64(&w, base + at);
    put_u64(&w, data);
    return used;
}

/* What of the stretch at address is in the arena; empty when it can't be. */
static struct bytes stretch(const uint8_t *arena, uint32_t len_bytes, uint64_t base,
                            uint64_t at, uint64_t room_bytes, uint64_t said_bytes)
{
    uint64_t len = said_bytes < room_bytes ? said_bytes : room_bytes;
    if (at < base || at - base > len_bytes || len > len_bytes - (at - base))
        return (struct bytes){ arena, 0 };
    return (struct bytes){ arena + (at - base), (uint32_t)len };
}

void mx_message_answer(struct wr *w, const uint8_t *arena, uint32_t len_bytes, uint64_t base,
                       int64_t result)
{
    struct header h = { 0 };
    uint64_t data_at = 0, data_room = 0;
    struct rd parts = rd_of(arena + MX_MESSAGE_BYTES, 16);
    if (get_header(rd_of(arena, MX_MESSAGE_BYTES), &h) < 0 || get_u64(&parts, &data_at) < 0 ||
        get_u64(&parts, &data_room) < 0)
        return;
    put_u32(w, h.name_bytes);
    put_u32(w, (uint32_t)h.control_bytes);
    put_u32(w, h.flags);
    put_bytes(
        w, stretch(arena, len_bytes, base, h.name, NAME_MAX_BYTES, h.name ? h.name_bytes : 0));
    put_bytes(w, stretch(arena, len_bytes, base, h.control, h.control_bytes, h.control_bytes));
    put_bytes(w, stretch(arena, len_bytes, base, data_at, data_room, (uint64_t)result));
}

/* ---- where the body is, again ---- */

static int scatter(const struct mx_message_wait *wait, struct bytes data,
                   const struct mx_call_memory *m)
{
    for (uint64_t i = 0; data.len && i < wait->part_count; i++) {
        uint64_t at, len;
        int rc = read_part(m, wait->parts_at, i, &at, &len);
        if (rc < 0)
            return rc;
        uint32_t piece = len < data.len ? (uint32_t)len : data.len;
        if (piece && m->write(m->ctx, at, data.ptr, piece) < 0)
            return -EFAULT;
        data.ptr += piece;
        data.len -= piece;
    }
    return 0;
}

int mx_message_give(const struct mx_message_wait *wait, struct bytes in,
                    const struct mx_call_memory *m)
{
    struct rd r = rd_of(in.ptr, in.len);
    struct bytes name, control, data;
    struct header h;
    uint32_t name_bytes, control_bytes, flags;
    uint8_t raw[MX_MESSAGE_BYTES] = { 0 };
    if (get_u32(&r, &name_bytes) < 0 || get_u32(&r, &control_bytes) < 0 ||
        get_u32(&r, &flags) < 0 || get_bytes(&r, &name) < 0 || get_bytes(&r, &control) < 0 ||
        get_bytes(&r, &data) < 0 || rd_left(&r) || control_bytes > wait->control_room ||
        control.len > wait->control_room || data.len > wait->data_room)
        return -EPROTO;
    if (name.len > wait->name_room)
        name.len = wait->name_room; /* the length says how long it is, the name is cut */
    int rc = read_header(m, wait->at, &h);
    if (rc < 0)
        return rc;
    if (h.name)
        h.name_bytes = name_bytes;
    h.control_bytes = control_bytes;
    h.flags = flags;
    struct wr w = wr_of(raw, sizeof raw);
    put_header(&w, &h);
    if (m->write(m->ctx, wait->at, raw, sizeof raw) < 0 ||
        (name.len && m->write(m->ctx, wait->name_at, name.ptr, name.len) < 0) ||
        (control.len && m->write(m->ctx, wait->control_at, control.ptr, control.len) < 0))
        return -EFAULT;
    return scatter(wait, data, m);
}
