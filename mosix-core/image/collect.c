/* SPDX-License-Identifier: GPL-2.0-or-later */
/* collect.c: pages lie where the process has room for them, or in a file of memory, each at the
 * offset that is its address, until the last has come. Must not know: processes. */
#include "mosix-core/image/collect.h"

#include "common/sys/fd.h"
#include "common/sys/lzo.h"
#include "mosix-core/image/making.h"
#include "mosix-core/image/pageset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const off_t address_end = 0x7ffffffff000;

struct collect {
    const struct mx_collect_how *how;
    struct mx_image_reader reader;
    struct mx_maps maps, next; /* those of now; a list that comes */
    bool has_next;
    struct mx_kept once[MX_SECTIONS_END];
    struct mx_kept *siblings; /* as many as mx_image_order_take lets through */
    uint32_t sibling_count;
    int memory;
    uint8_t *space;
    uint64_t bytes;        /* at most so many are in memory: in the file, */
    uint64_t parked_bytes; /* and where the process has room for them */
    struct mx_park park;
    struct mx_pageset there,
        stale; /* of the park: what the image has, and what it has no more */
};

/* ---- what comes ---- */

/* What is parked can't be dropped from here: that is told at the end. */
static int drop(struct collect *c, uint64_t start, uint64_t end, struct err *e)
{
    uint64_t at = start, run_end;
    if (fallocate(c->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
                  (off_t)(end - start)) < 0)
        return err_set(e, errno, "drop pages of an image");
    while (mx_pageset_next(&c->there, &at, end, &run_end)) {
        if (mx_pageset_add(&c->stale, at, run_end) < 0)
            return err_set(e, ENOMEM, "keep an image");
        at = run_end;
    }
    mx_pageset_remove(&c->there, start, end);
    return 0;
}

static int drop_part(void *ctx, const struct mx_sec_mapping *m UNUSED, uint64_t start,
                     uint64_t end, struct err *e)
{
    struct collect *c = ctx;
    int rc = drop(c, start, end, e);
    mx_pageset_remove(&c->stale, start, end);
    if (rc == 0 && mx_park_remove(&c->park, start, end) < 0)
        rc = err_set(e, ENOMEM, "keep an image");
    return rc;
}

/* What has something from its birth is made as it is to be; for what is not written it makes no
 * difference what is reserved. */
static int add_part(void *ctx, const struct mx_sec_mapping *m, uint64_t start, uint64_t end,
                    struct err *e)
{
    struct collect *c = ctx;
    bool is_plain = !(m->attributes & MX_ATTR_GROWSDOWN) &&
                    !(m->attributes & MX_ATTR_NORESERVE && m->prot & PROT_WRITE);
    return is_plain && mx_park_add(&c->park, start, end) < 0
               ? err_set(e, ENOMEM, "keep an image")
               : 0;
}

/* Where the process has room for its pages its image must have none. */
static int check_apart(const struct collect *c, struct err *e)
{
    for (uint32_t i = 0; c->park.end && i < c->next.count; i++)
        if (c->next.list[i].start < c->park.end && c->park.start < c->next.list[i].end)
            return err_say(e, ENOSPC, "the image has memory where it is to be kept");
    return 0;
}

/* A list of mappings has come: what is in none of them any more is gone. */
static int settle(struct collect *c, struct err *e)
{
    if (!c->has_next)
        return 0;
    int rc = check_apart(c, e);
    if (rc == 0)
        rc = mx_maps_differing(&c->maps, &c->next, drop_part, c, e);
    uint64_t used = c->park.used;
    if (rc == 0 && c->park.end)
        rc = mx_maps_differing(&c->next, &c->maps, add_part, c, e);
    if (c->park.used > used && c->how->parks)
        c->how->parks(c->how->ctx, c->park.start + c->park.used);
    mx_maps_fini(&c->maps);
    c->maps = c->next;
    c->next = (struct mx_maps){ 0 };
    c->has_next = false;
    return rc;
}

