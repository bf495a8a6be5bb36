/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elf.c: headers of executables and libraries.
 * Must not know: files.
 * Every number that is read may be anything: it is compared with its bounds before it is used.
 */
#include "common/base/elf.h"

#include <errno.h>
#include <string.h>

enum {
    IDENT_BYTES = 16,
    CLASS_32 = 1,
    CLASS_64 = 2,
    LITTLE = 1,
    SEGMENT_LOAD = 1,
    SEGMENT_DYNAMIC = 2,
    SEGMENT_INTERPRETER = 3,
    DYNAMIC_END = 0,
    DYNAMIC_NEEDED = 1,
    DYNAMIC_STRINGS = 5,
    DYNAMIC_RPATH = 15,
    DYNAMIC_RUNPATH = 29,
    HEADER_BYTES = 64,  /* of 64 bits, the longer kind */
    SEGMENT_BYTES = 56, /* likewise */
    DYNAMIC_BYTES = 16,
    CACHE_HEAD_BYTES = 48,
    CACHE_ENTRY_BYTES = 24,
};

struct segment {
    uint32_t kind;
    uint64_t offset, address, file_bytes;
};

struct file {
    const struct elf_source *s;
    bool is_64;
    size_t count;
    struct segment segments[ELF_SEGMENTS_MAX];
    uint64_t strings; /* where the names are, in the file */
};

static uint64_t number(const uint8_t *at, size_t bytes)
{
    uint64_t n = 0;
    while (bytes--)
        n = n << 8 | at[bytes];
    return n;
}

/* Where in the file what is to be at address is. */
static int offset_of(const struct file *f, uint64_t address, uint64_t *offset)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct segment *g = &f->segments[i];
        if (g->kind != SEGMENT_LOAD || address < g->address ||
            address - g->address >= g->file_bytes)
            continue;
        if (g->offset > INT64_MAX - (address - g->address))
            return -EPROTO;
        *offset = g->offset + (address - g->address);
        return 0;
    }
    return -EPROTO;
}

/* The text at offset, with its end, into room. What is longer than room is -ENOSPC. It may be
 * the last of its file: so it is read in smaller and smaller parts. */
static int text_at(const struct file *f, uint64_t offset, char *room, size_t size)
{
    size_t len = 0;
    for (size_t part = 64; len < size && part;) {
        size_t want = part < size - len ? part : size - len;
        if (offset > INT64_MAX - len - want)
            return -EPROTO;
        int rc = f->s->read(f->s->ctx, offset + len, room + len, want);
        if (rc < 0) {
            part = want / 2;
            continue;
        }
        if (memchr(room + len, 0, want))
            return 0;
        len += want;
    }
    return len == size ? -ENOSPC : -EPROTO;
}

static int read_segments(struct file *f, uint64_t at, size_t entry_bytes, size_t count)
{
    uint8_t room[SEGMENT_BYTES];
    size_t least = f->is_64 ? 56 : 32;
    if (entry_bytes < least || at > INT64_MAX / 2)
        return -EPROTO;
    f->count = count < ELF_SEGMENTS_MAX ? count : ELF_SEGMENTS_MAX;
    for (size_t i = 0; i < f->count; i++) {
        int rc = f->s->read(f->s->ctx, at + i * entry_bytes, room, least);
        if (rc < 0)
            return rc;
        f->segments[i] = f->is_64
                             ? (struct segment){ (uint32_t)number(room, 4), number(room + 8, 8),
                                                 number(room + 16, 8), number(room + 32, 8) }
                             : (struct segment){ (uint32_t)number(room, 4), number(room + 4, 4),
                                                 number(room + 8, 4), number(room + 16, 4) };
    }
    return 0;
}

static const struct segment *find(const struct file *f, uint32_t kind)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->segments[i].kind == kind)
            return &f->segments[i];
    return NULL;
}

static int add_needed(const struct file *f, uint64_t at, struct elf_needs *out)
{
    char name[ELF_NAME_BYTES];
    if (out->count == ELF_NEEDED_MAX)
        return 0;
    if (at > INT64_MAX / 2 || f->strings > INT64_MAX / 2)
        return -EPROTO;
    int rc = text_at(f, f->strings + at, name, sizeof name);
    size_t len = rc == 0 ? strlen(name) + 1 : 0;
    if (rc == 0 && len > 1 && len <= sizeof out->names - out->bytes) {
        memcpy(out->names + out->bytes, name, len);
        out->bytes += len;
        out->count++;
    }
    return rc == -ENOSPC ? 0 : rc;
}

static int read_runpath(const struct file *f, uint64_t at, struct elf_needs *out)
{
    if (at > INT64_MAX / 2 || f->strings > INT64_MAX / 2)
        return -EPROTO;
    int rc = text_at(f, f->strings + at, out->runpath, sizeof out->runpath);
    if (rc < 0)
        out->runpath[0] = 0;
    return rc == -ENOSPC ? 0 : rc;
}

