/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table1.c: a program that computes and makes calls in between, for tests/bench/table1.
 * table1 calibrate MS   prints how many steps of computing take so long
 * table1 SLICES STEPS BLOCK BLOCKS CALLS read|write FILE   waits for SIGUSR1; then so many
 *     slices of so many steps each, with BLOCKS blocks of FILE and CALLS small calls spread
 *     over them. Prints microseconds: of a slice's computing (the middle one), of a block, of a
 *     small call (both the mean), and of all. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 1 << 18, BLOCK_MOST = 1 << 20, SLICES_MOST = 100000 };

static uint64_t words[WORDS];
static char block[BLOCK_MOST];
static volatile sig_atomic_t may_begin;

static void begin(int signo)
{
    (void)signo;
    may_begin = 1;
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void compute(uint64_t steps)
{
    static uint64_t x = 1;
    for (uint64_t i = 0; i < steps; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        words[x >> 46] ^= x;
    }
}

/* The most that were done in one of a few tries: others may use the processor too. */
static int calibrate(double ms)
{
    double least = 1e12;
    const uint64_t steps = 1000000;
    compute(steps);
    for (int i = 0; i < 50; i++) {
        double start = now_us();
        compute(steps);
        double took = now_us() - start;
        least = took < least ? took : least;
    }
    printf("%.0f\n", (double)steps * ms * 1000 / least);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void one_block(int fd, int is_write, size_t len)
{
    ssize_t n = is_write ? write(fd, block, len) : read(fd, block, len);
    if (n != (ssize_t)len) {
        fprintf(stderr, "table1: %zd bytes of a block of %zu\n", n, len);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static double took[SLICES_MOST];
    if (argc == 3 && strcmp(argv[1], "calibrate") == 0)
        return calibrate(strtod(argv[2], NULL));
    if (argc != 8)
        return 2;
    uint64_t slices = strtoull(argv[1], NULL, 10), steps = strtoull(argv[2], NULL, 10);
    size_t len = strtoull(argv[3], NULL, 10);
    uint64_t blocks = strtoull(argv[4], NULL, 10), calls = strtoull(argv[5], NULL, 10);
    int is_write = strcmp(argv[6], "write") == 0;
    int fd = open(argv[7], is_write ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0600);
    if (fd < 0 || len > BLOCK_MOST || !slices || slices > SLICES_MOST)
        return 2;
    struct sigaction a = { .sa_handler = begin };
    sigset_t usr1, before;
    sigaction(SIGUSR1, &a, NULL);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, &before);
    printf("ready\n");
    fflush(stdout);
    while (!may_begin)
        sigsuspend(&before);
    compute(steps);
    double start = now_us(), of_blocks = 0, of_calls = 0;
    uint64_t blocks_done = 0, calls_done = 0;
    for (uint64_t i = 0; i < slices; i++) {
        double t0 = now_us();
        compute(steps);
        double t1 = now_us();
        for (; blocks_done < blocks * (i + 1) / slices; blocks_done++)
            one_block(fd, is_write, len);
        double t2 = now_us();
        for (; calls_done < calls * (i + 1) / slices; calls_done++)
            if (access("/", F_OK) < 0)
                return 1;
        took[i] = t1 - t0;
        of_blocks += t2 - t1;
        of_calls += now_us() - t2;
    }
    double all = now_us() - start;
    qsort(took, slices, sizeof *took, compare);
    printf("%.1f %.2f %.2f %.0f\n", took[slices / 2], blocks ? of_blocks / (double)blocks : 0,
           calls ? of_calls / (double)calls : 0, all);
    return close(fd) < 0;
}
