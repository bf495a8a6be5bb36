/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ticks.c: a program whose POSIX timers tick while it computes: none is lost, each signal says
 * what it is of, and the clock agrees. Must not know: that it moves.
 * Usage: ticks SECONDS [LOST]: so many seconds may be without ticks. Prints a line a second,
 * and at the end what was right. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EVERY_NS = 10000000, TIMERS = 3 };

static const clockid_t clocks[TIMERS] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME };
static timer_t timers[TIMERS];
static volatile long ticks[TIMERS], wrong;

static void on_tick(int signo, siginfo_t *info, void *context)
{
    (void)context;
    int which = info->si_value.sival_int - 1000;
    if (info->si_code != SI_TIMER || which < 0 || which >= TIMERS || signo != SIGRTMIN + which)
        wrong++;
    else
        ticks[which] += 1 + info->si_overrun;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3, start, said = 0;
    double lost = argc > 2 ? strtod(argv[2], NULL) * (1e9 / EVERY_NS) : 0;
    struct sigaction a = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };
    struct itimerspec every = { { 0, EVERY_NS }, { 0, EVERY_NS } }, left,
                      none = { { 0, 0 }, { 0, 0 } };
    volatile double x = 1;
    for (int i = 0; i < TIMERS; i++) {
        struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
                               .sigev_signo = SIGRTMIN + i,
                               .sigev_value = { .sival_int = 1000 + i } };
        if (sigaction(SIGRTMIN + i, &a, NULL) < 0 ||
            timer_create(clocks[i], &ev, &timers[i]) < 0)
            return 2;
    }
    for (int i = 0; i < TIMERS; i++)
        if (timer_settime(timers[i], 0, &every, NULL) < 0)
            return 2;
    start = now_s();
    puts("begun");
    fflush(stdout);
    while (now_s() - start < seconds) {
        for (int i = 0; i < 100000; i++)
            x = x * 1.0000001 + 1e-9;
        if (now_s() - start > said + 1) {
            said += 1;
            puts("goes on");
            fflush(stdout);
        }
    }
    for (int i = 0; i < TIMERS; i++) {
        if (timer_gettime(timers[i], &left) < 0 || left.it_interval.tv_nsec != EVERY_NS ||
            left.it_value.tv_sec || left.it_value.tv_nsec > EVERY_NS)
            wrong++;
        if (timer_settime(timers[i], 0, &none, NULL) < 0)
            wrong++;
    }
    double expected = (now_s() - start) * (1e9 / EVERY_NS);
    for (int i = 0; i < TIMERS; i++) {
        int is_right =
            (double)ticks[i] > expected * 0.95 - lost && (double)ticks[i] < expected * 1.05 + 5;
        if (is_right)
            printf("timer %d: right\n", i);
        else
            printf("timer %d: %ld ticks, expected %.0f\n", i, ticks[i], expected);
    }
    printf("%ld wrong\n", (long)wrong);
    return 5;
}
