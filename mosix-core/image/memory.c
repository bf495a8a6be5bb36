/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory.c: pages are found, guarded, read and sent, in this order: so one that changes
 * afterwards is found again. Must not know: who asks.
 * A mapping is new when its kernel does not note its changes: it came after the last pass, or
 * stands where another was. Of a new one everything is sent, and what the other side had there
 * is gone. A page of a mapped file is the file's again when the process has dropped its own. */
#include "mosix-core/image/memory.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = MX_PAGE, PIECE_BYTES = 256 << 10 };

int mx_memory_open(struct mx_memory *m, pid_t pid, bool is_old, struct err *e)
{
    char path[40];
    fd_close(&m->mem);
    mx_scan_close(&m->scan);
    m->pid = pid;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    m->mem = open(path, O_RDONLY | O_CLOEXEC);
    if (m->mem < 0)
        return err_set(e, errno, "open %s", path);
    if (!m->space && !(m->space = malloc(PIECE_BYTES)))
        return err_set(e, ENOMEM, "read process %d", (int)pid);
    return mx_scan_open(&m->scan, pid, is_old, e);
}

void mx_memory_fini(struct mx_memory *m)
{
    fd_close(&m->mem);
    mx_scan_close(&m->scan);
    mx_maps_fini(&m->sent);
    mx_pageset_fini(&m->there);
    mx_pageset_fini(&m->of_files);
    mx_gather_fini(&m->gather);
    free(m->space);
    m->space = NULL;
}

static bool is_zero(const uint8_t *page)
{
    static const uint8_t zero[PAGE];
    return memcmp(page, zero, PAGE) == 0;
}

static bool is_noting(const struct mx_memory *m)
{
    return m->uffd >= 0;
}

static int no_memory(const struct mx_memory *m, struct err *e)
{
    return err_set(e, ENOMEM, "note the pages of process %d", (int)m->pid);
}

/* ---- what is no more there ---- */

static int flush_gone(struct mx_memory *m, struct err *e)
{
    struct mx_sec s = { .number = MX_SEC_gone, .gone = { m->gone_start, m->gone_end } };
    if (m->gone_start == m->gone_end)
        return 0;
    m->gone_start = m->gone_end = 0;
    mx_pageset_remove(&m->there, s.gone.start, s.gone.end);
    mx_pageset_remove(&m->of_files, s.gone.start, s.gone.end);
    return mx_image_write(m->w, &s, e);
}

static int send_gone(struct mx_memory *m, uint64_t start, uint64_t end, struct err *e)
{
    int rc = start == m->gone_end ? 0 : flush_gone(m, e);
    if (m->gone_start == m->gone_end)
        m->gone_start = start;
    m->gone_end = end;
    return rc;
}

/* ---- pages ---- */

/* What lies behind the end of a mapped file can't be read, and is nothing; nor can what has
 * gone meanwhile. Returns the bytes that were read. */
static size_t read_pages(const struct mx_memory *m, uint64_t start, size_t len_bytes)
{
    size_t got = 0;
    while (got < len_bytes) {
        ssize_t n = pread(m->mem, m->space + got, len_bytes - got, (off_t)(start + got));
        if (n < PAGE)
            break;
        got += (size_t)n / PAGE * PAGE;
    }
    return got;
}

static int write_run(struct mx_memory *m, uint64_t start, const uint8_t *ptr, size_t len_bytes,
                     struct err *e)
{
    m->bytes += len_bytes;
    return mx_gather_add(&m->gather, start, ptr, len_bytes, e);
}

/* Pages of the space that lie at start. */
static int write_pages(struct mx_memory *m, uint64_t start, size_t len_bytes, struct err *e)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < len_bytes;) {
        size_t first = at;
        while (at < len_bytes && !is_zero(m->space + at))
            at += PAGE;
        if (at > first) {
            rc = write_run(m, start + first, m->space + first, at - first, e);
            continue;
        }
        uint64_t page = start + at;
        at += PAGE;
        if (mx_pageset_has(&m->there, page) || mx_pageset_has(&m->of_files, page))
            rc = send_gone(m, page, page + PAGE, e);
    }
    return rc;
}

