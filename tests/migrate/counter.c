/* SPDX-License-Identifier: GPL-2.0-or-later */
/* counter.c: a program that notices when it is not left alone: it counts, and at each turn
 * compares what it can see of itself with what it knows: heap, deep stack, thread-local
 * storage, floating point and vector registers, the file that it reads, signals and timers that
 * must come, time that must not go back, errno of calls that must not be disturbed. Usage:
 * counter TURNS [MS_EACH]; prints one line each turn, and "counter: right" at the end. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static __thread unsigned turns_of_thread;
static volatile sig_atomic_t ticks, user_signals;

static void wrong(const char *what)
{
    printf("counter: WRONG: %s (errno %s)\n", what, strerror(errno));
    fflush(stdout);
    _exit(3);
}

static void on_tick(int signo)
{
    (void)signo;
    ticks++;
}

static void on_user(int signo)
{
    (void)signo;
    user_signals++;
}

static unsigned deep(unsigned n)
{
    volatile char page[4096];
    page[0] = (char)n;
    page[4095] = (char)(n + 1);
    unsigned below = n ? deep(n - 1) : 0;
    if (page[0] != (char)n || page[4095] != (char)(n + 1))
        wrong("stack");
    return below + 1;
}

typedef float vec __attribute__((vector_size(32)));

static double compute(unsigned turn)
{
    vec v = { 1, 2, 3, 4, 5, 6, 7, 8 };
    double sum = 0;
    for (unsigned k = 1; k < 150000; k++) {
        sum += sin(k * 1e-3 + turn) / k;
        v = v * 1.00001f + 0.5f;
    }
    for (int i = 0; i < 8; i++)
        sum += (double)v[i] * 1e-9;
    return sum;
}

/* A wait that only its time may end. */
static void wait_ms(int epoll, int ms, unsigned how)
{
    struct epoll_event e;
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
    int rc = 0;
    switch (how % 3) {
    case 0: rc = epoll_wait(epoll, &e, 1, ms); break;
    case 1: rc = nanosleep(&t, NULL); break;
    case 2: rc = poll(NULL, 0, ms); break;
    }
    if (rc != 0)
        wrong("a wait was disturbed");
}

int main(int argc, char **argv)
{
    unsigned turns = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20;
    int ms = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 50;
    int epoll = -1, file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    char *kept[64] = { 0 }, *guard, last_byte = 0;
    struct timespec before, now;
    double sum = 0;
    sigset_t set;
    signal(SIGVTALRM, on_tick);
    signal(SIGUSR1, on_user);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1); /* waits until the end */
    struct itimerval every = { { 0, 4000 }, { 0, 4000 } };
    setitimer(ITIMER_VIRTUAL, &every, NULL);
    guard = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(guard, 7, 3 * 4096);
    mprotect(guard + 4096, 4096, PROT_NONE);
    mprotect(guard + 8192, 4096, PROT_READ);
    char *brk_at = sbrk(10000);
    memset(brk_at, 9, 10000);
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (unsigned i = 0; i < turns; i++) {
        turns_of_thread++;
        sum += compute(i);
        free(kept[i % 64]);
        kept[i % 64] = malloc(1000 + i * 977);
        memset(kept[i % 64], (int)i, 1000 + i * 977);
        for (unsigned k = 0; k < 64 && k <= i; k++)
            if (kept[k] && kept[k][999] != (char)(k + (i - k) / 64 * 64))
                wrong("heap");
        unsigned depth = deep(20 + i * 4);
        if (read(file, &last_byte, 1) < 0)
            wrong("read");
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec < before.tv_sec ||
            (now.tv_sec == before.tv_sec && now.tv_nsec < before.tv_nsec))
            wrong("time went back");
        before = now;
        if (user_signals || guard[0] != 7 || guard[8192] != 7 || brk_at[9999] != 9 ||
            turns_of_thread != i + 1)
            wrong("memory or signals");
        printf("%u %.12f depth %u offset %ld '%c' brk %d\n", i, sum, depth,
               (long)lseek(file, 0, SEEK_CUR), last_byte > ' ' ? last_byte : '.',
               sbrk(4096) != (void *)-1);
        fflush(stdout);
        wait_ms(epoll, 0, 1);
        struct timespec t = { 0, ms * 1000000L };
        if (nanosleep(&t, NULL) != 0 && errno != EINTR)
            wrong("nanosleep");
    }
    /* Short turns may all fall between two ticks of the kernel's: a longer one can't. */
    volatile double used = 0;
    for (unsigned i = 0; ticks == 0 && i < 500; i++)
        used = used + compute(i);
    if (ticks == 0)
        wrong("the timer stands still");
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    if (user_signals != 1)
        wrong("the signal that waited is lost, or came twice");
    printf("counter: right\n");
    return 7;
}
