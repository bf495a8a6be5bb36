/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore_memory.c: a stopped process gives up its memory and gets that of an image, at once or
 * round by round. Must not know: where the image comes from, what else is in it. */
#include "mosix-core/image/making.h"

#include "common/sys/lzo.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum {
    HOLE_BYTES = 1 << 20, /* for the scratch memory, and to park the kernel's mappings */
    PARKING_AT = HOLE_BYTES / 2,
    PLACES_WRITE_MAX = 256,
};

/* ---- calls, many at a time ---- */

struct calls {
    struct mx_call *list;
    unsigned count, size;
};

static int add_call(struct calls *c, struct mx_call call, struct err *e)
{
    if (c->count == c->size) {
        unsigned size = c->size ? 2 * c->size : 64;
        void *more = realloc(c->list, size * sizeof *c->list);
        if (!more)
            return err_set(e, ENOMEM, "make a process");
        c->list = more;
        c->size = size;
    }
    c->list[c->count++] = call;
    return 0;
}

static int make_calls(struct calls *c, struct mx_tracee *t, const char *what, struct err *e)
{
    int rc = mx_tracee_must_all(t, c->list, c->count, what, e);
    c->count = 0;
    return rc;
}

/* ---- the memory that it had ---- */

static int check_kernel(const struct mx_making *p, const struct mx_tracee *t,
                        const struct mx_maps *own, struct err *e)
{
    uint8_t sum[MX_SECTION_SUM_BYTES];
    int rc = mx_vdso_sum(t, own, sum, e);
    if (rc == 0 && memcmp(sum, p->once[MX_SEC_process].s.process.vdso.ptr, sizeof sum) != 0)
        return err_say(e, ENOTSUP, "the image is of another kernel");
    return rc;
}

static bool is_parked(const struct mx_making *p, const struct mx_sec_mapping *m)
{
    const struct mx_park *park = p->how.park;
    return park && m->start >= park->start && m->end <= park->end;
}

/* All but the scratch memory, what the kernel maps by itself, and what comes into its place. */
static int unmap_own(const struct mx_making *p, struct mx_tracee *t, const struct mx_maps *own,
                     struct calls *c, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < own->count; i++) {
        const struct mx_sec_mapping *m = &own->list[i];
        if (m->kind == MX_MAP_MEMORY && !is_parked(p, m))
            rc =
                add_call(c, (struct mx_call){ SYS_munmap, { m->start, m->end - m->start } }, e);
    }
    return rc == 0 ? make_calls(c, t, "munmap", e) : rc;
}

static int move_mapping(struct mx_tracee *t, uint64_t from, uint64_t to, uint64_t len_bytes,
                        struct err *e)
{
    struct mx_call c = { SYS_mremap,
                         { from, len_bytes, len_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to } };
    bool has_call = t->syscall_at >= from && t->syscall_at < from + len_bytes;
    int rc = from == to ? 0 : mx_tracee_must(t, &c, "mremap", e);
    if (rc == 0 && has_call)
        t->syscall_at += to - from;
    return rc;
}

/* The kernel's mappings go where the image had them, by way of a parking place, as the two may
 * overlap. */
static int move_special(struct mx_tracee *t, const struct mx_making *p,
                        const struct mx_maps *own, uint64_t parking, struct err *e)
{
    uint64_t at[MX_MAP_KINDS] = { 0 };
    int rc = 0;
    for (unsigned kind = MX_MAP_VDSO; rc == 0 && kind < MX_MAP_KINDS; kind++) {
        const struct mx_sec_mapping *have = mx_maps_kind(own, kind);
        const struct mx_sec_mapping *want = mx_maps_kind(&p->next, kind);
        if (!have && !want)
            continue;
        if (!have || !want || have->end - have->start != want->end - want->start)
            return err_say(e, ENOTSUP, "the image is of another kernel: it maps %s differently",
                           want ? (const char *)want->path.ptr : (const char *)have->path.ptr);
        at[kind] = parking;
        rc = move_mapping(t, have->start, parking, have->end - have->start, e);
        parking += have->end - have->start;
    }
    for (unsigned kind = MX_MAP_VDSO; rc == 0 && kind < MX_MAP_KINDS; kind++) {
        const struct mx_sec_mapping *want = mx_maps_kind(&p->next, kind);
        if (want)
            rc = move_mapping(t, at[kind], want->start, want->end - want->start, e);
    }
    return rc;
}

/* ---- mappings ---- */

static struct mx_call unmap_call(const struct mx_sec_mapping *m UNUSED, uint64_t start,
                                 uint64_t end)
{
    return (struct mx_call){ SYS_munmap, { start, end - start } };
}