/* Reads and sends [start, end). may_lack: pages that can't be read are left out. */
static int send_range(struct mx_memory *m, uint64_t start, uint64_t end, bool may_lack,
                      struct err *e)
{
    int rc = 0;
    for (uint64_t at = start; rc == 0 && at < end;) {
        size_t want = end - at < PIECE_BYTES ? end - at : PIECE_BYTES;
        size_t got = read_pages(m, at, want);
        if (got < want && !may_lack)
            return err_say(e, EIO, "memory of process %d at %#llx can't be read", (int)m->pid,
                           (unsigned long long)(at + got));
        rc = write_pages(m, at, got, e);
        at += got;
        if (rc < 0 || got == want)
            continue;
        /* One that can't be read is nothing, also where something was. */
        if (mx_pageset_has(&m->there, at) || mx_pageset_has(&m->of_files, at))
            rc = send_gone(m, at, at + PAGE, e);
        at += PAGE;
    }
    return rc;
}

/* ---- memory of no file ---- */

/* What the other side has in [start, end), and the process no more: it has nothing there, or
 * nothing of its own where a file was mapped before. */
static int send_dropped(struct mx_memory *m, uint64_t start, uint64_t end, struct err *e)
{
    int rc = 0;
    while (rc == 0 && start < end) {
        uint64_t a = start, a_end = end, b = start, b_end = end;
        if (!mx_pageset_next(&m->there, &a, end, &a_end))
            a = end;
        if (!mx_pageset_next(&m->of_files, &b, end, &b_end))
            b = end;
        if (a == end && b == end)
            break;
        start = a <= b ? a_end : b_end;
        rc = send_gone(m, a <= b ? a : b, start, e);
    }
    return rc;
}

/* While it runs a page may vanish under our hands: then it is found to be gone at the end. */
static int send_region(struct mx_memory *m, const struct mx_region *r, bool is_last,
                       struct err *e)
{
    int rc = send_range(m, r->start, r->end, !is_last, e);
    if (rc == 0 && is_noting(m) && mx_pageset_add(&m->there, r->start, r->end) < 0)
        rc = no_memory(m, e);
    return rc;
}

static bool is_told_to_end(const struct mx_memory *m)
{
    return m->is_ended && atomic_load(m->is_ended);
}

static int send_plain(struct mx_memory *m, const struct mx_sec_mapping *s, bool is_new,
                      bool is_last, struct err *e)
{
    struct mx_region r[MX_SCAN_REGIONS_MAX];
    uint64_t at = s->start, seen = s->start;
    bool is_guarding = is_noting(m) && !is_last;
    int rc = 0;
    while (rc == 0 && at < s->end) {
        int n = mx_scan_next(&m->scan, is_guarding ? MX_SCAN_GUARD : MX_SCAN_ALL, &at, s->end,
                             r, e);
        rc = n < 0 ? n : 0;
        for (int i = 0; rc == 0 && i < n; i++) {
            if (is_last)
                rc = send_dropped(m, seen, r[i].start, e);
            seen = r[i].end;
            if (rc == 0 && (is_new || r[i].is_changed))
                rc = send_region(m, &r[i], is_last, e);
        }
        if (rc == 0 && !is_last && is_told_to_end(m))
            rc = -ECANCELED;
    }
    return rc == 0 && is_last ? send_dropped(m, seen, s->end, e) : rc;
}

/* ---- private mappings of files ---- */

/* Pages that were found, as sets. own: what is guarded and not there looks like a page that was
 * swapped out; so of what is guarded only those that are present are known to be the process's
 * own. One that was swapped out is sent once more, then. */
struct found {
    struct mx_pageset own, todo;
};

