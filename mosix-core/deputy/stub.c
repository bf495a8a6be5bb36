/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stub.c: calls and signals of a stub, by ptrace.
 * Must not know: how calls get here.
 * Calls are made at a gadget of two instructions in memory of ours: syscall, int3. So a call
 * costs one stop, and one that is restarted by the kernel is made again by itself. After a few
 * the code of quick.c makes them, which costs none; whenever the stub stops, its registers say
 * what it has done of a call, and after that it can be given one in either way. */
#include "mosix-core/deputy/stub.h"

#include "common/sys/clock.h"
#include "mosix-core/deputy/dump.h"
#include "mosix-core/deputy/stub_parts.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/restore.h"
#include "mosix-core/plan/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    AFTER_TRAP = 3, /* from the gadget's start */
    REFUSE_MS = 5,
};

static const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK |
                            PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

static uint64_t bit(int signo)
{
    return UINT64_C(1) << (signo - 1);
}

/* ---- preparing ---- */

int mx_stub_set_mask(struct mx_stub *s, struct err *e)
{
    s->t.has_called = false; /* its next small call blocks everything again */
    if (ptrace(PTRACE_SETSIGMASK, s->t.pid, sizeof s->t.blocked, &s->t.blocked) < 0)
        return err_set(e, errno, "set the signal mask of process %d", (int)s->t.pid);
    if (s->t.has_stop && kill(s->t.pid, SIGSTOP) < 0 && errno != ESRCH)
        return err_set(e, errno, "stop process %d again", (int)s->t.pid);
    s->t.has_stop = false;
    return 0;
}

/* Room for arguments, and behind it the gadget. */
static int get_arena(struct mx_stub *s, struct err *e)
{
    static const uint8_t gadget[4] = { 0x0f, 0x05, 0xcc, 0xcc };
    _Static_assert(MX_CALL_ARENA_BYTES % 4096 == 0, "the gadget has a page of its own");
    int64_t at;
    size_t code_bytes;
    struct mx_call map = { SYS_mmap,
                           { MX_QUICK_AWAY_AT, MX_CALL_ARENA_BYTES + GADGET_BYTES,
                             PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX,
                             0 } };
    int rc = mx_tracee_call(&s->t, &map, &at, e);
    if (rc == 0 && at < 0 && at > -4096)
        rc = err_set(e, (int)-at, "get memory in process %d", (int)s->t.pid);
    if (rc < 0)
        return rc;
    s->arena_at = s->private_at = (uint64_t)at;
    s->gadget_at = s->arena_at + MX_CALL_ARENA_BYTES;
    const void *code = mx_quick_code(&code_bytes);
    struct mx_call protect = { SYS_mprotect,
                               { s->gadget_at, GADGET_BYTES, PROT_READ | PROT_EXEC } };
    rc = mx_tracee_write(&s->t, s->gadget_at, gadget, sizeof gadget, e);
    if (rc == 0)
        rc = mx_tracee_write(&s->t, s->gadget_at + QUICK_AT, code, code_bytes, e);
    return rc < 0 ? rc : mx_tracee_must(&s->t, &protect, "mprotect", e);
}

/* For a thread that has just begun. */
static int get_thread_arena(struct mx_stub *s, struct err *e)
{
    struct mx_stub *lead = mx_stub_lead(s);
    if (!lead->spares)
        return get_arena(s, e);
    s->arena_at = s->private_at = lead->spare_at[--lead->spares];
    s->gadget_at = s->arena_at + MX_CALL_ARENA_BYTES;
    return 0;
}

/* A thread has ended. */
static void keep_spare(struct mx_stub *s)
{
    struct mx_stub *lead = mx_stub_lead(s);
    if (s == lead)
        return;
    lead->threads--;
    if (s->private_at && lead->spares < ARRAY_LEN(lead->spare_at))
        lead->spare_at[lead->spares++] = s->private_at;
}

static int drop_arena(struct mx_stub *s, uint64_t at, struct err *e)
{
    struct mx_call c = { SYS_munmap, { at, MX_CALL_ARENA_BYTES + GADGET_BYTES } };
    return at ? mx_tracee_must(&s->t, &c, "munmap", e) : 0;
}

