/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_elf.c: what executables need, of both sizes; damaged ones; the loader's cache. */
#include "tests/lib/unit.h"

#include "common/base/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { STRINGS = 0x300, BASE = 0x400000 };

static uint8_t file[0x500];

static void put(size_t at, uint64_t n, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        file[at + i] = (uint8_t)(n >> 8 * i);
}

static int read_file(void *ctx, uint64_t offset, void *room, size_t len_bytes)
{
    size_t have = *(const size_t *)ctx;
    if (offset > have || len_bytes > have - offset)
        return -ENODATA;
    memcpy(room, file + offset, len_bytes);
    return 0;
}

static void segment(bool is_64, int i, uint32_t kind, uint64_t offset, uint64_t bytes)
{
    size_t at = is_64 ? 64 + 56 * (size_t)i : 52 + 32 * (size_t)i;
    put(at, kind, 4);
    put(at + (is_64 ? 8 : 4), offset, is_64 ? 8 : 4);
    put(at + (is_64 ? 16 : 8), BASE + offset, is_64 ? 8 : 4);
    put(at + (is_64 ? 32 : 16), bytes, is_64 ? 8 : 4);
}

static void dynamic(bool is_64, int i, uint64_t tag, uint64_t value)
{
    size_t word = is_64 ? 8 : 4, at = 0x200 + 2 * word * (size_t)i;
    put(at, tag, word);
    put(at + word, value, word);
}

/* A program with two libraries and a place where to look for them. */
static void make(bool is_64)
{
    static const char strings[] = "\0libone.so.1\0libtwo.so\0$ORIGIN/../lib";
    memset(file, 0, sizeof file);
    memcpy(file, "\177ELF", 4);
    file[4] = is_64 ? 2 : 1;
    file[5] = 1;
    put(18, 62, 2);
    put(is_64 ? 32 : 28, is_64 ? 64 : 52, is_64 ? 8 : 4);
    put(is_64 ? 54 : 42, is_64 ? 56 : 32, 2);
    put(is_64 ? 56 : 44, 3, 2);
    segment(is_64, 0, 3, 0x280, 13);
    segment(is_64, 1, 1, 0, sizeof file);
    segment(is_64, 2, 2, 0x200, 0x80);
    memcpy(file + 0x280, "/lib/ld-x.so", 13);
    dynamic(is_64, 0, 1, 1);
    dynamic(is_64, 1, 1, 13);
    dynamic(is_64, 2, 29, 23);
    dynamic(is_64, 3, 5, BASE + STRINGS);
    memcpy(file + STRINGS, strings, sizeof strings);
}

static int needs(size_t have, struct elf_needs *n)
{
    return elf_needs(&(struct elf_source){ read_file, &have }, n);
}

TEST(says_what_it_needs)
{
    static struct elf_needs n;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        make(is_64);
        assert_ok(needs(sizeof file, &n));
        assert_int_equal(n.class, is_64 ? 2 : 1);
        assert_int_equal(n.machine, 62);
        assert_string_equal(n.interpreter, "/lib/ld-x.so");
        assert_int_equal(n.count, 2);
        assert_string_equal(n.names, "libone.so.1");
        assert_string_equal(n.names + 12, "libtwo.so");
        assert_string_equal(n.runpath, "$ORIGIN/../lib");
        assert_false(n.is_rpath);
        dynamic(is_64, 2, 15, 23);
        assert_ok(needs(sizeof file, &n));
        assert_true(n.is_rpath);
        segment(is_64, 2, 6, 0, 0); /* nothing dynamic */
        assert_ok(needs(sizeof file, &n));
        assert_int_equal(n.count, 0);
    }
}

TEST(names_at_the_end_of_the_file)
{
    static struct elf_needs n;
    make(true);
    dynamic(true, 2, 5, BASE + STRINGS);
    dynamic(true, 3, 0, 0);
    assert_ok(needs(STRINGS + 23, &n)); /* ends with the second name */
    assert_int_equal(n.count, 2);
    assert_int_equal(needs(STRINGS + 22, &n), -EPROTO);
}

