/* SPDX-License-Identifier: GPL-2.0-or-later */
/* body.c: answers and signals for a body. Must not know: home.
 * Source: seccomp_unotify(2), ptrace(2), rt_tgsigqueueinfo(2). */
#include "mosix-core/guest/body.h"

#include "mosix-core/image/waits.h"
#include "mosix-core/guest/filter.h"
#include "mosix-core/image/maps.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/tracee.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- memory ---- */

/* Not by mem_fd, which writes where the body itself may not. */
static int on_read(void *ctx, uint64_t address, void *ptr, size_t len_bytes)
{
    const struct mx_body *b = ctx;
    struct iovec here = { ptr, len_bytes }, there = { (void *)(uintptr_t)address, len_bytes };
    return process_vm_readv(b->pid, &here, 1, &there, 1, 0) == (ssize_t)len_bytes ? 0 : -EFAULT;
}

static int on_write(void *ctx, uint64_t address, const void *ptr, size_t len_bytes)
{
    const struct mx_body *b = ctx;
    struct iovec here = { (void *)(uintptr_t)ptr, len_bytes },
                 there = { (void *)(uintptr_t)address, len_bytes };
    return process_vm_writev(b->pid, &here, 1, &there, 1, 0) == (ssize_t)len_bytes ? 0
                                                                                   : -EFAULT;
}

struct mx_call_memory mx_body_memory(struct mx_body *b)
{
    return (struct mx_call_memory){ b, on_read, on_write };
}

static int find_call(struct mx_body *b, struct err *e)
{
    struct mx_maps m = { 0 };
    struct mx_tracee t = { .pid = b->pid, .mem_fd = b->mem_fd };
    int rc = mx_maps_read_places(&m, b->pid, e);
    const struct mx_sec_mapping *v = rc == 0 ? mx_maps_kind(&m, MX_MAP_VDSO) : NULL;
    if (rc == 0)
        rc = v ? mx_tracee_find_syscall(&t, v->start, v->end, e)
               : err_say(e, ENOTSUP, "process %d has no vdso", (int)b->pid);
    b->syscall_at = t.syscall_at;
    mx_maps_fini(&m);
    return rc;
}

int mx_body_init(struct mx_body *b, pid_t pid, uint32_t who, struct err *e)
{
    char path[40];
    *b = (struct mx_body){
        .pid = pid, .who = who, .first = b, .held.mem_fd = -1, .held.cancel_fd = -1
    };
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    b->mem_fd = open(path, O_RDWR | O_CLOEXEC);
    if (b->mem_fd < 0)
        return err_set(e, errno, "open %s", path);
    int rc = mx_status_number(pid, "SigBlk", 16, &b->home_mask, e);
    return rc == 0 ? find_call(b, e) : rc;
}

void mx_body_fini(struct mx_body *b)
{
    mx_ahead_fini(&b->ahead);
    mx_tracee_fini(&b->held);
    free(b->windows);
    b->windows = NULL;
    fd_close(&b->mem_fd);
}

int mx_body_return_mask(const struct mx_body *b, uint64_t *mask)
{
    enum { MASK_IN_CONTEXT = 296 }; /* uc_sigmask of x86-64 */
    char path[40], text[256] = "";
    unsigned long long at = 0;
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)b->pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, sizeof text - 1);
    if (n <= 0 || sscanf(text, "%*d %*x %*x %*x %*x %*x %*x %llx", &at) != 1)
        return -ESRCH;
    return pread(b->mem_fd, mask, sizeof *mask, (off_t)(at + MASK_IN_CONTEXT)) == sizeof *mask
               ? 0
               : -EFAULT;
}

/* ---- answers ---- */

static int respond(struct mx_body *b, int listener, enum mx_body_end how, int64_t result)
{
    struct seccomp_notif_resp r = { .id = b->notice.id };
    b->is_calling = false;
    if (how == MX_BODY_CONTINUE)
        r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    else if (result < 0 && result > -4096)
        r.error = (int32_t)result;
    else
        r.val = result;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) < 0)
        return errno == ENOENT ? -ESRCH : -errno; /* it was killed */
    return 0;
}