/* Counted anew when what was written may be too much: some was written over, or dropped. */
static int make_room(struct collect *c, size_t len_bytes, struct err *e)
{
    struct stat st;
    c->bytes += len_bytes;
    if (c->bytes + c->parked_bytes <= c->how->bytes_max)
        return 0;
    if (fstat(c->memory, &st) < 0)
        return err_set(e, errno, "look at the pages of an image");
    c->bytes = (uint64_t)st.st_blocks * 512 + len_bytes;
    return c->bytes + c->parked_bytes <= c->how->bytes_max
               ? 0
               : err_say(e, ENOSPC, "there is no room to keep the image until it is whole");
}

/* The process's room can be written as long as it is the same program. */
static int put_parked(struct collect *c, uint64_t start, uint64_t at, const uint8_t *ptr,
                      size_t len_bytes, struct err *e)
{
    for (uint64_t page = start; page < start + len_bytes; page += MX_PAGE)
        if (!mx_pageset_has(&c->there, page) && !mx_pageset_has(&c->stale, page))
            c->parked_bytes += MX_PAGE;
    if (mx_pageset_add(&c->there, start, start + len_bytes) < 0)
        return err_set(e, ENOMEM, "keep an image");
    mx_pageset_remove(&c->stale, start, start + len_bytes);
    for (size_t done = 0; done < len_bytes;) {
        ssize_t n =
            pwrite(c->how->park_memory, ptr + done, len_bytes - done, (off_t)(at + done));
        if (n == 0) /* its memory is gone, or another one */
            return err_say(e, ENOBUFS, "the job has ended, or executes a program");
        if (n < 0)
            return err_set(e, ENOBUFS, "put pages of an image where they are to be kept");
        done += (size_t)n;
    }
    return make_room(c, 0, e);
}

static int put_in_file(struct collect *c, uint64_t start, const uint8_t *ptr, size_t len_bytes,
                       struct err *e)
{
    int rc = make_room(c, len_bytes, e);
    if (rc == 0 && pwrite(c->memory, ptr, len_bytes, (off_t)start) != (ssize_t)len_bytes)
        rc = err_set(e, errno ? errno : ENOSPC, "keep pages of an image");
    return rc;
}

static int put(struct collect *c, uint64_t start, const uint8_t *ptr, size_t len_bytes,
               struct err *e)
{
    const struct mx_sec_mapping *m =
        mx_mapping_find(c->maps.list, c->maps.count, start, start + len_bytes);
    if (!m || m->kind != MX_MAP_MEMORY)
        return err_say(e, EPROTO, "the image has pages outside of its mappings");
    uint64_t end = start + len_bytes, part_end, at;
    int rc = 0;
    for (; rc == 0 && start < end; ptr += part_end - start, start = part_end)
        rc = mx_park_find(&c->park, start, end, &part_end, &at)
                 ? put_parked(c, start, at, ptr, part_end - start, e)
                 : put_in_file(c, start, ptr, part_end - start, e);
    return rc;
}

static int unpack(struct collect *c, struct bytes body, uint32_t bytes, struct err *e)
{
    return lzo_unpack(body.ptr, body.len, c->space, bytes) < 0
               ? err_say(e, EPROTO, "pages of the image can't be unpacked")
               : 0;
}

static int put_packed(struct collect *c, const struct mx_sec_packed *s, struct err *e)
{
    int rc = unpack(c, s->body, s->bytes, e);
    return rc < 0 ? rc : put(c, s->start, c->space, s->bytes, e);
}

static int put_scattered(struct collect *c, const struct mx_sec_scattered *s, struct err *e)
{
    bool is_packed = s->body.len < s->bytes;
    const uint8_t *at = is_packed ? c->space : s->body.ptr;
    uint64_t start, end;
    int rc = is_packed ? unpack(c, s->body, s->bytes, e) : 0;
    for (uint32_t i = 0; rc == 0 && mx_scattered_place(s, i, &start, &end); i++) {
        rc = put(c, start, at, end - start, e);
        at += end - start;
    }
    return rc;
}

