/* SPDX-License-Identifier: GPL-2.0-or-later */
/* family.c: forks and threads of a body. Must not know: home, sockets.
 * The call that it makes is changed, by ptrace, into a clone with us as the parent, whose next
 * number is the one that home gave; its registers are put right before either goes on. The
 * clone is noticed too, and let through. All that it asks for is in its registers: in memory,
 * as clone3 has it, another thread could change it after we have looked.
 * Source: clone(2), ptrace(2), seccomp_unotify(2). */
#include "mosix-core/guest/family.h"

#include "common/sys/fd.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SYSCALL_BYTES = 2, /* of the instruction */
    NOTICE_MS = 5000,
};

/* ---- what is asked for ---- */

static int read_clone3(const struct mx_body *b, struct mx_fork *f)
{
    struct clone_args a = { 0 };
    uint64_t at = b->notice.data.args[0], len = b->notice.data.args[1];
    if (len < 64)
        return -EINVAL;
    if (len > sizeof a)
        return -ENOTSUP;
    if (pread(b->mem_fd, &a, len, (off_t)at) != (ssize_t)len)
        return -EFAULT;
    if (a.set_tid_size || a.cgroup)
        return -ENOTSUP;
    *f = (struct mx_fork){ .flags = a.flags,
                           .exit_signal = (int)a.exit_signal,
                           .stack = a.stack,
                           .stack_bytes = a.stack_size,
                           .parent_tid = a.parent_tid,
                           .child_tid = a.child_tid,
                           .tls = a.tls };
    return 0;
}

int mx_fork_read(const struct mx_body *b, struct mx_fork *f)
{
    static const uint64_t words =
        CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | CLONE_SETTLS;
    static const uint64_t known = CLONE_VM | CLONE_VFORK | words;
    static const uint64_t thread =
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const __u64 *args = b->notice.data.args;
    int rc = 0;
    *f = (struct mx_fork){ .exit_signal = SIGCHLD };
    switch (b->notice.data.nr) {
    case SYS_fork: break;
    case SYS_vfork: f->flags = CLONE_VM | CLONE_VFORK; break;
    case SYS_clone3: rc = read_clone3(b, f); break;
    default: /* clone has the end of the stack */
        *f = (struct mx_fork){ .flags = args[0] & ~(uint64_t)CSIGNAL,
                               .exit_signal = (int)(args[0] & CSIGNAL),
                               .stack = args[1] ? args[1] - 16 : 0,
                               .stack_bytes = args[1] ? 16 : 0,
                               .parent_tid = args[2],
                               .child_tid = args[3],
                               .tls = args[4] };
    }
    if (rc < 0)
        return rc;
    if (f->flags & CLONE_THREAD) {
        uint64_t more = f->flags & ~(thread | CLONE_SYSVSEM | CLONE_DETACHED | words);
        if (more || (f->flags & thread) != thread)
            return -ENOTSUP;
        return f->exit_signal && b->notice.data.nr == SYS_clone3 ? -EINVAL : 0;
    }
    if (f->flags & ~known || (f->flags & CLONE_VM && !(f->flags & CLONE_VFORK)))
        return -ENOTSUP;
    return f->exit_signal < 0 || f->exit_signal > 64 ? -EINVAL : 0;
}

/* ---- making it ---- */

static int next_stop(pid_t pid, int *status, struct err *e)
{
    pid_t got;
    do
        got = waitpid(pid, status, __WALL);
    while (got < 0 && errno == EINTR);
    if (got < 0 || !WIFSTOPPED(*status))
        return err_say(e, ESRCH, "process %d has ended", (int)pid);
    return 0;
}

static int go_on(pid_t pid, struct err *e)
{
    if (ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0)
        return err_set(e, errno, "go on with process %d", (int)pid);
    return 0;
}

static int put_regs(pid_t pid, const struct user_regs_struct *r, struct err *e)
{
    if (ptrace(PTRACE_SETREGS, pid, 0, r) < 0)
        return err_set(e, errno, "set registers of process %d", (int)pid);
    return 0;
}

