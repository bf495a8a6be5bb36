/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror.h: calls that are made at home with the body's own pointers, as bytes: the call, where
 * the body has memory, and what a call has changed in it. Must not know: processes, how memory
 * follows a call. Either side may be hostile to the other. */
#ifndef MOSIX_CORE_ABI_MIRROR_H
#define MOSIX_CORE_ABI_MIRROR_H

#include "common/base/wire.h"
#include "mosix-core/abi/calls.h"

enum {
    MX_MIRROR_PAGE = 4096,
    MX_MIRROR_WINDOWS_MAX = 16 << 10, /* mappings of a body, neighbours that are alike as one */
    MX_MIRROR_WANT_MAX = 64,          /* pages that are asked for at a time */
    MX_MIRROR_PAGES_MAX = 16 << 10,   /* that one call may touch: 64 MiB */
    MX_MIRROR_FRAME_BYTES = 512 << 10, /* of changes in one frame */
};

enum { MX_WINDOW_READ = 1, MX_WINDOW_WRITE = 2 };

/* Memory of the body: whole pages, [start, end). */
struct mx_window {
    uint64_t start, end;
    uint8_t may; /* MX_WINDOW_... */
};

/* A call as the supervisor sends it. */
struct mx_mirror_call {
    uint32_t number; /* of x86-64 */
    uint64_t args[MX_CALL_ARGS];
    bool has_windows; /* they are not as they were with the last call */
};
void mx_mirror_put_call(struct wr *w, const struct mx_mirror_call *c);
MUST int mx_mirror_get_call(struct rd *r, struct mx_mirror_call *c);

/* list: in the order of addresses, at most MX_MIRROR_WINDOWS_MAX. */
void mx_mirror_put_windows(struct wr *w, const struct mx_window *list, uint32_t count);
/* Returns 0 and how many there are in list, which has room for MX_MIRROR_WINDOWS_MAX; -EPROTO
 * when they are not in order, not whole pages of memory of a program's, or too many. */
MUST int mx_mirror_get_windows(struct rd *r, struct mx_window *list, uint32_t *count);
/* The one that an address is in; NULL: none. */
const struct mx_window *mx_mirror_find(const struct mx_window *list, uint32_t count,
                                       uint64_t address);

/* Encodes runs of bytes in which now differs from before, beginning at *at of len_bytes, until
 * all are told or w is as good as full. Returns whether all are; *at is where to go on. */
MUST bool mx_mirror_put_changes(struct wr *w, uint64_t address, const uint8_t *before,
                                const uint8_t *now, size_t len_bytes, size_t *at);
/* The next run. Returns 1, 0 at the end, -EPROTO. */
MUST int mx_mirror_next_change(struct rd *r, uint64_t *address, struct bytes *run);

#endif
