/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror.c: coding of calls that go with their pointers. Must not know: processes. */
#include "mosix-core/abi/mirror.h"

#include <errno.h>
#include <string.h>

enum {
    WINDOW_BYTES = 17, /* as it travels */
    RUN_HEAD_BYTES = 12,
};

/* Of a process on x86-64 with four levels of page tables, but for the first pages, which no
 * program can have. */
static const uint64_t memory_end = UINT64_C(0x7ffffffff000);

void mx_mirror_put_call(struct wr *w, const struct mx_mirror_call *c)
{
    put_u32(w, c->number);
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        put_u64(w, c->args[i]);
    put_u8(w, c->has_windows);
}

int mx_mirror_get_call(struct rd *r, struct mx_mirror_call *c)
{
    uint8_t has_windows;
    if (get_u32(r, &c->number) < 0)
        return -EPROTO;
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        if (get_u64(r, &c->args[i]) < 0)
            return -EPROTO;
    if (get_u8(r, &has_windows) < 0 || has_windows > 1)
        return -EPROTO;
    c->has_windows = has_windows;
    return 0;
}

void mx_mirror_put_windows(struct wr *w, const struct mx_window *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put_u64(w, list[i].start);
        put_u64(w, list[i].end);
        put_u8(w, list[i].may);
    }
}

int mx_mirror_get_windows(struct rd *r, struct mx_window *list, uint32_t *count)
{
    uint64_t before = MX_MIRROR_PAGE;
    size_t some = rd_left(r) / WINDOW_BYTES;
    if (rd_left(r) % WINDOW_BYTES || some > MX_MIRROR_WINDOWS_MAX)
        return -EPROTO;
    for (size_t i = 0; i < some; i++) {
        struct mx_window *v = list + i;
        if (get_u64(r, &v->start) < 0 || get_u64(r, &v->end) < 0 || get_u8(r, &v->may) < 0 ||
            (v->start | v->end) % MX_MIRROR_PAGE || v->start < before || v->start >= v->end ||
            v->end > memory_end || !v->may || v->may > (MX_WINDOW_READ | MX_WINDOW_WRITE))
            return -EPROTO;
        before = v->end;
    }
    *count = (uint32_t)some;
    return 0;
}

const struct mx_window *mx_mirror_find(const struct mx_window *list, uint32_t count,
                                       uint64_t address)
{
    uint32_t first = 0, end = count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (list[middle].end <= address)
            first = middle + 1;
        else
            end = middle;
    }
    return first < count && list[first].start <= address ? list + first : NULL;
}

bool mx_mirror_put_changes(struct wr *w, uint64_t address, const uint8_t *before,
                           const uint8_t *now, size_t len_bytes, size_t *at)
{
    while (*at < len_bytes) {
        size_t left = len_bytes - *at, chunk = left < MX_MIRROR_PAGE ? left : MX_MIRROR_PAGE;
        if (memcmp(before + *at, now + *at, chunk) == 0) {
            *at += chunk;
            continue;
        }
        while (before[*at] == now[*at])
            ++*at;
        size_t first = *at, end = first;
        size_t room = (size_t)(w->end - w->at);
        if (room <= RUN_HEAD_BYTES)
            return false;
        while (end < len_bytes && end - first < room - RUN_HEAD_BYTES &&
               before[end] != now[end])
            end++;
        put_u64(w, address + first);
        put_bytes(w, (struct bytes){ now + first, (uint32_t)(end - first) });
        *at = end;
    }
    return true;
}

int mx_mirror_next_change(struct rd *r, uint64_t *address, struct bytes *run)
{
    if (rd_left(r) == 0)
        return 0;
    if (get_u64(r, address) < 0 || get_bytes(r, run) < 0)
        return -EPROTO;
    return 1;
}
