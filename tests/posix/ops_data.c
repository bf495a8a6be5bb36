/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops_data.c: reading, writing, sizes, holes, copies, mappings. */
#include "tests/posix/fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

static void data_positions(void)
{
    char c[64] = "";
    int fd = FD(open("p", O_RDWR | O_CREAT | O_EXCL, 0644));
    N(write(fd, "0123456789", 10));
    N(lseek(fd, 0, SEEK_CUR));
    N(lseek(fd, -3, SEEK_END));
    N(read(fd, c, 64));
    say_text("tail", c);
    N(read(fd, c, 64));
    N(lseek(fd, -1, SEEK_SET));
    N(lseek(fd, 100, SEEK_SET));
    N(read(fd, c, 1));
    N(write(fd, "x", 1));
    say_fstat("after a hole", fd);
    N(pread(fd, c, 4, 98));
    N(c[0] == 0 && c[1] == 0 && c[2] == 'x');
    N(pread(fd, c, 1, -1));
    N(pwrite(fd, c, 1, -1));
    N(pwrite(fd, c, 0, 1000));
    say_fstat("nothing written", fd);
    N(lseek(fd, 0, 99));
    struct iovec v[2] = { { c, 5 }, { c + 10, 5 } };
    N(preadv(fd, v, 2, 2));
    N(memcmp(c, "23456", 5) == 0 && memcmp(c + 10, "789\0\0", 5) == 0);
    N(pwritev(fd, v, 2, 50));
    N(pwritev2(fd, v, 1, -1, RWF_APPEND));
    say_fstat("appended", fd);
    N(pwritev2(fd, v, 1, 0, RWF_DSYNC));
    N(fsync(fd));
    N(fdatasync(fd));
    N(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    N(readahead(fd, 0, 100));
    N(sync_file_range(fd, 0, 100, SYNC_FILE_RANGE_WRITE));
    N(syncfs(fd));
    close(fd);
    say_file("p");
    N(read(-1, c, 1));
}

static void data_sizes(void)
{
    make_file("s", "0123456789");
    N(truncate("s", 5));
    say_file("s");
    N(truncate("s", 12));
    say_file("s");
    N(truncate("s", -1));
    N(truncate("missing", 0));
    N(truncate(".", 0));
    N(truncate("s/x", 0));
    N(symlink("s", "sl"));
    N(truncate("sl", 3));
    say_stat("s");
    int fd = FD(open("s", O_RDWR));
    N(ftruncate(fd, 100000));
    say_fstat("grown", fd);
    N(ftruncate(fd, -1));
    N(ftruncate(fd, 1));
    N(ftruncate(fd, 10));
    close(fd);
    say_file("s");
    fd = FD(open(".", O_RDONLY));
    N(ftruncate(fd, 0));
    char c;
    N(read(fd, &c, 1));
    N(pread(fd, &c, 1, 0));
    close(fd);
}

/* Data that spans many requests, at odd places. */
static void data_big(void)
{
    enum { SIZE = 3 * 1024 * 1024 + 1234 };
    char *bytes = malloc(SIZE), *back = malloc(SIZE);
    for (size_t i = 0; bytes && i < SIZE; i++)
        bytes[i] = (char)(i * 2654435761U >> 13);
    int fd = FD(open("big", O_RDWR | O_CREAT | O_TRUNC, 0644));
    N(write(fd, bytes, SIZE));
    say_fstat("big", fd);
    N(pread(fd, back, SIZE, 0));
    N(memcmp(bytes, back, SIZE));
    N(pread(fd, back, SIZE, 4097));
    N(memcmp(bytes + 4097, back, SIZE - 4097));
    N(pwrite(fd, bytes, 1000001, 777));
    close(fd);
    say_file("big");
    /* the same without the page cache of this open */
    fd = FD(open("big", O_RDWR | O_APPEND));
    N(write(fd, bytes, 100000));
    N(pread(fd, back, 200000, SIZE - 100000));
    N(memcmp(back + 100000, bytes, 100000));
    close(fd);
    say_file("big");
    free(bytes);
    free(back);
}

static void data_two_opens(void)
{
    char c[16] = "";
    make_file("two", "aaaa");
    int a = FD(open("two", O_RDWR)), b = FD(open("two", O_RDONLY));
    N(read(b, c, 4));
    N(pwrite(a, "bbbbbb", 6, 0));
    N(pread(b, c, 16, 0));
    say_text("seen by the other", c);
    N(ftruncate(a, 2));
    memset(c, 0, sizeof c);
    N(pread(b, c, 16, 0));
    say_text("seen by the other", c);
    int d = FD(open("two", O_WRONLY | O_APPEND));
    N(write(d, "END", 3));
    memset(c, 0, sizeof c);
    N(pread(b, c, 16, 0));
    say_text("seen by the other", c);
    close(a);
    close(b);
    close(d);
}

static int too_big(void)
{
    struct rlimit r, before;
    signal(SIGXFSZ, SIG_IGN);
    int fd = FD(open("limited", O_RDWR | O_CREAT, 0644));
    if (getrlimit(RLIMIT_FSIZE, &before) < 0)
        return 1;
    r = before;
    r.rlim_cur = 1000;
    if (setrlimit(RLIMIT_FSIZE, &r) < 0)
        return 1;
    char c[2000] = "";
    N(write(fd, c, 2000));
    N(write(fd, c, 1));
    N(ftruncate(fd, 1001));
    /* the output may be a longer file */
    return setrlimit(RLIMIT_FSIZE, &before) < 0;
}

static void data_huge(void)
{
    char c[8] = "";
    off_t far = (off_t)5 << 30;
    int fd = FD(open("huge", O_RDWR | O_CREAT, 0644));
    N(pwrite(fd, "far", 3, far));
    say_fstat("huge", fd);
    N(pread(fd, c, 8, far));
    say_text("huge", c);
    N(lseek(fd, 0, SEEK_END));
    N(lseek(fd, 0, SEEK_DATA) == far || lseek(fd, 0, SEEK_DATA) == far - far % 4096);
    N(ftruncate(fd, far + 1000000));
    N(pread(fd, c, 3, far + 999999));
    N(unlink("huge"));
    close(fd);
}

void part_data(void)
{
    data_positions();
    data_sizes();
    data_big();
    data_two_opens();
    say_child("file size limit", too_big);
    data_huge();
}

static void space_holes(void)
{
    int fd = FD(open("holes", O_RDWR | O_CREAT, 0644));
    N(pwrite(fd, "x", 1, 0));
    N(pwrite(fd, "y", 1, 1 << 20));
    N(ftruncate(fd, 2 << 20));
    N(lseek(fd, 0, SEEK_DATA));
    N(lseek(fd, 0, SEEK_HOLE));
    N(lseek(fd, 5000, SEEK_DATA));
    N(lseek(fd, 1 << 20, SEEK_HOLE));
    N(lseek(fd, (1 << 20) + 8192, SEEK_DATA));
    N(lseek(fd, 2 << 20, SEEK_HOLE));
    N(lseek(fd, 2 << 20, SEEK_DATA));
    N(lseek(fd, -1, SEEK_DATA));
    say_fstat("holes", fd);
    close(fd);
}

static void space_allocate(void)
{
    int fd = FD(open("alloc", O_RDWR | O_CREAT, 0644));
    N(fallocate(fd, 0, 0, 100000));
    say_fstat("allocated", fd);
    N(fallocate(fd, 0, 0, 0));
    N(fallocate(fd, 0, -1, 10));
    N(fallocate(fd, FALLOC_FL_KEEP_SIZE, 100000, 100000));
    say_fstat("kept", fd);
    for (int i = 0; i < 100000; i += 4096)
        if (pwrite(fd, "data", 4, i) != 4)
            break;
    N(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 8192));
    N(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 8192, 8192));
    char c[4];
    N(pread(fd, c, 4, 8192));
    N(memcmp(c, "\0\0\0\0", 4));
    N(pread(fd, c, 4, 16384));
    N(memcmp(c, "data", 4));
    N(lseek(fd, 0, SEEK_HOLE));
    N(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096));
    N(pread(fd, c, 4, 0));
    /* FALLOC_FL_COLLAPSE_RANGE and FALLOC_FL_INSERT_RANGE are refused by the kernel's FUSE
     * itself, see mrcfs(1), CAVEATS. */
    N(fallocate(fd, 1 << 30, 0, 4096));
    N(posix_fallocate(fd, 0, 300000));
    N(fsync(fd)); /* or the blocks that ext3 puts off are counted or not, as it comes */
    say_fstat("allocated", fd);
    close(fd);
    fd = FD(open("alloc", O_RDONLY));
    N(fallocate(fd, 0, 0, 100));
    close(fd);
    say_file("alloc");
}