static int scan_all(struct mx_memory *m, enum mx_scan_how how, bool is_present,
                    const struct mx_sec_mapping *s, struct found *f, struct err *e)
{
    struct mx_region r[MX_SCAN_REGIONS_MAX];
    int rc = 0;
    for (uint64_t at = s->start; rc == 0 && at < s->end;) {
        int n = mx_scan_next(&m->scan, how, &at, s->end, r, e);
        rc = n < 0 ? n : 0;
        for (int i = 0; rc == 0 && i < n; i++) {
            if (how != MX_SCAN_EVERY && r[i].is_own && (r[i].is_present || !is_present))
                rc = mx_pageset_add(&f->own, r[i].start, r[i].end);
            if (rc == 0 && how != MX_SCAN_ALL)
                rc = mx_pageset_add(&f->todo, r[i].start, r[i].end);
            if (rc < 0)
                rc = no_memory(m, e);
        }
    }
    return rc;
}

/* What the other side has not, or has as it is no more. */
static int find_rest(struct mx_memory *m, const struct mx_sec_mapping *s, bool is_last,
                     struct found *f)
{
    int rc = 0;
    for (uint64_t page = s->start; rc == 0 && page < s->end; page += PAGE) {
        bool is_reverted =
            is_last && mx_pageset_has(&m->there, page) && !mx_pageset_has(&f->own, page);
        if (is_reverted || !mx_pageset_has(&m->of_files, page))
            rc = mx_pageset_add(&f->todo, page, page + PAGE);
    }
    return rc;
}

static int note_sent(struct mx_memory *m, const struct found *f, uint64_t start, uint64_t end)
{
    int rc = mx_pageset_add(&m->of_files, start, end);
    mx_pageset_remove(&m->there, start, end);
    for (uint64_t page = start; rc == 0 && page < end; page += PAGE)
        if (mx_pageset_has(&f->own, page))
            rc = mx_pageset_add(&m->there, page, page + PAGE);
    return rc;
}

static int send_found(struct mx_memory *m, const struct mx_sec_mapping *s, struct found *f,
                      struct err *e)
{
    uint64_t at = s->start, end;
    int rc = 0;
    while (rc == 0 && mx_pageset_next(&f->todo, &at, s->end, &end)) {
        rc = send_range(m, at, end, true, e);
        if (rc == 0 && is_noting(m) && note_sent(m, f, at, end) < 0)
            rc = no_memory(m, e);
        at = end;
    }
    return rc;
}

static int send_of_file(struct mx_memory *m, const struct mx_sec_mapping *s, bool is_new,
                        bool is_last, struct err *e)
{
    struct found f = { 0 };
    int rc = 0;
    if (!is_noting(m))
        return send_range(m, s->start, s->end, true, e);
    m->scan.is_for_own = true;
    if (is_new && !is_last) {
        rc = scan_all(m, MX_SCAN_ALL, false, s, &f, e);
        /* A part of it that has gone meanwhile stays unguarded, and is found again. */
        if (rc == 0 && mx_watch_guard(m->uffd, s->start, s->end, true) < 0)
            rc = 0;
    }
    if (rc == 0)
        rc = scan_all(m, MX_SCAN_ALL, true, s, &f, e);
    if (rc == 0 && !is_new)
        rc = scan_all(m, is_last ? MX_SCAN_EVERY : MX_SCAN_GUARD, false, s, &f, e);
    if (rc == 0 && find_rest(m, s, is_last, &f) < 0)
        rc = no_memory(m, e);
    if (rc == 0)
        rc = send_found(m, s, &f, e);
    m->scan.is_for_own = false;
    mx_pageset_fini(&f.own);
    mx_pageset_fini(&f.todo);
    return rc;
}

/* ---- mappings ---- */

static bool is_overlapping(const struct mx_maps *m, const struct mx_sec_mapping *s)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->list[i].start < s->end && m->list[i].end > s->start)
            return true;
    return false;
}

/* Has the other side had memory at all of its addresses, and keeps it? What a mapping has from
 * its birth can't be changed: it makes another of it. */
