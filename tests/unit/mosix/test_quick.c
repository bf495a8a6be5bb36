/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_quick.c: a process that stands still takes calls from memory that it shares with us: it
 * makes them without a stop, says at any stop how far one has come, gets no descriptor, and its
 * children have nothing of it. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/deputy/quick.h"
#include "mosix-core/image/maps.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    struct mx_tracee t;
    struct mx_quick q;
    int pipe[2];
    unsigned had_fds;
};

static unsigned count_fds(pid_t pid)
{
    char path[40];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

static void go_on(const struct fixture *f, bool has_request)
{
    struct user_regs_struct r = f->t.regs;
    mx_quick_regs(&f->q, has_request, &r);
    assert_int_equal(ptrace(PTRACE_SETREGS, f->t.pid, 0, &r), 0);
    assert_int_equal(ptrace(PTRACE_CONT, f->t.pid, 0, 0), 0);
}

/* A page of the process's for the code, and its calls take requests. */
static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct mx_maps m = { 0 };
    struct err e = { "" };
    int64_t page;
    size_t len;
    assert_non_null(f);
    assert_int_equal(pipe(f->pipe), 0);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    assert_int_equal(mx_tracee_seize(&f->t, pid, true, &e), 0);
    assert_int_equal(mx_maps_read(&m, pid, false, &e), 0);
    const struct mx_sec_mapping *v = mx_maps_kind(&m, MX_MAP_VDSO);
    assert_non_null(v);
    assert_int_equal(mx_tracee_find_syscall(&f->t, v->start, v->end, &e), 0);
    mx_maps_fini(&m);
    f->had_fds = count_fds(pid);
    struct mx_call map = { SYS_mmap,
                           { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0 } };
    assert_int_equal(mx_tracee_call(&f->t, &map, &page, &e), 0);
    const void *code = mx_quick_code(&len);
    assert_int_equal(mx_tracee_write(&f->t, (uint64_t)page, code, len, &e), 0);
    assert_int_equal(mx_quick_get(&f->q, &f->t, (uint64_t)page, (uint64_t)page + 2048, &e), 0);
    uint64_t none = 0;
    assert_int_equal(ptrace(PTRACE_SETSIGMASK, pid, sizeof none, &none), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kill(f->t.pid, SIGKILL);
    assert_int_equal(waitpid(f->t.pid, NULL, __WALL), f->t.pid);
    mx_quick_fini(&f->q);
    f->t.is_seized = false;
    mx_tracee_fini(&f->t);
    close(f->pipe[0]);
    close(f->pipe[1]);
    free(f);
    return 0;
}

static int stop_of(const struct fixture *f, struct user_regs_struct *r)
{
    int status;
    assert_int_equal(waitpid(f->t.pid, &status, __WALL), f->t.pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(ptrace(PTRACE_GETREGS, f->t.pid, 0, r), 0);
    return WSTOPSIG(status);
}

/* Under load it may take longer than is waited for at once, and its end may be seen just when
 * it has decided to stop. */
static int64_t result_of(struct fixture *f)
{
    struct user_regs_struct r;
    int64_t result;
    if (mx_quick_await(&f->q, &result))
        return result;
    for (;;) {
        assert_int_equal(stop_of(f, &r), SIGTRAP);
        assert_true(mx_quick_is_trap(&f->q, &r));
        if (mx_quick_phase(&f->q, &r, &result) == MX_QUICK_DONE)
            break;
        assert_int_equal(ptrace(PTRACE_CONT, f->t.pid, 0, 0), 0);
    }
    go_on(f, false);
    return result;
}

static int64_t make(struct fixture *f, long number, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t args[6] = { a, b, c };
    mx_quick_post(&f->q, number, args, false);
    mx_quick_wake(&f->q);
    return result_of(f);
}

static void without_stops(void **state)
{
    struct fixture *f = *state;
    unsigned at_once = 0;
    const uint64_t none[6] = { 0 };
    go_on(f, false);
    for (unsigned i = 0; i < 1000; i++) {
        int64_t result;
        mx_quick_post(&f->q, SYS_getpid, none, false);
        mx_quick_wake(&f->q);
        if (mx_quick_await(&f->q, &result))
            at_once++;
        else
            result = result_of(f);
        assert_int_equal(result, f->t.pid);
    }
    assert_true(at_once > 0); /* on a busy computer most may stop */
    assert_int_equal(count_fds(f->t.pid), f->had_fds);
}

static void arguments_and_results(void **state)
{
    struct fixture *f = *state;
    char text[6] = "";
    go_on(f, false);
    memcpy(f->q.area + 64, "hello", 5);
    assert_int_equal(make(f, SYS_write, (uint64_t)f->pipe[1], f->q.at + 64, 5), 5);
    assert_int_equal(read(f->pipe[0], text, sizeof text), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(make(f, SYS_close, 9999, 0, 0), -EBADF);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_int_equal(make(f, SYS_read, (uint64_t)f->pipe[0], 1, 5), -EFAULT);
}

static void one_that_waits_ends_with_a_stop(void **state)
{
    struct fixture *f = *state;
    struct user_regs_struct r;
    const uint64_t args[6] = { (uint64_t)f->pipe[0], f->q.at, 8 };
    int64_t result;
    mx_quick_post(&f->q, SYS_read, args, false);
    go_on(f, true); /* posted before it looks */
    assert_false(mx_quick_await(&f->q, &result));
    assert_int_equal(write(f->pipe[1], "late", 4), 4);
    assert_int_equal(stop_of(f, &r), SIGTRAP);
    assert_true(mx_quick_is_trap(&f->q, &r));
    assert_int_equal(mx_quick_phase(&f->q, &r, &result), MX_QUICK_DONE);
    assert_int_equal(result, 4);
    assert_memory_equal(f->q.area, "late", 4);
}

static void phases(void **state)
{
    struct fixture *f = *state;
    struct user_regs_struct r;
    const uint64_t args[6] = { (uint64_t)f->pipe[0], f->q.at, 8 };
    int64_t result;
    mx_quick_post(&f->q, SYS_read, args, false);
    go_on(f, true);
    assert_false(mx_quick_await(&f->q, &result));
    kill(f->t.pid, SIGUSR1);
    assert_int_equal(stop_of(f, &r), SIGUSR1);
    assert_int_equal(mx_quick_phase(&f->q, &r, &result), MX_QUICK_CALL);
    assert_int_equal(result, MX_RESTART);
    go_on(f, false); /* given up: it begins anew, and this one is not made */
    assert_int_equal(make(f, SYS_getpid, 0, 0, 0), f->t.pid);
    kill(f->t.pid, SIGUSR1);
    assert_int_equal(stop_of(f, &r), SIGUSR1);
    mx_quick_post(&f->q, SYS_read, args, false); /* it stands still, and has seen nothing */
    assert_int_equal(mx_quick_phase(&f->q, &r, &result), MX_QUICK_BEFORE);
}

static void not_in_children(void **state)
{
    struct fixture *f = *state;
    struct err e = { "" };
    int64_t child = 0;
    char path[40], line[256];
    const struct mx_call make_child = { SYS_clone, { 0 } }; /* whose end is no signal */
    assert_int_equal(mx_tracee_call(&f->t, &make_child, &child, &e), 0);
    assert_true(child > 0);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)child);
    FILE *maps = fopen(path, "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        assert_null(strstr(line, "memfd:calls"));
    fclose(maps);
    kill((pid_t)child, SIGKILL);
    go_on(f, false);
    assert_int_equal(make(f, SYS_wait4, (uint64_t)child, 0, __WALL), child);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = { CASE(without_stops), CASE(arguments_and_results),
                                        CASE(one_that_waits_ends_with_a_stop), CASE(phases),
                                        CASE(not_in_children) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
