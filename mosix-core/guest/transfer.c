/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transfer.c: reads and writes in pieces. Must not know: processes, sockets. */
#include "mosix-core/guest/transfer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum {
    RUN_AT = 0x10000, /* address of the first byte of the run, for the call of a piece */
    POLL_AT = 0x1000,
};
static const uint64_t run_max_bytes = 0x7ffff000; /* the kernel's own */

/* ---- the run ---- */

static int move(struct mx_transfer *t, uint64_t offset, uint8_t *ptr, size_t len_bytes,
                bool is_write)
{
    const struct mx_call_memory *m = &t->memory;
    for (unsigned i = 0; i < t->count && len_bytes; i++) {
        uint64_t len = t->vectors[i].len_bytes;
        if (offset >= len) {
            offset -= len;
            continue;
        }
        uint64_t at = t->vectors[i].at + offset;
        size_t piece = len - offset < len_bytes ? (size_t)(len - offset) : len_bytes;
        int rc = is_write ? m->write(m->ctx, at, ptr, piece) : m->read(m->ctx, at, ptr, piece);
        if (rc < 0)
            return rc;
        ptr += piece;
        len_bytes -= piece;
        offset = 0;
    }
    return len_bytes ? -EFAULT : 0;
}

static int on_read(void *ctx, uint64_t address, void *ptr, size_t len_bytes)
{
    struct mx_transfer *t = ctx;
    if (address >= RUN_AT)
        return move(t, address - RUN_AT, ptr, len_bytes, false);
    if (address != POLL_AT || len_bytes > sizeof t->poll)
        return -EFAULT;
    memcpy(ptr, t->poll, len_bytes);
    return 0;
}

static int on_write(void *ctx, uint64_t address, const void *ptr, size_t len_bytes)
{
    struct mx_transfer *t = ctx;
    if (address >= RUN_AT)
        return move(t, address - RUN_AT, (uint8_t *)(uintptr_t)ptr, len_bytes, true);
    if (address != POLL_AT || len_bytes > sizeof t->poll)
        return -EFAULT;
    memcpy(t->poll, ptr, len_bytes);
    return 0;
}

/* ---- which calls ---- */

static const struct form {
    const char *name, *piece;
    bool is_vector, is_read, is_socket;
    int position_arg, flags_arg;
} forms[] = {
    { "read", "read", false, true, false, -1, -1 },
    { "write", "write", false, false, false, -1, -1 },
    { "pread64", "pread64", false, true, false, 3, -1 },
    { "pwrite64", "pwrite64", false, false, false, 3, -1 },
    { "sendto", "sendto", false, false, true, -1, -1 },
    { "recvfrom", "recvfrom", false, true, true, -1, -1 },
    { "readv", "read", true, true, false, -1, -1 },
    { "writev", "write", true, false, false, -1, -1 },
    { "preadv", "pread64", true, true, false, 3, -1 },
    { "pwritev", "pwrite64", true, false, false, 3, -1 },
    { "preadv2", "pread64", true, true, false, 3, 5 },
    { "pwritev2", "pwrite64", true, false, false, 3, 5 },
};

static const struct form *find_form(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(forms); i++)
        if (strcmp(forms[i].name, name) == 0)
            return &forms[i];
    return NULL;
}

/* Returns the error that the kernel has for wrong ones. */
static int read_vectors(struct mx_transfer *t, uint64_t at, uint64_t count)
{
    if (count > MX_VECTORS_MAX)
        return -EINVAL;
    for (t->count = 0; t->count < count; t->count++) {
        uint8_t raw[16];
        struct rd r = rd_of(raw, sizeof raw);
        uint64_t *base = &t->vectors[t->count].at, *len = &t->vectors[t->count].len_bytes;
        if (t->memory.read(t->memory.ctx, at + 16 * (uint64_t)t->count, raw, sizeof raw) < 0)
            return -EFAULT;
        if (get_u64(&r, base) < 0 || get_u64(&r, len) < 0 || *len > INT64_MAX)
            return -EINVAL;
        if (*len > run_max_bytes - t->total_bytes)
            *len = run_max_bytes - t->total_bytes;
        t->total_bytes += *len;
    }
    return 0;
}

