/* SPDX-License-Identifier: GPL-2.0-or-later */
/* asleep.c: calls that wait, and the kernel's list of timers. Must not know: what for.
 * Source: proc_pid_syscall(5), proc_pid_wchan(5), restart_syscall(2); the list of timers is as
 * the kernel prints it (kernel/time/timer_list.c), and in no man page. */
#include "mosix-core/image/asleep.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/image/waits.h"
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LIST_BYTES_MAX = 2 << 20,
    LOOKS_BEFORE = 4,  /* it must be found, or another one would be taken for it */
    LOOKS_AFTER = 2,   /* while the process stands still */
    BELOW_STACK = 128, /* so much below it a function may use without saying so */
    ARG_COUNT = 6,
};
static const int64_t s_ns = 1000000000, ms_ns = 1000000;

/* ---- the list ---- */

/* Clock 0 is CLOCK_MONOTONIC; what waits for a while waits by it. */
unsigned mx_timers_parse(const char *text, uint64_t *ends_ns, unsigned max)
{
    static const char clock[] = " clock ", ends[] = " # expires at ";
    bool is_first_clock = false, is_waker = false;
    unsigned count = 0;
    for (const char *line = text; *line && count < max;) {
        const char *end = strchr(line, '\n');
        size_t len = end ? (size_t)(end - line) : strlen(line);
        if (strncmp(line, clock, sizeof clock - 1) == 0) {
            is_first_clock = line[sizeof clock - 1] == '0' && line[sizeof clock] == ':';
        } else if (strncmp(line, ends, sizeof ends - 1) == 0) {
            if (is_first_clock && is_waker)
                ends_ns[count++] = strtoull(line + sizeof ends - 1, NULL, 10);
            is_waker = false;
        } else {
            is_waker = len > 2 && line[1] == '#' && memmem(line, len, "hrtimer_wakeup", 14);
        }
        line += len + (end ? 1 : 0);
    }
    return count;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The kernel finds its place in the list anew for each line, so one is left out when another
 * goes meanwhile: what is in any of some looks was there. Sorted, and maybe twice; NULL: it
 * can't be read, or has more than we look at. */
static uint64_t *read_timers(unsigned looks, unsigned *count)
{
    *count = 0;
    AUTO_FD fd = open("/proc/timer_list", O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : malloc(LIST_BYTES_MAX);
    uint64_t *timers = text ? malloc(MX_TIMERS_MAX * sizeof *timers) : NULL;
    ssize_t n = timers ? 1 : -1;
    for (unsigned i = 0; n > 0 && i < looks; i++) {
        n = lseek(fd, 0, SEEK_SET) == 0 ? fd_read_full(fd, text, LIST_BYTES_MAX - 1) : -1;
        if (n <= 0)
            break;
        text[n] = 0;
        *count += mx_timers_parse(text, timers + *count, MX_TIMERS_MAX - *count);
        n = n == LIST_BYTES_MAX - 1 || *count == MX_TIMERS_MAX ? -1 : n;
    }
    free(text);
    if (n <= 0) {
        free(timers);
        return NULL;
    }
    qsort(timers, *count, sizeof *timers, compare);
    return timers;
}

/* ---- while it waits ---- */

static ssize_t read_file(pid_t pid, const char *name, char *text, size_t len_bytes)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, len_bytes - 1);
    text[n > 0 ? n : 0] = 0;
    return n;
}

/* One that the kernel goes on with by its own note: which it was is seen by where it waits, and
 * of the two that only sleep by their first argument: a clock's number, or a pointer. */
static long find_restarted(pid_t pid, const uint64_t args[ARG_COUNT])
{
    enum { CLOCKS_MAX = 4096 };
    char where[128];
    if (read_file(pid, "wchan", where, sizeof where) <= 0 || strcmp(where, "0") == 0)
        return -1;
    if (strstr(where, "poll"))
        return SYS_poll;
    if (strstr(where, "futex"))
        return SYS_futex;
    return args[0] < CLOCKS_MAX || args[0] >= (uint64_t)-CLOCKS_MAX ? SYS_clock_nanosleep
                                                                    : SYS_nanosleep;
}

void mx_asleep_look(struct mx_asleep *a, pid_t pid, bool with_timers)
{
    char text[256];
    *a = (struct mx_asleep){ .number = -1 };
    uint64_t *g = a->args;
    if (read_file(pid, "syscall", text, sizeof text) <= 0 ||
        sscanf(text,
               "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
               " %" SCNx64 " %" SCNx64,
               &a->number, &g[0], &g[1], &g[2], &g[3], &g[4], &g[5], &a->sp, &a->pc) != 9) {
        a->number = -1;
        return;
    }
    a->is_restart = a->number == SYS_restart_syscall;
    if (a->is_restart)
        a->number = find_restarted(pid, a->args);
    if (!with_timers || a->number < 0 || !mx_wait_find(a->number, a->args) ||
        mx_status_number(pid, "voluntary_ctxt_switches", 10, &a->switches, NULL) < 0)
        return;
    a->timers_ns = read_timers(LOOKS_BEFORE, &a->timer_count);
}

