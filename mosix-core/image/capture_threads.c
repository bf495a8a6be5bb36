/* SPDX-License-Identifier: GPL-2.0-or-later */
/* capture_threads.c: what the threads besides the first have of their own.
 * Must not know: memory, descriptors; how they were stopped. */
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where answers come to lie in the scratch memory. */
enum { STACK_AT = 0, TID_AT = 64, ANSWERS_BYTES = 72 };

/* An image says these once for all threads; a thread may have parted with the others. */
static int check_shared(pid_t pid, pid_t tid, struct err *e)
{
    static const struct {
        int kind;
        const char *what;
    } shared[] = { { KCMP_FILES, "descriptors" }, { KCMP_FS, "directory" } };
    for (unsigned i = 0; i < ARRAY_LEN(shared); i++) {
        long differs = syscall(SYS_kcmp, pid, tid, shared[i].kind, 0, 0);
        if (differs < 0)
            return err_set(e, errno, "compare threads of process %d", (int)pid);
        if (differs > 0)
            return err_say(e, ENOTSUP, "thread %d of process %d has a %s of its own", (int)tid,
                           (int)pid, shared[i].what);
    }
    return 0;
}

int mx_capture_check_threads(const struct mx_capture *c, struct err *e)
{
    int rc = 0;
    if (c->what_for == MX_CAPTURE_BODY) /* they were made as they are to be */
        return 0;
    for (unsigned i = 0; rc == 0 && i < c->others.count; i++) {
        pid_t tid = c->others.list[i].t.pid;
        uint64_t filters = 0;
        rc = check_shared(c->t.pid, tid, e);
        if (rc == 0)
            rc = mx_status_number(tid, "Seccomp", 10, &filters, e);
        if (rc == 0 && filters)
            rc = err_say(e, ENOTSUP, "thread %d of process %d has a seccomp filter", (int)tid,
                         (int)c->t.pid);
    }
    return rc;
}

/* ---- asking ---- */

/* It stands still afterwards as it did before, also after a failure. */
static int ask(struct mx_thread *x, struct err *e)
{
    struct mx_tracee *t = &x->t;
    uint8_t answers[ANSWERS_BYTES];
    struct mx_call stack = { SYS_sigaltstack, { 0, t->scratch + STACK_AT } };
    struct mx_call tid = { SYS_prctl, { PR_GET_TID_ADDRESS, t->scratch + TID_AT } };
    int rc = mx_capture_fix(t, &x->elsewhere, e);
    if (rc < 0)
        return rc;
    rc = mx_tracee_must(t, &stack, "sigaltstack", e);
    if (rc == 0)
        rc = mx_tracee_must(t, &tid, "prctl(PR_GET_TID_ADDRESS)", e);
    if (rc == 0)
        rc = mx_tracee_read(t, t->scratch, answers, sizeof answers, e);
    int rested = mx_tracee_rest(t, rc == 0 ? e : NULL);
    if (rc < 0 || rested < 0)
        return rc < 0 ? rc : rested;
    memcpy(&x->alt, answers + STACK_AT, sizeof x->alt);
    memcpy(&x->clear_tid, answers + TID_AT, sizeof x->clear_tid);
    return 0;
}

int mx_capture_ask_threads(struct mx_capture *c, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < c->others.count; i++) {
        struct mx_thread *x = &c->others.list[i];
        x->t.scratch = c->t.scratch;
        x->t.syscall_at = c->t.syscall_at;
        rc = ask(x, e);
        x->t.scratch = 0; /* the first has it */
    }
    return rc;
}

/* ---- writing ---- */

struct scheduling {
    int policy, priority, nice;
};

static int read_scheduling(pid_t tid, struct scheduling *s, struct err *e)
{
    struct sched_param p = { 0 };
    s->policy = sched_getscheduler(tid);
    errno = 0;
    s->nice = getpriority(PRIO_PROCESS, (id_t)tid);
    if (s->policy < 0 || errno || sched_getparam(tid, &p) < 0)
        return err_set(e, errno, "ask for the scheduling of thread %d", (int)tid);
    s->policy &= ~SCHED_RESET_ON_FORK;
    s->priority = p.sched_priority;
    if (s->policy > SCHED_IDLE)
        return err_say(e, ENOTSUP, "thread %d has scheduling of a kind that can't be set again",
                       (int)tid);
    return 0;
}

