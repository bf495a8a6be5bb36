/* SPDX-License-Identifier: GPL-2.0-or-later */
/* marshal.c: calls and answers to bytes and back, by the kinds of their arguments.
 * Must not know: which call does what, sockets, processes. */
#include "mosix-core/abi/marshal.h"

#include <errno.h>
#include <string.h>

enum { PAGE = 4096, NESTED_HEAD = 16 };

static const struct mx_kind_line *kind_of(const struct mx_call_line *line, unsigned i)
{
    return mx_kind_line((enum mx_kind)line->args[i].kind);
}

/* Has it pointers in itself? */
static bool is_structure(const struct mx_kind_line *k)
{
    return k->form == MX_FORM_MESSAGE || k->form == MX_FORM_TEXTS;
}

/* How long what argument i points to is; room: for ROOM, what its length says. Returns -E2BIG
 * over MX_CALL_BYTES_MAX. */
static int extent(const struct mx_call_line *line, const uint64_t *args, unsigned i,
                  uint32_t room, uint32_t *len_bytes)
{
    const struct mx_call_arg *a = &line->args[i];
    uint64_t n = args[a->n], len = 0;
    if (n > MX_CALL_BYTES_MAX)
        n = MX_CALL_BYTES_MAX + UINT64_C(1);
    switch (kind_of(line, i)->form) {
    case MX_FORM_VALUE:
    case MX_FORM_MESSAGE:
    case MX_FORM_TEXTS:
    case MX_FORM_TEXT: break;
    case MX_FORM_COUNTED: len = n; break;
    case MX_FORM_FIXED: len = a->bytes; break;
    case MX_FORM_ARRAY: len = n * a->bytes; break;
    case MX_FORM_BITS: len = (n + 63) / 64 * 8; break;
    case MX_FORM_ROOM: len = room; break;
    case MX_FORM_NESTED: len = a->bytes; break;
    }
    if (len > MX_CALL_BYTES_MAX)
        return -E2BIG;
    *len_bytes = (uint32_t)len;
    return 0;
}

/* ---- where the body is ---- */

/* Reads text by pieces that end with pages, so that nothing behind its NUL is touched. Without
 * a NUL in MX_CALL_PATH_MAX bytes it is that long, which the kernel finds too long. */
static int read_text(const struct mx_call_memory *m, uint64_t address, uint8_t *text,
                     uint32_t *len_bytes)
{
    for (uint32_t got = 0; got < MX_CALL_PATH_MAX;) {
        uint32_t piece = PAGE - (uint32_t)((address + got) % PAGE);
        if (piece > MX_CALL_PATH_MAX - got)
            piece = MX_CALL_PATH_MAX - got;
        if (m->read(m->ctx, address + got, text + got, piece) < 0)
            return -EFAULT;
        const uint8_t *nul = memchr(text + got, 0, piece);
        if (nul) {
            *len_bytes = (uint32_t)(nul - text);
            return 0;
        }
        got += piece;
    }
    *len_bytes = MX_CALL_PATH_MAX;
    return 0;
}

/* Puts len_bytes from the body's memory straight into the message. Returns -EFAULT, with
 * nothing put, when they can't be read. */
static int put_memory(struct wr *w, const struct mx_call_memory *m, uint64_t address,
                      uint32_t len_bytes)
{
    struct wr probe = *w;
    put_u64(&probe, MX_POINTER_THERE);
    put_u32(&probe, len_bytes);
    if (probe.is_full || (size_t)(probe.end - probe.at) < len_bytes) {
        w->is_full = true;
        return 0;
    }
    if (len_bytes && m->read(m->ctx, address, probe.at, len_bytes) < 0)
        return -EFAULT;
    probe.at += len_bytes;
    *w = probe;
    return 0;
}

static int put_text(struct wr *w, const struct mx_call_memory *m, uint64_t address)
{
    uint8_t text[MX_CALL_PATH_MAX];
    uint32_t len_bytes;
    int rc = read_text(m, address, text, &len_bytes);
    if (rc < 0)
        return rc;
    put_u64(w, MX_POINTER_THERE);
    put_bytes(w, (struct bytes){ text, len_bytes });
    return 0;
}