/* To be written first; protected at the end. */
static struct mx_call map_call(const struct mx_sec_mapping *m, uint64_t start, uint64_t end)
{
    uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    if (m->attributes & MX_ATTR_GROWSDOWN)
        flags |= MAP_GROWSDOWN;
    if (m->attributes & MX_ATTR_NORESERVE || !(m->prot & PROT_WRITE))
        flags |= MAP_NORESERVE;
    return (struct mx_call){
        SYS_mmap, { start, end - start, PROT_READ | PROT_WRITE, flags, UINT64_MAX, 0 }
    };
}

struct differing {
    struct mx_call (*call)(const struct mx_sec_mapping *, uint64_t, uint64_t);
    struct calls *c;
};

static int add_part(void *ctx, const struct mx_sec_mapping *m, uint64_t start, uint64_t end,
                    struct err *e)
{
    struct differing *d = ctx;
    return add_call(d->c, d->call(m, start, end), e);
}

/* A call for each part of the mappings of a that is in none of b. */
static int add_differing(const struct mx_maps *a, const struct mx_maps *b,
                         struct mx_call (*call)(const struct mx_sec_mapping *, uint64_t,
                                                uint64_t),
                         struct calls *c, struct err *e)
{
    struct differing d = { call, c };
    return mx_maps_differing(a, b, add_part, &d, e);
}

/* What is parked keeps nothing of what the park was told. */
static int add_parked(struct calls *c, uint64_t from, uint64_t start, uint64_t end,
                      struct err *e)
{
    uint64_t len = end - start;
    const struct mx_call calls[] = {
        { SYS_mremap, { from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, start } },
        { SYS_madvise, { start, len, MADV_DOFORK } },
    };
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(calls); i++)
        rc = add_call(c, calls[i], e);
    return rc;
}

/* All mappings of next, where there is nothing. */
static int make_mappings(const struct mx_making *p, struct mx_tracee *t, struct calls *c,
                         struct err *e)
{
    static const struct mx_park none = { 0 };
    const struct mx_park *park = p->how.park ? p->how.park : &none;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < p->next.count; i++) {
        const struct mx_sec_mapping *m = &p->next.list[i];
        uint64_t end, from;
        for (uint64_t at = m->start; rc == 0 && m->kind == MX_MAP_MEMORY && at < m->end;
             at = end)
            rc = mx_park_find(park, at, m->end, &end, &from)
                     ? add_parked(c, from, at, end, e)
                     : add_call(c, map_call(m, at, end), e);
    }
    if (rc == 0 && park->end)
        rc = add_call(
            c, (struct mx_call){ SYS_munmap, { park->start, park->end - park->start } }, e);
    return rc == 0 ? make_calls(c, t, "mmap or mremap", e) : rc;
}

static void take_next(struct mx_making *p)
{
    mx_maps_fini(&p->maps);
    p->maps = p->next;
    p->next = (struct mx_maps){ 0 };
    p->has_next = false;
}

int mx_making_exchange(struct mx_making *p, struct mx_tracee *t, struct err *e)
{
    struct mx_maps own = { 0 };
    struct calls c = { 0 };
    int rc = mx_maps_read_places(&own, t->pid, e);
    uint64_t hole = rc == 0 ? mx_maps_hole(&own, &p->next, HOLE_BYTES) : 0;
    if (rc == 0)
        rc = mx_capture_find_call(t, &own, e);
    if (rc == 0 && !hole)
        rc = err_say(e, ENOMEM, "the image leaves no room");
    if (rc == 0)
        rc = check_kernel(p, t, &own, e);
    if (rc == 0)
        rc = mx_tracee_drop_areas(t, p->how.stub_threads, e);
    if (rc == 0)
        rc = mx_tracee_scratch(t, hole, e);
    if (rc == 0)
        rc = unmap_own(p, t, &own, &c, e);
    if (rc == 0)
        rc = move_special(t, p, &own, hole + PARKING_AT, e);
    if (rc == 0)
        rc = make_mappings(p, t, &c, e);
    take_next(p);
    mx_maps_fini(&own);
    free(c.list);
    return rc;
}

static bool is_moved(const struct mx_making *p, enum mx_map_kind kind)
{
    const struct mx_sec_mapping *a = mx_maps_kind(&p->maps, kind),
                                *b = mx_maps_kind(&p->next, kind);
    return (a == NULL) != (b == NULL) || (a && (a->start != b->start || a->end != b->end));
}