int mx_stub_drop_spares(struct mx_stub *s, struct err *e)
{
    int rc = 0;
    while (rc == 0 && s->spares)
        rc = drop_arena(s, s->spare_at[--s->spares], e);
    return rc;
}

void mx_stub_note_action(struct mx_stub *s, int signo, const struct mx_stub_action *a)
{
    bool is_caught = a->handler != (uint64_t)(uintptr_t)SIG_DFL &&
                     a->handler != (uint64_t)(uintptr_t)SIG_IGN;
    s = mx_stub_lead(s);
    s->caught = (s->caught & ~bit(signo)) | (is_caught ? bit(signo) : 0);
    s->once = (s->once & ~bit(signo)) |
              (is_caught && a->flags & (unsigned)SA_RESETHAND ? bit(signo) : 0);
}

static int note_actions(struct mx_stub *s, struct err *e)
{
    int rc = mx_status_number(s->t.pid, "SigCgt", 16, &s->caught, e);
    for (int signo = 1; rc == 0 && signo <= 64; signo++) {
        struct mx_call c = { SYS_rt_sigaction, { (uint64_t)signo, 0, s->arena_at, 8 } };
        struct mx_stub_action a;
        if (!(s->caught & bit(signo)))
            continue;
        rc = mx_tracee_must(&s->t, &c, "rt_sigaction", e);
        if (rc == 0)
            rc = mx_tracee_read(&s->t, s->arena_at, &a, sizeof a, e);
        if (rc == 0)
            mx_stub_note_action(s, signo, &a);
    }
    return rc;
}

/* Timers of processor time are where it is used. */
static int stop_timers(struct mx_stub *s, struct err *e)
{
    static const struct itimerval none = { { 0, 0 }, { 0, 0 } };
    int rc = mx_tracee_write(&s->t, s->arena_at, &none, sizeof none, e);
    for (unsigned which = ITIMER_VIRTUAL; rc == 0 && which <= ITIMER_PROF; which++) {
        struct mx_call c = { SYS_setitimer, { which, s->arena_at, 0 } };
        rc = mx_tracee_must(&s->t, &c, "setitimer", e);
    }
    return rc;
}

struct mx_stub *mx_stub_lead(struct mx_stub *s)
{
    return s->leader ? s->leader : s;
}

static int prepare(struct mx_stub *s, const struct mx_tracee *t, struct err *e)
{
    *s = (struct mx_stub){ .t = *t, .state = MX_STUB_RESTING, .is_paused = true };
    s->arena = malloc(MX_CALL_ARENA_BYTES);
    if (!s->arena)
        return err_set(e, ENOMEM, "serve calls");
    if (ptrace(PTRACE_SETOPTIONS, t->pid, 0, options) < 0)
        return err_set(e, errno, "hold process %d", (int)t->pid);
    return get_arena(s, e);
}

int mx_stub_init_thread(struct mx_stub *s, struct mx_stub *leader, const struct mx_tracee *t,
                        struct err *e)
{
    int rc = prepare(s, t, e);
    s->leader = leader;
    leader->has_threads = true;
    leader->threads++;
    s->who = (uint32_t)t->pid;
    return rc == 0 ? mx_stub_set_mask(s, e) : rc;
}

int mx_stub_init(struct mx_stub *s, const struct mx_tracee *t, struct err *e)
{
    int rc = prepare(s, t, e);
    if (rc == 0)
        rc = note_actions(s, e);
    if (rc == 0)
        rc = stop_timers(s, e);
    return rc == 0 ? mx_stub_set_mask(s, e) : rc;
}

