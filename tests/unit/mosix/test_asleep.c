/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_asleep.c: which calls wait for a time; the kernel's list of timers; a process that is
 * stopped while it waits makes its call again for the rest. */
#include "tests/lib/unit.h"

#include "common/base/attr.h"
#include "common/sys/clock.h"
#include "mosix-core/image/waits.h"
#include "mosix-core/image/asleep.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void waits_are_found(void **state UNUSED)
{
    const uint64_t five[6] = { 5, 0, 5, 5, 0, 0 }, forever[6] = { 0, 0, (uint64_t)-1, 0, 0, 0 },
                   dated[6] = { 1, TIMER_ABSTIME, 5, 0, 0, 0 },
                   wake[6] = { 8, FUTEX_WAKE, 1, 0, 0, 0 },
                   until[6] = { 8, FUTEX_WAIT_BITSET_PRIVATE, 1, 16, 0, 0 },
                   own[6] = { 8, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, 16, 0, 0 };
    assert_true(mx_wait_find(SYS_poll, five)->is_ms);
    assert_int_equal(mx_wait_find(SYS_nanosleep, five)->arg, 0);
    assert_non_null(mx_wait_find(SYS_clock_nanosleep, five));
    assert_non_null(mx_wait_find(SYS_futex, own));
    assert_null(mx_wait_find(SYS_futex, wake));
    assert_true(mx_wait_find(SYS_futex, until)->is_until);
    assert_null(mx_wait_find(SYS_futex, forever));
    assert_null(mx_wait_find(SYS_poll, forever));
    assert_null(mx_wait_find(SYS_clock_nanosleep, dated));
    assert_null(mx_wait_find(SYS_ppoll, five)); /* the kernel writes what is left */
    assert_null(mx_wait_find(-1, five));
}

/* As /proc/timer_list has them: only what wakes a process, by the monotonic clock, counts. */
static const char list[] = "Timer List Version: v0.10\n"
                           "HRTIMER_MAX_CLOCK_BASES: 8\n"
                           "now at 500 nsecs\n"
                           "\n"
                           "cpu: 0\n"
                           " clock 0:\n"
                           "  .base:       0000000000000001\n"
                           "active timers:\n"
                           " #0: <0000000000000002>, tick_nohz_handler, S:01\n"
                           " # expires at 600-600 nsecs [in 100 to 100 nsecs]\n"
                           " #1: <0000000000000003>, hrtimer_wakeup, S:01\n"
                           " # expires at 700-750 nsecs [in 200 to 250 nsecs]\n"
                           " clock 1:\n"
                           "active timers:\n"
                           " #0: <0000000000000004>, hrtimer_wakeup, S:01\n"
                           " # expires at 800-850 nsecs [in 300 to 350 nsecs]\n"
                           "cpu: 1\n"
                           " clock 0:\n"
                           "active timers:\n"
                           " #0: <0000000000000005>, hrtimer_wakeup, S:01\n"
                           " # expires at 900-950 nsecs [in 400 to 450 nsecs]\n";

static void lists_are_read(void **state UNUSED)
{
    uint64_t ends[4] = { 0 };
    char text[sizeof list];
    assert_int_equal(mx_timers_parse(list, ends, 4), 2);
    assert_int_equal(ends[0], 700);
    assert_int_equal(ends[1], 900);
    assert_int_equal(mx_timers_parse(list, ends, 1), 1);
    for (size_t len = 0; len < sizeof list; len++) { /* cut anywhere */
        memcpy(text, list, len);
        text[len] = 0;
        assert_true(mx_timers_parse(text, ends, 4) <= 2);
    }
}

static void registers_ask_again(void **state UNUSED)
{
    struct user_regs_struct r = { .orig_rax = SYS_restart_syscall,
                                  .rax = (uint64_t)(int64_t)-516,
                                  .rdi = 1,
                                  .rsi = 2,
                                  .rdx = 5000 };
    mx_asleep_again(&r, SYS_poll, 321);
    assert_int_equal(r.orig_rax, SYS_poll);
    assert_int_equal((int64_t)r.rax, -514);
    assert_int_equal(r.rdx, 321);
    assert_int_equal(r.rdi, 1);
    assert_int_equal(r.rsi, 2);
}

enum { SPAN_MS = 3000, BEFORE_MS = 200 };

static int word;

static void child_waits(int how)
{
    struct timespec span = { SPAN_MS / 1000, 0 };
    switch (how) {
    case 0: poll(NULL, 0, SPAN_MS); break;
    case 1: nanosleep(&span, NULL); break;
    case 2: syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &span, NULL); break;
    default: syscall(SYS_futex, &word, FUTEX_WAIT, 0, &span, NULL, 0); break;
    }
    _exit(0);
}

static void until_asleep(pid_t pid)
{
    for (unsigned i = 0; i < 5000; i++) {
        struct mx_asleep a;
        mx_asleep_look(&a, pid, false);
        if (a.number >= 0 && (mx_wait_find(a.number, a.args) || a.is_restart))
            return;
        usleep(1000);
    }
    fail();
}

/* One that waits, and how much of it is found left in ms. is_restart: it goes on by the
 * kernel's own note, and which call that was is known by where it waits. */
static int64_t left_of(int how, bool is_restart)
{
    static const long numbers[] = { SYS_poll, SYS_nanosleep, SYS_clock_nanosleep, SYS_futex };
    struct mx_asleep a;
    struct mx_tracee t;
    struct err e = { "" };
    pid_t pid = fork();
    if (pid == 0)
        child_waits(how);
    until_asleep(pid);
    usleep(BEFORE_MS * 1000);
    if (is_restart) {
        kill(pid, SIGSTOP);
        usleep(20000);
        kill(pid, SIGCONT);
        until_asleep(pid);
    }
    mx_asleep_look(&a, pid, true);
    assert_int_equal(a.is_restart, is_restart);
    assert_int_equal(mx_tracee_seize(&t, pid, false, &e), 0);
    assert_int_equal(mx_asleep_stopped(&a, &t), 0);
    /* What the library calls nanosleep may be the other one. */
    assert_true(t.waits == numbers[how] || (how == 1 && t.waits == SYS_clock_nanosleep));
    struct user_regs_struct r = t.regs;
    mx_asleep_again(&r, t.waits, t.wait_value);
    const uint64_t args[6] = { r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9 };
    int64_t left_ms = mx_asleep_limit(t.mem_fd, t.waits, args) / 1000000;
    mx_asleep_fini(&a);
    assert_int_equal(mx_tracee_release(&t, &e), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return left_ms;
}

static void rest_is_found(void **state UNUSED)
{
    enum { TRIES = 5 };
    if (geteuid() != 0)
        skip(); /* the list of timers is root's */
    for (int how = 0; how < 8; how++) {
        /* Another process's timer may go in the same moment: then it is taken to be later. */
        int64_t left_ms = SPAN_MS;
        for (unsigned i = 0; i < TRIES && left_ms > SPAN_MS - BEFORE_MS + 1; i++) {
            left_ms = left_of(how % 4, how >= 4);
            assert_true(left_ms > 0 && left_ms <= SPAN_MS);
        }
        assert_true(left_ms <= SPAN_MS - BEFORE_MS + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_are_found),
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(registers_ask_again),
        cmocka_unit_test(rest_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