/* The registers of clone that are not as they were afterwards. */
static void put_args(struct user_regs_struct *r, const struct mx_fork *f)
{
    bool is_thread = f->flags & CLONE_THREAD;
    uint64_t how = is_thread ? 0 : CLONE_PARENT | (uint64_t)f->exit_signal;
    r->rax = SYS_clone;
    r->rdi = f->flags | how;
    r->rsi = f->stack ? f->stack + f->stack_bytes : 0;
    r->rdx = f->parent_tid;
    r->r10 = f->child_tid;
    r->r8 = f->tls;
}

/* To the entry of clone. */
static int enter(const struct mx_tracee *t, const struct mx_fork *f, struct err *e)
{
    struct user_regs_struct r = t->regs;
    int status, rc;
    r.rip -= SYSCALL_BYTES;
    r.orig_rax = UINT64_MAX;
    put_args(&r, f);
    if (ptrace(PTRACE_SETOPTIONS, t->pid, 0,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACECLONE) < 0)
        return err_set(e, errno, "watch process %d", (int)t->pid);
    rc = put_regs(t->pid, &r, e);
    do {
        rc = rc < 0 ? rc : go_on(t->pid, e);
        if (rc == 0)
            rc = next_stop(t->pid, &status, e);
    } while (rc == 0 && WSTOPSIG(status) != (SIGTRAP | 0x80));
    return rc < 0 ? rc : go_on(t->pid, e);
}

/* Nothing but what it was told to do. */
static bool is_asked(const struct seccomp_data *d, const struct mx_fork *f)
{
    struct user_regs_struct r = { 0 };
    put_args(&r, f);
    return d->nr == SYS_clone && d->args[0] == r.rdi && d->args[1] == r.rsi &&
           d->args[2] == r.rdx && d->args[3] == r.r10 && d->args[4] == r.r8;
}

/* Its notice is let through; others that come are kept. */
static int let_through(const struct mx_tracee *t, int listener, const struct mx_fork *f,
                       mx_fork_keep *keep, void *ctx, struct err *e)
{
    for (;;) {
        struct seccomp_notif n;
        struct pollfd p = { listener, POLLIN, 0 };
        memset(&n, 0, sizeof n);
        if (poll(&p, 1, NOTICE_MS) <= 0)
            return err_say(e, ETIMEDOUT, "process %d does not make its child", (int)t->pid);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0) {
            if (errno == EINTR || errno == ENOENT)
                continue;
            return err_set(e, errno, "take a call");
        }
        if ((pid_t)n.pid != t->pid) {
            keep(ctx, &n);
            continue;
        }
        if (!is_asked(&n.data, f))
            return err_say(e, ESRCH, "process %d makes another call", (int)t->pid);
        struct seccomp_notif_resp r = { .id = n.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) < 0)
            return err_say(e, ESRCH, "process %d has ended", (int)t->pid);
        return 0;
    }
}

/* The child stands at its first instruction. */
static int release_child(pid_t pid, const struct mx_tracee *t, uint64_t rsp_of_child,
                         struct err *e)
{
    struct user_regs_struct r;
    int status;
    int rc = next_stop(pid, &status, e);
    if (rc < 0)
        return rc;
    if (ptrace(PTRACE_GETREGS, pid, 0, &r) < 0)
        return err_set(e, errno, "get registers of process %d", (int)pid);
    r.rdi = t->regs.rdi;
    r.rsi = t->regs.rsi;
    r.rdx = t->regs.rdx;
    r.r10 = t->regs.r10;
    r.r8 = t->regs.r8;
    r.rax = 0;
    r.orig_rax = UINT64_MAX;
    if (rsp_of_child)
        r.rsp = rsp_of_child;
    rc = put_regs(pid, &r, e);
    if (rc == 0 && t->is_watched && ptrace(PTRACE_SETOPTIONS, pid, 0, MX_TRACEE_WATCHED) < 0)
        rc = err_set(e, errno, "watch process %d", (int)pid);
    if (rc == 0 && ptrace(t->is_watched ? PTRACE_CONT : PTRACE_DETACH, pid, 0, 0) < 0)
        return err_set(e, errno, "let go of process %d", (int)pid);
    return rc;
}

