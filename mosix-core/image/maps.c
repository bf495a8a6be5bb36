/* SPDX-License-Identifier: GPL-2.0-or-later */
/* maps.c: reading /proc/PID/smaps.
 * Must not know: what is done with mappings. */
#include "mosix-core/image/maps.h"

#include "common/sys/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 4096 + 256 };

static const char *const kind_names[MX_MAP_KINDS] = {
    [MX_MAP_VDSO] = "[vdso]",
    [MX_MAP_VVAR] = "[vvar]",
    [MX_MAP_VVAR_VCLOCK] = "[vvar_vclock]",
};

/* What "VmFlags:" says, and what becomes of it. */
static const struct {
    char word[3];
    uint32_t attribute;
} attribute_words[] = {
    { "gd", MX_ATTR_GROWSDOWN }, { "nr", MX_ATTR_NORESERVE },  { "lo", MX_ATTR_LOCKED },
    { "dc", MX_ATTR_DONTFORK },  { "dd", MX_ATTR_DONTDUMP },   { "wf", MX_ATTR_WIPEONFORK },
    { "hg", MX_ATTR_HUGEPAGE },  { "nh", MX_ATTR_NOHUGEPAGE }, { "mg", MX_ATTR_MERGEABLE },
};

int mx_maps_add(struct mx_maps *m, const struct mx_sec_mapping *s, bool is_of_file)
{
    if (m->count >= MX_MAPPINGS_MAX)
        return -ENOSPC;
    if (m->count == m->size) {
        uint32_t size = m->size ? 2 * m->size : 64;
        void *list = realloc(m->list, size * sizeof *m->list);
        if (!list)
            return -ENOMEM;
        m->list = list;
        void *flags = realloc(m->is_of_file, size * sizeof *m->is_of_file);
        if (!flags)
            return -ENOMEM;
        m->is_of_file = flags;
        m->size = size;
    }
    char *path = strndup(s->path.ptr ? (const char *)s->path.ptr : "", s->path.len);
    if (!path)
        return -ENOMEM;
    m->list[m->count] = *s;
    m->list[m->count].path = bytes_of(path);
    m->is_of_file[m->count++] = is_of_file;
    return 0;
}

void mx_maps_fini(struct mx_maps *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        free((void *)m->list[i].path.ptr);
    free(m->list);
    free(m->is_of_file);
    *m = (struct mx_maps){ 0 };
}

/* One mapping while its lines are read. */
struct entry {
    struct mx_sec_mapping s;
    char path[4096];
    bool is_open, is_shared, is_of_file, is_legacy, may_write, is_device;
};

/* "55d0…-55d1… r-xp 00001000 fe:01 1234   /bin/x": false when it is not such a line. */
static bool parse_head(const char *line, struct entry *x)
{
    char prot[5];
    unsigned long long inode;
    int at = 0;
    *x = (struct entry){ 0 };
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*x:%*x %llu %n", &x->s.start,
               &x->s.end, prot, &x->s.offset, &inode, &at) != 5)
        return false;
    x->is_open = true;
    x->s.prot = (uint32_t)((prot[0] == 'r') | (prot[1] == 'w') << 1 | (prot[2] == 'x') << 2);
    x->is_shared = prot[3] == 's';
    x->is_of_file = inode != 0;
    snprintf(x->path, sizeof x->path, "%s", line + at);
    x->path[strcspn(x->path, "\n")] = 0;
    for (unsigned i = 0; i < MX_MAP_KINDS; i++)
        if (kind_names[i] && strcmp(x->path, kind_names[i]) == 0)
            x->s.kind = i;
    x->is_legacy = strcmp(x->path, "[vsyscall]") == 0;
    return true;
}

