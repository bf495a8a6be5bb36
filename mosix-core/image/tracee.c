/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tracee.c: stopping a process by ptrace, and calls made in it.
 * Must not know: what its state is for.
 * Source: ptrace(2). */
#include "mosix-core/image/tracee.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mosix-core/image/parts.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __x86_64__
#error "registers and calls are those of x86-64"
#endif

enum {
    CS_64_BIT = 0x33,
    VDSO_STEPS = 5000, /* the longest way through a vdso has some hundreds */
};

/* A stop has no descriptor to wait on. */
static void wait_a_bit(struct mx_tracee *t, unsigned us)
{
    bool may_cancel = t->is_patient && !t->is_cancelled;
    struct pollfd p = { may_cancel ? t->cancel_fd : -1, POLLIN, 0 };
    struct timespec span = { 0, us * 1000L };
    if (ppoll(&p, 1, &span, NULL) <= 0)
        return;
    t->is_cancelled = true;
    if (ptrace(PTRACE_INTERRUPT, t->pid, 0, 0) < 0)
        return; /* it has ended: who waits for it sees that */
}

/* Waits for the next stop. Returns 0 and its status; -ESRCH when the process has ended. */
static int next_stop(struct mx_tracee *t, int *status, struct err *e)
{
    int64_t end_ms = t->is_patient ? INT64_MAX : (int64_t)clock_mono_ms() + MX_STOP_MS;
    for (unsigned turn = 0;; turn++) {
        pid_t got = waitpid(t->pid, status, __WALL | WNOHANG);
        if (got < 0 && errno != EINTR)
            return err_set(e, errno, "wait for process %d", (int)t->pid);
        if (got == t->pid)
            break;
        if ((int64_t)clock_mono_ms() >= end_ms)
            return err_say(e, ETIMEDOUT, "process %d does not stand still", (int)t->pid);
        if (turn > 20)
            wait_a_bit(t, turn < 100 ? 20 : 1000);
    }
    return WIFSTOPPED(*status) ? 0 : err_say(e, ESRCH, "process %d has ended", (int)t->pid);
}

/* Until it stands still because of us. Signals that come before are given to it. */
static int to_own_stop(struct mx_tracee *t, struct err *e)
{
    for (;;) {
        int status, rc = next_stop(t, &status, e);
        if (rc < 0)
            return rc;
        if (status >> 16 == PTRACE_EVENT_STOP) {
            t->has_stop |= WSTOPSIG(status) != SIGTRAP; /* it was stopped by somebody already */
            return 0;
        }
        int signo = status >> 16 || WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
        if (t->is_watched && signo && mx_tracee_is_fault(t->pid, signo)) {
            t->is_at_trap = signo == SIGTRAP;
            return 0;
        }
        if (ptrace(PTRACE_CONT, t->pid, 0, signo) < 0)
            return err_set(e, errno, "go on with process %d", (int)t->pid);
    }
}

static int get_regs(const struct mx_tracee *t, struct user_regs_struct *regs, struct err *e)
{
    size_t len = sizeof *regs;
    return mx_tracee_get_set(t, NT_PRSTATUS, regs, &len, e);
}

static int set_mask(const struct mx_tracee *t, uint64_t mask, struct err *e)
{
    if (ptrace(PTRACE_SETSIGMASK, t->pid, sizeof mask, &mask) < 0)
        return err_set(e, errno, "set the signal mask of process %d", (int)t->pid);
    return 0;
}

/* Only one may trace a process. */
static int say_why_not(pid_t pid, int error, struct err *e)
{
    uint64_t tracer = 0;
    if (error == EPERM && mx_status_number(pid, "TracerPid", 10, &tracer, e) == 0 && tracer)
        return err_say(e, EPERM, MX_TRACED_WORDS, (int)pid, (unsigned long long)tracer);
    return err_set(e, error, "trace process %d", (int)pid);
}

int mx_tracee_catch(struct mx_tracee *t, pid_t pid, bool is_child, struct err *e)
{
    long options = PTRACE_O_TRACESYSGOOD | (is_child ? PTRACE_O_EXITKILL : 0);
    *t = (struct mx_tracee){ .pid = pid, .mem_fd = -1, .cancel_fd = -1 };
    if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0)
        return say_why_not(pid, errno, e);
    t->is_seized = true;
    if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0)
        return 0;
    int rc = err_set(e, errno, "stop process %d", (int)pid);
    mx_tracee_fini(t);
    return rc;
}

