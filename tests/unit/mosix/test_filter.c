/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_filter.c: what a body may do by itself, tried under the real filter. Calls that would be
 * noticed fail with EXDEV here. */
#include "tests/lib/unit.h"

#include "mosix-core/guest/filter.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sock_filter program[MX_FILTER_MAX];
static volatile long *results; /* shared with the child, which can't write elsewhere */

static int confine(void)
{
    int len = mx_filter_build(program);
    if (len < 0)
        return -1;
    for (int i = 0; i < len; i++)
        if (program[i].code == (BPF_RET | BPF_K) && program[i].k == SECCOMP_RET_USER_NOTIF)
            program[i].k = SECCOMP_RET_ERRNO | EXDEV;
    struct sock_fprog p = { .len = (unsigned short)len, .filter = program };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
}

#define TRY(i, call)                                                                           \
    do {                                                                                       \
        errno = 0;                                                                             \
        results[i] = (long)(call) == -1 ? -errno : 1;                                          \
    } while (0)

static long raw_int80(long number)
{
    long rc;
    __asm__ volatile("int $0x80" : "=a"(rc) : "a"(number), "b"(0) : "memory");
    return rc;
}

/* Runs fn confined; returns the signal that ended it. SIGSEGV: it came to its end, there is no
 * other way. */
static int confined(void (*fn)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        volatile int *nothing = NULL;
        signal(SIGSEGV, SIG_DFL); /* cmocka's would go on with the next test */
        if (confine() < 0)
            _exit(1);
        fn();
        for (;;)
            *nothing = 1;
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return WTERMSIG(status);
}

static void what_is_tried(void)
{
    struct timespec t = { 0, 1000 };
    static const long no_timer[4];
    static int word;
    TRY(0, syscall(SYS_getpid));
    TRY(1,
        mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    TRY(2, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL));
    TRY(3, syscall(SYS_setitimer, 1, no_timer, NULL));
    TRY(4, syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY));
    TRY(5, syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, 0, 0));
    TRY(6, syscall(SYS_setitimer, 0, no_timer, NULL));
    TRY(7, syscall(SYS_write, 1, "", 0));
    TRY(8, syscall(SYS_kill, 1, 0));
    TRY(9, syscall(SYS_ptrace, 0, 0, 0, 0));
    TRY(10, syscall(SYS_socket, 1, 1, 0));
    TRY(11, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    TRY(12, syscall(SYS_execve, "/bin/true", NULL, NULL));
    TRY(13, syscall(425 /* io_uring_setup */, 1, NULL));
    TRY(14, syscall(SYS_unshare, 0));
    /* Waits for a time: who supervises lets them go on, but has to know since when. */
    TRY(16, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL));
    TRY(17, syscall(SYS_nanosleep, &t, NULL));
    TRY(18, syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0));
    TRY(20, syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, 1));
    TRY(19, syscall(SYS_futex, &word, FUTEX_WAIT, 1, NULL, NULL, 0));
    TRY(22, syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, &t, NULL, 0));
    TRY(15,
        mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
}

TEST(a_body_computes_and_nothing_else)
{
    assert_int_equal(confined(what_is_tried), SIGSEGV);
    for (int i = 0; i <= 3; i++)
        if (results[i] != 1)
            fail_msg("call %d gave %ld", i, results[i]);
    for (int i = 4; i <= 18; i++)
        if (results[i] != -EXDEV)
            fail_msg("call %d gave %ld", i, results[i]);
    assert_int_equal(results[20], -EXDEV);
    assert_int_equal(results[19], -EAGAIN); /* these don't */
    assert_int_equal(results[22], 1);
}

/* Numbers of other kinds of calls mean something else: none is made. */
static void other_kinds(void)
{
    TRY(20, syscall(0x40000000 | SYS_getpid));
    results[21] = raw_int80(20);
}

TEST(other_kinds_of_calls_are_noticed)
{
    results[21] = -EXDEV;
    assert_int_equal(confined(other_kinds), SIGSEGV);
    assert_int_equal(results[20], -EXDEV);
    /* Where the kernel has no 32-bit calls the instruction is what kills. */
    assert_int_equal(results[21], -EXDEV);
}

/* What the host's kernel does for a body: each is here because somebody has thought about what
 * a hostile body could do with it. All act on the body's own memory, registers, clocks and
 * processor, or only tell of these; where an argument can name another process
 * (get_robust_list), there are only those of its own namespace. */
