/* SPDX-License-Identifier: GPL-2.0-or-later */
/* capture_state.c: signals, timers, layout and the rest of what a process has beside memory and
 * registers. Much of it only the process itself may ask for. Must not know: memory,
 * descriptors. */
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* Where the answers of its calls come to lie in the scratch memory. */
enum {
    ACTIONS_AT = 0,
    STACK_AT = MX_SIGNALS * MX_ACTION_BYTES,
    TIMERS_AT = STACK_AT + 64,
    TID_AT = TIMERS_AT + 3 * (int)sizeof(struct itimerval),
    ANSWERS_BYTES = TID_AT + 8,
    CALLS_ROOM = MX_SIGNALS + 8,
};

struct answers {
    uint8_t bytes[ANSWERS_BYTES];
    uint64_t brk;
};

/* A call whose answer is len_bytes in the scratch memory. */
static int ask(struct mx_tracee *t, const struct mx_call *c, const char *what, void *ptr,
               size_t len_bytes, struct err *e)
{
    int rc = mx_tracee_must(t, c, what, e);
    return rc < 0 ? rc : mx_tracee_read(t, t->scratch, ptr, len_bytes, e);
}

/* What only the process itself can tell. Real time goes on at home: a process that moves leaves
 * that timer there. */
static int ask_all(const struct mx_capture *capture, struct mx_tracee *t, struct answers *a,
                   struct err *e)
{
    struct mx_call c[CALLS_ROOM];
    int64_t results[CALLS_ROOM];
    unsigned count = 0;
    c[count++] = (struct mx_call){ SYS_brk, { 0 } };
    c[count++] = (struct mx_call){ SYS_sigaltstack, { 0, t->scratch + STACK_AT } };
    c[count++] = (struct mx_call){ SYS_prctl, { PR_GET_TID_ADDRESS, t->scratch + TID_AT } };
    for (unsigned i = capture->what_for == MX_CAPTURE_WHOLE ? 0 : 1; i < 3; i++)
        c[count++] =
            (struct mx_call){ SYS_getitimer,
                              { i, t->scratch + TIMERS_AT + i * sizeof(struct itimerval) } };
    for (unsigned s = 1; s <= MX_SIGNALS; s++)
        if (s != SIGKILL && s != SIGSTOP)
            c[count++] =
                (struct mx_call){ SYS_rt_sigaction,
                                  { s, 0, t->scratch + (s - 1) * MX_ACTION_BYTES, 8 } };
    int rc = mx_tracee_calls(t, c, count, results, e);
    for (unsigned i = 1; rc == 0 && i < count; i++)
        if (results[i] < 0)
            rc = err_set(e, (int)-results[i], "ask process %d for its state (call %ld)",
                         (int)t->pid, c[i].number);
    a->brk = rc == 0 ? (uint64_t)results[0] : 0;
    return rc < 0 ? rc : mx_tracee_read(t, t->scratch, a->bytes, sizeof a->bytes, e);
}

/* ---- signals ---- */

int mx_capture_peek(const struct mx_tracee *t, bool is_of_process, uint8_t *ptr,
                    uint32_t *len_bytes, struct err *e)
{
    _Static_assert(sizeof(siginfo_t) == MX_SIGINFO_BYTES, "length of siginfo");
    struct __ptrace_peeksiginfo_args a = { .flags =
                                               is_of_process ? PTRACE_PEEKSIGINFO_SHARED : 0,
                                           .nr = MX_PENDING_MAX };
    long n = ptrace(PTRACE_PEEKSIGINFO, t->pid, &a, ptr);
    if (n < 0)
        return err_set(e, errno, "look at the signals of process %d", (int)t->pid);
    if (n == MX_PENDING_MAX)
        return err_say(e, ENOTSUP, "too many signals wait for process %d", (int)t->pid);
    *len_bytes = (uint32_t)n * MX_SIGINFO_BYTES;
    return 0;
}

/* Signals that wait at home wait on in the stub; those of a body came from there, and exist
 * nowhere else. */