/* What entry number i of the dynamic segment says. Returns 1, 0 at the end. */
static int dynamic_at(const struct file *f, const struct segment *g, size_t i, uint64_t *tag,
                      uint64_t *value)
{
    uint8_t room[DYNAMIC_BYTES];
    size_t bytes = f->is_64 ? 16 : 8;
    if (i == ELF_DYNAMIC_MAX || (i + 1) * bytes > g->file_bytes || g->offset > INT64_MAX / 2)
        return 0;
    int rc = f->s->read(f->s->ctx, g->offset + i * bytes, room, bytes);
    *tag = number(room, bytes / 2);
    *value = number(room + bytes / 2, bytes / 2);
    return rc < 0 ? rc : *tag != DYNAMIC_END;
}

static int read_dynamic(struct file *f, const struct segment *g, struct elf_needs *out)
{
    uint64_t tag, value;
    bool has_strings = false, has_runpath = false;
    int rc = 0;
    for (size_t i = 0; (rc = dynamic_at(f, g, i, &tag, &value)) == 1; i++) {
        if (tag != DYNAMIC_STRINGS)
            continue;
        if ((rc = offset_of(f, value, &f->strings)) < 0)
            return rc;
        has_strings = true;
    }
    if (rc < 0 || !has_strings)
        return rc;
    for (size_t i = 0; (rc = dynamic_at(f, g, i, &tag, &value)) == 1; i++) {
        int got = 0;
        if (tag == DYNAMIC_NEEDED)
            got = add_needed(f, value, out);
        else if (tag == DYNAMIC_RUNPATH || (tag == DYNAMIC_RPATH && !has_runpath))
            got = read_runpath(f, value, out);
        has_runpath = has_runpath || tag == DYNAMIC_RUNPATH;
        if (got < 0)
            return got;
    }
    out->is_rpath = out->runpath[0] && !has_runpath;
    return rc;
}

int elf_needs(const struct elf_source *s, struct elf_needs *out)
{
    static const uint8_t magic[4] = { 0x7f, 'E', 'L', 'F' };
    uint8_t h[HEADER_BYTES] = { 0 };
    struct file f = { .s = s };
    *out = (struct elf_needs){ 0 };
    int rc = s->read(s->ctx, 0, h, 52); /* the header of 32 bits */
    if (rc < 0 || memcmp(h, magic, sizeof magic) != 0 || h[5] != LITTLE ||
        (h[4] != CLASS_32 && h[4] != CLASS_64))
        return -ENOEXEC;
    f.is_64 = h[4] == CLASS_64;
    if (f.is_64 && (rc = s->read(s->ctx, 0, h, HEADER_BYTES)) < 0)
        return rc;
    out->class = h[4];
    out->machine = (uint16_t)number(h + IDENT_BYTES + 2, 2);
    rc = f.is_64 ? read_segments(&f, number(h + 32, 8), (size_t)number(h + 54, 2),
                                 (size_t)number(h + 56, 2))
                 : read_segments(&f, number(h + 28, 4), (size_t)number(h + 42, 2),
                                 (size_t)number(h + 44, 2));
    const struct segment *g = rc < 0 ? NULL : find(&f, SEGMENT_INTERPRETER);
    if (g && g->offset > INT64_MAX / 2)
        return -EPROTO;
    if (g && (rc = text_at(&f, g->offset, out->interpreter, sizeof out->interpreter)) < 0)
        return rc == -ENOSPC ? -EPROTO : rc;
    g = rc < 0 ? NULL : find(&f, SEGMENT_DYNAMIC);
    return g ? read_dynamic(&f, g, out) : rc;
}

/* The text at offset of the cache, or NULL. */
static const char *cache_text(struct bytes cache, uint64_t at)
{
    if (at >= cache.len || !memchr(cache.ptr + at, 0, cache.len - (size_t)at))
        return NULL;
    return (const char *)cache.ptr + at;
}

const char *elf_cache_find(struct bytes cache, const char *name, size_t *at)
{
    static const char magic[] = "glibc-ld.so.cache1.1";
    if (cache.len < CACHE_HEAD_BYTES || memcmp(cache.ptr, magic, sizeof magic - 1) != 0)
        return NULL;
    uint64_t count = number(cache.ptr + 20, 4);
    uint64_t room = (cache.len - CACHE_HEAD_BYTES) / CACHE_ENTRY_BYTES;
    count = count < room ? count : room;
    while (*at < count) {
        const uint8_t *e = cache.ptr + CACHE_HEAD_BYTES + *at * CACHE_ENTRY_BYTES;
        const char *key = cache_text(cache, number(e + 4, 4));
        const char *path = cache_text(cache, number(e + 8, 4));
        bool is_special = number(e + 16, 8) != 0;
        ++*at;
        if (key && path && !is_special && strcmp(key, name) == 0)
            return path;
    }
    return NULL;
}
