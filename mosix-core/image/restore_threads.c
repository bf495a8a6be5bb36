/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore_threads.c: a process that has the memory of an image makes the threads that it had.
 * Must not know: memory, descriptors.
 * The first thread makes each by clone3; the kernel has the new one stop before it does
 * anything, as we trace its maker. So each stands still until all of them, and the image, are
 * whole. */
#include "mosix-core/image/parts.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NUMBER_AT = 256 }; /* in the scratch memory, behind struct clone_args */

static int set_options(const struct mx_tracee *t, long more, struct err *e)
{
    if (ptrace(PTRACE_SETOPTIONS, t->pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | more) <
        0)
        return err_set(e, errno, "watch process %d", (int)t->pid);
    return 0;
}

/* Returns the new thread's number, or -errno. */
static int64_t clone_as(struct mx_tracee *t, pid_t wanted, struct err *e)
{
    struct clone_args a = { .flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                     CLONE_THREAD | CLONE_SYSVSEM,
                            .set_tid = t->scratch + NUMBER_AT,
                            .set_tid_size = wanted ? 1 : 0 };
    struct mx_call c = { SYS_clone3, { t->scratch, sizeof a } };
    int64_t tid = 0;
    if (!wanted)
        a.set_tid = 0;
    int rc = mx_tracee_write(t, t->scratch, &a, sizeof a, e);
    if (rc == 0)
        rc = mx_tracee_write(t, t->scratch + NUMBER_AT, &wanted, sizeof wanted, e);
    if (rc == 0)
        rc = mx_tracee_call(t, &c, &tid, e);
    return rc < 0 ? rc : tid;
}

bool mx_next_number(pid_t number)
{
    char text[16];
    AUTO_FD fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    int len = snprintf(text, sizeof text, "%d", (int)number - 1);
    return fd >= 0 && fd_write(fd, text, (size_t)len) == len;
}

/* With its old number if that may be. */
static int64_t make(struct mx_tracee *t, pid_t wanted, struct err *e)
{
    int rc = set_options(t, PTRACE_O_TRACECLONE, e);
    int64_t tid = rc < 0 ? rc : clone_as(t, wanted, e);
    if (tid == -EPERM) /* a body has no rights; who makes it has */
        tid = mx_next_number(wanted) ? clone_as(t, 0, e) : tid;
    if (tid == -EPERM || tid == -EEXIST)
        tid = clone_as(t, 0, e);
    if (tid <= 0 && rc == 0)
        return err_set(e, tid ? (int)-tid : EIO, "make a thread of process %d", (int)t->pid);
    rc = tid > 0 ? set_options(t, 0, e) : (int)tid;
    return rc < 0 ? rc : tid;
}

static int tell(struct mx_tracee *t, const struct mx_call *c, const char *what, const void *ptr,
                size_t len_bytes, struct err *e)
{
    int rc = mx_tracee_write(t, t->scratch, ptr, len_bytes, e);
    return rc < 0 ? rc : mx_tracee_must(t, c, what, e);
}

static int put_areas(struct mx_tracee *t, const struct mx_sec_sibling *s, struct err *e)
{
    struct mx_call tid = { SYS_set_tid_address, { s->clear_tid } };
    struct mx_call robust = { SYS_set_robust_list, { s->robust, s->robust_bytes } };
    struct mx_call rseq = { SYS_rseq, { s->rseq, s->rseq_bytes, 0, s->rseq_signature } };
    int64_t own;
    int rc = mx_tracee_call(t, &tid, &own, e); /* its result is a number, never an error */
    if (!s->robust_bytes)                      /* a stub's thread has had one perhaps */
        robust.args[1] = sizeof(struct robust_list_head);
    if (rc == 0)
        rc = mx_tracee_must(t, &robust, "set_robust_list", e);
    return rc == 0 && s->rseq ? mx_tracee_must(t, &rseq, "rseq", e) : rc;
}