/* What a NESTED pointer leads to; without a pointer inside it is like none at all. */
static int put_nested(struct wr *w, const struct mx_call_memory *m, uint64_t address,
                      uint32_t len_bytes)
{
    uint8_t raw[16];
    uint64_t inner, inner_bytes;
    if (m->read(m->ctx, address, raw, sizeof raw) < 0)
        return -EFAULT;
    struct rd r = rd_of(raw, sizeof raw);
    if (get_u64(&r, &inner) < 0 || get_u64(&r, &inner_bytes) < 0)
        return -EFAULT;
    if (!inner) {
        put_u64(w, MX_POINTER_NULL);
        return 0;
    }
    return inner_bytes != len_bytes ? -EFAULT : put_memory(w, m, inner, len_bytes);
}

static int put_in(struct wr *w, const struct mx_call_memory *m, enum mx_form form,
                  uint64_t address, uint32_t len_bytes)
{
    if (form == MX_FORM_TEXT)
        return put_text(w, m, address);
    return form == MX_FORM_NESTED ? put_nested(w, m, address, len_bytes)
                                  : put_memory(w, m, address, len_bytes);
}

/* What a LENGTH says; 0 when it can't be read. */
static uint32_t read_room(const struct mx_call_line *line, const uint64_t *args, unsigned i,
                          const struct mx_call_memory *m)
{
    uint8_t raw[4];
    uint32_t room;
    if (kind_of(line, i)->form != MX_FORM_ROOM)
        return 0;
    uint64_t address = args[line->args[i].n];
    if (!address || m->read(m->ctx, address, raw, sizeof raw) < 0)
        return 0;
    struct rd r = rd_of(raw, sizeof raw);
    return get_u32(&r, &room) < 0 ? 0 : room;
}

/* Behind its length, which is known afterwards. */
static int put_structure(struct wr *w, const struct mx_call_memory *m,
                         const struct mx_kind_line *k, uint64_t address,
                         struct mx_call_wait *wait)
{
    struct wr probe = *w;
    put_u64(&probe, MX_POINTER_THERE);
    struct wr length = probe;
    put_u32(&probe, 0);
    uint8_t *start = probe.at;
    int rc =
        k->form == MX_FORM_TEXTS
            ? mx_texts_put(&probe, m, address)
            : mx_message_put(&probe, m, address, k->direction == MX_DIR_BOTH, &wait->message);
    if (rc < 0)
        return rc;
    put_u32(&length, (uint32_t)(probe.at - start));
    *w = probe;
    return 0;
}

static int ask_pointer(const struct mx_call_line *line, const uint64_t *args, unsigned i,
                       const struct mx_call_memory *m, struct wr *w, struct mx_call_wait *wait)
{
    const struct mx_kind_line *k = kind_of(line, i);
    uint32_t len_bytes = 0;
    int rc = extent(line, args, i, read_room(line, args, i, m), &len_bytes);
    if (rc < 0)
        return rc;
    if (!args[i]) {
        put_u64(w, MX_POINTER_NULL);
        return 0;
    }
    if (is_structure(k))
        rc = put_structure(w, m, k, args[i], wait);
    else if (k->direction & MX_DIR_IN)
        rc = put_in(w, m, k->form, args[i], len_bytes);
    else
        put_u64(w, MX_POINTER_THERE);
    if (rc < 0 && rc != -EFAULT)
        return rc;
    if (rc < 0)
        put_u64(w, MX_POINTER_BAD);
    if (rc == 0 && k->direction & MX_DIR_OUT) {
        wait->outs[i].address = args[i];
        wait->outs[i].room_bytes = len_bytes;
    }
    return 0;
}

int mx_call_ask(const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS],
                const struct mx_call_memory *m, struct wr *w, struct mx_call_wait *wait)
{
    *wait = (struct mx_call_wait){ .line = line };
    put_u16(w, line->id);
    for (unsigned i = 0; i < line->arg_count; i++) {
        if (kind_of(line, i)->form == MX_FORM_VALUE) {
            put_u64(w, args[i]);
            continue;
        }
        int rc = ask_pointer(line, args, i, m, w, wait);
        if (rc < 0)
            return rc;
    }
    return w->is_full ? -ENOSPC : 0;
}

/* ---- at home ---- */