TEST(what_is_damaged)
{
    static struct elf_needs n;
    make(true);
    assert_int_equal(needs(0, &n), -ENOEXEC);
    assert_int_equal(needs(51, &n), -ENOEXEC);
    file[0] = '#';
    assert_int_equal(needs(sizeof file, &n), -ENOEXEC);
    make(true);
    file[5] = 2; /* the other endian */
    assert_int_equal(needs(sizeof file, &n), -ENOEXEC);
    make(true);
    put(54, 8, 2); /* entries that are too short */
    assert_int_equal(needs(sizeof file, &n), -EPROTO);
    make(true);
    dynamic(true, 3, 5, 17); /* not in the file */
    assert_int_equal(needs(sizeof file, &n), -EPROTO);
    make(true);
    dynamic(true, 0, 1, UINT64_MAX);
    assert_int_equal(needs(sizeof file, &n), -EPROTO);
    make(true);
    put(32, UINT64_MAX - 3, 8);
    assert_true(needs(sizeof file, &n) < 0);
    make(true);
    segment(true, 1, 1, INT64_MAX, UINT64_MAX);
    assert_true(needs(sizeof file, &n) < 0);
    for (size_t len = 0; len < sizeof file; len++) { /* cut anywhere: an error, or all of it */
        make(true);
        int rc = needs(len, &n);
        assert_true(rc < 0 || (n.count == 2 && n.interpreter[0]));
    }
}

TEST(bounds)
{
    static struct elf_needs n;
    make(true);
    segment(true, 2, 2, 0x200, 0x80);
    for (int i = 0; i < 3; i++)
        dynamic(true, i, 1, 1);
    put(56, 0xffff, 2); /* segments: the first ones count */
    assert_true(needs(sizeof file, &n) <= 0);
    memset(file + STRINGS, 'x', sizeof file - STRINGS); /* a name without an end */
    put(56, 3, 2);
    assert_ok(needs(sizeof file, &n));
    assert_int_equal(n.count, 0);
}

static int read_fd(void *ctx, uint64_t offset, void *room, size_t len_bytes)
{
    return pread(*(const int *)ctx, room, len_bytes, (off_t)offset) == (ssize_t)len_bytes
               ? 0
               : -ENODATA;
}

TEST(itself)
{
    static struct elf_needs n;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(elf_needs(&(struct elf_source){ read_fd, &fd }, &n));
    close(fd);
    assert_int_equal(n.class, sizeof(void *) / 4);
    bool has_libc = false;
    const char *name = n.names;
    for (size_t i = 0; i < n.count; i++, name += strlen(name) + 1)
        has_libc = has_libc || !strncmp(name, "libc.", 5);
    assert_true(has_libc || !n.interpreter[0]);
}

TEST(cache)
{
    enum { TEXTS = 48 + 3 * 24 };
    static uint8_t c[TEXTS + 32];
    static const char texts[] = "libx.so\0/a/libx.so\0/b";
    memcpy(c, "glibc-ld.so.cache1.1", 20);
    c[20] = 3;
    memcpy(c + TEXTS, texts, sizeof texts);
    for (size_t i = 0; i < 3; i++) {
        c[48 + 24 * i + 4] = TEXTS;
        c[48 + 24 * i + 8] = (uint8_t)(TEXTS + (i == 2 ? 19 : 8));
    }
    c[48 + 16] = 1; /* the first is for a special processor */
    struct bytes all = { c, sizeof c };
    size_t at = 0;
    assert_string_equal(elf_cache_find(all, "libx.so", &at), "/a/libx.so");
    assert_string_equal(elf_cache_find(all, "libx.so", &at), "/b");
    assert_null(elf_cache_find(all, "libx.so", &at));
    at = 0;
    assert_null(elf_cache_find(all, "libx.so.1", &at));
    c[48 + 24 + 8] = c[48 + 24 + 9] = 0xff; /* beyond the end */
    at = 0;
    assert_string_equal(elf_cache_find(all, "libx.so", &at), "/b");
    for (uint32_t len = 0; len < sizeof c; len++) {
        const char *path;
        at = 0;
        while ((path = elf_cache_find((struct bytes){ c, len }, "libx.so", &at)))
            assert_true((const uint8_t *)path + strlen(path) < c + len);
    }
}

UNIT_MAIN(cmocka_unit_test(says_what_it_needs), cmocka_unit_test(names_at_the_end_of_the_file),
          cmocka_unit_test(what_is_damaged), cmocka_unit_test(bounds), cmocka_unit_test(itself),
          cmocka_unit_test(cache))
