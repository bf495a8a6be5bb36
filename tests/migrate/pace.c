/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pace.c: what calls cost, for tests/bench/calls: pace raw   round trips of 64 bytes between
 * two processes; pace calls   after a line from stdin; a line for each kind: name, microseconds
 * (least of a hundred series). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SERIES = 100, MESSAGE = 64, BIG = 1 << 20 };

static char space[BIG];

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

typedef int call_fn(int fd);

static void measure(const char *name, call_fn *fn, int fd, unsigned count)
{
    double least = 1e12;
    for (unsigned s = 0; s < SERIES; s++) {
        double start = now_us();
        for (unsigned i = 0; i < count; i++)
            if (fn(fd) < 0)
                exit(1);
        double each = (now_us() - start) / count;
        least = each < least ? each : least;
    }
    printf("%s %.2f\n", name, least);
}

static int call_getppid(int fd)
{
    (void)fd;
    return (int)syscall(SYS_getppid);
}

static int call_write(int fd)
{
    return write(fd, space, MESSAGE) == MESSAGE ? 0 : -1;
}

static int call_fstat(int fd)
{
    struct stat st;
    return fstat(fd, &st);
}

static int call_read_big(int fd)
{
    return read(fd, space, BIG) == BIG ? 0 : -1;
}

static int call_round(int fd)
{
    return write(fd, space, MESSAGE) == MESSAGE && read(fd, space, MESSAGE) == MESSAGE ? 0 : -1;
}

static int raw(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return 1;
    if (fork() == 0) {
        close(pair[0]);
        while (read(pair[1], space, MESSAGE) == MESSAGE)
            if (write(pair[1], space, MESSAGE) != MESSAGE)
                break;
        _exit(0);
    }
    close(pair[1]);
    measure("round trip", call_round, pair[0], 100);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "raw") == 0)
        return raw();
    int null = open("/dev/null", O_WRONLY), zero = open("/dev/zero", O_RDONLY);
    if (read(0, space, 1) != 1 || null < 0 || zero < 0)
        return 1;
    measure("getppid", call_getppid, 0, 40);
    measure("write of 64 bytes", call_write, null, 40);
    measure("fstat", call_fstat, null, 40);
    measure("read of 1 MiB", call_read_big, zero, 2);
    return 0;
}
