/* SPDX-License-Identifier: GPL-2.0-or-later */
/* onstack.c: two threads that are each in a handler, on a signal stack of its own, until the
 * file "go" is there; then each gives it up, until "stop" is there. Ends with 4 when both always
 * had what they should. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { STACK_BYTES = 1 << 16 };

static int good[2];
static __thread int which;
static __thread char *stack;

static void on_signal(int signo)
{
    stack_t now;
    char here = (char)signo;
    struct timespec moment = { 0, 5000000 };
    if (write(1, "in\n", 3) != 3)
        abort();
    while (access("go", F_OK) != 0)
        nanosleep(&moment, NULL);
    if (&here >= stack && &here < stack + STACK_BYTES && sigaltstack(NULL, &now) == 0)
        good[which] = now.ss_flags == SS_ONSTACK && now.ss_sp == stack;
}

static void *run(void *number)
{
    static const struct timespec moment = { 0, 5000000 };
    which = *(int *)number;
    stack = malloc(STACK_BYTES);
    stack_t s = { .ss_sp = stack, .ss_size = STACK_BYTES }, none = { .ss_flags = SS_DISABLE }, now;
    if (!stack || sigaltstack(&s, NULL) < 0 || pthread_kill(pthread_self(), SIGUSR1) != 0)
        abort();
    /* Moved once more, off its stack, it has none. */
    if (sigaltstack(&none, NULL) < 0)
        abort();
    while (access("stop", F_OK) != 0)
        nanosleep(&moment, NULL);
    good[which] &= sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE;
    return NULL;
}

int main(void)
{
    static int numbers[] = { 0, 1 };
    struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
    pthread_t other;
    sigaction(SIGUSR1, &a, NULL);
    if (pthread_create(&other, NULL, run, &numbers[1]) != 0)
        abort();
    run(&numbers[0]);
    pthread_join(other, NULL);
    printf("%d %d\n", good[0], good[1]);
    return good[0] && good[1] ? 4 : 1;
}