/* ---- signals ---- */

/* Bytes for an argument of a call, at the top of its stack, which stands still; what was there
 * is put back. */
struct loan {
    uint64_t at;
    size_t len_bytes;
    uint8_t before[sizeof(siginfo_t)];
};

static int lend(struct mx_tracee *t, struct loan *l, const void *ptr, size_t len_bytes,
                struct err *e)
{
    l->at = t->regs.rsp & ~UINT64_C(15);
    l->len_bytes = len_bytes;
    int rc = mx_tracee_read(t, l->at, l->before, len_bytes, e);
    return rc < 0 ? rc : mx_tracee_write(t, l->at, ptr, len_bytes, e);
}

static int take_back(struct mx_tracee *t, const struct loan *l, struct err *e)
{
    return mx_tracee_write(t, l->at, l->before, l->len_bytes, e);
}

/* Only a process itself may queue a signal with any siginfo. */
static int queue_one(struct mx_tracee *t, const int64_t own[2], const siginfo_t *info,
                     struct err *e)
{
    struct loan l;
    int rc = lend(t, &l, info, sizeof *info, e);
    if (rc < 0)
        return rc;
    struct mx_call c = { SYS_rt_tgsigqueueinfo,
                         { (uint64_t)own[0], (uint64_t)own[1], (uint64_t)info->si_signo, l.at,
                           0, MX_FILTER_OURS } };
    rc = mx_tracee_must(t, &c, "rt_tgsigqueueinfo", e);
    int back = take_back(t, &l, rc == 0 ? e : NULL);
    return rc < 0 ? rc : back;
}

int mx_body_queue(struct mx_body *b, struct mx_tracee *t, struct err *e)
{
    const struct mx_call ask[2] = { { SYS_getpid, { 0 } }, { SYS_gettid, { 0 } } };
    int64_t own[2];
    int rc = mx_capture_leave_sequence(t, e);
    if (rc == 0)
        rc = mx_tracee_call(t, &ask[0], &own[0], e);
    if (rc == 0)
        rc = mx_tracee_call(t, &ask[1], &own[1], e);
    for (unsigned i = 0; rc == 0 && i < b->signal_count; i++) {
        /* It goes on because of it, not because of us. */
        if (b->signals[i].si_signo == SIGCONT)
            t->has_stop = false;
        rc = queue_one(t, own, &b->signals[i], e);
    }
    b->signal_count = 0;
    return rc;
}

/* A call that was interrupted before anybody took note of it was not begun: it is made whatever
 * the handlers say. */
static bool is_noticed(const struct user_regs_struct *r)
{
    const uint64_t args[MX_CALL_ARGS] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
    const struct mx_call_line *line = mx_call_find((long)r->orig_rax, args);
    if ((long)r->orig_rax == SYS_mmap && r->r10 & MAP_ANONYMOUS && !(r->r10 & MAP_SHARED))
        return false;
    return !line || line->where != MX_WHERE_HERE || mx_wait_find((long)r->orig_rax, args);
}

/* Who waits in a call sees a handler end it, also when a move has it made again at that moment.
 * Without this the handler would run as if before the call, which then waits for good. */
static int64_t not_begun(const struct mx_body *b, long number, const uint64_t *args,
                         uint64_t pc)
{
    const struct mx_begun *w = &b->begun;
    bool is_it = w->result && w->number == number && w->pc == pc &&
                 memcmp(w->args, args, sizeof w->args) == 0;
    return is_it ? w->result : MX_RESTART_ALWAYS;
}

static int64_t not_begun_notice(const struct mx_body *b)
{
    const struct seccomp_data *d = &b->notice.data;
    uint64_t args[MX_CALL_ARGS];
    for (unsigned i = 0; i < MX_CALL_ARGS; i++)
        args[i] = d->args[i];
    return not_begun(b, d->nr, args, d->instruction_pointer);
}

void mx_body_not_begun(const struct mx_body *b, struct user_regs_struct *r)
{
    const uint64_t args[MX_CALL_ARGS] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
    if ((int64_t)r->orig_rax >= 0 && (int64_t)r->rax == MX_RESTART && is_noticed(r))
        r->rax = (uint64_t)not_begun(b, (long)r->orig_rax, args, r->rip);
}

