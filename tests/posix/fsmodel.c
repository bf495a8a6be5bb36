/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fsmodel.c: a file is changed and read in random ways, and is at each moment what a plain
 * array says. usage: fsmodel FILE SEED STEPS [OTHER] OTHER: another path of the same file (on
 * another mount, or where it is served) that some of the steps go through. A mapping sees the
 * others' changes late, and so does the kernel's check of what is to be copied: without these,
 * then. Must not know: what the file system is. */
#include "tests/posix/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    PART_MAX = 1 << 16, /* bytes of one step */
    SIZE_MAX_BYTES = 1 << 18,
    SETTLE_US = 200 * 1000, /* for a new name to be on the other side */
};

static struct {
    const char *path, *other;
    int fd;
    unsigned char is[SIZE_MAX_BYTES]; /* zero from size on */
    size_t size;
    long step;
    const char *what;
    size_t offset, len; /* of this step */
} m;

static unsigned char part[SIZE_MAX_BYTES];
static uint64_t random_state;

static size_t below(size_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(random_state >> 33) % n;
}

#define AT    "step %ld, %s at %zu, %zu bytes, size %zu"
#define WHERE m.step, m.what, m.offset, m.len, m.size

static void fill(size_t len)
{
    for (size_t i = 0; i < len; i++)
        part[i] = (unsigned char)below(256);
}

static void grow(size_t end)
{
    m.size = end > m.size ? end : m.size;
}

static size_t readable(void)
{
    size_t left = m.offset < m.size ? m.size - m.offset : 0;
    return m.len < left ? m.len : left;
}

static void compare(const unsigned char *bytes, size_t offset, size_t len)
{
    for (size_t i = 0; i < len; i++)
        CHECK(bytes[i] == m.is[offset + i], AT ": byte %zu is %02x, not %02x", WHERE,
              offset + i, bytes[i], m.is[offset + i]);
}

static void write_to(int fd, size_t offset, size_t len)
{
    fill(len);
    CHECK(pwrite(fd, part, len, (off_t)offset) == (ssize_t)len, AT, WHERE);
    memcpy(m.is + offset, part, len);
    grow(offset + len);
}

static void read_from(int fd)
{
    ssize_t n = pread(fd, part, m.len, (off_t)m.offset);
    CHECK(n == (ssize_t)readable(), AT ": %zd bytes, not %zu", WHERE, n, readable());
    compare(part, m.offset, readable());
}

/* ---- steps ---- */

static void step_write(void)
{
    write_to(m.fd, m.offset, m.len);
}

static void step_read(void)
{
    read_from(m.fd);
}

static void step_truncate(void)
{
    size_t to = below(3) ? m.offset : below(2 * PAGE);
    CHECK(ftruncate(m.fd, (off_t)to) == 0, AT, WHERE);
    if (to < m.size)
        memset(m.is + to, 0, m.size - to);
    m.size = to;
}

static void step_sync(void)
{
    CHECK(fsync(m.fd) == 0, AT, WHERE);
}

static void step_reopen(void)
{
    CHECK(close(m.fd) == 0, AT, WHERE);
    m.fd = open(m.path, O_RDWR);
    CHECK(m.fd >= 0, AT, WHERE);
}

static void step_read_other(void)
{
    int fd = open(m.other, O_RDONLY);
    CHECK(fd >= 0, AT, WHERE);
    read_from(fd);
    CHECK(close(fd) == 0, AT, WHERE);
}

static void step_write_other(void)
{
    int fd = open(m.other, O_WRONLY);
    CHECK(fd >= 0, AT, WHERE);
    write_to(fd, m.offset, m.len);
    CHECK(close(fd) == 0, AT, WHERE);
}

static void step_append_other(void)
{
    size_t len = m.len % (2 * PAGE) + 1;
    if (m.size + len > SIZE_MAX_BYTES)
        return;
    int fd = open(m.other, O_WRONLY | O_APPEND);
    CHECK(fd >= 0, AT, WHERE);
    fill(len);
    CHECK(write(fd, part, len) == (ssize_t)len, AT, WHERE);
    memcpy(m.is + m.size, part, len);
    m.size += len;
    CHECK(close(fd) == 0, AT, WHERE);
}

static void allocate(int mode, bool has_size)
{
    if (fallocate(m.fd, mode, (off_t)m.offset, (off_t)m.len) < 0) {
        CHECK(errno == EOPNOTSUPP, AT, WHERE);
        return;
    }
    if (mode & ~FALLOC_FL_KEEP_SIZE)
        memset(m.is + m.offset, 0, m.len);
    if (has_size)
        grow(m.offset + m.len);
}

static void step_allocate(void)
{
    allocate(0, true);
}

static void step_punch(void)
{
    allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, false);
}

static void step_zero(void)
{
    bool has_size = below(2);
    allocate(FALLOC_FL_ZERO_RANGE | (has_size ? 0 : FALLOC_FL_KEEP_SIZE), has_size);
}