static int write_signals(struct mx_tracee *t, const struct answers *a, bool is_with_pending,
                         struct mx_image_writer *w, struct err *e)
{
    static const size_t room = MX_PENDING_MAX * MX_SIGINFO_BYTES;
    uint8_t *pending = malloc(2 * room);
    uint32_t shared_len = 0, private_len = 0;
    stack_t alt;
    if (!pending)
        return err_set(e, ENOMEM, "note the signals of process %d", (int)t->pid);
    memcpy(&alt, a->bytes + STACK_AT, sizeof alt);
    int rc = is_with_pending ? mx_capture_peek(t, true, pending, &shared_len, e) : 0;
    if (rc == 0 && is_with_pending)
        rc = mx_capture_peek(t, false, pending + room, &private_len, e);
    if (rc == 0) {
        struct mx_sec s = { .number = MX_SEC_signals,
                            .signals = { .actions = { a->bytes + ACTIONS_AT,
                                                      MX_SIGNALS * MX_ACTION_BYTES },
                                         .pending = { pending, shared_len },
                                         .pending_private = { pending + room, private_len },
                                         .altstack = (uint64_t)(uintptr_t)alt.ss_sp,
                                         .altstack_flags = (uint32_t)alt.ss_flags,
                                         .altstack_bytes = alt.ss_size } };
        rc = mx_image_write(w, &s, e);
    }
    free(pending);
    return rc;
}

/* ---- timers, thread ---- */

static uint64_t in_us(struct timeval v)
{
    return (uint64_t)v.tv_sec * 1000000 + (uint64_t)v.tv_usec;
}

static int write_timers(const struct answers *a, struct mx_image_writer *w, struct err *e)
{
    struct itimerval v[3];
    memcpy(v, a->bytes + TIMERS_AT, sizeof v);
    struct mx_sec s = { .number = MX_SEC_timers,
                        .timers = { in_us(v[0].it_value), in_us(v[0].it_interval),
                                    in_us(v[1].it_value), in_us(v[1].it_interval),
                                    in_us(v[2].it_value), in_us(v[2].it_interval) } };
    return mx_image_write(w, &s, e);
}

static int write_thread(struct mx_tracee *t, const struct answers *a, struct mx_image_writer *w,
                        struct err *e)
{
    struct __ptrace_rseq_configuration rseq = { 0 };
    struct robust_list_head *robust = NULL;
    size_t robust_bytes = 0;
    uint64_t clear_tid;
    memcpy(&clear_tid, a->bytes + TID_AT, sizeof clear_tid);
    if (syscall(SYS_get_robust_list, t->pid, &robust, &robust_bytes) < 0)
        return err_set(e, errno, "ask for the robust list of process %d", (int)t->pid);
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->pid, sizeof rseq, &rseq) < 0)
        return err_set(e, errno, "ask for the rseq area of process %d", (int)t->pid);
    struct mx_sec s = { .number = MX_SEC_thread,
                        .thread = { .clear_tid = clear_tid,
                                    .robust = (uint64_t)(uintptr_t)robust,
                                    .robust_bytes = robust_bytes,
                                    .rseq = rseq.rseq_abi_pointer,
                                    .rseq_bytes = rseq.rseq_abi_size,
                                    .rseq_signature = rseq.signature } };
    return mx_image_write(w, &s, e);
}

/* ---- layout, setting ---- */

static ssize_t read_proc(pid_t pid, const char *name, char *ptr, size_t size)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    size_t n = fread(ptr, 1, size - 1, f);
    fclose(f);
    ptr[n] = 0;
    return (ssize_t)n;
}

/* Fields of /proc/PID/stat, counted from 1 as in proc_pid_stat(5). */
static int read_stat(pid_t pid, uint64_t fields[53])
{
    char text[4096];
    memset(fields, 0, 53 * sizeof *fields);
    ssize_t n = read_proc(pid, "stat", text, sizeof text);
    char *at = n > 0 ? strrchr(text, ')') : NULL;
    if (!at)
        return n < 0 ? (int)n : -EIO;
    unsigned i = 3;
    for (at += 2; i < 53 && *at; i++) {
        char *end = at + strcspn(at, " \n");
        fields[i] = strtoull(at, NULL, 10);
        at = *end ? end + 1 : end;
    }
    return i >= 52 ? 0 : -EIO;
}

