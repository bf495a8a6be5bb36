/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_behind.c: writes that are not waited for, and all that may tell that they weren't. The
 * file is "new", in a directory of the test's own; "small" is one that has little room. */
#include "tests/migrate/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 4 << 20, SOME = 5000 };

static char space[MANY];
static unsigned long stream = 88172645463325252ul;

/* No two blocks are the same, so none can be lost, doubled or in another's place. */
static void fill(size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i += sizeof stream) {
        stream ^= stream << 13;
        stream ^= stream >> 7;
        stream ^= stream << 17;
        memcpy(space + i, &stream,
               len_bytes - i < sizeof stream ? len_bytes - i : sizeof stream);
    }
}

static void write_on(int fd, size_t each, int count)
{
    long total = 0, n = (long)each;
    int calls = 0;
    for (; calls < count && n == (long)each; calls++) {
        fill(each);
        errno = 0;
        n = write(fd, space, each);
        total += n > 0 ? n : 0;
    }
    printf("  %d calls, %ld bytes, last %ld (%s)\n", calls, total, n, strerror(errno));
}

static int open_new(int flags)
{
    int fd = open("new", flags | O_CREAT, 0644);
    if (fd < 0)
        SAY("open", fd);
    return fd;
}

static void say_file(const char *path)
{
    unsigned long sum = 5381, total = 0;
    int fd = open(path, O_RDONLY);
    ssize_t n;
    while ((n = read(fd, space, sizeof space)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum = sum * 33 + (unsigned char)space[i];
        total += (unsigned long)n;
    }
    close(fd);
    printf("  %s: %lu bytes, %lx\n", path, total, sum);
}

PROBE(home_behind_plain)
{
    static const size_t sizes[] = { 1, 100, 4096, 5000, 131072, 1 << 20, 3000000 };
    struct stat st;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int fd = open_new(O_RDWR | O_TRUNC);
        write_on(fd, sizes[i], sizes[i] < 10000 ? 1000 : 10);
        SAY("fstat", fstat(fd, &st));
        printf("  %ld bytes\n", (long)st.st_size);
        write_on(fd, sizes[i], 5);
        SAY("offset", lseek(fd, 0, SEEK_CUR));
        write_on(fd, sizes[i], 5);
        SAY("fsync", fsync(fd));
        SAY("close", close(fd));
        say_file("new");
    }
}

PROBE(home_behind_mixed)
{
    struct iovec v[2] = { { space, 1000 }, { space + 3000, 2000 } };
    struct stat st;
    int fd = open_new(O_RDWR | O_TRUNC),
        other = open("other", O_RDWR | O_CREAT | O_TRUNC, 0644);
    for (int turn = 0; turn < 3; turn++) {
        write_on(fd, SOME, 20);
        SAY("back", lseek(fd, 12345, SEEK_SET));
        write_on(fd, SOME, 5);
        SAY("read", read(fd, space, 100));
        SAY("end", lseek(fd, 0, SEEK_END));
        write_on(fd, SOME, 10);
        fill(SOME);
        for (int i = 0; i < 8; i++)
            SAY("pwrite", pwrite(fd, space, SOME, 7000 * i));
        SAY("pread", pread(fd, space, 100, 7001));
        probe_say_bytes("pread", space, 100);
        SAY("writev", writev(fd, v, 2));
        write_on(fd, SOME, 5);
        SAY("cut", ftruncate(fd, 60000));
        write_on(fd, SOME, 5);
        SAY("stat", stat("new", &st));
        printf("  %ld bytes\n", (long)st.st_size);
        for (int i = 0; i < 40; i++) { /* two at a time */
            write_on(fd, 3000, 1);
            write_on(other, 700, 2);
        }
        SAY("append", fcntl(fd, F_SETFL, O_APPEND));
        write_on(fd, SOME, 5);
        SAY("begin", lseek(fd, 0, SEEK_SET));
        write_on(fd, SOME, 5);
        SAY("no append", fcntl(fd, F_SETFL, 0));
        SAY("offset", lseek(fd, 0, SEEK_CUR));
        write_on(fd, SOME, 5);
        SAY("nothing", write(fd, space, 0));
        SAY("nowhere", syscall(SYS_write, fd, 8L, 4096));
        SAY("before", pwrite(fd, space, 10, -1));
        write_on(fd, SOME, 5);
        say_file("new");
        void *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 4096);
        probe_say_bytes("mapped", p, p == MAP_FAILED ? 0 : 8192);
        SAY("rename", rename("new", "newer"));
        write_on(fd, SOME, 5);
        say_file("newer");
        SAY("rename", rename("newer", "new"));
        int gone = open("gone", O_RDWR | O_CREAT | O_TRUNC, 0644);
        write_on(gone, SOME, 5);
        SAY("unlink", unlink("gone"));
        write_on(gone, SOME, 5);
        SAY("size", lseek(gone, 0, SEEK_END));
        close(gone);
    }
    say_file("other");
}