/* The values first: lengths may stand behind what they are lengths of. */
static int take_values(struct rd *r, struct mx_call_frame *f, struct bytes ins[MX_CALL_ARGS])
{
    int rc;
    for (unsigned i = 0; i < f->line->arg_count; i++) {
        const struct mx_kind_line *k = kind_of(f->line, i);
        if ((rc = get_u64(r, &f->args[i])) < 0)
            return rc;
        if (k->form == MX_FORM_VALUE)
            continue;
        if (f->args[i] > MX_POINTER_THERE)
            return -EPROTO;
        f->spans[i].is_there = f->args[i] == MX_POINTER_THERE;
        f->args[i] = f->args[i] == MX_POINTER_BAD ? MX_BAD_ADDRESS : 0;
        if (f->spans[i].is_there && k->direction & MX_DIR_IN &&
            (rc = get_bytes(r, &ins[i])) < 0)
            return rc;
    }
    return rd_left(r) ? -EPROTO : 0;
}

static uint32_t taken_room(const struct mx_call_frame *f, unsigned i, const struct bytes *ins)
{
    uint32_t room;
    struct bytes v = ins[f->line->args[i].n];
    struct rd r = rd_of(v.ptr, v.len);
    if (kind_of(f->line, i)->form != MX_FORM_ROOM || get_u32(&r, &room) < 0)
        return 0;
    return room;
}

/* Its place in the arena, and what was sent with it. */
static int take_span(struct mx_call_frame *f, unsigned i, const struct bytes *ins,
                     uint8_t *arena, uint64_t base, uint32_t *used)
{
    const struct mx_kind_line *k = kind_of(f->line, i);
    bool is_text = k->form == MX_FORM_TEXT;
    uint32_t len_bytes = 0;
    if (extent(f->line, f->args, i, taken_room(f, i, ins), &len_bytes) < 0)
        return -EPROTO;
    if (is_text) {
        if (ins[i].len > MX_CALL_PATH_MAX || (ins[i].len && memchr(ins[i].ptr, 0, ins[i].len)))
            return -EPROTO;
        len_bytes = ins[i].len;
    } else if (!is_structure(k) && k->direction & MX_DIR_IN && ins[i].len != len_bytes) {
        return -EPROTO;
    }
    *used = (*used + 7) / 8 * 8;
    if (len_bytes + 1 + NESTED_HEAD > MX_CALL_ARENA_BYTES - *used)
        return -EPROTO;
    if (is_structure(k)) {
        uint32_t room = MX_CALL_ARENA_BYTES - *used - 1;
        int64_t len = k->form == MX_FORM_TEXTS
                          ? mx_texts_take(ins[i], arena + *used, room, base + *used)
                          : mx_message_take(ins[i], k->direction == MX_DIR_BOTH, arena + *used,
                                            room, base + *used);
        f->spans[i].at = *used;
        f->spans[i].len_bytes = len < 0 ? 0 : (uint32_t)len;
        *used += f->spans[i].len_bytes;
        return len < 0 ? (int)len : 0;
    }
    if (k->form == MX_FORM_NESTED) {
        struct wr head = wr_of(arena + *used, NESTED_HEAD);
        put_u64(&head, base + *used + NESTED_HEAD);
        put_u64(&head, len_bytes);
        memcpy(arena + *used + NESTED_HEAD, ins[i].ptr, len_bytes);
        f->spans[i].at = *used;
        f->spans[i].len_bytes = NESTED_HEAD + len_bytes;
        *used += NESTED_HEAD + len_bytes;
        return 0;
    }
    f->spans[i].at = *used;
    f->spans[i].len_bytes = len_bytes;
    if (k->direction & MX_DIR_IN && len_bytes)
        memcpy(arena + *used, ins[i].ptr, len_bytes);
    if (!(k->direction & MX_DIR_IN))
        memset(arena + *used, 0, len_bytes);
    if (is_text)
        arena[*used + len_bytes] = 0;
    *used += len_bytes + 1;
    return 0;
}

int mx_call_take(struct rd *r, uint8_t *arena, uint64_t base, struct mx_call_frame *f)
{
    struct bytes ins[MX_CALL_ARGS] = { { NULL, 0 } };
    uint16_t id;
    uint32_t used = 0;
    int rc = get_u16(r, &id);
    if (rc < 0)
        return rc;
    *f = (struct mx_call_frame){ .line = mx_call_by_id(id), .base = base };
    if (!f->line || !mx_call_travels(f->line))
        return -EPROTO;
    rc = take_values(r, f, ins);
    if (rc == 0 && f->line->variant >= 0 &&
        (uint32_t)f->args[f->line->variant] != f->line->value)
        return -EPROTO;
    for (unsigned i = 0; rc == 0 && i < f->line->arg_count; i++)
        if (f->spans[i].is_there)
            rc = take_span(f, i, ins, arena, base, &used);
    for (unsigned i = 0; rc == 0 && i < f->line->arg_count; i++)
        if (f->spans[i].is_there)
            f->args[i] = base + f->spans[i].at;
    return rc;
}

