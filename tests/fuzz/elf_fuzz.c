/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elf_fuzz.c: any bytes as an executable and as the loader's cache. What is taken from them is
 * inside of its bounds, and has its ends. */
#include "common/base/elf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

static size_t reads;

static int read_at(void *ctx, uint64_t offset, void *room, size_t len_bytes)
{
    const struct bytes *b = ctx;
    if (++reads > 200000) /* entries of both passes, segments, names byte by byte: bounded */
        abort();
    if (offset > b->len || len_bytes > b->len - offset)
        return -ENODATA;
    memcpy(room, b->ptr + offset, len_bytes);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    static struct elf_needs n;
    if (len_bytes > UINT32_MAX)
        return 0;
    struct bytes b = { ptr, (uint32_t)len_bytes };
    reads = 0;
    if (elf_needs(&(struct elf_source){ read_at, &b }, &n) == 0) {
        const char *name = n.names;
        size_t bytes = 0;
        for (size_t i = 0; i < n.count; i++) {
            size_t len = strlen(name) + 1;
            if (len == 1 || len > ELF_NAME_BYTES)
                abort();
            bytes += len;
            name += len;
        }
        if (bytes != n.bytes || bytes > sizeof n.names || n.count > ELF_NEEDED_MAX ||
            !memchr(n.interpreter, 0, sizeof n.interpreter) ||
            !memchr(n.runpath, 0, sizeof n.runpath))
            abort();
    }
    const char *path;
    size_t at = 0, found = 0;
    while ((path = elf_cache_find(b, "libc.so.6", &at)))
        if (strlen(path) >= len_bytes || ++found > len_bytes)
            abort();
    return 0;
}