PROBE(home_behind_shared)
{
    int status = 0, fd = open_new(O_RDWR | O_TRUNC), pair[2];
    char c = 0;
    write_on(fd, SOME, 5);
    int other = dup(fd);
    write_on(other, SOME, 5);
    write_on(fd, SOME, 5);
    write_on(other, SOME, 5);
    close(fd);
    write_on(other, SOME, 5);
    SAY("closed", write(fd, space, SOME));
    dup2(other, 7);
    write_on(7, SOME, 5);
    SAY("pipe", pipe(pair));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        SAY("told", read(pair[0], &c, 1));
        say_file("new"); /* all that was written before it was told */
        write_on(7, SOME, 50);
        fflush(stdout);
        execl("/bin/sh", "sh", "-c", "cksum < new; echo more >&7", NULL);
        _exit(1);
    }
    write_on(7, SOME, 50);
    fflush(stdout);
    SAY("tell", write(pair[1], "c", 1));
    SAY("wait", waitpid(pid, &status, 0) == pid && status == 0);
    say_file("new");
    write_on(7, SOME, 20);
    SAY("system", system("cksum < new"));
    int full = open("/dev/full", O_WRONLY), null = open("/dev/null", O_WRONLY), closed;
    write_on(7, SOME, 20);
    dup2(full, 7);
    write_on(7, SOME, 20);
    dup2(null, 7);
    write_on(7, SOME, 20);
    dup2(other, 7);
    write_on(7, SOME, 20);
    close(7);
    closed = open("new", O_RDONLY);
    dup2(closed, 7);
    write_on(7, SOME, 20);
    say_file("new");
}

/* What would let a write fail, or do something besides, once it has been promised. */
PROBE(home_behind_limits)
{
    struct rlimit limit = { 300000, RLIM_INFINITY };
    struct stat st;
    signal(SIGXFSZ, SIG_IGN);
    int fd = open_new(O_WRONLY | O_TRUNC);
    write_on(fd, SOME, 20);
    SAY("map", mmap(NULL, SOME, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -errno : 0);
    write_on(fd, SOME, 20);
    SAY("limit", setrlimit(RLIMIT_FSIZE, &limit));
    write_on(fd, SOME, 100);
    limit.rlim_cur = RLIM_INFINITY;
    SAY("limit", setrlimit(RLIMIT_FSIZE, &limit));
    sleep(1); /* before that it is not looked at again */
    write_on(fd, SOME, 100);
    SAY("mode", fchmod(fd, 06755)); /* a user who writes to it takes that away */
    write_on(fd, SOME, 20);
    SAY("stat", stat("new", &st));
    printf("  mode %o\n", st.st_mode);
    SAY("mode", chmod("new", 0644));
    sleep(1);
    write_on(fd, SOME, 20);
    SAY("mode", chmod("new", 06755));
    write_on(fd, SOME, 20);
    SAY("stat", stat("new", &st));
    printf("  mode %o\n", st.st_mode);
    say_file("new");
}

PROBE(home_behind_full)
{
    int small = open("small/new", O_RDWR | O_CREAT | O_TRUNC, 0644);
    write_on(small, SOME, 10000); /* until it is full */
    SAY("cut", ftruncate(small, 0));
    SAY("begin", lseek(small, 0, SEEK_SET));
    write_on(small, SOME, 100);
    say_file("small/new");
}

/* It ends with its writes hardly begun. */
PROBE(home_behind_exits)
{
    int fd = open_new(O_WRONLY | O_TRUNC);
    write_on(fd, 100000, 50);
    fflush(stdout);
    _exit(3);
}

PROBE(home_behind_killed)
{
    int fd = open_new(O_WRONLY | O_TRUNC);
    write_on(fd, 100000, 50);
    fflush(stdout);
    raise(SIGKILL);
}

PROBE(home_behind_faults)
{
    int fd = open_new(O_WRONLY | O_TRUNC);
    write_on(fd, 100000, 50);
    fflush(stdout);
    volatile char *volatile nowhere =
        (volatile char *)8; /* compilers see through a plain one */
    *nowhere = 0;
}

/* Until somebody kills it. */
PROBE(home_behind_long)
{
    int fd = open_new(O_WRONLY | O_TRUNC);
    for (;;) {
        memset(space, 'x', 30000);
        for (int i = 0; i < 1000; i++)
            if (write(fd, space, 30000) != 30000)
                printf("a write fails\n");
        if (lseek(fd, 0, SEEK_SET) != 0)
            printf("a seek fails\n");
    }
}
