/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_memory.c: what a program does to its memory. */
#include "tests/migrate/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, BIG = (5 << 20) + 100 };

static void say_map(const char *what, const void *p, unsigned long len)
{
    if (p == MAP_FAILED)
        printf("  %s: %s\n", what, strerrorname_np(errno));
    else
        probe_say_bytes(what, p, len);
}

static int make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    unsigned char *p = malloc(BIG);
    for (unsigned i = 0; i < BIG; i++)
        p[i] = (unsigned char)(i * 40503u >> 8);
    if (write(fd, p, BIG) != BIG)
        printf("  write failed\n");
    free(p);
    return fd;
}

PROBE(files_in_memory)
{
    int fd = make_file("mapped"), out = open("written", O_WRONLY | O_CREAT, 0600),
        dir = open(".", O_RDONLY);
    char *p = mmap(NULL, BIG, PROT_READ, MAP_PRIVATE, fd, 0), *q;
    say_map("private", p, BIG);
    say_map("with the rest of the page", p, (BIG + PAGE - 1) / PAGE * PAGE);
    SAY("munmap", munmap(p, BIG));
    p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * PAGE);
    say_map("with an offset", p, 3 * PAGE);
    p[5] = 'x';
    char c = 0;
    SAY("pread", pread(fd, &c, 1, 2 * PAGE + 5));
    SAY("the file is as it was", c != 'x');
    q = mmap(p + PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
    SAY("fixed", q == p + PAGE);
    say_map("fixed", p, 3 * PAGE);
    munmap(p, 3 * PAGE);
    int only_read = open("mapped", O_RDONLY);
    q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, only_read, PAGE);
    say_map("shared for reading", q, PAGE);
    close(only_read);
    munmap(q, PAGE);
    say_map("over the end",
            mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, (BIG / PAGE) * PAGE), BIG % PAGE);
    say_map("wrong offset", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 5), 1);
    say_map("no length", mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0), 1);
    say_map("no descriptor", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0), 1);
    say_map("only for writing", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, out, 0), 1);
    say_map("a directory", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, dir, 0), 1);
    int zero = open("/dev/zero", O_RDWR);
    say_map("/dev/zero", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0), PAGE);
    close(zero);
    close(fd);
    close(out);
    close(dir);
    unlink("mapped");
    unlink("written");
}

static void on_alarm(int signo)
{
    (void)signo;
}

PROBE(mapped_while_signals_come)
{
    struct itimerval t = { { 0, 1500 }, { 0, 1500 } }, none = { { 0, 0 }, { 0, 0 } };
    struct sigaction a = { .sa_handler = on_alarm };
    int fd = make_file("mapped"), wrong = 0;
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    for (unsigned i = 0; i < 10; i++) {
        unsigned char *p = mmap(NULL, BIG, PROT_READ, MAP_PRIVATE, fd, 0);
        for (unsigned k = 0; p != MAP_FAILED && k < BIG; k += 977)
            wrong += p[k] != (unsigned char)(k * 40503u >> 8);
        wrong += p == MAP_FAILED;
        munmap(p, BIG);
    }
    setitimer(ITIMER_REAL, &none, NULL);
    signal(SIGALRM, SIG_DFL);
    SAY("wrong", wrong);
    close(fd);
    unlink("mapped");
}

PROBE(memory_of_its_own)
{
    char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 3, 8 * PAGE);
    char *q = mremap(p, 8 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    say_map("mremap", q, 9 * PAGE);
    SAY("mprotect", mprotect(q, PAGE, PROT_READ));
    int fd = open("/dev/zero", O_RDONLY);
    SAY("read into what can't be written", read(fd, q, 10));
    SAY("and what can", read(fd, q + PAGE, 10));
    SAY("madvise", madvise(q, 64 * PAGE, MADV_DONTNEED));
    say_map("empty again", q, 64 * PAGE);
    SAY("munmap", munmap(q, 64 * PAGE));
    char *end = sbrk(0);
    SAY("sbrk", sbrk(100000) == end);
    memset(end, 1, 100000);
    SAY("sbrk", sbrk(-100000) == end + 100000);
    SAY("mlock", mlock(&fd, sizeof fd));
    SAY("munlock", munlock(&fd, sizeof fd));
    close(fd);
}

/* What the kernel under the body does by itself. */
PROBE(lines_made_here)
{
    struct timespec t, before;
    struct timeval tv;
    unsigned cpu = 0, word = 1;
    unsigned char resident[1] = { 0 };
    void *head = NULL;
    size_t len = 0;
    stack_t alt = { .ss_size = 0 };
    unsigned long fs = 0;
    char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 1, PAGE);
    SAY("arch_prctl", syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &fs));
    SAY("brk", syscall(SYS_brk, 0) > 0);
    SAY("clock_getres", syscall(SYS_clock_getres, CLOCK_MONOTONIC, &t));
    SAY("clock_gettime", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &before));
    SAY("sched_yield", syscall(SYS_sched_yield));
    SAY("clock_gettime", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t));
    SAY("goes on",
        t.tv_sec > before.tv_sec || (t.tv_sec == before.tv_sec && t.tv_nsec > before.tv_nsec));
    SAY("gettimeofday", syscall(SYS_gettimeofday, &tv, NULL));
    SAY("time", syscall(SYS_time, NULL) >= tv.tv_sec - 1);
    SAY("times", syscall(SYS_times, NULL) > 0);
    SAY("gettid", syscall(SYS_gettid) == getpid());
    SAY("getcpu", syscall(SYS_getcpu, &cpu, NULL, NULL));
    SAY("getrandom", syscall(SYS_getrandom, p, 16, 0));
    SAY("futex", syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 2, NULL, NULL, 0));
    SAY("get_robust_list", syscall(SYS_get_robust_list, 0, &head, &len));
    SAY("set_robust_list", syscall(SYS_set_robust_list, head, len));
    SAY("set_tid_address", syscall(SYS_set_tid_address, &word) == getpid());
    SAY("rseq", syscall(SYS_rseq, p, 1, 0, 0)); /* wrong */
    SAY("sigaltstack", syscall(SYS_sigaltstack, NULL, &alt));
    SAY("disabled", alt.ss_flags);
    SAY("membarrier", syscall(SYS_membarrier, 0, 0, 0) > 0);
    SAY("mincore", syscall(SYS_mincore, p, PAGE, resident));
    SAY("resident", resident[0] & 1);
    SAY("msync", syscall(SYS_msync, p, PAGE, MS_SYNC));
    SAY("mlock2", syscall(SYS_mlock2, p, PAGE, 0));
    SAY("mlockall", syscall(SYS_mlockall, 99)); /* wrong */
    SAY("munlockall", syscall(SYS_munlockall));
    SAY("pkey_free", syscall(SYS_pkey_free, 15));
    SAY("pkey_mprotect", syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -1));
    SAY("pkey_alloc", syscall(SYS_pkey_alloc, 5, 0)); /* wrong */
    SAY("get_mempolicy", syscall(SYS_get_mempolicy, &cpu, NULL, 0, NULL, 0));
    SAY("set_mempolicy", syscall(SYS_set_mempolicy, 0, NULL, 0));
    SAY("restart_syscall", syscall(SYS_restart_syscall));
    munmap(p, PAGE);
}
