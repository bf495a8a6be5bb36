/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sections.c: coding of an image's sections, expanded from sections.def, and their validation.
 * Must not know: files, checksums, processes. */
#include "mosix-core/image/form/sections.h"

#include <errno.h>

enum {
    PAGE = 4096, /* the only size of x86-64 */
};
/* User addresses end below this; the last page is never mapped. */
static const uint64_t address_end = 0x7ffffffff000;

#define PUT_u8(field)    put_u8(w, s->field)
#define PUT_u32(field)   put_u32(w, s->field)
#define PUT_u64(field)   put_u64(w, s->field)
#define PUT_i64(field)   put_i64(w, s->field)
#define PUT_bytes(field) put_bytes(w, s->field)

#define F(kind, field)                                                                         \
    if ((rc = get_##kind(r, &s->field)) < 0)                                                   \
        return rc;
#define SINCE(version, kind, field)                                                            \
    s->field = 0;                                                                              \
    if (of_version >= version && (rc = get_##kind(r, &s->field)) < 0)                          \
        return rc;
#define SECTION(number, name, version, fields)                                                 \
    int mx_sec_##name##_get(struct rd *r, unsigned of_version UNUSED, struct mx_sec_##name *s) \
    {                                                                                          \
        int rc;                                                                                \
        fields return rd_left(r) ? -EPROTO : 0;                                                \
    }
#include "mosix-core/image/form/sections.def"
#undef SECTION
#undef SINCE
#undef F
#define F(kind, field)              PUT_##kind(field);
#define SINCE(version, kind, field) PUT_##kind(field);
#define SECTION(number, name, version, fields)                                                 \
    void mx_sec_##name##_put(struct wr *w, const struct mx_sec_##name *s)                      \
    {                                                                                          \
        fields                                                                                 \
    }
#include "mosix-core/image/form/sections.def"
#undef SECTION
#undef SINCE
#undef F

static const struct {
    uint16_t version;
    const char *name;
} known[MX_SECTIONS_END] = {
#define SECTION(number, name, version, fields) [number] = { version, #name },
#include "mosix-core/image/form/sections.def"
#undef SECTION
};

uint16_t mx_section_version(unsigned number)
{
    return number < MX_SECTIONS_END ? known[number].version : 0;
}

const char *mx_section_name(unsigned number)
{
    return mx_section_version(number) ? known[number].name : "unknown";
}

int mx_section_head_get(struct rd *r, struct mx_section_head *h)
{
    int rc;
    if ((rc = get_u16(r, &h->number)) < 0 || (rc = get_u16(r, &h->version)) < 0 ||
        (rc = get_u32(r, &h->len_bytes)) < 0)
        return rc;
    return h->len_bytes > MX_SECTION_MAX ? -EPROTO : 0;
}

void mx_section_head_put(struct wr *w, const struct mx_section_head *h)
{
    put_u16(w, h->number);
    put_u16(w, h->version);
    put_u32(w, h->len_bytes);
}

/* ---- each section by itself ---- */

static bool is_range(uint64_t start, uint64_t end)
{
    return start < end && end <= address_end && start % PAGE == 0 && end % PAGE == 0;
}

static bool is_text(struct bytes v)
{
    for (uint32_t i = 0; i < v.len; i++)
        if (!v.ptr[i])
            return false;
    return true;
}

static bool check_process(const struct mx_sec_process *s)
{
    return s->page_bytes == PAGE && s->pid > 0 && s->pid <= INT32_MAX && is_text(s->release) &&
           is_text(s->comm) && s->comm.len < 16 && s->vdso.len == MX_SECTION_SUM_BYTES &&
           s->mono_ns <= INT64_MAX && s->boot_ns <= INT64_MAX;
}

static bool check_mapping(const struct mx_sec_mapping *s)
{
    return is_range(s->start, s->end) && s->prot <= 7 && s->kind < MX_MAP_KINDS &&
           s->attributes <= MX_ATTR_ALL && is_text(s->path);
}

static bool check_pages(const struct mx_sec_pages *s)
{
    return s->body.len > 0 && s->body.len <= MX_PAGES_BODY_MAX && s->start < address_end &&
           is_range(s->start, s->start + s->body.len);
}

static bool check_registers(const struct mx_sec_registers *s)
{
    return s->general.len == MX_GENERAL_BYTES && s->xstate.len >= 512 + 64 &&
           s->xstate.len <= MX_XSTATE_MAX;
}

static bool is_pending(struct bytes v)
{
    return v.len % MX_SIGINFO_BYTES == 0 && v.len / MX_SIGINFO_BYTES <= MX_PENDING_MAX;
}

static bool check_signals(const struct mx_sec_signals *s)
{
    return s->actions.len == MX_SIGNALS * MX_ACTION_BYTES && is_pending(s->pending) &&
           is_pending(s->pending_private);
}

static bool check_timers(const struct mx_sec_timers *s UNUSED)
{
    return true; /* any number of microseconds */
}

static bool check_thread(const struct mx_sec_thread *s)
{
    return s->clear_tid < address_end && s->robust < address_end && s->robust_bytes <= 64 &&
           s->rseq < address_end && s->rseq_bytes <= 4096;
}

static bool check_layout(const struct mx_sec_layout *s)
{
    return s->auxv.len <= 1024 && s->auxv.len % 16 == 0 && s->start_brk <= s->brk &&
           s->brk < address_end && s->arg_start <= s->arg_end && s->env_start <= s->env_end;
}

static bool check_setting(const struct mx_sec_setting *s)
{
    return s->umask <= 0777 && s->cwd.len > 0 && s->cwd.len < 4096 && s->cwd.ptr[0] == '/' &&
           is_text(s->cwd) && s->limits.len == MX_LIMITS * 16;
}

static bool check_descriptor(const struct mx_sec_descriptor *s)
{
    bool has_path = s->path.len > 0 && s->path.len < 4096 && s->path.ptr[0] == '/';
    return s->number < 1 << 20 && s->same_as <= s->number && s->kind < MX_FD_KINDS &&
           s->is_cloexec <= 1 && is_text(s->path) && (s->kind == MX_FD_INHERIT || has_path) &&
           s->offset <= INT64_MAX && s->mtime_nsec < 1000000000;
}

static bool check_end(const struct mx_sec_end *s)
{
    return s->sum.len == MX_SECTION_SUM_BYTES;
}

static bool check_round(const struct mx_sec_round *s)
{
    return s->number > 0 && s->is_last <= 1 && s->mono_ns <= INT64_MAX &&
           s->boot_ns <= INT64_MAX;
}

static bool check_gone(const struct mx_sec_gone *s)
{
    return is_range(s->start, s->end);
}

static bool check_packed(const struct mx_sec_packed *s)
{
    return s->body.len > 0 && s->bytes <= MX_PAGES_BODY_MAX && s->start < address_end &&
           is_range(s->start, s->start + s->bytes);
}

bool mx_scattered_place(const struct mx_sec_scattered *s, uint32_t i, uint64_t *start,
                        uint64_t *end)
{
    if (i >= s->places.len / MX_PLACE_BYTES)
        return false;
    struct rd r = rd_of(s->places.ptr + (size_t)i * MX_PLACE_BYTES, MX_PLACE_BYTES);
    return get_u64(&r, start) == 0 && get_u64(&r, end) == 0;
}

static bool check_scattered(const struct mx_sec_scattered *s)
{
    uint64_t start, end, before = 0, sum = 0;
    for (uint32_t i = 0; mx_scattered_place(s, i, &start, &end); i++) {
        if (!is_range(start, end) || start < before || end - start > MX_PAGES_BODY_MAX ||
            sum > MX_PAGES_BODY_MAX)
            return false;
        sum += end - start;
        before = end;
    }
    return s->places.len > 0 && s->places.len % MX_PLACE_BYTES == 0 && s->body.len > 0 &&
           s->body.len <= s->bytes && s->bytes <= MX_PAGES_BODY_MAX && sum == s->bytes;
}

/* What sched_setscheduler(2) can set. */
static bool is_policy(uint32_t policy, uint32_t priority, int64_t nice)
{
    static const uint8_t is_known[] = { [0] = 1, [1] = 1, [2] = 1, [3] = 1, [5] = 1 };
    return policy < sizeof is_known && is_known[policy] && priority <= 99 && nice >= -20 &&
           nice <= 19;
}

static bool check_sibling(const struct mx_sec_sibling *s)
{
    return s->tid > 0 && s->tid <= INT32_MAX && is_text(s->comm) && s->comm.len < 16 &&
           s->general.len == MX_GENERAL_BYTES && s->xstate.len >= 512 + 64 &&
           s->xstate.len <= MX_XSTATE_MAX && is_pending(s->pending) &&
           s->clear_tid < address_end && s->robust < address_end && s->robust_bytes <= 64 &&
           s->rseq < address_end && s->rseq_bytes <= 4096 && s->has_scheduling <= 1 &&
           is_policy(s->policy, s->priority, s->nice);
}

static bool check_posix_timers(const struct mx_sec_posix_timers *s)
{
    static const uint64_t most_ns = UINT64_C(1) << 62;
    struct rd r = rd_of(s->list.ptr, s->list.len);
    int64_t last = -1;
    if (s->list.len % MX_POSIX_TIMER_BYTES || !s->list.len ||
        s->list.len > MX_POSIX_TIMERS_MAX * MX_POSIX_TIMER_BYTES)
        return false;
    while (rd_left(&r)) {
        uint32_t id, clock, signal, notify;
        uint64_t value, left_ns, every_ns;
        if (get_u32(&r, &id) < 0 || get_u32(&r, &clock) < 0 || get_u32(&r, &signal) < 0 ||
            get_u32(&r, &notify) < 0 || get_u64(&r, &value) < 0 || get_u64(&r, &left_ns) < 0 ||
            get_u64(&r, &every_ns) < 0)
            return false;
        bool is_clock = clock <= 2 || clock == 7 || clock == 11;
        if ((int64_t)id <= last || id > INT32_MAX || !is_clock || signal > MX_SIGNALS ||
            notify > 1 || (notify == 0 && !signal) || left_ns > most_ns || every_ns > most_ns)
            return false;
        last = id;
    }
    return true;
}

static bool check_object(const struct mx_sec_object *s)
{
    if (s->number < 3 || s->number >= 1 << 20 || s->same_as < 3 || s->same_as > s->number ||
        s->is_cloexec > 1)
        return false;
    switch (s->kind) {
    case MX_OBJECT_PIPE:
        return (s->flags & 3) < 2 && s->count <= INT32_MAX && s->body.len <= MX_OBJECT_BODY_MAX;
    case MX_OBJECT_EVENT: return s->id <= 1 && s->count < UINT64_MAX && !s->body.len;
    case MX_OBJECT_EPOLL:
        return s->body.len % MX_WATCHED_BYTES == 0 && s->body.len <= MX_OBJECT_BODY_MAX;
    case MX_OBJECT_TIMERFD: {
        struct rd r = rd_of(s->body.ptr, s->body.len);
        uint64_t left_ns, every_ns;
        return s->body.len == MX_TIMERFD_BYTES && s->id <= 11 && get_u64(&r, &left_ns) == 0 &&
               get_u64(&r, &every_ns) == 0 && left_ns <= INT64_MAX && every_ns <= INT64_MAX;
    }
    case MX_OBJECT_SIGNALFD: return !s->id && !s->body.len;
    case MX_OBJECT_NAMELESS:
        return (s->flags & 3) < 3 && s->count <= INT64_MAX &&
               s->body.len >= MX_NAMELESS_HEAD_BYTES && s->body.len <= MX_OBJECT_BODY_MAX;
    default: return false;
    }
}

static bool check_barriers(const struct mx_sec_barriers *s)
{
    return s->registered && s->registered <= INT32_MAX;
}

int mx_sec_get(const struct mx_section_head *h, struct bytes body, struct mx_sec *s)
{
    struct rd r = rd_of(body.ptr, body.len);
    unsigned of_version = h->version;
    int rc;
    if (!h->version || h->version > mx_section_version(h->number))
        return -ENOTSUP;
    if (h->len_bytes != body.len)
        return -EPROTO;
    s->number = (enum mx_section)h->number;
    switch (s->number) {
#define SECTION(number, name, version, fields)                                                 \
    case MX_SEC_##name:                                                                        \
        rc = mx_sec_##name##_get(&r, of_version, &s->name);                                    \
        return rc < 0 ? rc : check_##name(&s->name) ? 0 : -EPROTO;
#include "mosix-core/image/form/sections.def"
#undef SECTION
    case MX_SECTIONS_END: break;
    }
    return -ENOTSUP;
}

void mx_sec_put(struct wr *w, const struct mx_sec *s)
{
    switch (s->number) {
#define SECTION(number, name, version, fields)                                                 \
    case MX_SEC_##name:                                                                        \
        mx_sec_##name##_put(w, &s->name);                                                      \
        break;
#include "mosix-core/image/form/sections.def"
#undef SECTION
    case MX_SECTIONS_END: break;
    }
}

/* ---- all together ---- */

void mx_image_order_init(struct mx_image_order *o)
{
    *o = (struct mx_image_order){ .last_descriptor = -1 };
}

static bool has(const struct mx_image_order *o, enum mx_section number)
{
    return o->seen & 1u << number;
}

static bool is_here(const struct mx_image_order *o, enum mx_section number)
{
    return o->here & 1u << number;
}

static bool has_contents(const struct mx_image_order *o)
{
    return is_here(o, MX_SEC_pages) || is_here(o, MX_SEC_packed) ||
           is_here(o, MX_SEC_scattered) || is_here(o, MX_SEC_gone);
}

static bool fits_round(struct mx_image_order *o, const struct mx_sec_round *s)
{
    if (s->number != o->rounds + 1 || o->is_last_round || (o->rounds == 0 && o->taken != 1))
        return false;
    o->rounds++;
    o->is_last_round = s->is_last;
    o->here = 0;
    o->mapped_end = o->gone_end = o->pages_end = 0;
    return true;
}

static bool fits_mapping(struct mx_image_order *o, const struct mx_sec_mapping *m)
{
    if (!is_here(o, MX_SEC_mapping))
        o->mappings = 0;
    if (has_contents(o) || m->start < o->mapped_end || o->mappings >= MX_MAPPINGS_MAX)
        return false;
    o->mapped_end = m->end;
    o->mappings++;
    return true;
}

static bool fits_gone(struct mx_image_order *o, const struct mx_sec_gone *g)
{
    if (!o->rounds || g->start < o->gone_end)
        return false;
    o->gone_end = g->end;
    return true;
}

static bool fits_pages(struct mx_image_order *o, uint64_t start, uint64_t len)
{
    if (start < o->pages_end)
        return false;
    o->pages_end = start + len;
    return true;
}

static bool fits_scattered(struct mx_image_order *o, const struct mx_sec_scattered *s)
{
    uint64_t start, end;
    bool is_fit = true;
    for (uint32_t i = 0; is_fit && mx_scattered_place(s, i, &start, &end); i++)
        is_fit = fits_pages(o, start, end - start);
    return is_fit;
}

static bool fits_descriptor(struct mx_image_order *o, uint32_t number)
{
    bool is_too_early = o->rounds && !o->is_last_round;
    if (is_too_early || (int64_t)number <= o->last_descriptor ||
        o->descriptors >= MX_DESCRIPTORS_MAX)
        return false;
    o->last_descriptor = number;
    o->descriptors++;
    return true;
}

static bool fits_sibling(struct mx_image_order *o, const struct mx_sec_sibling *s)
{
    bool is_too_early = o->rounds && !o->is_last_round;
    if (is_too_early || s->tid <= o->last_tid || s->tid == o->pid ||
        o->siblings >= MX_THREADS_MAX - 1)
        return false;
    o->last_tid = s->tid;
    o->siblings++;
    return true;
}

static bool fits_process(struct mx_image_order *o, const struct mx_sec_process *s)
{
    o->pid = s->pid;
    return true; /* the first and only one */
}

static bool fits_end(const struct mx_image_order *o, const struct mx_sec_end *e)
{
    static const enum mx_section needed[] = { MX_SEC_process, MX_SEC_mapping, MX_SEC_registers,
                                              MX_SEC_signals, MX_SEC_timers,  MX_SEC_thread,
                                              MX_SEC_layout,  MX_SEC_setting };
    for (unsigned i = 0; i < ARRAY_LEN(needed); i++)
        if (!has(o, needed[i]))
            return false;
    return e->sections == o->taken && (!o->rounds || o->is_last_round);
}

static bool fits_once(const struct mx_image_order *o, const struct mx_sec *s)
{
    return !has(o, s->number) && (!o->rounds || o->is_last_round);
}

int mx_image_order_take(struct mx_image_order *o, const struct mx_sec *s)
{
    bool is_fit = false;
    if (o->is_complete || has(o, MX_SEC_process) == (s->number == MX_SEC_process))
        return -EPROTO;
    switch (s->number) {
    case MX_SEC_mapping: is_fit = fits_mapping(o, &s->mapping); break;
    case MX_SEC_pages: is_fit = fits_pages(o, s->pages.start, s->pages.body.len); break;
    case MX_SEC_packed: is_fit = fits_pages(o, s->packed.start, s->packed.bytes); break;
    case MX_SEC_scattered: is_fit = fits_scattered(o, &s->scattered); break;
    case MX_SEC_gone: is_fit = fits_gone(o, &s->gone); break;
    case MX_SEC_round: is_fit = fits_round(o, &s->round); break;
    case MX_SEC_descriptor: is_fit = fits_descriptor(o, s->descriptor.number); break;
    case MX_SEC_object: is_fit = fits_descriptor(o, s->object.number); break;
    case MX_SEC_end: is_fit = fits_end(o, &s->end); break;
    case MX_SEC_sibling: is_fit = fits_sibling(o, &s->sibling); break;
    case MX_SEC_process: is_fit = fits_process(o, &s->process); break;
    case MX_SEC_registers:
    case MX_SEC_signals:
    case MX_SEC_timers:
    case MX_SEC_thread:
    case MX_SEC_layout:
    case MX_SEC_barriers:
    case MX_SEC_posix_timers:
    case MX_SEC_setting: is_fit = fits_once(o, s); break;
    case MX_SECTIONS_END: break;
    }
    if (!is_fit || o->taken == UINT32_MAX)
        return -EPROTO;
    o->seen |= 1u << s->number;
    o->here |= 1u << s->number;
    o->taken++;
    o->is_complete = s->number == MX_SEC_end;
    return 0;
}

const struct mx_sec_mapping *mx_mapping_find(const struct mx_sec_mapping *mappings,
                                             uint32_t count, uint64_t start, uint64_t end)
{
    uint32_t first = 0;
    while (first < count) {
        uint32_t middle = first + (count - first) / 2;
        const struct mx_sec_mapping *m = &mappings[middle];
        if (m->end <= start)
            first = middle + 1;
        else if (m->start > start)
            count = middle;
        else
            return end <= m->end ? m : NULL;
    }
    return NULL;
}