int mx_tracee_catch_watched(struct mx_tracee *t, pid_t pid, struct err *e)
{
    *t = (struct mx_tracee){
        .pid = pid, .mem_fd = -1, .cancel_fd = -1, .is_seized = true, .is_watched = true
    };
    if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0)
        return 0;
    t->is_seized = false;
    return err_set(e, errno, "stop process %d", (int)pid);
}

/* A signal that the kernel gave it because of what it does, and that has no handler: one that
 * was blocked or ignored has none any more by now. */
bool mx_tracee_is_fault(pid_t pid, int signo)
{
    siginfo_t info;
    uint64_t caught;
    if (signo != SIGSEGV && signo != SIGBUS && signo != SIGFPE && signo != SIGILL &&
        signo != SIGTRAP)
        return false;
    if (ptrace(PTRACE_GETSIGINFO, pid, 0, &info) < 0 || info.si_signo != signo ||
        info.si_code <= 0 || (signo == SIGTRAP && info.si_code != SI_KERNEL))
        return false;
    return mx_status_number(pid, "SigCgt", 16, &caught, NULL) == 0 &&
           !(caught & UINT64_C(1) << (signo - 1));
}

static int look(struct mx_tracee *t, struct err *e)
{
    char path[40];
    int rc = to_own_stop(t, e);
    if (rc < 0)
        return rc;
    if (ptrace(PTRACE_GETSIGMASK, t->pid, sizeof t->blocked, &t->blocked) < 0)
        return err_set(e, errno, "get the signal mask of process %d", (int)t->pid);
    rc = get_regs(t, &t->regs, e);
    if (rc == 0 && t->regs.cs != CS_64_BIT)
        return err_say(e, ENOTSUP, "process %d is not a 64-bit program", (int)t->pid);
    if (rc < 0)
        return rc;
    if (t->is_at_trap)
        t->regs.rip--;
    t->is_at_trap = false;
    if (t->is_sibling)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)t->pid);
    t->mem_fd = open(path, O_RDWR | O_CLOEXEC);
    return t->mem_fd < 0 ? err_set(e, errno, "open %s", path) : 0;
}

int mx_tracee_await(struct mx_tracee *t, struct err *e)
{
    int rc = !t->is_sibling && t->mem_fd >= 0 ? 0 : look(t, e);
    if (rc < 0)
        mx_tracee_fini(t);
    return rc;
}

int mx_tracee_seize(struct mx_tracee *t, pid_t pid, bool is_child, struct err *e)
{
    int rc = mx_tracee_catch(t, pid, is_child, e);
    return rc < 0 ? rc : mx_tracee_await(t, e);
}

void mx_tracee_fini(struct mx_tracee *t)
{
    if (t->is_seized && t->is_watched)
        ptrace(PTRACE_SETOPTIONS, t->pid, 0, MX_TRACEE_WATCHED); /* a fork of it had others */
    if (t->is_seized && ptrace(t->is_watched ? PTRACE_CONT : PTRACE_DETACH, t->pid, 0, 0) < 0)
        t->is_seized =
            false; /* it has ended, or runs: then the kernel lets go of it when we end */
    if (t->is_seized && t->has_stop && !t->is_sibling)
        kill(t->pid, SIGSTOP);
    t->is_seized = false;
    if (!t->is_sibling)
        fd_close(&t->mem_fd);
}

/* A call that was interrupted goes on as the kernel thinks right (again, or with EINTR,
 * whichever the signals that wait make of it) only when the process comes from a stop of its
 * own, not from one of our calls. */
static int leave_calls(struct mx_tracee *t, struct err *e)
{
    int rc = mx_tracee_put_set(t, NT_PRSTATUS, &t->regs, sizeof t->regs, e);
    if (rc < 0 || !t->has_called)
        return rc;
    if (ptrace(PTRACE_INTERRUPT, t->pid, 0, 0) < 0 || ptrace(PTRACE_CONT, t->pid, 0, 0) < 0)
        return err_set(e, errno, "stop process %d", (int)t->pid);
    return to_own_stop(t, e);
}