/* The scratch memory gives way. */
static int clear_scratch(struct mx_making *p, struct mx_tracee *t, struct err *e)
{
    for (uint32_t i = 0; i < p->next.count; i++) {
        const struct mx_sec_mapping *m = &p->next.list[i];
        if (m->start >= t->scratch + MX_SCRATCH_WITH_CODE || m->end <= t->scratch)
            continue;
        uint64_t hole = mx_maps_hole(&p->maps, &p->next, HOLE_BYTES);
        int rc =
            hole ? mx_tracee_unscratch(t, e) : err_say(e, ENOMEM, "the image leaves no room");
        return rc == 0 ? mx_tracee_scratch(t, hole, e) : rc;
    }
    return 0;
}

int mx_making_remap(struct mx_making *p, struct mx_tracee *t, struct err *e)
{
    struct calls c = { 0 };
    int rc = 0;
    for (unsigned kind = MX_MAP_VDSO; rc == 0 && kind < MX_MAP_KINDS; kind++)
        if (is_moved(p, kind))
            rc = err_say(e, ENOTSUP, "the program became another on its way");
    if (rc == 0)
        rc = clear_scratch(p, t, e);
    if (rc == 0)
        rc = add_differing(&p->maps, &p->next, unmap_call, &c, e);
    if (rc == 0)
        rc = make_calls(&c, t, "munmap", e);
    if (rc == 0)
        rc = add_differing(&p->next, &p->maps, map_call, &c, e);
    if (rc == 0)
        rc = make_calls(&c, t, "mmap", e);
    take_next(p);
    free(c.list);
    return rc;
}

/* ---- pages ---- */

static int flush_gone(struct mx_making *p, struct mx_tracee *t, struct err *e)
{
    int rc = mx_tracee_must_all(t, p->gone, p->gone_count, "madvise", e);
    p->gone_count = 0;
    return rc;
}

/* Parts of it may be no memory of the image. */
static int put_gone(struct mx_making *p, struct mx_tracee *t, const struct mx_sec_gone *g,
                    struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < p->maps.count; i++) {
        const struct mx_sec_mapping *m = &p->maps.list[i];
        uint64_t start = g->start > m->start ? g->start : m->start;
        uint64_t end = g->end < m->end ? g->end : m->end;
        if (m->kind != MX_MAP_MEMORY || start >= end)
            continue;
        if (p->gone_count == MX_MAKING_GONE_MAX)
            rc = flush_gone(p, t, e);
        p->gone[p->gone_count++] =
            (struct mx_call){ SYS_madvise, { start, end - start, MADV_DONTNEED } };
    }
    return rc;
}

static int unpack(struct mx_making *p, struct bytes body, uint32_t bytes, struct err *e)
{
    if (!p->space && !(p->space = malloc(MX_PAGES_BODY_MAX)))
        return err_set(e, ENOMEM, "unpack pages");
    if (lzo_unpack(body.ptr, body.len, p->space, bytes) < 0)
        return err_say(e, EPROTO, "pages of the image can't be unpacked");
    return 0;
}

static int check_place(const struct mx_making *p, uint64_t start, uint64_t end, struct err *e)
{
    const struct mx_sec_mapping *m = mx_mapping_find(p->maps.list, p->maps.count, start, end);
    return m && m->kind == MX_MAP_MEMORY
               ? 0
               : err_say(e, EPROTO, "the image has pages outside of its mappings");
}

/* Before pages are put anywhere. */
static int before_pages(struct mx_making *p, struct mx_tracee *t, struct err *e)
{
    if (p->how.some)
        p->how.some(p->how.ctx);
    return p->gone_count ? flush_gone(p, t, e) : 0;
}

static int put_pages(struct mx_making *p, struct mx_tracee *t, uint64_t start,
                     const uint8_t *ptr, uint32_t len_bytes, struct err *e)
{
    int rc = check_place(p, start, start + len_bytes, e);
    if (rc == 0)
        rc = before_pages(p, t, e);
    if (rc == 0)
        rc = mx_tracee_write(t, start, ptr, len_bytes, e);
    return rc == 0 ? mx_making_filled(p, t->pid, len_bytes, e) : rc;
}

/* Many places with one call; while it is made all of its memory may be written. */
static int put_places(struct mx_tracee *t, const uint8_t *ptr, const struct iovec *v,
                      unsigned count, struct err *e)
{
    size_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len += v[i].iov_len;
    struct iovec from = { (void *)ptr, len };
    if (process_vm_writev(t->pid, &from, 1, v, count, 0) == (ssize_t)len)
        return 0;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < count; ptr += v[i++].iov_len)
        rc = mx_tracee_write(t, (uint64_t)(uintptr_t)v[i].iov_base, ptr, v[i].iov_len, e);
    return rc;
}

