/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crash.c: a program that waits for a line and then dies in one of several ways, each in a
 * function of its own, so that a debugger's view of its dump says which. Usage: crash HOW
 * [MIB]: with so much memory, whose contents is checked by who looks at the dump. A child dies
 * for "child"; its status is the output. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

char *memory;
size_t memory_bytes;
volatile int zero, sum;
char *volatile nowhere = (char *)0x10;
volatile sig_atomic_t handled;

static __attribute__((noinline)) void by_abort(void)
{
    abort();
}
static __attribute__((noinline)) void by_division(void)
{
    sum = 7 / zero;
}
static __attribute__((noinline)) void by_pointer(void)
{
    *nowhere = 1;
}
static __attribute__((noinline)) void by_instruction(void)
{
    __asm__ volatile("ud2");
}
static __attribute__((noinline)) void by_trap(void)
{
    __asm__ volatile("int3");
}
static __attribute__((noinline)) int by_overflow(int depth)
{
    volatile char some[4096];
    some[0] = (char)depth;
    return depth < 1 << 30 ? by_overflow(depth + 1) + some[0] : 0;
}
/* Blocked and ignored: a fault of its own ends it all the same. */
static __attribute__((noinline)) void by_blocked(void)
{
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGSEGV, SIG_IGN);
    *nowhere = 1;
}
static void say_ready(void)
{
    if (write(1, "ready\n", 6) != 6)
        exit(2);
}
static __attribute__((noinline)) void by_waiting(void)
{
    say_ready();
    for (;;)
        pause();
}
static __attribute__((noinline)) void by_computing(void)
{
    say_ready();
    for (;;)
        sum++;
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)context;
    handled = signo * 100 + (info->si_addr == nowhere);
    signal(SIGSEGV, SIG_DFL);
}
/* One that has a handler, and then one that has none any more. */
static __attribute__((noinline)) void by_second(void)
{
    struct sigaction a = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &a, NULL);
    *nowhere = 1;
}
static __attribute__((noinline)) void by_child(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        by_pointer();
    waitpid(pid, &status, 0);
    printf("signal %d, dump %d\n", WTERMSIG(status), !!WCOREDUMP(status));
    exit(0);
}
/* The limit is set here. */
static __attribute__((noinline)) void by_limit(void)
{
    const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
    setrlimit(RLIMIT_CORE, &all);
    by_division();
}
static __attribute__((noinline)) void by_overflowing(void)
{
    sum = by_overflow(0);
}

static const struct {
    const char *name;
    void (*fn)(void);
} ways[] = {
    { "abort", by_abort },          { "division", by_division },
    { "pointer", by_pointer },      { "trap", by_trap },
    { "overflow", by_overflowing }, { "blocked", by_blocked },
    { "waiting", by_waiting },      { "computing", by_computing },
    { "second", by_second },        { "child", by_child },
    { "limit", by_limit },          { "instruction", by_instruction },
};

int main(int argc, char **argv)
{
    char line[16];
    memory_bytes = argc > 2 ? (size_t)atol(argv[2]) << 20 : 4096;
    memory =
        mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    for (size_t i = 0; i < memory_bytes; i += 4096)
        memcpy(memory + i, &i, sizeof i);
    if (read(0, line, sizeof line) <= 0)
        return 1;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (argc > 1 && strcmp(ways[i].name, argv[1]) == 0)
            ways[i].fn();
    return 1;
}