static void step_rename(void)
{
    char moved[4096];
    snprintf(moved, sizeof moved, "%s.moved", m.path);
    CHECK(rename(m.path, moved) == 0 && rename(moved, m.path) == 0, AT, WHERE);
}

/* The part of a mapping that the step is about; *base and *len are to be unmapped. */
static unsigned char *map(int prot, unsigned char **base, size_t *len)
{
    size_t page = m.offset & ~(size_t)(PAGE - 1);
    m.len = readable();
    *len = m.offset + m.len - page;
    if (!m.len)
        return NULL;
    *base = mmap(NULL, *len, prot, MAP_SHARED, m.fd, (off_t)page);
    CHECK(*base != MAP_FAILED, AT, WHERE);
    return *base + (m.offset - page);
}

static void step_map_read(void)
{
    unsigned char *base = NULL;
    size_t len;
    const unsigned char *bytes = map(PROT_READ, &base, &len);
    if (!bytes)
        return;
    compare(bytes, m.offset, m.len);
    CHECK(munmap(base, len) == 0, AT, WHERE);
}

static void step_map_write(void)
{
    unsigned char *base = NULL;
    size_t len;
    unsigned char *bytes = map(PROT_READ | PROT_WRITE, &base, &len);
    if (!bytes)
        return;
    fill(m.len);
    memcpy(bytes, part, m.len);
    memcpy(m.is + m.offset, part, m.len);
    CHECK(below(4) || msync(base, len, MS_SYNC) == 0, AT, WHERE);
    CHECK(munmap(base, len) == 0, AT, WHERE);
}

static void step_copy(void)
{
    size_t to = below(SIZE_MAX_BYTES - PART_MAX);
    m.len = readable();
    if (to < m.offset + m.len && m.offset < to + m.len)
        return;
    off_t from_at = (off_t)m.offset, to_at = (off_t)to;
    for (size_t left = m.len; left;) {
        ssize_t n = copy_file_range(m.fd, &from_at, m.fd, &to_at, left, 0);
        CHECK(n > 0, AT ": to %zu", WHERE, to);
        left -= (size_t)n;
    }
    memcpy(m.is + to, m.is + m.offset, m.len);
    if (m.len)
        grow(to + m.len);
}

static const struct step {
    const char *what;
    void (*fn)(void);
    unsigned weight, weight_with_other;
} steps[] = {
    { "write", step_write, 6, 6 },
    { "read", step_read, 4, 6 },
    { "truncate", step_truncate, 2, 4 },
    { "sync", step_sync, 2, 1 },
    { "reopen", step_reopen, 2, 8 },
    { "read by the other path", step_read_other, 2, 4 },
    { "write by the other path", step_write_other, 2, 4 },
    { "append by the other path", step_append_other, 1, 4 },
    { "allocate", step_allocate, 2, 1 },
    { "punch a hole", step_punch, 2, 1 },
    { "zero", step_zero, 2, 1 },
    { "rename", step_rename, 2, 0 }, /* programs there see names late */
    { "read a mapping", step_map_read, 2, 0 },
    { "write a mapping", step_map_write, 2, 0 },
    { "copy", step_copy, 2, 0 },
};

static const struct step *choose(bool has_other)
{
    unsigned sum = 0;
    const struct step *s;
    for (s = steps; s < steps + sizeof steps / sizeof *steps; s++)
        sum += has_other ? s->weight_with_other : s->weight;
    size_t at = below(sum);
    for (s = steps;; s++) {
        unsigned weight = has_other ? s->weight_with_other : s->weight;
        if (at < weight)
            return s;
        at -= weight;
    }
}

static void check_size(void)
{
    struct stat st;
    CHECK(fstat(m.fd, &st) == 0 && st.st_size == (off_t)m.size, AT ": st_size %lld", WHERE,
          (long long)st.st_size);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: fsmodel FILE SEED STEPS [OTHER]\n");
        return 2;
    }
    m.path = argv[1];
    m.other = argc > 4 ? argv[4] : argv[1];
    random_state = strtoull(argv[2], NULL, 10);
    long count = strtol(argv[3], NULL, 10);
    m.what = "create";
    m.fd = open(m.path, O_RDWR | O_CREAT | O_EXCL, 0644);
    CHECK(m.fd >= 0, AT, WHERE);
    if (argc > 4)
        usleep(SETTLE_US);
    for (m.step = 1; m.step <= count; m.step++) {
        const struct step *s = choose(argc > 4);
        m.what = s->what;
        m.offset = below(SIZE_MAX_BYTES - PART_MAX);
        if (below(3) == 0)
            m.offset &= ~(size_t)(PAGE - 1);
        m.len = 1 + below(below(2) ? PART_MAX : PAGE + 904);
        s->fn();
        if (below(4) == 0)
            check_size();
    }
    m.what = "end";
    step_reopen();
    m.offset = 0;
    m.len = SIZE_MAX_BYTES;
    read_from(m.fd);
    CHECK(close(m.fd) == 0 && unlink(m.path) == 0, AT, WHERE);
    printf("seed %s: %ld steps, as the array says\n", argv[2], count);
    return 0;
}