int mx_stub_init_child(struct mx_stub *s, struct mx_stub *parent, pid_t pid)
{
    struct mx_stub *lead = mx_stub_lead(parent);
    bool is_thread = parent->is_threading;
    *s = *parent;
    s->leader = is_thread ? lead : NULL;
    lead->has_threads |= is_thread;
    lead->threads += is_thread;
    s->has_threads = false;
    s->threads = 0;
    s->spares = 0; /* a child's are where they were, in its memory, and nobody's */
    s->caught = lead->caught;
    s->once = lead->once;
    s->t.pid = pid;
    s->who = (uint32_t)pid;
    s->state = MX_STUB_STARTING;
    s->is_threading = false;
    s->has_call = s->is_forking = s->is_halted = s->is_rest_wanted = s->is_cancelled = false;
    s->is_back = s->is_taken = s->is_mirrored = s->is_refused = false;
    s->is_paused = true;
    s->park = (struct mx_range){ 0 };
    s->mirror = (struct mx_mirror){ 0 }; /* what it has of one is ordinary memory */
    s->sent = 0;
    s->is_dying = false;
    s->dump = MX_STUB_NO_DUMP;
    s->quick = (struct mx_quick){ 0 };
    s->is_quick = false;
    s->by_stops = 0;
    if (is_thread) /* it makes one as soon as it can */
        s->private_at = 0;
    s->arena_at = s->private_at;
    s->t.has_stop = false;
    s->t.is_sibling = is_thread;
    s->arena = malloc(MX_CALL_ARENA_BYTES);
    if (is_thread) {
        s->t.mem_fd = lead->t.mem_fd;
        return s->arena ? 0 : -ENOMEM;
    }
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    s->t.mem_fd = open(path, O_RDWR | O_CLOEXEC);
    return s->t.mem_fd < 0 ? -errno : s->arena ? 0 : -ENOMEM;
}

void mx_stub_fini(struct mx_stub *s)
{
    mx_quick_fini(&s->quick);
    mx_mirror_fini(&s->mirror);
    free(s->arena);
    s->arena = NULL;
    if (s->t.mem_fd > 0 && !s->t.is_sibling)
        close(s->t.mem_fd);
    s->t.mem_fd = -1;
}

/* ---- stops ---- */

/* A handler that runs only once is gone now. */
static int set_default(struct mx_stub *s, int signo, struct err *e)
{
    static const struct mx_stub_action none = { 0 };
    struct mx_call c = { SYS_rt_sigaction, { (uint64_t)signo, s->arena_at, 0, 8 } };
    mx_stub_lead(s)->caught &= ~bit(signo);
    mx_stub_lead(s)->once &= ~bit(signo);
    /* The arena's begin belongs to the call that was interrupted: it has been read back by now.
     */
    int rc = mx_tracee_write(&s->t, s->arena_at, &none, sizeof none, e);
    if (rc == 0)
        rc = mx_tracee_must(&s->t, &c, "rt_sigaction", e);
    return rc == 0 ? mx_stub_set_mask(s, e) : rc;
}

/* How far a call has come. */
static enum mx_quick_phase phase(const struct mx_stub *s, const struct user_regs_struct *r,
                                 int64_t *result)
{
    *result = (int64_t)r->rax;
    if (s->is_quick)
        return mx_quick_phase(&s->quick, r, result);
    return r->rip == s->gadget_at + AFTER_CALL ? MX_QUICK_CALL : MX_QUICK_BEFORE;
}

static bool is_trap(const struct mx_stub *s, const struct user_regs_struct *r)
{
    return s->is_quick ? mx_quick_is_trap(&s->quick, r) : r->rip == s->gadget_at + AFTER_TRAP;
}

/* What the interrupted call gives. */
static int64_t interrupted_result(const struct mx_stub *s, const struct user_regs_struct *r)
{
    int64_t result;
    if (phase(s, r, &result) == MX_QUICK_BEFORE)
        return MX_RESTART_ALWAYS; /* it was not begun */
    return result == MX_RESTART_BLOCK ? -EINTR : result;
}

/* The same when it is to be made again elsewhere: what the kernel would go on with by its own
 * note begins anew. */
static int64_t cancelled_result(const struct mx_stub *s, const struct user_regs_struct *r)
{
    struct user_regs_struct fixed = *r;
    int64_t result;
    enum mx_quick_phase how = phase(s, r, &result);
    if (how == MX_QUICK_CALL)
        mx_regs_interrupted(&fixed, false, true);
    return how == MX_QUICK_DONE   ? result
           : how == MX_QUICK_CALL ? (int64_t)fixed.rax
                                  : MX_RESTART_ALWAYS;
}

/* Natively this would be its end; so no call is made any more, and no handler runs, until its
 * memory is here. */