static void space_copy(void)
{
    char bytes[50000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    int in = FD(open("from", O_RDWR | O_CREAT, 0644));
    int out = FD(open("to", O_RDWR | O_CREAT, 0644));
    N(write(in, bytes, sizeof bytes));
    off_t a = 100, b = 10;
    N(copy_file_range(in, &a, out, &b, 20000, 0));
    N(a);
    N(b);
    N(lseek(in, 0, SEEK_CUR));
    a = 49990;
    N(copy_file_range(in, &a, out, &b, 1000, 0));
    N(copy_file_range(in, &a, out, &b, 1000, 0));
    a = 0;
    b = 50;
    N(copy_file_range(in, &a, in, &b, 1000, 0)); /* overlaps */
    N(copy_file_range(in, &a, out, &b, 10, 1));
    say_file("to");
    N(lseek(in, 0, SEEK_SET));
    N(lseek(out, 0, SEEK_END));
    N(sendfile(out, in, NULL, 30000));
    int pipefd[2];
    if (pipe(pipefd) == 0) {
        N(splice(in, NULL, pipefd[1], NULL, 4000, 0));
        N(splice(pipefd[0], NULL, out, NULL, 4000, 0));
        close(pipefd[0]);
        close(pipefd[1]);
    }
    close(in);
    close(out);
    say_file("to");
    in = FD(open("from", O_RDONLY));
    out = FD(open("to", O_RDONLY));
    N(copy_file_range(in, NULL, out, NULL, 10, 0));
    close(out);
    out = FD(open("to", O_WRONLY | O_APPEND));
    N(copy_file_range(in, NULL, out, NULL, 10, 0));
    close(in);
    close(out);
}

void part_space(void)
{
    space_holes();
    space_allocate();
    space_copy();
}

static int touch_beyond(void)
{
    int fd = open("map", O_RDWR);
    char *p = mmap(NULL, 8 * 4096, PROT_READ, MAP_SHARED, fd, 0);
    return p[7 * 4096];
}

static void mmap_shared(int flags, const char *path)
{
    make_file(path, "0123456789");
    int fd = FD(open(path, O_RDWR | flags));
    N(ftruncate(fd, 10000));
    char *p = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    N(p == MAP_FAILED);
    if (p == MAP_FAILED)
        return;
    char c[8] = "";
    N(memcmp(p, "0123456789", 10));
    memcpy(p + 2, "mapped", 6);
    memcpy(p + 9000, "far", 3);
    N(msync(p, 10000, MS_SYNC));
    int other = FD(open(path, O_RDONLY));
    N(pread(other, c, 6, 2));
    say_text("read after msync", c);
    N(pread(other, c, 3, 9000));
    N(pwrite(fd, "written", 7, 4096));
    N(memcmp(p + 4096, "written", 7));
    memcpy(p + 5000, "late", 4);
    N(munmap(p, 10000));
    close(other);
    close(fd);
    say_file(path);
}

static void mmap_private(void)
{
    make_file("priv", "private");
    int fd = FD(open("priv", O_RDONLY));
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    N(p == MAP_FAILED);
    if (p == MAP_FAILED)
        return;
    memcpy(p, "CHANGED", 7);
    N(munmap(p, 4096));
    N(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    close(fd);
    say_file("priv");
    fd = FD(open("priv", O_WRONLY));
    N(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
    close(fd);
    /* executable code from the file */
    fd = FD(open("/bin/true", O_RDONLY));
    N(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED);
    close(fd);
    /* the mapping outlives descriptor and name */
    make_file("alone", "still mapped");
    fd = FD(open("alone", O_RDWR));
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    N(unlink("alone"));
    if (p != MAP_FAILED) {
        N(memcmp(p, "still mapped", 12));
        p[0] = 'S';
        N(msync(p, 4096, MS_SYNC));
        munmap(p, 4096);
    }
}

void part_mmap(void)
{
    mmap_shared(0, "map");
    mmap_shared(O_APPEND, "mapappend");
    mmap_private();
    say_child("beyond the end", touch_beyond);
}
