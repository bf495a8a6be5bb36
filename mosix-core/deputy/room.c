/* SPDX-License-Identifier: GPL-2.0-or-later */
/* room.c: calls of a stub that make room for what comes.
 * Must not know: what comes. */
#include "mosix-core/deputy/room.h"

#include "mosix-core/deputy/quick.h"
#include "mosix-core/image/park.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

void mx_room_fini(struct mx_room *r)
{
    mx_maps_fini(&r->old);
}

/* Children don't have it. Addresses only: nothing is reserved. */
int mx_room_make(struct mx_range *park, struct mx_tracee *t, struct err *e)
{
    int how = park->end ? MAP_FIXED : MAP_FIXED_NOREPLACE;
    const struct mx_call calls[] = {
        { SYS_mmap,
          { MX_PARK_AT, MX_PARK_BYTES, PROT_NONE, (unsigned)(MAP_PRIVATE | MAP_ANONYMOUS | how),
            UINT64_MAX, 0 } },
        { SYS_madvise, { MX_PARK_AT, MX_PARK_BYTES, MADV_DONTFORK } },
    };
    int64_t result;
    *park = (struct mx_range){ 0 };
    int rc = mx_tracee_call(t, &calls[0], &result, e);
    if (rc < 0 || (uint64_t)result != MX_PARK_AT)
        return rc;
    rc = mx_tracee_call(t, &calls[1], &result, e);
    if (rc == 0)
        *park = (struct mx_range){ MX_PARK_AT, MX_PARK_AT + MX_PARK_BYTES };
    return rc;
}

void mx_room_open(struct mx_room *r, uint64_t end)
{
    if (end > r->opening && end <= r->park.end && !r->is_clearing)
        r->opening = end;
}

void mx_room_clear(struct mx_room *r)
{
    r->is_clearing = true;
    r->opening = r->open = 0;
}

static bool has_old(const struct mx_room *r)
{
    return r->is_looked ? r->next < r->old.count : r->opening > 0;
}

bool mx_room_wants(const struct mx_room *r)
{
    return r->is_clearing || r->opening > r->open || has_old(r);
}

static int clear(struct mx_room *r, struct mx_tracee *t, struct err *e)
{
    int rc = mx_room_make(&r->park, t, e);
    r->is_clearing = false;
    return rc < 0 ? rc : 1;
}

/* While it is empty that costs nothing. Without it, it is done when all is there. */
static int open_more(struct mx_room *r, struct mx_tracee *t, struct err *e)
{
    uint64_t start = r->open ? r->open : r->park.start;
    const struct mx_call c = { SYS_mprotect,
                               { start, r->opening - start, PROT_READ | PROT_WRITE } };
    int64_t result;
    r->open = r->opening;
    return mx_tracee_call(t, &c, &result, e);
}

/* What ps shows of its arguments is in its first stack, and what is small is done quickly. */
static bool is_kept(const struct mx_room *r, const struct mx_sec_mapping *m)
{
    static const char stack[] = "[stack]";
    bool is_stack =
        m->path.len >= sizeof stack - 1 && memcmp(m->path.ptr, stack, sizeof stack - 1) == 0;
    return m->kind != MX_MAP_MEMORY || m->end - m->start < MX_ROOM_LEAST_BYTES || is_stack ||
           (m->start < r->park.end && MX_QUICK_AWAY_AT < m->end); /* ours */
}

static int drop_old(struct mx_room *r, struct mx_tracee *t, struct err *e)
{
    if (!r->is_looked) {
        struct err none = { "" };
        r->is_looked = true;
        if (r->keeps_old || mx_maps_read_places(&r->old, t->pid, &none) < 0)
            mx_maps_fini(&r->old);
        return 0;
    }
    while (r->next < r->old.count && is_kept(r, &r->old.list[r->next]))
        r->next++;
    if (r->next == r->old.count)
        return 0;
    const struct mx_sec_mapping *m = &r->old.list[r->next];
    uint64_t start = r->at > m->start ? r->at : m->start;
    uint64_t end = m->end - start < MX_ROOM_PIECE_BYTES ? m->end : start + MX_ROOM_PIECE_BYTES;
    const struct mx_call c = { SYS_madvise, { start, end - start, MADV_DONTNEED } };
    int64_t result;
    r->at = end;
    r->next += end == m->end;
    return mx_tracee_call(t, &c, &result, e);
}

int mx_room_step(struct mx_room *r, struct mx_tracee *t, struct err *e)
{
    return r->is_clearing         ? clear(r, t, e)
           : r->opening > r->open ? open_more(r, t, e)
                                  : drop_old(r, t, e);
}