/* How much of argument i the call has written. */
static uint32_t written(const struct mx_call_frame *f, const uint8_t *arena, unsigned i,
                        int64_t result)
{
    const struct mx_call_arg *a = &f->line->args[i];
    const struct mx_kind_line *k = kind_of(f->line, i);
    uint64_t len = f->spans[i].len_bytes, said = len;
    if (k->form == MX_FORM_COUNTED)
        said = (uint64_t)result;
    else if (k->form == MX_FORM_ARRAY && k->direction == MX_DIR_OUT)
        said = (uint64_t)result > len ? len : (uint64_t)result * a->bytes;
    else if (k->form == MX_FORM_ROOM && f->spans[a->n].is_there) {
        struct rd r = rd_of(arena + f->spans[a->n].at, 4);
        uint32_t after;
        said = get_u32(&r, &after) < 0 ? 0 : after;
    }
    return (uint32_t)(said < len ? said : len);
}

/* An interrupted call has told how much time was left, unless it was not even begun. */
static bool has_outs(const struct mx_call_line *line, unsigned i, int64_t result)
{
    const struct mx_kind_line *k = kind_of(line, i);
    if (!(k->direction & MX_DIR_OUT))
        return false;
    return result >= 0 || (mx_call_is_interrupted(result) && result != MX_RESTART_ALWAYS &&
                           k->form == MX_FORM_FIXED && k->direction == MX_DIR_BOTH);
}

static void answer_message(const struct mx_call_frame *f, unsigned i, const uint8_t *arena,
                           int64_t result, struct wr *w)
{
    struct wr length = *w;
    put_u32(w, 0);
    uint8_t *start = w->at;
    mx_message_answer(w, arena + f->spans[i].at, f->spans[i].len_bytes,
                      f->base + f->spans[i].at, result);
    put_u32(&length, (uint32_t)(w->at - start));
}

int mx_call_answer(const struct mx_call_frame *f, const uint8_t *arena, int64_t result,
                   struct wr *w)
{
    put_i64(w, result);
    for (unsigned i = 0; i < f->line->arg_count; i++) {
        if (!f->spans[i].is_there || !has_outs(f->line, i, result))
            continue;
        if (kind_of(f->line, i)->form == MX_FORM_MESSAGE)
            answer_message(f, i, arena, result, w);
        else
            put_bytes(w,
                      (struct bytes){ arena + f->spans[i].at, written(f, arena, i, result) });
    }
    return w->is_full ? -ENOSPC : 0;
}

/* ---- where the body is, again ---- */

int mx_call_give(const struct mx_call_wait *wait, struct rd *r, const struct mx_call_memory *m,
                 int64_t *result)
{
    struct bytes outs[MX_CALL_ARGS] = { { NULL, 0 } };
    int64_t got;
    int message = -1;
    int rc = get_i64(r, &got);
    for (unsigned i = 0; rc == 0 && i < wait->line->arg_count; i++) {
        if (!wait->outs[i].address || !has_outs(wait->line, i, got))
            continue;
        rc = get_bytes(r, &outs[i]);
        bool is_message = kind_of(wait->line, i)->form == MX_FORM_MESSAGE;
        if (rc == 0 && !is_message && outs[i].len > wait->outs[i].room_bytes)
            return -EPROTO;
        if (rc == 0 && is_message)
            message = (int)i;
    }
    if (rc < 0 || rd_left(r))
        return -EPROTO;
    if (message >= 0) {
        rc = mx_message_give(&wait->message, outs[message], m);
        if (rc == -EPROTO)
            return rc;
        outs[message].len = 0;
        got = rc < 0 ? rc : got;
    }
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        if (outs[i].len &&
            m->write(m->ctx, wait->outs[i].address, outs[i].ptr, outs[i].len) < 0)
            got = -EFAULT;
    *result = got;
    return 0;
}