static int on_dump(struct mx_stub *s, const struct user_regs_struct *r, const siginfo_t *info,
                   mx_stub_tell *tell, void *ctx, struct err *e)
{
    struct mx_stub_out out = { .what = MX_STUB_DUMP };
    int64_t result = s->state == MX_STUB_CALLING ? cancelled_result(s, r) : MX_RESTART_ALWAYS;
    s->dump = MX_STUB_DUMP_KEPT;
    mx_stub_lead(s)->is_dying = true;
    s->dump_of = *info;
    s->dump_by_ms = clock_mono_ms() + MX_STALL_MS;
    int rc = tell(ctx, s, &out);
    if (rc == 0)
        rc = mx_stub_set_mask(s, e); /* the call may have had one of its own */
    if (rc == 0 && s->has_call)
        rc = mx_stub_finish_stopped(s, result, tell, ctx, e);
    s->state = MX_STUB_RESTING;
    return rc;
}

static int on_handled(struct mx_stub *s, int signo, const struct user_regs_struct *r,
                      const siginfo_t *info, mx_stub_tell *tell, void *ctx, struct err *e)
{
    struct mx_stub_out out = { .what = MX_STUB_SIGNAL, .info = *info };
    s->sent++;
    int rc = tell(ctx, s, &out);
    if (rc == 0 && s->state == MX_STUB_CALLING)
        rc = mx_stub_finish_stopped(s, interrupted_result(s, r), tell, ctx, e);
    s->state = MX_STUB_RESTING;
    if (rc == 0)
        rc = mx_stub_set_mask(s, e); /* the call may have had one of its own */
    return rc == 0 && mx_stub_lead(s)->once & bit(signo) ? set_default(s, signo, e) : rc;
}

static bool is_caught(struct mx_stub *s, int signo)
{
    return signo >= 1 && signo <= 64 && mx_stub_lead(s)->caught & bit(signo);
}

static bool stops_or_kills(const struct mx_stub *s, int signo)
{
    uint64_t ignored;
    if (signo == SIGCHLD || signo == SIGURG || signo == SIGWINCH || signo == SIGCONT)
        return false;
    return mx_status_number(s->t.pid, "SigIgn", 16, &ignored, NULL) < 0 ||
           !(ignored & bit(signo));
}

/* A stop that has no handler must not be seen by the call. */
static int hide_stop(struct mx_stub *s, struct user_regs_struct *r, struct err *e)
{
    uint64_t before = r->rax;
    int64_t result;
    if (phase(s, r, &result) != MX_QUICK_CALL)
        return 0;
    mx_regs_interrupted(r, false, false);
    return r->rax == before ? 0 : mx_stub_put_regs(s, r, e);
}

/* The end of a call; or, of the code of quick, of one whose end was seen before. */
static int on_trap(struct mx_stub *s, const struct user_regs_struct *r, mx_stub_tell *tell,
                   void *ctx, struct err *e)
{
    int64_t result = (int64_t)r->rax;
    if (s->state == MX_STUB_CALLING && s->is_quick &&
        mx_quick_phase(&s->quick, r, &result) != MX_QUICK_DONE)
        return mx_stub_go_on(s, 0, e);
    if (s->state == MX_STUB_CALLING)
        return mx_stub_finish_stopped(s, result, tell, ctx, e);
    s->state = MX_STUB_RESTING;
    return 0;
}

static int on_signal(struct mx_stub *s, int signo, mx_stub_tell *tell, void *ctx, struct err *e)
{
    struct user_regs_struct r;
    siginfo_t info;
    int rc = mx_stub_get_regs(s, &r, e);
    if (rc < 0)
        return rc == -ESRCH ? 0 : rc;
    /* Of several signals those that the process has caused come first, so this is no other. */
    if (signo == SIGTRAP && is_trap(s, &r))
        return on_trap(s, &r, tell, ctx, e);
    if (ptrace(PTRACE_GETSIGINFO, s->t.pid, 0, &info) < 0)
        return errno == ESRCH
                   ? 0
                   : err_set(e, errno, "ask process %d for its signal", (int)s->t.pid);
    bool is_kept = mx_stub_lead(s)->is_dying;
    if (!is_kept && is_caught(s, signo))
        return on_handled(s, signo, &r, &info, tell, ctx, e);
    bool is_end = stops_or_kills(s, signo);
    if (!is_kept && is_end && mx_stub_dumps(s, signo))
        return on_dump(s, &r, &info, tell, ctx, e);
    if (is_kept || !is_end)
        rc = hide_stop(s, &r, e);
    return rc < 0 ? rc : mx_stub_go_on(s, is_kept ? 0 : signo, e);
}