static int put_scattered(struct mx_making *p, struct mx_tracee *t,
                         const struct mx_sec_scattered *s, struct err *e)
{
    struct iovec v[PLACES_WRITE_MAX];
    const uint8_t *ptr = s->body.ptr;
    uint64_t start, end;
    unsigned count = 0;
    int rc = before_pages(p, t, e);
    if (rc == 0 && s->body.len < s->bytes) {
        rc = unpack(p, s->body, s->bytes, e);
        ptr = p->space;
    }
    for (uint32_t i = 0; rc == 0 && mx_scattered_place(s, i, &start, &end); i++) {
        rc = check_place(p, start, end, e);
        v[count++] = (struct iovec){ (void *)(uintptr_t)start, end - start };
        if (rc < 0 || (count < PLACES_WRITE_MAX && i + 1 < s->places.len / MX_PLACE_BYTES))
            continue;
        rc = put_places(t, ptr, v, count, e);
        while (count)
            ptr += v[--count].iov_len;
    }
    return rc == 0 ? mx_making_filled(p, t->pid, s->bytes, e) : rc;
}

static int put_packed(struct mx_making *p, struct mx_tracee *t, const struct mx_sec_packed *s,
                      struct err *e)
{
    int rc = unpack(p, s->body, s->bytes, e);
    return rc < 0 ? rc : put_pages(p, t, s->start, p->space, s->bytes, e);
}

int mx_making_pages(struct mx_making *p, struct mx_tracee *t, const struct mx_sec *s,
                    struct err *e)
{
    if (s->number == MX_SEC_gone)
        return put_gone(p, t, &s->gone, e);
    if (s->number == MX_SEC_scattered)
        return put_scattered(p, t, &s->scattered, e);
    if (s->number == MX_SEC_packed)
        return put_packed(p, t, &s->packed, e);
    return put_pages(p, t, s->pages.start, s->pages.body.ptr, s->pages.body.len, e);
}

/* ---- at last ---- */

static const struct {
    uint32_t attribute;
    int advice;
} advices[] = {
    { MX_ATTR_DONTFORK, MADV_DONTFORK },     { MX_ATTR_DONTDUMP, MADV_DONTDUMP },
    { MX_ATTR_WIPEONFORK, MADV_WIPEONFORK }, { MX_ATTR_HUGEPAGE, MADV_HUGEPAGE },
    { MX_ATTR_NOHUGEPAGE, MADV_NOHUGEPAGE }, { MX_ATTR_MERGEABLE, MADV_MERGEABLE },
};

static int add_advices(const struct mx_sec_mapping *m, struct calls *c, struct err *e)
{
    uint64_t len = m->end - m->start;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(advices); i++)
        if (m->attributes & advices[i].attribute)
            rc = add_call(
                c,
                (struct mx_call){ SYS_madvise, { m->start, len, (uint64_t)advices[i].advice } },
                e);
    if (rc == 0 && m->attributes & MX_ATTR_LOCKED)
        rc = add_call(c, (struct mx_call){ SYS_mlock, { m->start, len } }, e);
    return rc;
}

/* Anything of it; what is parked may not be touched. */
static bool has_parked(const struct mx_making *p, const struct mx_sec_mapping *m)
{
    uint64_t end, from;
    return p->how.park &&
           (mx_park_find(p->how.park, m->start, m->end, &end, &from) || end < m->end);
}

int mx_making_protect(struct mx_making *p, struct mx_tracee *t, struct err *e)
{
    struct calls c = { 0 };
    int rc = flush_gone(p, t, e);
    for (uint32_t i = 0; rc == 0 && i < p->maps.count; i++)
        if (p->maps.list[i].kind == MX_MAP_MEMORY)
            rc = add_advices(&p->maps.list[i], &c, e);
    if (rc == 0)
        rc = make_calls(&c, t, "madvise or mlock", e);
    for (uint32_t i = 0; rc == 0 && i < p->maps.count; i++) {
        const struct mx_sec_mapping *m = &p->maps.list[i];
        struct mx_call protect = { SYS_mprotect, { m->start, m->end - m->start, m->prot } };
        if (m->kind == MX_MAP_MEMORY &&
            (m->prot != (PROT_READ | PROT_WRITE) || has_parked(p, m)))
            rc = add_call(&c, protect, e);
    }
    if (rc == 0)
        rc = make_calls(&c, t, "mprotect", e);
    free(c.list);
    return rc;
}