static bool is_kept(const struct mx_maps *before, const struct mx_sec_mapping *s)
{
    const uint32_t born = MX_ATTR_GROWSDOWN | MX_ATTR_NORESERVE;
    uint64_t at = s->start;
    for (uint32_t i = 0; i < before->count && at < s->end; i++) {
        const struct mx_sec_mapping *o = &before->list[i];
        if (o->end <= at)
            continue;
        if (o->start > at || o->kind != MX_MAP_MEMORY || (o->attributes ^ s->attributes) & born)
            return false;
        at = o->end;
    }
    return at >= s->end;
}

static int uncover(struct mx_memory *m, const struct mx_sec_mapping *s, struct err *e)
{
    int rc = mx_watch_uncover(m->uffd, s->start, s->end);
    return rc < 0 ? err_set(e, -rc, "note no changes of process %d", (int)m->pid) : 0;
}

static int send_mapping(struct mx_memory *m, const struct mx_sec_mapping *s, bool is_of_file,
                        const struct mx_maps *before, bool is_last, struct err *e)
{
    bool is_new =
        !is_noting(m) || !mx_scan_is_covered(&m->scan, s->start) || !is_kept(before, s);
    int rc = 0;
    mx_gather_apart(&m->gather);
    if (is_new && is_noting(m) && !is_last) {
        if (mx_watch_cover(m->uffd, s->start, s->end) < 0)
            return 0; /* has gone meanwhile, or is watched by the process: later, then */
        /* Whatever is there by now counts as changed, also what is not of this mapping. */
        if (mx_watch_guard(m->uffd, s->start, s->end, false) < 0)
            return uncover(m, s, e); /* for the same reasons */
    }
    if (is_new) {
        mx_pageset_remove(&m->of_files, s->start, s->end);
        mx_pageset_remove(&m->there, s->start, s->end);
    }
    if (is_new && is_overlapping(before, s)) {
        rc = send_gone(m, s->start, s->end, e);
        if (rc == 0)
            rc = flush_gone(m, e);
    }
    if (rc == 0)
        rc = is_of_file ? send_of_file(m, s, is_new, is_last, e)
                        : send_plain(m, s, is_new, is_last, e);
    int flushed = flush_gone(m, rc == 0 ? e : NULL);
    return rc < 0 ? rc : flushed;
}

/* Of what the other side makes anew from this list on changes are noted anew, whenever we come
 * to it. */
static int send_maps(struct mx_memory *m, const struct mx_maps *maps, bool is_last,
                     struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && !is_last && m->sent.count && i < maps->count; i++)
        if (maps->list[i].kind == MX_MAP_MEMORY && !is_kept(&m->sent, &maps->list[i]))
            rc = uncover(m, &maps->list[i], e);
    for (uint32_t i = 0; rc == 0 && i < maps->count; i++) {
        struct mx_sec s = { .number = MX_SEC_mapping, .mapping = maps->list[i] };
        rc = mx_image_write(m->w, &s, e);
    }
    return rc;
}

int mx_memory_send(struct mx_memory *m, struct mx_maps *maps, bool is_last, struct err *e)
{
    struct mx_maps before = m->sent;
    m->gather.w = m->w;
    m->gather.pack = m->pack;
    int rc = mx_maps_are_same(&before, maps) ? 0 : send_maps(m, maps, is_last, e);
    m->sent = *maps;
    *maps = (struct mx_maps){ 0 };
    for (uint32_t i = 0; rc == 0 && i < m->sent.count; i++)
        if (m->sent.list[i].kind == MX_MAP_MEMORY)
            rc = send_mapping(m, &m->sent.list[i], m->sent.is_of_file[i], &before, is_last, e);
    mx_maps_fini(&before);
    /* What is guarded and noted goes, also when it is told to end. */
    int flushed = rc == 0 || rc == -ECANCELED ? mx_gather_flush(&m->gather, e) : 0;
    return flushed < 0 ? flushed : rc;
}