void mx_body_begins(struct mx_body *b, const struct user_regs_struct *r)
{
    int64_t result = (int64_t)r->rax;
    bool is_begun =
        (int64_t)r->orig_rax >= 0 && (result == MX_RESTART || result == MX_RESTART_UNCAUGHT);
    b->begun = (struct mx_begun){ .result = is_begun ? result : 0,
                                  .number = (long)r->orig_rax,
                                  .args = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 },
                                  .pc = r->rip };
}

static int settle(struct mx_body *b, struct mx_tracee *t, struct err *e)
{
    int rc = mx_tracee_await(t, e);
    t->syscall_at = b->syscall_at;
    return rc;
}

int mx_body_catch(const struct mx_body *b, struct mx_tracee *t, bool is_child, struct err *e)
{
    return b->is_watched ? mx_tracee_catch_watched(t, b->pid, e)
                         : mx_tracee_catch(t, b->pid, is_child, e);
}

int mx_body_release(struct mx_body *b, struct mx_tracee *t, struct err *e)
{
    int rc = b->signal_count ? mx_body_queue(b, t, e) : 0;
    int released = mx_tracee_release(t, rc == 0 ? e : NULL);
    return rc < 0 ? rc : released;
}

int mx_body_settle(struct mx_body *b, struct mx_tracee *t, struct err *e)
{
    int rc = settle(b, t, e);
    return rc == 0 && b->signal_count ? mx_body_queue(b, t, e) : rc;
}

int mx_body_signal(struct mx_body *b, struct err *e)
{
    struct mx_tracee t;
    int rc = mx_body_catch(b, &t, false, e);
    if (rc == 0)
        rc = settle(b, &t, e);
    if (rc < 0)
        return rc;
    mx_body_not_begun(b, &t.regs);
    b->begun.result = 0;
    return mx_body_release(b, &t, e);
}

/* ---- waits that have a mask of their own ---- */

enum { EPOLL_PWAIT2 = 441 }; /* headers may lack it */

/* Where the mask of a call is that has one: which argument, and whether behind a second
 * pointer. */
static bool find_mask(const struct mx_body *b, uint64_t *mask)
{
    const struct seccomp_data *d = &b->notice.data;
    uint64_t at = 0;
    switch (d->nr) {
    case SYS_rt_sigsuspend: at = d->args[0]; break;
    case SYS_ppoll: at = d->args[3]; break;
    case SYS_epoll_pwait:
    case EPOLL_PWAIT2: at = d->args[4]; break;
    case SYS_pselect6:
        if (!d->args[5] ||
            pread(b->mem_fd, &at, sizeof at, (off_t)d->args[5]) != (ssize_t)sizeof at)
            return false;
        break;
    default: return false;
    }
    return at && pread(b->mem_fd, mask, sizeof *mask, (off_t)at) == (ssize_t)sizeof *mask;
}

static int next_status(const struct mx_tracee *t, int *status, struct err *e)
{
    pid_t got;
    do
        got = waitpid(t->pid, status, __WALL);
    while (got < 0 && errno == EINTR);
    if (got < 0 || !WIFSTOPPED(*status))
        return err_say(e, ESRCH, "process %d has ended", (int)t->pid);
    return 0;
}

static int go_on(const struct mx_tracee *t, int how, struct err *e)
{
    if (ptrace(how, t->pid, 0, 0) < 0)
        return err_set(e, errno, "go on with process %d", (int)t->pid);
    return 0;
}

/* To the entry of rt_sigsuspend, with every signal blocked; only there does it get the mask
 * that the program believes it has. */