static int take_round(struct collect *c, const struct mx_sec *s, struct err *e)
{
    uint8_t number[4];
    struct wr w = wr_of(number, sizeof number);
    int rc = settle(c, e);
    put_u32(&w, s->round.number);
    if (rc == 0 && s->round.is_last)
        return mx_kept_set(&c->once[MX_SEC_round], s, e);
    if (rc == 0 && (rc = fd_write_full(c->how->from, number, sizeof number)) < 0)
        rc = err_set(e, -rc, "answer to an image");
    return rc;
}

static int take_mapping(struct collect *c, const struct mx_sec *s, struct err *e)
{
    c->has_next = true;
    int rc = mx_maps_add(&c->next, &s->mapping, false);
    return rc < 0 ? err_set(e, -rc, "note a mapping") : 0;
}

static int take_sibling(struct collect *c, const struct mx_sec *s, struct err *e)
{
    void *more = realloc(c->siblings, (c->sibling_count + 1) * sizeof *c->siblings);
    if (!more)
        return err_set(e, ENOMEM, "keep an image");
    c->siblings = more;
    c->siblings[c->sibling_count] = (struct mx_kept){ 0 };
    return mx_kept_set(&c->siblings[c->sibling_count++], s, e);
}

static int take(struct collect *c, const struct mx_sec *s, struct err *e)
{
    int rc = s->number == MX_SEC_mapping ? 0 : settle(c, e);
    if (rc < 0)
        return rc;
    if (c->how->some)
        c->how->some(c->how->ctx);
    switch (s->number) {
    case MX_SEC_mapping: return take_mapping(c, s, e);
    case MX_SEC_round: return take_round(c, s, e);
    case MX_SEC_pages: return put(c, s->pages.start, s->pages.body.ptr, s->pages.body.len, e);
    case MX_SEC_packed: return put_packed(c, &s->packed, e);
    case MX_SEC_scattered: return put_scattered(c, &s->scattered, e);
    case MX_SEC_gone: return drop(c, s->gone.start, s->gone.end, e);
    case MX_SEC_process:
    case MX_SEC_registers:
    case MX_SEC_signals:
    case MX_SEC_timers:
    case MX_SEC_thread:
    case MX_SEC_layout:
    case MX_SEC_barriers:
    case MX_SEC_posix_timers:
    case MX_SEC_setting: return mx_kept_set(&c->once[s->number], s, e);
    case MX_SEC_sibling: return take_sibling(c, s, e);
    case MX_SEC_end: return 0;
    case MX_SEC_descriptor:
    case MX_SEC_object:
    case MX_SECTIONS_END: break;
    }
    return err_say(e, EPROTO, "the image has a section %s, which is not for who comes home",
                   mx_section_name(s->number));
}

/* ---- what goes ---- */

enum { PART_BYTES = 24 };

static int write_parked(const struct collect *c, struct err *e)
{
    uint8_t head[4], space[PART_BYTES];
    struct wr w = wr_of(head, sizeof head);
    put_u32(&w, c->park.count);
    int rc = fd_write_full(c->how->to, head, sizeof head);
    for (uint32_t i = 0; rc == 0 && i < c->park.count; i++) {
        w = wr_of(space, sizeof space);
        put_u64(&w, c->park.list[i].start);
        put_u64(&w, c->park.list[i].end);
        put_u64(&w, c->park.list[i].at);
        rc = fd_write_full(c->how->to, space, sizeof space);
    }
    return rc < 0 ? err_set(e, -rc, "pass on an image") : 0;
}

int mx_parked_get(int fd, struct mx_park *park, struct err *e)
{
    uint8_t space[PART_BYTES];
    uint32_t count = 0;
    uint64_t last = 0;
    ssize_t n = fd_read_full(fd, space, 4);
    struct rd r = rd_of(space, 4);
    if (n != 4 || get_u32(&r, &count) < 0 || count > MX_PARK_PARTS_MAX)
        return err_say(e, EPROTO, "it isn't said where the pages of an image are");
    park->list = calloc(count + 1, sizeof *park->list);
    if (!park->list)
        return err_set(e, ENOMEM, "read an image");
    for (; park->count < count; park->count++) {
        struct mx_park_part *o = &park->list[park->count];
        n = fd_read_full(fd, space, sizeof space);
        r = rd_of(space, sizeof space);
        if (n != (ssize_t)sizeof space || get_u64(&r, &o->start) < 0 ||
            get_u64(&r, &o->end) < 0 || get_u64(&r, &o->at) < 0 || o->start < last ||
            o->end <= o->start || o->at < park->start || o->at > park->end ||
            o->end - o->start > park->end - o->at || (o->start | o->end | o->at) % MX_PAGE != 0)
            return err_say(e, EPROTO, "where the pages of an image are makes no sense");
        last = o->end;
    }
    return 0;
}