/* The call that it was stopped in is not to wait until it goes on; unless it is over, which its
 * trap says then. */
static int cancel_halted(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e)
{
    struct user_regs_struct r;
    if (s->state != MX_STUB_CALLING)
        return 0;
    int rc = mx_stub_get_regs(s, &r, e);
    if (rc < 0 || is_trap(s, &r))
        return rc;
    rc = mx_stub_set_mask(s, e);
    return rc < 0 ? rc : mx_stub_finish_stopped(s, cancelled_result(s, &r), tell, ctx, e);
}

/* It was stopped as a job, goes on as a job, or stops because we want it to. */
static int on_event_stop(struct mx_stub *s, int signo, mx_stub_tell *tell, void *ctx,
                         struct err *e)
{
    struct mx_stub_out out = { .what = MX_STUB_STOP };
    struct user_regs_struct r;
    if (s->state == MX_STUB_STARTING) {
        int rc = s->private_at ? 0 : get_thread_arena(s, e);
        if (rc == 0 && s->leader)
            rc = mx_stub_set_mask(s, e);
        s->state = MX_STUB_RESTING;
        return rc < 0 ? rc : mx_stub_start_call(s, false, e);
    }
    if (signo != SIGTRAP) {
        bool was_halted = s->is_halted;
        s->is_halted = true;
        int rc = s->is_cancelled ? cancel_halted(s, tell, ctx, e) : 0;
        if (rc < 0)
            return rc == -ESRCH ? 0 : rc;
        if (ptrace(PTRACE_LISTEN, s->t.pid, 0, 0) < 0 && errno != ESRCH)
            return err_set(e, errno, "let process %d be stopped", (int)s->t.pid);
        return was_halted || s->leader ? 0 : tell(ctx, s, &out);
    }
    int rc = 0;
    if (s->is_halted) {
        s->is_halted = false;
        out.what = MX_STUB_CONT;
        if (!s->leader && (!is_caught(s, SIGCONT) || s->t.blocked & bit(SIGCONT)))
            rc = tell(ctx, s, &out);
    }
    if (rc == 0 && s->state != MX_STUB_RESTING)
        rc = mx_stub_get_regs(s, &r, e);
    /* The call is over, and its trap is about to say so. */
    if (rc == 0 && s->state != MX_STUB_RESTING && is_trap(s, &r))
        return mx_stub_go_on(s, 0, e);
    if (rc == 0 && (s->is_rest_wanted || (s->state == MX_STUB_IDLE && s->has_call))) {
        s->state = MX_STUB_RESTING;
        return s->is_rest_wanted ? 0 : mx_stub_start_call(s, false, e);
    }
    if (s->state == MX_STUB_RESTING)
        return rc;
    if (rc == 0 && s->is_cancelled && s->state == MX_STUB_CALLING) {
        rc = mx_stub_set_mask(
            s, e); /* what its own mask would let in is for when it is made again */
        return rc < 0 ? rc : mx_stub_finish_stopped(s, cancelled_result(s, &r), tell, ctx, e);
    }
    if (rc == 0)
        rc = hide_stop(s, &r, e);
    return rc == -ESRCH ? 0 : rc < 0 ? rc : mx_stub_go_on(s, 0, e);
}

static int on_status(struct mx_stub *s, int status, mx_stub_tell *tell, void *ctx,
                     struct err *e)
{
    unsigned long child = 0;
    struct mx_stub_out out = { .what = MX_STUB_ENDED };
    if (!WIFSTOPPED(status)) {
        s->state = MX_STUB_GONE;
        keep_spare(s);
        return tell(ctx, s, &out);
    }
    switch (status >> 16) {
    case 0: return on_signal(s, WSTOPSIG(status), tell, ctx, e);
    case PTRACE_EVENT_STOP: return on_event_stop(s, WSTOPSIG(status), tell, ctx, e);
    case PTRACE_EVENT_EXEC:
        out.what = MX_STUB_EXEC;
        s->state = MX_STUB_GONE;
        if (ptrace(PTRACE_DETACH, s->t.pid, 0, 0) < 0 && errno != ESRCH)
            return err_set(e, errno, "let go of process %d", (int)s->t.pid);
        return tell(ctx, s, &out);
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
        if (ptrace(PTRACE_GETEVENTMSG, s->t.pid, 0, &child) < 0)
            return err_set(e, errno, "ask process %d for its child", (int)s->t.pid);
        out = (struct mx_stub_out){ .what = MX_STUB_CHILD, .result = (int64_t)child };
        int rc = tell(ctx, s, &out);
        return rc < 0 ? rc : mx_stub_go_on(s, 0, e);
    default: return mx_stub_go_on(s, 0, e);
    }
}