static int enter_suspend(struct mx_tracee *t, uint64_t mask_at, struct err *e)
{
    struct user_regs_struct r = t->regs;
    int status, rc;
    r.rip = t->syscall_at;
    r.orig_rax = UINT64_MAX;
    r.rax = SYS_rt_sigsuspend;
    r.rdi = mask_at;
    r.rsi = sizeof(uint64_t);
    r.r9 = MX_FILTER_OURS;
    if (ptrace(PTRACE_SETREGS, t->pid, 0, &r) < 0)
        return err_set(e, errno, "set registers of process %d", (int)t->pid);
    do {
        rc = go_on(t, PTRACE_SYSCALL, e);
        if (rc == 0)
            rc = next_status(t, &status, e);
    } while (rc == 0 && WSTOPSIG(status) != (SIGTRAP | 0x80));
    if (rc == 0 && ptrace(PTRACE_SETSIGMASK, t->pid, sizeof t->blocked, &t->blocked) < 0)
        return err_set(e, errno, "set the signal mask of process %d", (int)t->pid);
    return rc < 0 ? rc : go_on(t, PTRACE_CONT, e);
}

/* The signals that wait are taken with the mask of the call, and the handler's frame has the
 * program's, as if this kernel had made the call and it had been interrupted. */
static int suspend(struct mx_tracee *t, uint64_t mask, struct err *e)
{
    struct loan l;
    int status = 0, signo;
    int rc = lend(t, &l, &mask, sizeof mask, e);
    if (rc == 0)
        rc = enter_suspend(t, l.at, e);
    do {
        rc = rc < 0 ? rc : next_status(t, &status, e);
        signo = WSTOPSIG(status);
        if (rc == 0 && status >> 16)
            rc = go_on(t, PTRACE_CONT, e);
    } while (rc == 0 && status >> 16);
    if (rc == 0)
        rc = take_back(t, &l, e);
    t->regs.rax = (uint64_t)(int64_t)-EINTR;
    if (rc == 0 && (ptrace(PTRACE_SETREGS, t->pid, 0, &t->regs) < 0 ||
                    ptrace(t->is_watched ? PTRACE_CONT : PTRACE_DETACH, t->pid, 0, signo) < 0))
        rc = err_set(e, errno, "let go of process %d", (int)t->pid);
    t->is_seized = rc < 0;
    mx_tracee_fini(t);
    return rc;
}

int mx_body_end_call(struct mx_body *b, int listener, enum mx_body_end how, int64_t result,
                     struct err *e)
{
    struct mx_tracee t;
    uint64_t mask;
    if (how == MX_BODY_RESULT && result == MX_RESTART_ALWAYS && b->signal_count)
        result = not_begun_notice(b);
    if (b->signal_count || result != MX_RESTART_ALWAYS)
        b->begun.result = 0;
    bool is_interrupted = how == MX_BODY_RESULT && mx_call_is_interrupted(result);
    if (b->signal_count == 0 && result == MX_RESTART_BLOCK && is_interrupted)
        result = -EINTR; /* what it would go on with is not there */
    /* Without a signal all was to stand still for a moment: the kernel makes the call again. */
    if (b->signal_count == 0 && (!is_interrupted || result == -EINTR))
        return respond(b, listener, how, result);
    bool is_masked = how == MX_BODY_RESULT && result != MX_RESTART_ALWAYS &&
                     mx_call_is_interrupted(result) && find_mask(b, &mask);
    int rc = mx_body_catch(b, &t, false, e);
    if (rc < 0)
        return rc;
    int sent = respond(b, listener, how, result);
    rc = settle(b, &t, e);
    if (rc < 0 || sent < 0)
        return rc < 0 ? rc : sent;
    if (b->signal_count == 0)
        mx_timed_again(&b->timed, &t);
    rc = mx_body_queue(b, &t, e);
    if (rc == 0 && is_masked)
        return suspend(&t, mask, e);
    int released = mx_tracee_release(&t, rc == 0 ? e : NULL);
    return rc < 0 ? rc : released;
}

int mx_body_catch_call(struct mx_body *b, int listener, enum mx_body_end how, int64_t result,
                       struct mx_tracee *t, struct err *e)
{
    if (how == MX_BODY_RESULT && result == MX_RESTART_ALWAYS)
        result = not_begun_notice(b);
    /* In this order: only a process that is to stop takes the kernel's -ERESTART... for what
     * they are. */
    int rc = mx_body_catch(b, t, true, e);
    return rc < 0 ? rc : respond(b, listener, how, result);
}