bool mx_transfer_begin(struct mx_transfer *t, const char *name,
                       const uint64_t args[MX_CALL_ARGS], const struct mx_call_memory *m)
{
    const struct form *f = find_form(name);
    /* Messages with an address are whole or not at all. */
    if (!f || (!f->is_vector && args[2] <= MX_CALL_BYTES_MAX) || (f->is_socket && args[4]))
        return false;
    t->memory = *m;
    t->is_active = true;
    t->is_asking = false;
    t->is_read = f->is_read;
    t->name = f->piece;
    t->position_arg = f->position_arg;
    t->total_bytes = t->done_bytes = 0;
    t->error = 0;
    memset(t->args, 0, sizeof t->args);
    t->args[0] = args[0];
    t->args[3] = args[3];
    if (f->flags_arg >= 0 && args[3] == UINT64_MAX) { /* the file's own position */
        t->name = f->is_read ? "read" : "write";
        t->position_arg = -1;
    }
    if (f->is_vector) {
        t->error = read_vectors(t, args[1], args[2]);
    } else {
        t->count = 1;
        t->vectors[0].at = args[1];
        t->total_bytes = args[2] < run_max_bytes ? args[2] : run_max_bytes;
        t->vectors[0].len_bytes = t->total_bytes;
    }
    if (f->flags_arg >= 0 && args[5] && t->error == 0)
        t->error = -EOPNOTSUPP;
    if (t->error)
        t->total_bytes = 0;
    return true;
}

/* ---- pieces ---- */

static uint64_t piece_bytes(const struct mx_transfer *t)
{
    uint64_t left = t->total_bytes - t->done_bytes;
    return left < MX_CALL_BYTES_MAX ? left : MX_CALL_BYTES_MAX;
}

const struct mx_call_line *mx_transfer_next(struct mx_transfer *t, uint64_t args[MX_CALL_ARGS],
                                            struct mx_call_memory *m)
{
    *m = (struct mx_call_memory){ t, on_read, on_write };
    memset(args, 0, MX_CALL_ARGS * sizeof *args);
    if (t->is_asking) {
        struct wr w = wr_of(t->poll, sizeof t->poll);
        put_u32(&w, (uint32_t)t->args[0]);
        put_u16(&w, POLLIN);
        put_u16(&w, 0);
        args[0] = POLL_AT;
        args[1] = 1;
        return mx_call_pick("poll", args);
    }
    memcpy(args, t->args, sizeof t->args);
    args[1] = RUN_AT + t->done_bytes;
    args[2] = piece_bytes(t);
    if (t->position_arg >= 0)
        args[t->position_arg] += t->done_bytes;
    return mx_call_pick(t->name, args);
}

bool mx_transfer_result(struct mx_transfer *t, int64_t result, int64_t *whole)
{
    bool is_over = true;
    if (t->error && result >= 0)
        result = t->error;
    *whole = t->done_bytes ? (int64_t)t->done_bytes : result;
    if (result >= 0 && t->is_asking) {
        struct rd r = rd_of(t->poll + 6, 2);
        uint16_t ready = 0;
        is_over = result == 0 || get_u16(&r, &ready) < 0 || !(ready & POLLIN);
        t->is_asking = false;
    } else if (result >= 0) {
        bool is_full = (uint64_t)result == piece_bytes(t);
        t->done_bytes += (uint64_t)result;
        *whole = (int64_t)t->done_bytes;
        is_over = !is_full || t->done_bytes >= t->total_bytes;
        t->is_asking = t->is_read && t->position_arg < 0;
    }
    t->is_active = !is_over;
    return is_over;
}