/* What was put there and is no more in the image. */
static int write_stale(const struct collect *c, struct mx_image_writer *w, struct err *e)
{
    uint64_t at = 0, end;
    int rc = 0;
    while (rc == 0 && mx_pageset_next(&c->stale, &at, (uint64_t)address_end, &end)) {
        struct mx_sec s = { .number = MX_SEC_gone, .gone = { at, end } };
        rc = mx_image_write(w, &s, e);
        at = end;
    }
    return rc;
}

static int write_image(struct collect *c, struct err *e)
{
    struct mx_image_writer w = { 0 };
    int rc = fd_send(c->how->to, c->memory);
    rc = rc < 0 ? err_set(e, -rc, "pass on the pages of an image") : write_parked(c, e);
    if (rc == 0)
        rc = mx_image_writer_init(&w, c->how->to, e);
    if (rc == 0)
        rc = mx_image_write(&w, &c->once[MX_SEC_process].s, e);
    struct mx_sec round = c->once[MX_SEC_round].s;
    round.number = MX_SEC_round;
    round.round.number = 1;
    round.round.is_last = 1;
    if (rc == 0)
        rc = mx_image_write(&w, &round, e);
    for (uint32_t i = 0; rc == 0 && i < c->maps.count; i++) {
        struct mx_sec s = { .number = MX_SEC_mapping, .mapping = c->maps.list[i] };
        rc = mx_image_write(&w, &s, e);
    }
    if (rc == 0)
        rc = write_stale(c, &w, e);
    for (unsigned i = MX_SEC_registers; rc == 0 && i < MX_SECTIONS_END; i++)
        if (c->once[i].body && i != MX_SEC_round)
            rc = mx_image_write(&w, &c->once[i].s, e);
    for (uint32_t i = 0; rc == 0 && i < c->sibling_count; i++)
        rc = mx_image_write(&w, &c->siblings[i].s, e);
    if (rc == 0)
        rc = mx_image_write_end(&w, e);
    mx_image_writer_fini(&w);
    return rc;
}

/* ---- */

static int collect(struct collect *c, struct err *e)
{
    struct mx_sec s;
    c->memory = memfd_create("image", MFD_CLOEXEC);
    c->space = malloc(MX_PAGES_BODY_MAX);
    if (c->memory < 0 || ftruncate(c->memory, address_end) < 0)
        return err_set(e, errno, "make a file of memory");
    if (!c->space)
        return err_set(e, ENOMEM, "keep an image");
    int rc = mx_image_reader_init(&c->reader, c->how->from, e);
    while (rc >= 0 && (rc = mx_image_read(&c->reader, &s, e)) > 0)
        rc = take(c, &s, e);
    return rc < 0 ? rc : write_image(c, e);
}

int mx_collect(const struct mx_collect_how *how, struct err *e)
{
    struct collect c = { .how = how,
                         .memory = -1,
                         .park = { .start = how->park_start, .end = how->park_end } };
    int rc = collect(&c, e);
    for (unsigned i = 0; i < MX_SECTIONS_END; i++)
        free(c.once[i].body);
    for (uint32_t i = 0; i < c.sibling_count; i++)
        free(c.siblings[i].body);
    free(c.siblings);
    mx_maps_fini(&c.maps);
    mx_maps_fini(&c.next);
    mx_park_fini(&c.park);
    mx_pageset_fini(&c.there);
    mx_pageset_fini(&c.stale);
    mx_image_reader_fini(&c.reader);
    fd_close(&c.memory);
    free(c.space);
    return rc;
}
