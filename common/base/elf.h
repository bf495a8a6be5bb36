/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elf.h: what an executable or a library says that it needs, and the loader's cache of where
 * libraries are. Must not know: files (they are read through a function of the caller's). Pure:
 * its input may come from anybody. Source: elf(5), ld.so(8); System V ABI, "Dynamic Linking".
 */
#ifndef COMMON_BASE_ELF_H
#define COMMON_BASE_ELF_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ELF_SEGMENTS_MAX = 64,    /* looked at; linkers make a dozen */
    ELF_DYNAMIC_MAX = 512,    /* entries looked at */
    ELF_NEEDED_MAX = 64,      /* libraries of one file */
    ELF_NEEDED_BYTES = 4096,  /* their names */
    ELF_NAME_BYTES = 256,     /* one of them, with its end */
    ELF_RUNPATH_BYTES = 1024, /* where it says that they are */
};

/* Reads len_bytes at offset into room. Returns 0, or -errno: that isn't all there. */
struct elf_source {
    int (*read)(void *ctx, uint64_t offset, void *room, size_t len_bytes);
    void *ctx;
};

struct elf_needs {
    uint8_t class;                    /* 1: 32 bits, 2: 64 bits */
    uint16_t machine;                 /* a library must be of the same two */
    char interpreter[ELF_NAME_BYTES]; /* "": a library, or static */
    char runpath[ELF_RUNPATH_BYTES];  /* directories with colons between them, as written */
    bool is_rpath;                    /* of the old kind, which counts before the environment */
    size_t count, bytes;
    char names[ELF_NEEDED_BYTES]; /* one after the other, each with its end */
};

/* What the file says; what is beyond the bounds above is left out. Returns 0; -ENOEXEC: it is
 * no ELF file of little endian; -EPROTO: it is damaged; what read returned. */
MUST int elf_needs(const struct elf_source *s, struct elf_needs *out);

/* The path of library name in the cache (/etc/ld.so.cache, all of it), of entries from *at on,
 * which is moved behind it; 0 at the first call. Entries for special processors are left out.
 * Returns NULL: there is no further one, or no cache of the kind that glibc 2.2 and later
 * write. */
const char *elf_cache_find(struct bytes cache, const char *name, size_t *at);

#endif
