/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_ahead.c: reads of files that home sends ahead, in every way in which what was sent may
 * not be what a read brings. ahead.sh has the file "big" and changes it when it is told to by
 * the pipe "order", and says so by "told". */
#include "tests/migrate/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 8 << 20, SOME = 16 << 10 };

static char space[MANY];

/* Reads with one size until the end or count calls; the sum of what came, by order. */
static void read_on(int fd, size_t each, int count)
{
    unsigned long sum = 5381, total = 0;
    int calls = 0;
    ssize_t n = 1;
    for (; n > 0 && calls < count; calls++) {
        n = read(fd, space, each);
        for (ssize_t i = 0; i < n; i++)
            sum = sum * 33 + (unsigned char)space[i];
        total += n > 0 ? (unsigned long)n : 0;
    }
    printf("  %d calls, %lu bytes, %lx, last %ld\n", calls, total, sum, (long)n);
}

static int open_big(void)
{
    int fd = open("big", O_RDONLY);
    if (fd < 0)
        SAY("open", fd);
    return fd;
}

/* Somebody else does it, and has when this returns. */
static void order(const char *what)
{
    char c = 0;
    int to = open("order", O_WRONLY), from = open("told", O_RDONLY);
    SAY(what, write(to, what, strlen(what)) == (ssize_t)strlen(what) && read(from, &c, 1) == 1);
    close(to);
    close(from);
}

PROBE(home_ahead_plain)
{
    static const size_t sizes[] = { 512, 4096, 5000, 131072, 1 << 20, 3000000 };
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int fd = open_big();
        read_on(fd, sizes[i], 1 << 20);
        SAY("offset", lseek(fd, 0, SEEK_CUR));
        SAY("at the end", read(fd, space, 10));
        SAY("close", close(fd));
    }
}

PROBE(home_ahead_moved)
{
    struct iovec v[2] = { { space, 1000 }, { space + 1000, 3000 } };
    struct stat st;
    int fd = open_big();
    for (int turn = 0; turn < 3; turn++) {
        read_on(fd, SOME, 20);
        SAY("offset", lseek(fd, 0, SEEK_CUR));
        read_on(fd, SOME, 20);
        SAY("back", lseek(fd, 12345, SEEK_SET));
        read_on(fd, 4096, 20);
        SAY("pread", pread(fd, space, 100, 77));
        probe_say_bytes("pread", space, 100);
        SAY("fstat", fstat(fd, &st));
        read_on(fd, SOME, 5);
        SAY("readv", readv(fd, v, 2));
        probe_say_bytes("readv", space, 4000);
        read_on(fd, SOME, 20);
        SAY("nothing", read(fd, space, 0));
        SAY("nowhere", syscall(SYS_read, fd, 8L, 4096));
        SAY("to", lseek(fd, 200 * 4096, SEEK_SET));
        read_on(fd, SOME, 5);
        void *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 4096);
        probe_say_bytes("mapped", p, p == MAP_FAILED ? 0 : 8192);
        read_on(fd, SOME, 5);
        SAY("behind the end", lseek(fd, 1 << 30, SEEK_SET));
        read_on(fd, SOME, 5);
        SAY("begin", lseek(fd, 0, SEEK_SET));
    }
    SAY("close", close(fd));
}

PROBE(home_ahead_shared)
{
    int status = 0, fd = open_big();
    read_on(fd, SOME, 20);
    int other = dup(fd);
    read_on(other, SOME, 5);
    read_on(fd, SOME, 20);
    read_on(other, SOME, 5);
    close(fd);
    close(other);
    fd = open_big();
    read_on(fd, SOME, 20);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        read_on(fd, 5000, 20);
        fflush(stdout);
        execl("/bin/sh", "sh", "-c", "head -c 100000 <&3 | cksum", NULL);
        _exit(1);
    }
    SAY("wait", waitpid(pid, &status, 0) == pid && status == 0);
    read_on(fd, SOME, 20);
    int newer = open("/dev/null", O_RDONLY), fresh = open_big();
    read_on(fresh, SOME, 20);
    dup2(newer, fresh);
    read_on(fresh, SOME, 20);
    close(newer);
    close(fresh);
    close(fd);
    int a = open_big(), b = open_big(); /* two at a time */
    for (int i = 0; i < 40; i++) {
        read_on(a, SOME, 1);
        read_on(b, 3000, 2);
    }
    close(a);
    close(b);
    SAY("closed", read(a, space, SOME));
}

/* As a shell directs its input: another descriptor is the only one in the end. */
PROBE(home_ahead_duplicated)
{
    for (int turn = 0; turn < 3; turn++) {
        int fd = open_big();
        SAY("dup2", dup2(fd, 5));
        SAY("close", close(fd));
        nanosleep(&(struct timespec){ 0, 500000000 },
                  NULL); /* looking takes part of the time */
        read_on(5, 4096, 1 << 20);
        SAY("offset", lseek(5, 0, SEEK_CUR));
        SAY("begin", lseek(5, 0, SEEK_SET));
        read_on(5, SOME, 20);
        int other = dup(5);
        read_on(5, SOME, 5);
        read_on(other, SOME, 5);
        SAY("close", close(other));
        SAY("close", close(5));
    }
}