static void read_name(pid_t tid, char name[17])
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)tid);
    FILE *f = fopen(path, "re");
    if (!f || !fgets(name, 17, f))
        name[0] = 0;
    if (f)
        fclose(f);
    name[strcspn(name, "\n")] = 0;
}

/* What the kernel tells of a thread that stands still. */
static int read_areas(const struct mx_thread *x, struct mx_sec_sibling *s, struct err *e)
{
    struct __ptrace_rseq_configuration rseq = { 0 };
    struct robust_list_head *robust = NULL;
    size_t robust_bytes = 0;
    if (syscall(SYS_get_robust_list, x->t.pid, &robust, &robust_bytes) < 0)
        return err_set(e, errno, "ask for the robust list of thread %d", (int)x->t.pid);
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, x->t.pid, sizeof rseq, &rseq) < 0)
        return err_set(e, errno, "ask for the rseq area of thread %d", (int)x->t.pid);
    s->clear_tid = x->clear_tid;
    s->robust = (uint64_t)(uintptr_t)robust;
    s->robust_bytes = robust ? robust_bytes : 0;
    s->rseq = rseq.rseq_abi_pointer;
    s->rseq_bytes = rseq.rseq_abi_size;
    s->rseq_signature = rseq.signature;
    return 0;
}

/* Room for what is too large for a stack. */
struct room {
    uint8_t xstate[MX_XSTATE_MAX], pending[MX_PENDING_MAX * MX_SIGINFO_BYTES];
    char name[17];
};

/* of_first: NULL: scheduling is the stub's. Signals: as those of the process, capture_state.c. */
static int write_one(const struct mx_thread *x, enum mx_capture_for what_for,
                     const struct scheduling *of_first, struct room *room,
                     struct mx_image_writer *w, struct err *e)
{
    static const unsigned nt_x86_xstate = 0x202;
    struct mx_sec s = { .number = MX_SEC_sibling };
    struct mx_sec_sibling *b = &s.sibling;
    struct scheduling own = { 0 };
    size_t len = sizeof room->xstate;
    uint32_t pending_len = 0;
    int rc = read_areas(x, b, e);
    if (rc == 0)
        rc = mx_tracee_get_set(&x->t, nt_x86_xstate, room->xstate, &len, e);
    if (rc == 0 && what_for != MX_CAPTURE_MOVE)
        rc = mx_capture_peek(&x->t, false, room->pending, &pending_len, e);
    if (rc == 0 && of_first)
        rc = read_scheduling(x->t.pid, &own, e);
    if (rc < 0)
        return rc;
    read_name(x->t.pid, room->name);
    b->tid = (uint32_t)x->t.pid;
    b->comm = bytes_of(room->name);
    b->blocked = x->t.blocked;
    b->general = (struct bytes){ (const uint8_t *)&x->elsewhere, sizeof x->elsewhere };
    b->xstate = (struct bytes){ room->xstate, (uint32_t)len };
    b->pending = (struct bytes){ room->pending, pending_len };
    b->altstack = (uint64_t)(uintptr_t)x->alt.ss_sp;
    b->altstack_flags = (uint32_t)x->alt.ss_flags;
    b->altstack_bytes = x->alt.ss_size;
    b->has_scheduling = of_first && memcmp(&own, of_first, sizeof own) != 0;
    b->policy = (uint32_t)own.policy;
    b->priority = (uint32_t)own.priority;
    b->nice = own.nice;
    return mx_image_write(w, &s, e);
}

int mx_capture_write_threads(struct mx_capture *c, struct mx_image_writer *w, struct err *e)
{
    struct scheduling of_first;
    if (!c->others.count)
        return 0;
    struct room *room = malloc(sizeof *room);
    bool is_whole = c->what_for == MX_CAPTURE_WHOLE; /* else it is the stub that has it */
    int rc = room ? 0 : err_set(e, ENOMEM, "note the threads of process %d", (int)c->t.pid);
    if (rc == 0 && is_whole)
        rc = read_scheduling(c->t.pid, &of_first, e);
    mx_threads_sort(&c->others);
    for (unsigned i = 0; rc == 0 && i < c->others.count; i++)
        rc = write_one(&c->others.list[i], c->what_for, is_whole ? &of_first : NULL, room, w,
                       e);
    free(room);
    return rc;
}