static int put_stack_and_name(struct mx_tracee *t, const struct mx_sec_sibling *s,
                              struct err *e)
{
    stack_t alt = { .ss_sp = (void *)(uintptr_t)s->altstack,
                    .ss_flags = (int)s->altstack_flags & ~SS_ONSTACK,
                    .ss_size = s->altstack_bytes };
    char comm[16] = "";
    struct mx_call stack = { SYS_sigaltstack, { t->scratch, 0 } };
    struct mx_call name = { SYS_prctl, { PR_SET_NAME, t->scratch } };
    int rc = bytes_to_text(s->comm, comm, sizeof comm);
    if (rc < 0)
        return err_set(e, -rc, "set the name of thread %d", (int)t->pid);
    rc = tell(t, &name, "prctl(PR_SET_NAME)", comm, sizeof comm, e);
    if (rc == 0)
        rc = tell(t, &stack, "sigaltstack", &alt, sizeof alt, e);
    return rc;
}

static int put_scheduling(pid_t tid, const struct mx_sec_sibling *s, struct err *e)
{
    struct sched_param p = { .sched_priority = (int)s->priority };
    if (!s->has_scheduling)
        return 0;
    if (sched_setscheduler(tid, (int)s->policy, &p) < 0 ||
        setpriority(PRIO_PROCESS, (id_t)tid, (int)s->nice) < 0)
        return err_set(e, errno, "schedule thread %d as it was", (int)tid);
    return 0;
}

static int put_all(struct mx_tracee *t, pid_t pid, const struct mx_sec_sibling *s,
                   struct err *e)
{
    static const unsigned nt_x86_xstate = 0x202;
    int rc = put_areas(t, s, e);
    if (rc == 0)
        rc = put_stack_and_name(t, s, e);
    if (rc == 0)
        rc = mx_restore_pending(t, pid, s->pending, false, e);
    if (rc == 0)
        rc = put_scheduling(t->pid, s, e);
    if (rc == 0)
        rc = mx_tracee_put_set(t, nt_x86_xstate, s->xstate.ptr, s->xstate.len, e);
    memcpy(&t->regs, s->general.ptr, sizeof t->regs);
    t->blocked = s->blocked;
    return rc;
}

int mx_restore_other_number(const struct mx_tracee *t, uint64_t robust, struct err *e)
{
    struct {
        uint64_t next, offset, pending;
    } head;
    if (!robust || mx_tracee_read(t, robust, &head, sizeof head, NULL) < 0 ||
        (head.next == robust && !head.pending))
        return 0;
    return err_say(e, ENOTSUP,
                   "a thread held a robust mutex, which is known by the thread's "
                   "number, and that can't be given again: restore it as root");
}

int mx_restore_stub_thread(struct mx_tracee *t, const struct mx_sec_sibling *s,
                           struct mx_threads *threads, struct err *e)
{
    struct mx_thread *x = mx_threads_find(threads, (pid_t)s->tid);
    if (!x)
        return err_say(e, EPROTO, "process %d has no thread %u", (int)t->pid, s->tid);
    x->t.scratch = t->scratch;
    x->t.syscall_at = t->syscall_at;
    int rc = put_all(&x->t, t->pid, s, e);
    x->t.scratch = 0;
    return rc < 0 ? rc : 1;
}

int mx_restore_thread(struct mx_tracee *t, const struct mx_sec_sibling *s,
                      struct mx_threads *threads, struct err *e)
{
    int64_t tid = make(t, (pid_t)s->tid, e);
    if (tid < 0)
        return (int)tid;
    struct mx_thread *x = mx_threads_add(threads, t, (pid_t)tid, e);
    if (!x)
        return -EIO;
    int rc = tid == s->tid ? 0 : mx_restore_other_number(&x->t, s->robust, e);
    x->t.scratch = t->scratch;
    if (rc == 0)
        rc = put_all(&x->t, t->pid, s, e);
    x->t.scratch = 0;
    return rc < 0 ? rc : tid == s->tid;
}
