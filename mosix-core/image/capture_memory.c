/* SPDX-License-Identifier: GPL-2.0-or-later */
/* capture_memory.c: the contents of a process's mappings, without the pages that are zero.
 * Must not know: what mappings are for. Source: proc_pid_pagemap(5). */
#include "mosix-core/image/parts.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, ENTRIES = MX_PAGES_BODY_MAX / PAGE };
static const uint64_t entry_here = UINT64_C(1) << 63 | UINT64_C(1)
                                                           << 62; /* in memory or swapped */

struct pages {
    const struct mx_tracee *t;
    struct mx_image_writer *w;
    int pagemap;
    uint8_t *space; /* MX_PAGES_BODY_MAX bytes */
    uint64_t entries[ENTRIES];
};

static bool is_zero(const uint8_t *page)
{
    static const uint8_t zero[PAGE];
    return memcmp(page, zero, PAGE) == 0;
}

/* What lies behind the end of a mapped file can't be read, and is nothing. Returns the pages
 * that were read. */
static size_t read_pages(struct pages *p, uint64_t start, size_t count)
{
    for (size_t got = 0; got < count;) {
        ssize_t n = pread(p->t->mem_fd, p->space + got * PAGE, (count - got) * PAGE,
                          (off_t)(start + got * PAGE));
        if (n < PAGE)
            return got;
        got += (size_t)n / PAGE;
    }
    return count;
}

/* Sections for the runs of pages that are not zero. */
static int write_runs(struct pages *p, uint64_t start, size_t count, struct err *e)
{
    for (size_t i = 0; i < count;) {
        size_t first = i;
        while (i < count && !is_zero(p->space + i * PAGE))
            i++;
        if (i > first) {
            struct mx_sec s = { .number = MX_SEC_pages,
                                .pages = { .start = start + first * PAGE,
                                           .body = { p->space + first * PAGE,
                                                     (uint32_t)((i - first) * PAGE) } } };
            int rc = mx_image_write(p->w, &s, e);
            if (rc < 0)
                return rc;
        } else {
            i++;
        }
    }
    return 0;
}

/* Up to ENTRIES pages, of which only those in memory are looked at unless all may be in a file.
 */
static int take_piece(struct pages *p, uint64_t start, size_t count, bool is_of_file,
                      struct err *e)
{
    ssize_t want = (ssize_t)(count * sizeof p->entries[0]);
    ssize_t n = pread(p->pagemap, p->entries, (size_t)want, (off_t)(start / PAGE * 8));
    if (n != want)
        return err_set(e, n < 0 ? errno : EIO, "read the pages of process %d", (int)p->t->pid);
    for (size_t i = 0; i < count;) {
        size_t first = i;
        while (i < count && (is_of_file || p->entries[i] & entry_here))
            i++;
        if (i == first) {
            i++;
            continue;
        }
        size_t got = read_pages(p, start + first * PAGE, i - first);
        if (got < i - first && !is_of_file)
            return err_say(e, EIO, "memory of process %d at %#llx can't be read",
                           (int)p->t->pid, (unsigned long long)(start + (first + got) * PAGE));
        int rc = write_runs(p, start + first * PAGE, got, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int take_mapping(struct pages *p, const struct mx_sec_mapping *s, bool is_of_file,
                        struct err *e)
{
    for (uint64_t at = s->start; at < s->end; at += MX_PAGES_BODY_MAX) {
        uint64_t left = (s->end - at) / PAGE;
        int rc = take_piece(p, at, left < ENTRIES ? left : ENTRIES, is_of_file, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int mx_capture_memory(const struct mx_tracee *t, const struct mx_maps *m,
                      struct mx_image_writer *w, struct err *e)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)t->pid);
    AUTO_FD pagemap = open(path, O_RDONLY | O_CLOEXEC);
    AUTO_FREE uint8_t *space = malloc(MX_PAGES_BODY_MAX);
    AUTO_FREE struct pages *p = malloc(sizeof *p);
    if (pagemap < 0 || !space || !p)
        return err_set(e, pagemap < 0 ? errno : ENOMEM, "open %s", path);
    *p = (struct pages){ .t = t, .w = w, .pagemap = pagemap, .space = space };
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < m->count; i++)
        if (m->list[i].kind == MX_MAP_MEMORY)
            rc = take_mapping(p, &m->list[i], m->is_of_file[i], e);
    return rc;
}