int mx_tracee_rest(struct mx_tracee *t, struct err *e)
{
    int rc = leave_calls(t, e);
    t->has_called = false;
    return rc < 0 ? rc : set_mask(t, t->blocked, e);
}

int mx_tracee_release(struct mx_tracee *t, struct err *e)
{
    int rc = mx_tracee_rest(t, e);
    mx_tracee_fini(t);
    return rc;
}

/* ---- calls ---- */

/* Until the next entry or exit of a call. All signals are blocked but SIGKILL and SIGSTOP. */
static int to_call_stop(struct mx_tracee *t, struct err *e)
{
    for (;;) {
        int status;
        if (ptrace(PTRACE_SYSCALL, t->pid, 0, 0) < 0)
            return err_set(e, errno, "go on with process %d", (int)t->pid);
        int rc = next_stop(t, &status, e);
        if (rc < 0)
            return rc;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80))
            return 0;
        if (!(status >> 16) && WSTOPSIG(status) == SIGSTOP)
            t->has_stop = true;
        else if (!(status >> 16))
            return err_say(e, EIO, "process %d got signal %d in a call of ours", (int)t->pid,
                           WSTOPSIG(status));
    }
}

int mx_tracee_call(struct mx_tracee *t, const struct mx_call *c, int64_t *result, struct err *e)
{
    struct user_regs_struct regs = t->regs;
    if (!t->has_called && set_mask(t, ~UINT64_C(0), e) < 0)
        return -ESRCH;
    t->has_called = true;
    t->is_cancelled = false;
    regs.rip = t->syscall_at;
    regs.orig_rax = UINT64_MAX;
    regs.rax = (uint64_t)c->number;
    regs.rdi = c->args[0];
    regs.rsi = c->args[1];
    regs.rdx = c->args[2];
    regs.r10 = c->args[3];
    regs.r8 = c->args[4];
    regs.r9 = c->args[5];
    if (c->number == SYS_sigaltstack) /* who seems to be on it may not change it */
        regs.rsp = 0;
    int rc = mx_tracee_put_set(t, NT_PRSTATUS, &regs, sizeof regs, e);
    for (int stop = 0; rc == 0 && stop < 2; stop++)
        rc = to_call_stop(t, e);
    if (rc == 0)
        rc = get_regs(t, &regs, e);
    if (rc == 0)
        *result = (int64_t)regs.rax;
    return rc;
}

int mx_tracee_run(struct mx_tracee *t, const struct user_regs_struct *regs, uint64_t trap_at,
                  struct err *e)
{
    struct user_regs_struct now;
    t->has_called = true;
    t->is_cancelled = false;
    int status, rc = mx_tracee_put_set(t, NT_PRSTATUS, regs, sizeof *regs, e);
    while (rc == 0) {
        if (ptrace(PTRACE_CONT, t->pid, 0, 0) < 0)
            return err_set(e, errno, "go on with process %d", (int)t->pid);
        rc = next_stop(t, &status, e);
        if (rc < 0)
            return rc;
        if (!(status >> 16) && WSTOPSIG(status) == SIGTRAP)
            break;
        t->has_stop |= !(status >> 16) && WSTOPSIG(status) == SIGSTOP;
    }
    if (rc == 0)
        rc = get_regs(t, &now, e);
    if (rc == 0 && now.rip != trap_at)
        rc = err_say(e, EIO, "process %d left the code of ours", (int)t->pid);
    return rc;
}

int mx_tracee_step_out(struct mx_tracee *t, uint64_t start, uint64_t end, struct err *e)
{
    int status, rc = 0;
    bool is_inside = t->regs.rip >= start && t->regs.rip < end;
    if (!is_inside || (int64_t)t->regs.orig_rax >= 0) /* a call is made anew as it is */
        return 0;
    rc = set_mask(t, ~UINT64_C(0), e);
    for (unsigned i = 0; rc == 0 && i < VDSO_STEPS && is_inside; i++) {
        if (ptrace(PTRACE_SINGLESTEP, t->pid, 0, 0) < 0)
            return err_set(e, errno, "go on with process %d", (int)t->pid);
        rc = next_stop(t, &status, e);
        if (rc == 0)
            rc = get_regs(t, &t->regs, e);
        is_inside = t->regs.rip >= start && t->regs.rip < end;
        t->has_stop |= rc == 0 && !(status >> 16) && WSTOPSIG(status) == SIGSTOP;
    }
    if (rc == 0)
        rc = set_mask(t, t->blocked, e);
    if (rc == 0 && is_inside)
        rc = err_say(e, ENOTSUP, "process %d stays in its kernel's code", (int)t->pid);
    return rc;
}