static int check(struct mx_stub *s, int flags, mx_stub_tell *tell, void *ctx, struct err *e)
{
    int status;
    pid_t got;
    do
        got = waitpid(s->t.pid, &status, __WALL | flags);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set(e, errno, "wait for process %d", (int)s->t.pid);
    return got == 0 ? 0 : on_status(s, status, tell, ctx, e);
}

int mx_stub_check(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e)
{
    int rc = s->state == MX_STUB_GONE ? 0 : check(s, WNOHANG, tell, ctx, e);
    return rc < 0 ? rc : mx_stub_start_call(s, false, e);
}

/* It may be in the middle of a call, waiting for memory of its body, which nobody brings while
 * we wait for it. */
static int check_refusing(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e)
{
    struct pollfd p = { s->mirror.uffd, POLLIN, 0 };
    if (!s->has_call || !s->is_mirrored || !s->mirror.is_there)
        return check(s, 0, tell, ctx, e);
    if (poll(&p, 1, REFUSE_MS) < 0 && errno != EINTR)
        return err_set(e, errno, "wait for process %d", (int)s->t.pid);
    mx_mirror_refuse(&s->mirror);
    return check(s, WNOHANG, tell, ctx, e);
}

int mx_stub_rest(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e)
{
    int rc = 0;
    if (s->state == MX_STUB_RESTING || s->state == MX_STUB_GONE || s->is_halted)
        return 0;
    s->is_rest_wanted = true;
    if (s->state != MX_STUB_STARTING && ptrace(PTRACE_INTERRUPT, s->t.pid, 0, 0) < 0 &&
        errno != ESRCH)
        rc = err_set(e, errno, "stop process %d", (int)s->t.pid);
    while (rc == 0 && s->state != MX_STUB_RESTING && s->state != MX_STUB_GONE && !s->is_halted)
        rc = check_refusing(s, tell, ctx, e);
    s->is_rest_wanted = false;
    return rc;
}

/* Where it listens for signals nothing can be asked of it; an interruption brings it back to
 * its stop, or it has been continued. */
int mx_stub_rest_halted(struct mx_stub *s, struct err *e)
{
    int status;
    if (!s->is_halted || (s->state != MX_STUB_IDLE && s->state != MX_STUB_RESTING))
        return 0;
    if (ptrace(PTRACE_INTERRUPT, s->t.pid, 0, 0) < 0)
        return err_set(e, errno, "stop process %d", (int)s->t.pid);
    while (waitpid(s->t.pid, &status, __WALL) < 0)
        if (errno != EINTR)
            return err_set(e, errno, "wait for process %d", (int)s->t.pid);
    if (!WIFSTOPPED(status)) {
        s->state = MX_STUB_GONE;
        return err_set(e, ESRCH, "stop process %d", (int)s->t.pid);
    }
    s->is_halted = WSTOPSIG(status) != SIGTRAP;
    s->state = MX_STUB_RESTING;
    return 0;
}

int mx_stub_cancel(struct mx_stub *s, struct err *e)
{
    if (s->state != MX_STUB_CALLING)
        return 0;
    s->is_cancelled = true;
    if (ptrace(PTRACE_INTERRUPT, s->t.pid, 0, 0) < 0 && errno != ESRCH)
        return err_set(e, errno, "stop process %d", (int)s->t.pid);
    return 0;
}

int mx_stub_leave(struct mx_stub *s, struct err *e)
{
    int rc = s->dump == MX_STUB_DUMP_KEPT ? mx_stub_queue_dump(s, e) : 0;
    if (rc == 0)
        rc = drop_arena(s, s->private_at, e);
    if (rc == 0)
        rc = mx_stub_drop_spares(s, e);
    if (rc == 0)
        rc = mx_quick_leave(&s->quick, &s->t, e);
    mx_mirror_fini(&s->mirror);
    return rc < 0 ? rc : mx_stub_set_mask(s, e);
}

