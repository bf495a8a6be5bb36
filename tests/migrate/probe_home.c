/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe_home.c: what can be done at home only: a process that is away comes home for it, and
 * notices nothing. Each is run by itself, as the next would be at home already. */
#include "tests/migrate/probe.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static int run_raw(void *word)
{
    *(volatile int *)word = 5;
    return 0;
}

PROBE(home_child_with_shared_memory)
{
    char *stack =
        mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static volatile int word;
    int status, pid = clone(run_raw, stack + 16 * PAGE, CLONE_VM | SIGCHLD, (void *)&word);
    SAY("clone", pid > 0);
    SAY("wait", waitpid(pid, &status, 0) == pid);
    SAY("word", word);
}

PROBE(home_unknown_calls)
{
    SAY("no such call", syscall(1000, 1, 2, 3));
    SAY("nor this", syscall(-5));
    SAY("known to few", syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
}

static long int80(long number)
{
    long rc;
    __asm__ volatile("int $0x80" : "=a"(rc) : "a"(number), "b"(0), "c"(0) : "memory");
    return rc;
}

PROBE(home_32_bit_calls)
{
    printf("  getpid: %d\n", int80(20) == getpid());
    printf("  no such: %ld\n", int80(1000));
    SAY("x32", syscall(0x40000000 | 1000));
}

PROBE(home_shared_anonymous)
{
    volatile int *shared =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    if (fork() == 0) {
        *shared = 77;
        _exit(0);
    }
    wait(&status);
    SAY("shared with a child", *shared);
}

PROBE(home_shared_file)
{
    char text[8] = "";
    int fd = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600);
    SAY("size", ftruncate(fd, PAGE));
    char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    SAY("mprotect", mprotect(p, PAGE, PROT_READ | PROT_WRITE));
    memcpy(p, "written", 8);
    SAY("read", pread(fd, text, 8, 0));
    printf("  %s\n", text);
    SAY("write", pwrite(fd, "changed", 8, 0));
    printf("  %s\n", p);
    unlink("shared");
}

PROBE(home_shared_memory)
{
    int id = shmget(IPC_PRIVATE, PAGE, 0600), status;
    char *p = shmat(id, NULL, 0);
    SAY("shmat", p != (void *)-1);
    if (fork() == 0) {
        memcpy(p, "from a child", 13);
        _exit(0);
    }
    wait(&status);
    printf("  %s\n", p);
    SAY("shmctl", shmctl(id, IPC_RMID, NULL));
    SAY("shmdt", shmdt(p));
}

PROBE(home_io_uring)
{
    struct {
        unsigned some[30];
    } p = { { 0 } };
    int fd = (int)syscall(425 /* io_uring_setup */, 4, &p);
    SAY("io_uring_setup", fd < 0 ? -1 : 0);
    SAY("wrong", syscall(426 /* io_uring_enter */, -1, 0, 0, 0, NULL, 0));
}

/* Finds the line of an address. */
static int has_address(const char *file, const void *address)
{
    char line[512];
    int found = 0;
    FILE *f = fopen(file, "re");
    while (f && fgets(line, sizeof line, f)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start <= (unsigned long)address &&
            (unsigned long)address < end)
            found++;
    }
    if (f)
        fclose(f);
    return found;
}

PROBE(home_own_maps)
{
    static const size_t len = 3000 * PAGE;
    char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SAY("maps", has_address("/proc/self/maps", p + len / 2));
    SAY("by way of a directory", has_address("/proc/self/fd/../task/../maps", &p));
    SAY("smaps", has_address("/proc/self/smaps", p));
}

PROBE(home_own_status)
{
    char line[256], path[64];
    snprintf(path, sizeof path, "/proc/%d/status", getpid());
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "State:", 6) == 0 || strncmp(line, "TracerPid:", 10) == 0)
            printf("  %s", line);
    if (f)
        fclose(f);
}

PROBE(home_large_arguments)
{
    enum { COUNT = 12, BYTES = 100000 };
    static char sh[] = "sh", option[] = "-c", script[] = "echo $# ${#1} ${#12}";
    char *args[COUNT + 5] = { sh, option, script, sh };
    for (int i = 0; i < COUNT; i++) {
        args[4 + i] = malloc(BYTES + 1);
        memset(args[4 + i], 'a' + i, BYTES);
        args[4 + i][BYTES] = 0;
    }
    fflush(stdout);
    execv("/bin/sh", args);
    SAY("exec", -1);
}

PROBE(home_own_filter)
{
    struct sock_filter all[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog p = { 4, all };
    SAY("alone", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SAY("filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p));
    SAY("getppid", getppid());
}

PROBE(home_tracing)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        _exit(3);
    }
    SAY("stopped", waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
    SAY("continue", ptrace(PTRACE_CONT, pid, 0, 0));
    SAY("wait", waitpid(pid, &status, 0) == pid);
    SAY("status", WEXITSTATUS(status));
}

PROBE(home_personality)
{
    SAY("set", personality(ADDR_NO_RANDOMIZE));
    SAY("get", personality(0xffffffff));
}

/* A clock that only its own kernel has. */
PROBE(home_timer_of_processor_time)
{
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
    struct itimerspec t = { { 0, 0 }, { 0, 20000000 } };
    timer_t timer;
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    SAY("timer_create", timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &timer));
    SAY("timer_settime", timer_settime(timer, 0, &t, NULL));
    while (sigpending(&set) == 0 && !sigismember(&set, SIGUSR2))
        ;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    SAY("signal", sigwaitinfo(&set, &info));
    SAY("code", info.si_code);
    SAY("timer_delete", timer_delete(timer));
}

static volatile sig_atomic_t ticks;

static void on_tick(int signo)
{
    (void)signo;
    ticks++;
}

/* Signals that come on the way are neither lost nor seen by the call. */
PROBE(home_while_signals_come)
{
    struct itimerval t = { { 0, 700 }, { 0, 700 } }, none = { { 0, 0 }, { 0, 0 } };
    struct sigaction a = { .sa_handler = on_tick };
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    long bad = 0;
    for (int i = 0; i < 200 || ticks < 3; i++)
        bad += syscall(1000) != -1 || errno != ENOSYS;
    setitimer(ITIMER_REAL, &none, NULL);
    SAY("bad", bad);
    SAY("ticks", ticks > 0);
}

/* Parents, children and what they share at home are where they were. */
PROBE(home_one_of_a_family)
{
    int down[2], up[2], status;
    char c;
    SAY("pipes", pipe(down) + pipe(up));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        syscall(1000); /* the child goes home alone */
        long fine = getppid() == parent && read(down[0], &c, 1) == 1 && c == 'd';
        _exit(write(up[1], "u", 1) == 1 && fine ? 5 : 6);
    }
    SAY("to the child", write(down[1], "d", 1));
    SAY("from the child", read(up[0], &c, 1));
    SAY("wait", waitpid(pid, &status, 0) == pid);
    SAY("status", WEXITSTATUS(status));
    pid = fork();
    if (pid == 0) {
        close(down[1]);
        _exit(read(down[0], &c, 1) == 1 && getppid() == parent ? 7 : 8);
    }
    syscall(1000); /* the parent goes home, and the child stays */
    SAY("to a child that is away", write(down[1], "x", 1));
    SAY("wait", waitpid(pid, &status, 0) == pid);
    SAY("status", WEXITSTATUS(status));
}