static void parse_flags(const char *words, struct entry *x)
{
    for (const char *at = words; *at;) {
        at += strspn(at, " \n");
        size_t len = strcspn(at, " \n");
        for (unsigned i = 0; i < ARRAY_LEN(attribute_words) && len == 2; i++)
            if (memcmp(at, attribute_words[i].word, 2) == 0)
                x->s.attributes |= attribute_words[i].attribute;
        x->may_write |= len == 2 && memcmp(at, "mw", 2) == 0;
        x->is_device |= len == 2 && (memcmp(at, "io", 2) == 0 || memcmp(at, "pf", 2) == 0);
        at += len;
    }
}

static int check_entry(const struct entry *x, pid_t pid, struct err *e)
{
    if (x->is_shared && x->may_write)
        return err_say(e, ENOTSUP, "process %d shares memory that it may write (%s)", (int)pid,
                       x->path[0] ? x->path : "anonymous");
    if (x->is_device && x->s.kind == MX_MAP_MEMORY)
        return err_say(e, ENOTSUP, "process %d has memory of a device (%s)", (int)pid, x->path);
    return 0;
}

static int finish_entry(struct mx_maps *m, struct entry *x, pid_t pid, bool has_to_move,
                        struct err *e)
{
    int rc = 0;
    if (!x->is_open || x->is_legacy)
        return 0;
    x->is_open = false;
    x->s.path = bytes_of(x->path);
    if (has_to_move)
        rc = check_entry(x, pid, e);
    if (rc == 0 && (rc = mx_maps_add(m, &x->s, x->is_of_file)) < 0)
        return err_set(e, -rc, "note the mappings of process %d", (int)pid);
    return rc;
}

static void file_close(FILE **f)
{
    if (*f)
        fclose(*f);
}

int mx_maps_read(struct mx_maps *m, pid_t pid, bool has_to_move, struct err *e)
{
    char path[40];
    *m = (struct mx_maps){ 0 };
    AUTO_FREE char *line = malloc(LINE_BYTES);
    AUTO_FREE struct entry *x = calloc(1, sizeof *x);
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)pid);
    AUTO(file_close) FILE *f = fopen(path, "re");
    if (!f || !line || !x)
        return err_set(e, f ? ENOMEM : errno, "open %s", path);
    int rc = 0;
    while (rc == 0 && fgets(line, LINE_BYTES, f)) {
        struct entry next;
        if (strncmp(line, "VmFlags:", 8) == 0) {
            parse_flags(line + 8, x);
            rc = finish_entry(m, x, pid, has_to_move, e);
        } else if (!x->is_open && parse_head(line, &next)) {
            *x = next;
        }
    }
    if (rc == 0 && (ferror(f) || m->count == 0))
        return err_set(e, ESRCH, "read %s", path);
    return rc;
}

static bool is_same(const struct mx_sec_mapping *a, const struct mx_sec_mapping *b)
{
    return a->start == b->start && a->end == b->end && a->prot == b->prot &&
           a->kind == b->kind && a->offset == b->offset && a->path.len == b->path.len &&
           memcmp(a->path.ptr, b->path.ptr, a->path.len) == 0;
}

bool mx_maps_are_in_place(const struct mx_maps *a, const struct mx_maps *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++)
        same = is_same(&a->list[i], &b->list[i]);
    return same;
}

bool mx_maps_are_same(const struct mx_maps *a, const struct mx_maps *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++)
        same =
            is_same(&a->list[i], &b->list[i]) && a->list[i].attributes == b->list[i].attributes;
    return same;
}

bool mx_maps_are_sorted(const struct mx_maps *m)
{
    for (uint32_t i = 1; i < m->count; i++)
        if (m->list[i].start < m->list[i - 1].end)
            return false;
    return true;
}

/* Each line of /proc/PID/maps is what smaps has as the first line of a mapping. known: NULL, or
 * what is to be there. */