static const short harmless[] = {
    SYS_munmap,        SYS_mremap,        SYS_mprotect,        SYS_madvise,
    SYS_brk,           SYS_mincore,       SYS_futex,           SYS_sched_yield,
    SYS_sigaltstack,   SYS_clock_gettime, SYS_gettimeofday,    SYS_nanosleep,
    SYS_getpid,        SYS_gettid,        SYS_set_tid_address, SYS_set_robust_list,
    SYS_rseq,          SYS_getrandom,     SYS_clock_nanosleep, SYS_clock_getres,
    SYS_time,          SYS_times,         SYS_getcpu,          SYS_arch_prctl,
    SYS_membarrier,    SYS_msync,         SYS_mlock,           SYS_mlock2,
    SYS_munlock,       SYS_mlockall,      SYS_munlockall,      SYS_get_robust_list,
    SYS_pkey_alloc,    SYS_pkey_free,     SYS_pkey_mprotect,   SYS_get_mempolicy,
    SYS_set_mempolicy, SYS_pause,         SYS_restart_syscall, SYS_rt_sigreturn,
};

enum { NUMBERS = 1024, KINDS = 3 };

static long raw6(long number, const unsigned long a[6])
{
    long rc;
    register unsigned long r10 __asm__("r10") = a[3];
    register unsigned long r8 __asm__("r8") = a[4];
    register unsigned long r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall"
                     : "=a"(rc)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return rc;
}

static bool is_harmless(long number)
{
    for (unsigned i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (harmless[i] == number)
            return true;
    return false;
}

/* Arguments that no variant of the table has. */
static void every_number(void)
{
    static const unsigned long odd[6] = { 0x7eadbeef, 0x7eadbeef, 0x7eadbeef,
                                          0x7eadbeef, 0x7eadbeef, 0x7eadbeef };
    for (long n = 0; n < NUMBERS; n++) {
        if (!is_harmless(n))
            results[n] = raw6(n, odd);
        results[NUMBERS + n] = raw6(0x40000000 | n, odd);
        results[2 * NUMBERS + n] = raw_int80(n);
    }
}

TEST(every_other_call_is_noticed)
{
    static const char *const kinds[KINDS] = { "", " of x32", " of int 0x80" };
    for (int i = 0; i < KINDS * NUMBERS; i++)
        results[i] = -EXDEV;
    assert_int_equal(confined(every_number), SIGSEGV);
    for (int i = 0; i < KINDS * NUMBERS; i++)
        if (results[i] != -EXDEV)
            fail_msg("call %d%s is made by the host, with result %ld", i % NUMBERS,
                     kinds[i / NUMBERS], results[i]);
}

/* Kinds of calls of which only some are harmless. */
static void kinds_of_calls(void)
{
    TRY(0, syscall(SYS_prctl, PR_SET_NAME, "x", 0, 0, 0));
    TRY(1, syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
    TRY(2, syscall(SYS_getrusage, -1, results));
    TRY(3, syscall(SYS_rt_tgsigqueueinfo, 1, 1, SIGKILL, results, 0, 0));
    TRY(4, syscall(SYS_rt_sigsuspend, results, 8, 0, 0, 0, 0));
    TRY(5, syscall(SYS_rt_sigaction, SIGUSR1, results, NULL, 8));
    TRY(6,
        syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
    TRY(7, syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN,
                   -1, 0));
    TRY(8, syscall(SYS_setpriority, 0, 0, -20));
    TRY(9, syscall(SYS_prlimit64, 0, 0, NULL, results));
}

TEST(kinds_of_calls_are_noticed)
{
    assert_int_equal(confined(kinds_of_calls), SIGSEGV);
    for (int i = 0; i <= 9; i++)
        if (results[i] != -EXDEV)
            fail_msg("kind %d gave %ld", i, results[i]);
}

TEST(names)
{
    assert_string_equal(mx_call_name(SYS_read), "read");
    assert_null(mx_call_name(SYS_mount));
}

int main(void)
{
    results = mmap(NULL, KINDS * NUMBERS * sizeof *results, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_body_computes_and_nothing_else),
                                        cmocka_unit_test(other_kinds_of_calls_are_noticed),
                                        cmocka_unit_test(every_other_call_is_noticed),
                                        cmocka_unit_test(kinds_of_calls_are_noticed),
                                        cmocka_unit_test(names) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