int mx_tracee_must(struct mx_tracee *t, const struct mx_call *c, const char *what,
                   struct err *e)
{
    int64_t result;
    int rc = mx_tracee_call(t, c, &result, e);
    if (rc < 0)
        return rc;
    if (result < 0 && result > -4096)
        return err_set(e, (int)-result, "%s in process %d", what, (int)t->pid);
    return 0;
}

int mx_tracee_scratch(struct mx_tracee *t, uint64_t address, struct err *e)
{
    int64_t at;
    uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | (address ? MAP_FIXED_NOREPLACE : 0);
    struct mx_call c = { SYS_mmap,
                         { address, MX_SCRATCH_WITH_CODE, PROT_READ | PROT_WRITE, flags,
                           UINT64_MAX, 0 } };
    int rc = mx_tracee_call(t, &c, &at, e);
    if (rc == 0 && at < 0 && at > -4096)
        rc = err_set(e, (int)-at, "get memory in process %d", (int)t->pid);
    if (rc == 0)
        t->scratch = (uint64_t)at;
    t->has_code = false;
    return rc;
}

int mx_tracee_unscratch(struct mx_tracee *t, struct err *e)
{
    if (!t->scratch)
        return 0;
    struct mx_call c = { SYS_munmap, { t->scratch, MX_SCRATCH_WITH_CODE } };
    int rc = mx_tracee_must(t, &c, "munmap", e);
    t->scratch = 0;
    return rc;
}

/* ---- memory and registers ---- */

int mx_tracee_read(const struct mx_tracee *t, uint64_t address, void *ptr, size_t len_bytes,
                   struct err *e)
{
    ssize_t n = pread(t->mem_fd, ptr, len_bytes, (off_t)address);
    if (n == (ssize_t)len_bytes)
        return 0;
    return err_set(e, n < 0 ? errno : EFAULT, "read memory of process %d at %#llx", (int)t->pid,
                   (unsigned long long)address);
}

int mx_tracee_write(const struct mx_tracee *t, uint64_t address, const void *ptr,
                    size_t len_bytes, struct err *e)
{
    ssize_t n = pwrite(t->mem_fd, ptr, len_bytes, (off_t)address);
    if (n == (ssize_t)len_bytes)
        return 0;
    return err_set(e, n < 0 ? errno : EFAULT, "write memory of process %d at %#llx",
                   (int)t->pid, (unsigned long long)address);
}

int mx_tracee_get_set(const struct mx_tracee *t, unsigned kind, void *ptr, size_t *len_bytes,
                      struct err *e)
{
    struct iovec v = { ptr, *len_bytes };
    if (ptrace(PTRACE_GETREGSET, t->pid, kind, &v) < 0)
        return err_set(e, errno, "get registers of process %d", (int)t->pid);
    *len_bytes = v.iov_len;
    return 0;
}

int mx_tracee_put_set(const struct mx_tracee *t, unsigned kind, const void *ptr,
                      size_t len_bytes, struct err *e)
{
    struct iovec v = { (void *)ptr, len_bytes };
    if (ptrace(PTRACE_SETREGSET, t->pid, kind, &v) < 0)
        return err_set(e, errno, "set registers of process %d", (int)t->pid);
    return 0;
}

int mx_tracee_find_syscall(struct mx_tracee *t, uint64_t start, uint64_t end, struct err *e)
{
    uint8_t code[16 << 10];
    size_t len = end - start < sizeof code ? end - start : sizeof code;
    int rc = mx_tracee_read(t, start, code, len, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i + 1 < len; i++)
        if (code[i] == 0x0f && code[i + 1] == 0x05) {
            t->syscall_at = start + i;
            return 0;
        }
    return err_say(e, ENOTSUP, "process %d has no system call in its vdso", (int)t->pid);
}