static int read_heads(struct mx_maps *m, const struct mx_maps *known, FILE *f, char *line,
                      struct entry *x)
{
    int rc = 0;
    while (rc == 0 && fgets(line, LINE_BYTES, f)) {
        if (!parse_head(line, x))
            return -EIO;
        if (x->is_legacy)
            continue;
        uint32_t at = m->count;
        x->s.path = bytes_of(x->path);
        if (known && (at >= known->count || !is_same(&x->s, &known->list[at]) ||
                      x->is_of_file != known->is_of_file[at]))
            return -ESTALE;
        rc = mx_maps_add(m, known ? &known->list[at] : &x->s, x->is_of_file);
    }
    return rc == 0 && known && m->count != known->count ? -ESTALE : rc;
}

static int read_lines(struct mx_maps *m, const struct mx_maps *known, pid_t pid, struct err *e)
{
    char path[40];
    *m = (struct mx_maps){ 0 };
    AUTO_FREE char *line = malloc(LINE_BYTES);
    AUTO_FREE struct entry *x = calloc(1, sizeof *x);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    AUTO(file_close) FILE *f = fopen(path, "re");
    if (!f || !line || !x)
        return err_set(e, f ? ENOMEM : errno, "open %s", path);
    int rc = read_heads(m, known, f, line, x);
    if (rc == 0 && (ferror(f) || m->count == 0))
        rc = -ESRCH;
    return rc < 0 ? err_set(e, -rc, "read %s", path) : 0;
}

int mx_maps_read_again(struct mx_maps *m, const struct mx_maps *known, pid_t pid, struct err *e)
{
    if (known->count && read_lines(m, known, pid, NULL) == 0)
        return 0;
    mx_maps_fini(m);
    int rc = mx_maps_read(m, pid, true, e);
    return rc < 0 ? rc : 1;
}

int mx_maps_read_places(struct mx_maps *m, pid_t pid, struct err *e)
{
    return read_lines(m, NULL, pid, e);
}

/* Those that are memory, and have from birth what the other has. */
static bool is_alike(const struct mx_sec_mapping *a, const struct mx_sec_mapping *b)
{
    const uint32_t born = MX_ATTR_GROWSDOWN | MX_ATTR_NORESERVE;
    return a->kind == MX_MAP_MEMORY && b->kind == MX_MAP_MEMORY &&
           !((a->attributes ^ b->attributes) & born);
}

int mx_maps_differing(const struct mx_maps *a, const struct mx_maps *b, mx_maps_part_fn *fn,
                      void *ctx, struct err *e)
{
    uint32_t other = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < a->count; i++) {
        const struct mx_sec_mapping *m = &a->list[i];
        uint64_t at = m->start;
        if (m->kind != MX_MAP_MEMORY)
            continue;
        while (other < b->count && b->list[other].end <= at)
            other++;
        for (uint32_t k = other; rc == 0 && k < b->count && b->list[k].start < m->end; k++) {
            const struct mx_sec_mapping *o = &b->list[k];
            if (!is_alike(m, o))
                continue;
            if (o->start > at)
                rc = fn(ctx, m, at, o->start, e);
            at = o->end;
        }
        if (rc == 0 && at < m->end)
            rc = fn(ctx, m, at, m->end, e);
    }
    return rc;
}

const struct mx_sec_mapping *mx_maps_kind(const struct mx_maps *m, enum mx_map_kind kind)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->list[i].kind == kind)
            return &m->list[i];
    return NULL;
}

static bool is_free(const struct mx_maps *m, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; m && i < m->count; i++)
        if (m->list[i].start < end && m->list[i].end > start)
            return false;
    return true;
}

uint64_t mx_maps_hole(const struct mx_maps *a, const struct mx_maps *b, uint64_t len_bytes)
{
    const uint64_t step = UINT64_C(1) << 28;
    for (uint64_t at = UINT64_C(0x10000000000); at < UINT64_C(0x7f0000000000); at += step)
        if (is_free(a, at, at + len_bytes) && is_free(b, at, at + len_bytes))
            return at;
    return 0;
}