int mx_stub_fill(struct mx_stub *s, struct mx_threads *others, int fd, struct err *e)
{
    struct mx_restore_how how = { .stub = &s->t, .stub_threads = others };
    struct mx_restored r;
    int rc = mx_stub_leave(s, e);
    if (rc < 0)
        return rc;
    rc = mx_restore_as(fd, &how, &r, e);
    s->t = r.t;
    *others = r.others;
    return rc;
}

int mx_stub_free(struct mx_stub *s, struct mx_threads *others, struct err *e)
{
    struct mx_capture c = { .t = s->t, .others = *others };
    int rc = mx_capture_release(&c, e);
    s->state = MX_STUB_GONE;
    s->t = c.t;
    *others = c.others;
    return rc;
}

int mx_stub_call(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e)
{
    uint32_t sent = s->sent;
    s->has_call = true;
    int rc =
        s->state == MX_STUB_IDLE && !mx_stub_takes_quick(s) ? mx_stub_rest(s, tell, ctx, e) : 0;
    if (rc < 0 || s->state == MX_STUB_GONE)
        return rc;
    if (s->sent != sent || mx_stub_lead(s)->is_dying) { /* a signal was there first */
        if (!s->has_call)
            return 0;
        s->has_call = s->is_forking = false;
        struct mx_stub_out out = { .what = MX_STUB_ANSWER, .result = MX_RESTART_ALWAYS };
        return tell(ctx, s, &out);
    }
    int64_t result;
    rc = mx_stub_start_call(s, true, e);
    if (rc < 0 || s->state != MX_STUB_CALLING || !s->is_quick ||
        mx_stub_ends_stopped(mx_stub_call_number(s)) || !mx_quick_await(&s->quick, &result))
        return rc;
    s->state = MX_STUB_IDLE;
    return mx_stub_finish_call(s, result, tell, ctx, e);
}

int mx_stub_mask(struct mx_stub *s, uint64_t blocked, mx_stub_tell *tell, void *ctx,
                 struct err *e)
{
    int rc = mx_stub_rest(s, tell, ctx, e);
    s->t.blocked = blocked;
    if (rc < 0 || s->state != MX_STUB_RESTING)
        return rc;
    return mx_stub_set_mask(s, e);
}

int mx_stub_die(struct mx_stub *s, int signo, mx_stub_tell *tell, void *ctx, struct err *e)
{
    int rc = mx_stub_rest(s, tell, ctx, e);
    if (rc < 0 || s->state == MX_STUB_GONE)
        return rc;
    if (s->dump == MX_STUB_DUMP_KEPT)
        return mx_stub_give_up_dump(s, tell, ctx, e);
    s->is_dying = false;
    if (signo < 1 || signo > 64 || signo == SIGKILL || s->state != MX_STUB_RESTING)
        return kill(s->t.pid, SIGKILL) < 0 ? err_set(e, errno, "end process %d", (int)s->t.pid)
                                           : 0;
    /* A dump would be of the stub's memory, which is not the job's. */
    rc = mx_dump_forbid(&s->t, e);
    if (rc == 0)
        rc = set_default(s, signo, e);
    s->t.blocked &= ~bit(signo);
    if (rc == 0)
        rc = mx_stub_set_mask(s, e);
    uint64_t args[MX_CALL_ARGS] = { (uint64_t)s->t.pid, (uint64_t)s->t.pid, (uint64_t)signo };
    return rc < 0 ? rc : mx_stub_start(s, SYS_tgkill, args, MX_STUB_IDLE, e);
}

/* What is traced is waited for with its stops, whatever one asks for. */
enum mx_stub_fate mx_stub_fate(const struct mx_stub *s)
{
    siginfo_t info = { 0 };
    if (waitid(P_PID, (id_t)s->t.pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
        return errno == ECHILD ? MX_STUB_HAS_DIED : MX_STUB_GOES_ON;
    if (info.si_pid == 0)
        return MX_STUB_GOES_ON;
    return info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED ||
                   info.si_code == CLD_EXITED
               ? MX_STUB_HAS_DIED
               : MX_STUB_HAS_STOPPED;
}