pid_t mx_number_inside(pid_t pid)
{
    char path[40], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *line = strstr(text, "\nNSpid:"), *end = line ? strchr(line + 1, '\n') : NULL;
    while (end && end > line && end[-1] != '\t')
        end--; /* the last is the innermost namespace's */
    return end && end > line ? (pid_t)strtol(end, NULL, 10) : 0;
}

/* It stands at the exit of its call, which gives an error. Returns 1. */
static int fail(const struct mx_tracee *t, struct err *e)
{
    struct user_regs_struct r = t->regs, now;
    if (ptrace(PTRACE_GETREGS, t->pid, 0, &now) < 0)
        return err_set(e, errno, "get registers of process %d", (int)t->pid);
    r.rax = (int64_t)now.rax < 0 ? now.rax : (uint64_t)(int64_t)-EAGAIN;
    r.orig_rax = UINT64_MAX;
    int rc = put_regs(t->pid, &r, e);
    return rc < 0 ? rc : 1;
}

/* A child by another number is none of ours: somebody has the one that we want. A thread by
 * another ends with its process, which is more than it should: nobody else makes any here. */
static int drop_child(const struct mx_tracee *t, const struct mx_fork *f, pid_t child,
                      struct err *e)
{
    int status;
    if (f->flags & CLONE_THREAD) {
        if (kill(t->pid, SIGKILL) == 0)
            while (waitpid(child, &status, __WALL) == child && WIFSTOPPED(status))
                ;
        return err_say(e, ESRCH, "a number of threads is taken");
    }
    if (kill(child, SIGKILL) < 0)
        return err_set(e, errno, "end process %d", (int)child);
    while (waitpid(child, &status, __WALL) == child && WIFSTOPPED(status))
        ;
    int rc = go_on(t->pid, e);
    if (rc == 0)
        rc = next_stop(t->pid, &status, e);
    return rc < 0 ? rc : fail(t, e);
}

/* Returns 0 and the child, or 1 when there is none. */
static int finish(struct mx_tracee *t, const struct mx_fork *f, pid_t number, pid_t *child_out,
                  struct err *e)
{
    unsigned long child = 0;
    int status, rc = next_stop(t->pid, &status, e);
    if (rc < 0)
        return rc;
    if (status >> 16 != PTRACE_EVENT_FORK && status >> 16 != PTRACE_EVENT_VFORK &&
        status >> 16 != PTRACE_EVENT_CLONE)
        return fail(t, e);
    if (ptrace(PTRACE_GETEVENTMSG, t->pid, 0, &child) < 0)
        return err_set(e, errno, "ask process %d for its child", (int)t->pid);
    *child_out = (pid_t)child;
    if (mx_number_inside((pid_t)child) != number)
        return drop_child(t, f, (pid_t)child, e);
    rc = release_child((pid_t)child, t, f->stack ? f->stack + f->stack_bytes : 0, e);
    return rc < 0 ? rc : put_regs(t->pid, &t->regs, e);
}

int mx_body_fork(struct mx_body *b, int listener, const struct mx_fork *f, pid_t number,
                 mx_fork_keep *keep, void *ctx, pid_t *child_out, struct err *e)
{
    struct mx_tracee t;
    int rc = mx_body_catch_call(b, listener, MX_BODY_RESULT, -ENOSYS, &t, e);
    if (rc < 0)
        return rc;
    rc = mx_tracee_await(&t, e);
    if (rc < 0)
        return rc;
    if (!mx_next_number(number))
        rc = err_say(e, EPERM, "numbers of processes can't be given here");
    if (rc == 0)
        rc = enter(&t, f, e);
    if (rc == 0)
        rc = let_through(&t, listener, f, keep, ctx, e);
    if (rc == 0)
        rc = finish(&t, f, number, child_out, e);
    mx_tracee_fini(&t);
    return rc;
}