void mx_asleep_fini(struct mx_asleep *a)
{
    free(a->timers_ns);
    a->timers_ns = NULL;
}

/* ---- when it stands still ---- */

static bool is_same(const struct mx_asleep *a, const struct user_regs_struct *r)
{
    const uint64_t args[ARG_COUNT] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
    long number = a->is_restart ? SYS_restart_syscall : a->number;
    return a->number >= 0 && (long)r->orig_rax == number && r->rip == a->pc &&
           r->rsp == a->sp && memcmp(args, a->args, sizeof args) == 0;
}

/* Of those that have gone the one that is left the longest, if there are more: a process may
 * wake too late, but not too early. */
static int64_t left(const struct mx_asleep *a, const struct mx_tracee *t, int64_t limit_ns)
{
    uint64_t switches = 0;
    unsigned now_count;
    /* Its stop is one; if there are more it may wait for the second time, by another timer. */
    if (!a->timers_ns ||
        mx_status_number(t->pid, "voluntary_ctxt_switches", 10, &switches, NULL) < 0 ||
        switches != a->switches + 1)
        return limit_ns;
    uint64_t *now = read_timers(LOOKS_AFTER, &now_count), now_ns = clock_mono_us() * 1000;
    int64_t found = -1;
    for (unsigned i = 0, k = 0; now && i < a->timer_count; i++) {
        while (k < now_count && now[k] < a->timers_ns[i])
            k++;
        int64_t of_it = (int64_t)(a->timers_ns[i] - now_ns);
        bool is_there = k < now_count && now[k] == a->timers_ns[i];
        if (!is_there && of_it > 0 && of_it <= limit_ns)
            found = of_it;
    }
    free(now);
    return found < 0 ? limit_ns : found;
}

int mx_asleep_stopped(const struct mx_asleep *a, struct mx_tracee *t)
{
    const struct user_regs_struct *r = &t->regs;
    if ((int64_t)r->orig_rax < 0 || !mx_call_is_interrupted((int64_t)r->rax))
        return 0;
    if (!is_same(a, r))
        return r->orig_rax == SYS_restart_syscall ? -EAGAIN : 0;
    int64_t limit_ns = mx_asleep_limit(t->mem_fd, a->number, a->args);
    if (limit_ns < 0 && !a->is_restart)
        return 0;
    t->waits = a->number;
    int64_t left_ns = limit_ns < 0 ? -1 : left(a, t, limit_ns);
    t->wait_value = mx_asleep_value(t, r, a->number, left_ns);
    return 0;
}

/* ---- again ---- */

int64_t mx_asleep_limit(int mem_fd, long number, const uint64_t args[ARG_COUNT])
{
    const struct mx_wait *w = mx_wait_find(number, args);
    struct timespec t;
    if (!w)
        return -1;
    if (w->is_until)
        return INT64_MAX;
    if (w->is_ms)
        return (int32_t)args[w->arg] * ms_ns;
    if (pread(mem_fd, &t, sizeof t, (off_t)args[w->arg]) != (ssize_t)sizeof t || t.tv_sec < 0 ||
        t.tv_nsec < 0 || t.tv_nsec >= s_ns)
        return -1;
    return t.tv_sec >= INT64_MAX / s_ns ? INT64_MAX : t.tv_sec * s_ns + t.tv_nsec;
}

static unsigned long long *arg_of(struct user_regs_struct *r, unsigned arg)
{
    unsigned long long *args[ARG_COUNT] = {
        &r->rdi, &r->rsi, &r->rdx, &r->r10, &r->r8, &r->r9
    };
    return args[arg];
}

uint64_t mx_asleep_value(const struct mx_tracee *t, const struct user_regs_struct *regs,
                         long number, int64_t left_ns)
{
    struct user_regs_struct r = *regs;
    const uint64_t args[ARG_COUNT] = { r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9 };
    const struct mx_wait *w = mx_wait_find(number, args);
    if (!w || w->is_until || left_ns < 0)
        return w ? args[w->arg] : 0;
    if (w->is_ms)
        return (uint64_t)((left_ns + ms_ns - 1) / ms_ns);
    struct timespec span = { left_ns / s_ns, left_ns % s_ns };
    uint64_t at = (r.rsp - BELOW_STACK - sizeof span) & ~UINT64_C(15);
    return mx_tracee_write(t, at, &span, sizeof span, NULL) < 0 ? args[w->arg] : at;
}

void mx_asleep_again(struct user_regs_struct *r, long number, uint64_t value)
{
    const uint64_t args[ARG_COUNT] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
    const struct mx_wait *w = mx_wait_find(number, args);
    r->orig_rax = (uint64_t)number;
    r->rax = (uint64_t)(int64_t)MX_RESTART_UNCAUGHT;
    if (w)
        *arg_of(r, w->arg) = value;
}