static int write_layout(struct mx_tracee *t, const struct answers *a, struct mx_image_writer *w,
                        struct err *e)
{
    uint64_t f[53];
    char auxv[1024 + 1];
    ssize_t n = read_proc(t->pid, "auxv", auxv, sizeof auxv);
    int rc = read_stat(t->pid, f);
    if (n < 0 || rc < 0)
        return err_set(e, n < 0 ? (int)-n : -rc, "read the layout of process %d", (int)t->pid);
    struct mx_sec s = { .number = MX_SEC_layout,
                        .layout = { .start_code = f[26],
                                    .end_code = f[27],
                                    .start_data = f[45],
                                    .end_data = f[46],
                                    .start_brk = f[47],
                                    .brk = a->brk,
                                    .start_stack = f[28],
                                    .arg_start = f[48],
                                    .arg_end = f[49],
                                    .env_start = f[50],
                                    .env_end = f[51],
                                    .auxv = { (const uint8_t *)auxv, (uint32_t)n } } };
    return mx_image_write(w, &s, e);
}

static int write_setting(struct mx_tracee *t, bool is_body, struct mx_image_writer *w,
                         struct err *e)
{
    char path[40], cwd[4096];
    uint64_t mask;
    struct rlimit limits[MX_LIMITS];
    _Static_assert(sizeof limits == MX_LIMITS * 16, "length of a limit");
    snprintf(path, sizeof path, "/proc/%d/cwd", (int)t->pid);
    ssize_t n = readlink(path, cwd, sizeof cwd - 1);
    if (n < 0)
        return err_set(e, errno, "read %s", path);
    cwd[n] = 0;
    int rc = mx_status_number(t->pid, "Umask", 8, &mask, e);
    for (unsigned i = 0; rc == 0 && i < MX_LIMITS; i++) {
        struct mx_call c = { SYS_prlimit64, { 0, i, 0, t->scratch } };
        if (prlimit(t->pid, (__rlimit_resource_t)i, NULL, &limits[i]) < 0)
            rc = ask(t, &c, "prlimit", &limits[i], sizeof limits[i], e); /* it may itself */
    }
    /* What its host allows is no limit of its own (restore_limits.c). */
    if (is_body) {
        limits[RLIMIT_DATA].rlim_cur = limits[RLIMIT_DATA].rlim_max;
        limits[RLIMIT_STACK].rlim_cur = limits[RLIMIT_STACK].rlim_max;
    }
    if (rc < 0)
        return rc;
    struct mx_sec s = { .number = MX_SEC_setting,
                        .setting = { .umask = (uint32_t)mask,
                                     .cwd = bytes_of(cwd),
                                     .limits = { (const uint8_t *)limits, sizeof limits } } };
    return mx_image_write(w, &s, e);
}

/* Kernels before 6.3 don't tell. */
static int write_barriers(struct mx_tracee *t, struct mx_image_writer *w, struct err *e)
{
    static const uint64_t get_registrations = 1 << 9;
    struct mx_call c = { SYS_membarrier, { get_registrations, 0, 0 } };
    int64_t registered;
    int rc = mx_tracee_call(t, &c, &registered, e);
    if (rc < 0 || registered <= 0)
        return rc;
    struct mx_sec s = { .number = MX_SEC_barriers,
                        .barriers = { .registered = (uint64_t)registered } };
    return mx_image_write(w, &s, e);
}

int mx_capture_state(struct mx_capture *c, struct mx_image_writer *w, struct err *e)
{
    struct mx_tracee *t = &c->t;
    struct answers a = { .brk = 0 };
    int rc = mx_tracee_scratch(t, 0, e);
    if (rc == 0)
        rc = mx_tracee_write(t, t->scratch, a.bytes, sizeof a.bytes, e);
    if (rc == 0)
        rc = ask_all(c, t, &a, e);
    if (rc == 0)
        rc = write_signals(t, &a, c->what_for != MX_CAPTURE_MOVE, w, e);
    if (rc == 0)
        rc = write_timers(&a, w, e);
    if (rc == 0 && c->what_for == MX_CAPTURE_WHOLE)
        rc = mx_timers_write(t, w, e);
    if (rc == 0)
        rc = write_thread(t, &a, w, e);
    if (rc == 0)
        rc = write_layout(t, &a, w, e);
    if (rc == 0)
        rc = write_setting(t, c->what_for == MX_CAPTURE_BODY, w, e);
    return rc == 0 ? write_barriers(t, w, e) : rc;
}