PROBE(home_ahead_changed)
{
    static const char *const orders[] = { "over\n", "cut\n", "grow\n", "whole\n", "replace\n" };
    for (unsigned i = 0; i < sizeof orders / sizeof *orders; i++) {
        int fd = open_big();
        read_on(fd, SOME, 30);
        order(orders[i]);
        read_on(fd, SOME, 1 << 20);
        order("grow\n");
        read_on(fd, SOME, 1 << 20);
        close(fd);
    }
    int fd = open_big();
    read_on(fd, SOME, 30);
    int own = open("big", O_WRONLY); /* it is itself who changes it */
    SAY("write", pwrite(own, "changed", 7, 31 * SOME));
    read_on(fd, SOME, 5);
    SAY("write", pwrite(own, "changed", 7, 38 * SOME));
    read_on(fd, SOME, 5);
    close(own);
    SAY("cut", truncate("big", 50 * SOME + 3));
    read_on(fd, SOME, 1 << 20);
    close(fd);
    order("whole\n");
}

static volatile sig_atomic_t ticks;

static void on_tick(int signo)
{
    (void)signo;
    ticks++;
}

PROBE(home_ahead_signals)
{
    struct itimerval every = { { 0, 700 }, { 0, 700 } }, none = { { 0, 0 }, { 0, 0 } };
    signal(SIGALRM, on_tick);
    setitimer(ITIMER_REAL, &every, NULL);
    for (int i = 0; i < 5; i++) {
        int fd = open_big();
        read_on(fd, 4096, 1 << 20);
        close(fd);
    }
    setitimer(ITIMER_REAL, &none, NULL);
    SAY("ticks", ticks > 5);
}

/* What ahead.sh changes, or catches, while this reads it again and again. */
PROBE(home_ahead_long)
{
    for (int i = 0; i < 20; i++) {
        int fd = open_big();
        read_on(fd, (size_t)(3000 + 1700 * i), 1 << 20);
        SAY("lock", flock(fd, LOCK_EX | LOCK_NB));
        close(fd);
    }
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* So slowly that what is sent ahead would last longer than it is good for. It says how many
 * blocks had an a, how many a b after that, and when it last began to read one with an a: in
 * milliseconds since 1970. */
PROBE(home_ahead_slowly)
{
    double last = 0;
    int with_a = 0, with_b = 0, fd = open_big();
    for (int i = 0; i < 700 && with_b < 5; i++) {
        double start = now_ms();
        ssize_t n = read(fd, space, 4096);
        if (n != 4096)
            break;
        with_a += space[0] == 'a';
        with_b = with_b + (space[0] == 'b' && with_a);
        last = space[0] == 'a' ? start : last;
        if (i == 20)
            printf("reads\n");
        while (i >= 20 && now_ms() < start + 12)
            ;
    }
    printf("%d %d %.0f\n", with_a, with_b, last);
}

/* Descriptor 5 was there before it went away, so others may have it too. */
PROBE(home_ahead_inherited)
{
    static const size_t sizes[] = { 512, 4096, 5000, 131072, 1 << 20, 3000000 };
    static const char *const orders[] = { "over\n", "cut\n", "grow\n", "whole\n" };
    int status = 0;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        read_on(5, sizes[i], 1 << 20);
        SAY("offset", lseek(5, 0, SEEK_CUR));
        SAY("begin", lseek(5, 0, SEEK_SET));
        read_on(5, sizes[i], 5);
        SAY("on", lseek(5, 20 * 4096 + 7, SEEK_SET));
        read_on(5, sizes[i], 20);
        SAY("begin", lseek(5, 0, SEEK_SET));
    }
    for (unsigned i = 0; i < sizeof orders / sizeof *orders; i++) {
        read_on(5, SOME, 30);
        order(orders[i]);
        read_on(5, SOME, 1 << 20);
        SAY("begin", lseek(5, 0, SEEK_SET));
    }
    read_on(5, SOME, 20);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        read_on(5, 5000, 20);
        fflush(stdout);
        execl("/bin/sh", "sh", "-c", "head -c 100000 <&5 | cksum", NULL);
        _exit(1);
    }
    SAY("wait", waitpid(pid, &status, 0) == pid && status == 0);
    read_on(5, SOME, 20);
    int other = open_big();
    dup2(other, 5);
    read_on(5, SOME, 1 << 20);
    close(5);
    SAY("closed", read(5, space, SOME));
    dup2(other, 5);
    SAY("begin", lseek(5, 100, SEEK_SET));
    read_on(5, SOME, 1 << 20);
}
