/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gap.c: a program that knows how long it stood still, for tests/bench/moves: it looks at the
 * clock all the time, and writes pages at random. gap MB MB/S|idle random|text   SIGUSR1: what
 * was so far is forgotten; SIGUSR2: prints the longest time between two looks, in microseconds,
 * and whether its memory is as it has left it; SIGTERM: ends. */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static volatile sig_atomic_t got;

static void on_signal(int signo)
{
    got = signo;
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t state = 1;
static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void fill(uint8_t *space, size_t len_bytes, int is_text)
{
    static const char *const words[] = { "the ",     "process ", "moves ", "and ",
                                         "notices ", "nothing ", "of ",    "its ",
                                         "home ",    "node ",    "page ",  "after ",
                                         "page, ",   "which ",   "runs\n", "on " };
    size_t at = 0;
    if (!is_text)
        for (; at < len_bytes; at += 8)
            memcpy(space + at, &(uint64_t){ rnd() }, 8);
    while (at < len_bytes) {
        char some[48];
        /* Two to one for LZO. */
        int n = snprintf(some, sizeof some, "%s%s%s%04" PRIx32 " ", words[rnd() % 16],
                         words[rnd() % 16], words[rnd() % 16], (uint32_t)rnd() % 0x10000);
        size_t len = (size_t)n < len_bytes - at ? (size_t)n : len_bytes - at;
        memcpy(space + at, some, len);
        at += len;
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    size_t pages = strtoul(argv[1], NULL, 10) << 8;
    bool is_idle = strcmp(argv[2], "idle") == 0;
    uint64_t rate = strtoul(argv[2], NULL, 10) << 8; /* pages in a second */
    uint8_t *space =
        mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t *count = calloc(pages, sizeof *count);
    if (space == MAP_FAILED || !count)
        return 1;
    fill(space, pages * PAGE, strcmp(argv[3], "text") == 0);
    for (size_t i = 0; i < pages; i++)
        memcpy(space + i * PAGE, &count[i], sizeof *count);
    struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &a, NULL);
    sigaction(SIGUSR2, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    printf("ready\n");
    fflush(stdout);
    uint64_t last = now_us(), longest = 0, done_us = last;
    while (got != SIGTERM) {
        uint64_t now = now_us();
        if (now - last > longest)
            longest = now - last;
        last = now;
        if (is_idle) /* and nothing else */
            nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
        if (now > done_us + 20000) /* what was missed is not made up for */
            done_us = now;
        while (rate && done_us < now) {
            size_t i = rnd() % pages;
            count[i]++;
            memcpy(space + i * PAGE, &count[i], sizeof *count);
            done_us += 1000000 / rate;
        }
        if (got == SIGUSR1) {
            longest = 0;
        } else if (got == SIGUSR2) {
            size_t wrong = 0;
            for (size_t i = 0; i < pages; i++)
                wrong += memcmp(space + i * PAGE, &count[i], sizeof *count) != 0;
            printf("%" PRIu64 " %zu\n", longest, wrong);
            fflush(stdout);
        }
        if (got != SIGTERM && got)
            got = 0, last = done_us = now_us();
    }
    return 0;
}
