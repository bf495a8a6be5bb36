/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stub.c: calls and signals of a stub, by ptrace.
 * Must not know: how calls get here.
 * Calls are made at a gadget of two instructions in memory of ours: syscall, int3. So a call
 * costs one stop, and one that is restarted by the kernel is made again by itself. After a few
 * the code of quick.c makes them, which costs none; whenever the stub stops, its registers say
 * what it has done of a call, and after that it can be given one in either way. */
#include "mosix-core/deputy/stub.h"

#include "mosix-core/deputy/own.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    GADGET_BYTES = 4096,
    AFTER_CALL = 2, /* from the gadget's start */
    AFTER_TRAP = 3,
    QUICK_AT = 16,
    QUICK_AFTER = 8, /* calls by stops: who makes no more is not worth it */
};

static const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK |
                            PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

/* This kernel's numbers of the calls, by id. */
static const long numbers[MX_CALL_IDS] = {
#define CALL(id, name, ...)    [id] = SYS_##name,
#define VARIANT(id, name, ...) [id] = SYS_##name,
#include "mosix-core/abi/calls.def"
#undef CALL
#undef VARIANT
};

static long number_of(const struct mx_call_line *line)
{
    return numbers[line->id];
}

static uint64_t bit(int signo)
{
    return UINT64_C(1) << (signo - 1);
}

/* ---- preparing ---- */

static int set_mask(struct mx_stub *s, struct err *e)
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
                           { 0, MX_CALL_ARENA_BYTES + GADGET_BYTES, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0 } };
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

/* As the kernel has it: handler, flags, restorer, mask. */
struct action {
    uint64_t handler, flags, restorer, mask;
};

static void note_action(struct mx_stub *s, int signo, const struct action *a)
{
    bool is_caught = a->handler != (uint64_t)(uintptr_t)SIG_DFL &&
                     a->handler != (uint64_t)(uintptr_t)SIG_IGN;
    s->caught = (s->caught & ~bit(signo)) | (is_caught ? bit(signo) : 0);
    s->once = (s->once & ~bit(signo)) |
              (is_caught && a->flags & (unsigned)SA_RESETHAND ? bit(signo) : 0);
}

static int note_actions(struct mx_stub *s, struct err *e)
{
    int rc = mx_status_number(s->t.pid, "SigCgt", 16, &s->caught, e);
    for (int signo = 1; rc == 0 && signo <= 64; signo++) {
        struct mx_call c = { SYS_rt_sigaction, { (uint64_t)signo, 0, s->arena_at, 8 } };
        struct action a;
        if (!(s->caught & bit(signo)))
            continue;
        rc = mx_tracee_must(&s->t, &c, "rt_sigaction", e);
        if (rc == 0)
            rc = mx_tracee_read(&s->t, s->arena_at, &a, sizeof a, e);
        if (rc == 0)
            note_action(s, signo, &a);
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

int mx_stub_init(struct mx_stub *s, const struct mx_tracee *t, struct err *e)
{
    *s = (struct mx_stub){ .t = *t, .state = MX_STUB_RESTING, .is_paused = true };
    s->arena = malloc(MX_CALL_ARENA_BYTES);
    if (!s->arena)
        return err_set(e, ENOMEM, "serve calls");
    if (ptrace(PTRACE_SETOPTIONS, t->pid, 0, options) < 0)
        return err_set(e, errno, "hold process %d", (int)t->pid);
    int rc = get_arena(s, e);
    if (rc == 0)
        rc = note_actions(s, e);
    if (rc == 0)
        rc = stop_timers(s, e);
    return rc == 0 ? set_mask(s, e) : rc;
}

int mx_stub_init_child(struct mx_stub *s, const struct mx_stub *parent, pid_t pid)
{
    *s = *parent;
    s->t.pid = pid;
    s->who = (uint32_t)pid;
    s->state = MX_STUB_STARTING;
    s->has_call = s->is_forking = s->is_halted = s->is_rest_wanted = s->is_cancelled = false;
    s->is_back = s->is_taken = false;
    s->is_paused = true;
    s->sent = 0;
    s->quick = (struct mx_quick){ 0 };
    s->is_quick = false;
    s->by_stops = 0;
    s->arena_at = s->private_at;
    s->t.has_stop = false;
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    s->t.mem_fd = open(path, O_RDWR | O_CLOEXEC);
    s->arena = malloc(MX_CALL_ARENA_BYTES);
    return s->t.mem_fd < 0 ? -errno : s->arena ? 0 : -ENOMEM;
}

void mx_stub_fini(struct mx_stub *s)
{
    mx_quick_fini(&s->quick);
    free(s->arena);
    s->arena = NULL;
    if (s->t.mem_fd > 0)
        close(s->t.mem_fd);
    s->t.mem_fd = -1;
}

/* ---- running ---- */

static int get_regs(const struct mx_stub *s, struct user_regs_struct *r, struct err *e)
{
    if (ptrace(PTRACE_GETREGS, s->t.pid, 0, r) < 0)
        return err_set(e, errno, "get registers of process %d", (int)s->t.pid);
    return 0;
}

static int put_regs(const struct mx_stub *s, const struct user_regs_struct *r, struct err *e)
{
    if (ptrace(PTRACE_SETREGS, s->t.pid, 0, r) < 0)
        return err_set(e, errno, "set registers of process %d", (int)s->t.pid);
    return 0;
}

/* One that was killed meanwhile is told of later. */
static int go_on(const struct mx_stub *s, int signo, struct err *e)
{
    if (ptrace(PTRACE_CONT, s->t.pid, 0, signo) < 0 && errno != ESRCH)
        return err_set(e, errno, "go on with process %d", (int)s->t.pid);
    return 0;
}

static int start(struct mx_stub *s, long number, const uint64_t args[MX_CALL_ARGS],
                 enum mx_stub_state state, struct err *e)
{
    struct user_regs_struct r = s->t.regs;
    r.rip = s->gadget_at;
    r.orig_rax = UINT64_MAX;
    r.rax = (uint64_t)number;
    r.rdi = args[0];
    r.rsi = args[1];
    r.rdx = args[2];
    r.r10 = args[3];
    r.r8 = args[4];
    r.r9 = args[5];
    s->state = state;
    s->is_quick = false;
    int rc = put_regs(s, &r, e);
    return rc == -ESRCH ? 0 : rc < 0 ? rc : go_on(s, 0, e);
}

/* Where both can write there is no need to ask the kernel. */
static int put(const struct mx_stub *s, uint32_t at, uint32_t len_bytes, struct err *e)
{
    if (!s->quick.area)
        return mx_tracee_write(&s->t, s->arena_at + at, s->arena + at, len_bytes, e);
    memcpy(s->quick.area + at, s->arena + at, len_bytes);
    return 0;
}

static int get(const struct mx_stub *s, uint32_t at, uint32_t len_bytes, struct err *e)
{
    if (!s->quick.area)
        return mx_tracee_read(&s->t, s->arena_at + at, s->arena + at, len_bytes, e);
    memcpy(s->arena + at, s->quick.area + at, len_bytes);
    return 0;
}

/* How much of a span is worth to come back. */
static uint32_t came(const struct mx_kind_line *k, uint32_t len_bytes, int64_t result)
{
    if (k->form != MX_FORM_COUNTED || (result >= 0 && (uint64_t)result > len_bytes))
        return len_bytes;
    return result > 0 ? (uint32_t)result : 0;
}

/* The spans go into the stub before the call, and what it wrote comes back. */
static int move_spans(struct mx_stub *s, bool is_back, int64_t result, struct err *e)
{
    const struct mx_call_frame *f = &s->call;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < f->line->arg_count; i++) {
        const struct mx_kind_line *k = mx_kind_line((enum mx_kind)f->line->args[i].kind);
        uint32_t at = f->spans[i].at, len = f->spans[i].len_bytes;
        if (!f->spans[i].is_there)
            continue;
        if (is_back && k->direction & MX_DIR_OUT && came(k, len, result))
            rc = get(s, at, came(k, len, result), e);
        else if (!is_back && k->direction & MX_DIR_IN)
            rc = put(s, at, k->form == MX_FORM_TEXT ? len + 1 : len, e);
    }
    return rc;
}

/* ---- without stops ---- */

/* A program that goes on elsewhere takes the memory with it. */
static bool may_quick(const struct mx_stub *s)
{
    long number = number_of(s->call.line);
    return s->quick.area && number != SYS_execve && number != SYS_execveat;
}

/* It needs not stop for the call. */
static bool takes_quick(const struct mx_stub *s)
{
    return s->is_quick && !s->is_forking && may_quick(s);
}

/* After these the stub is looked at, or more is done by it. */
static bool ends_stopped(long number)
{
    return number == SYS_rt_sigprocmask || mx_own_opens(number);
}

/* It stands still, and takes requests from now on. */
static int start_quick(struct mx_stub *s, bool has_request, struct err *e)
{
    struct user_regs_struct r = s->t.regs;
    mx_quick_regs(&s->quick, has_request, &r);
    s->state = has_request ? MX_STUB_CALLING : MX_STUB_IDLE;
    s->is_quick = true;
    int rc = put_regs(s, &r, e);
    return rc == -ESRCH ? 0 : rc < 0 ? rc : go_on(s, 0, e);
}

static int call_quick(struct mx_stub *s, bool is_awaited, struct err *e)
{
    long number = number_of(s->call.line);
    mx_quick_post(&s->quick, number, s->call.args, !is_awaited || ends_stopped(number));
    if (s->state == MX_STUB_RESTING)
        return start_quick(s, true, e);
    s->state = MX_STUB_CALLING;
    mx_quick_wake(&s->quick);
    return 0;
}

/* Is it worth it, and is nothing against it? Without one all goes on as before. */
static int get_quick(struct mx_stub *s, struct err *e)
{
    struct err why = { "" };
    if (s->quick.at || s->state != MX_STUB_RESTING || s->is_halted || s->is_paused ||
        s->is_forking || ++s->by_stops != QUICK_AFTER)
        return 0;
    int rc = mx_quick_get(&s->quick, &s->t, s->gadget_at + QUICK_AT, s->private_at, &why);
    if (rc == 0)
        s->arena_at = s->quick.at;
    return set_mask(s, e);
}

/* ---- calls ---- */

/* Starts the call that waits, if it may be now. is_awaited: the caller waits for its end, if it
 * comes soon. */
static int start_call(struct mx_stub *s, bool is_awaited, struct err *e)
{
    const uint64_t fork_args[MX_CALL_ARGS] = { s->exit_signal };
    if (!s->has_call || s->is_halted ||
        (s->state != MX_STUB_RESTING && !(s->state == MX_STUB_IDLE && takes_quick(s))))
        return 0;
    if (s->is_forking)
        return start(s, SYS_clone, fork_args, MX_STUB_CALLING, e);
    int rc = move_spans(s, false, 0, e);
    if (rc == 0 && may_quick(s))
        return call_quick(s, is_awaited, e);
    return rc < 0 ? rc : start(s, number_of(s->call.line), s->call.args, MX_STUB_CALLING, e);
}

int mx_stub_idle(struct mx_stub *s, struct err *e)
{
    static const uint64_t none[MX_CALL_ARGS] = { 0 };
    if (s->state != MX_STUB_RESTING || s->is_halted || s->is_paused)
        return 0;
    return s->quick.area ? start_quick(s, false, e)
                         : start(s, SYS_pause, none, MX_STUB_IDLE, e);
}

/* What a call that has succeeded changes of what we know. */
static int after_call(struct mx_stub *s, struct err *e)
{
    long number = s->is_forking ? SYS_clone : number_of(s->call.line);
    if (number == SYS_rt_sigprocmask &&
        ptrace(PTRACE_GETSIGMASK, s->t.pid, sizeof s->t.blocked, &s->t.blocked) < 0)
        return err_set(e, errno, "get the signal mask of process %d", (int)s->t.pid);
    if (number == SYS_rt_sigaction && s->call.spans[1].is_there) {
        struct action a;
        memcpy(&a, s->arena + s->call.spans[1].at, sizeof a);
        note_action(s, (int)s->call.args[0], &a);
    }
    return 0;
}

/* A file of its own /proc tells of the stub: it is closed again. Sets out->what then. */
static int check_opened(struct mx_stub *s, struct mx_stub_out *out, struct err *e)
{
    const char *name = mx_own_file(s->t.pid, (int)out->result);
    struct mx_call c = { SYS_close, { (uint64_t)out->result } };
    if (!name)
        return 0;
    out->what = MX_STUB_NOT_AWAY;
    snprintf(s->why, sizeof s->why, "reads /proc/self/%s", name);
    out->why = s->why;
    int rc = mx_tracee_must(&s->t, &c, "close", e);
    return rc == 0 ? set_mask(s, e) : rc;
}

/* Its state is to be what it does then. */
static int finish_call(struct mx_stub *s, int64_t result, mx_stub_tell *tell, void *ctx,
                       struct err *e)
{
    int rc = s->is_forking ? 0 : move_spans(s, true, result, e);
    if (rc == 0 && result >= 0)
        rc = after_call(s, e);
    s->has_call = s->is_cancelled = false;
    struct mx_stub_out out = { .what = MX_STUB_ANSWER, .result = result };
    if (rc == 0 && result >= 0 && !s->is_forking && mx_own_opens(number_of(s->call.line)))
        rc = check_opened(s, &out, e);
    if (rc == 0)
        rc = tell(ctx, s, &out);
    if (rc == 0)
        rc = get_quick(s, e);
    s->is_forking = false;
    return rc;
}

/* The same, of one that stands still. */
static int finish_stopped(struct mx_stub *s, int64_t result, mx_stub_tell *tell, void *ctx,
                          struct err *e)
{
    s->state = MX_STUB_RESTING;
    return finish_call(s, result, tell, ctx, e);
}

/* ---- stops ---- */

/* A handler that runs only once is gone now. */
static int set_default(struct mx_stub *s, int signo, struct err *e)
{
    static const struct action none = { 0 };
    struct mx_call c = { SYS_rt_sigaction, { (uint64_t)signo, s->arena_at, 0, 8 } };
    s->caught &= ~bit(signo);
    s->once &= ~bit(signo);
    /* The arena's begin belongs to the call that was interrupted: it has been read back by now.
     */
    int rc = mx_tracee_write(&s->t, s->arena_at, &none, sizeof none, e);
    if (rc == 0)
        rc = mx_tracee_must(&s->t, &c, "rt_sigaction", e);
    return rc == 0 ? set_mask(s, e) : rc;
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

static int on_handled(struct mx_stub *s, int signo, const struct user_regs_struct *r,
                      const siginfo_t *info, mx_stub_tell *tell, void *ctx, struct err *e)
{
    struct mx_stub_out out = { .what = MX_STUB_SIGNAL, .info = *info };
    s->sent++;
    int rc = tell(ctx, s, &out);
    if (rc == 0 && s->state == MX_STUB_CALLING)
        rc = finish_stopped(s, interrupted_result(s, r), tell, ctx, e);
    s->state = MX_STUB_RESTING;
    if (rc == 0)
        rc = set_mask(s, e); /* the call may have had one of its own */
    return rc == 0 && s->once & bit(signo) ? set_default(s, signo, e) : rc;
}

static bool is_caught(const struct mx_stub *s, int signo)
{
    return signo >= 1 && signo <= 64 && s->caught & bit(signo);
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
    return r->rax == before ? 0 : put_regs(s, r, e);
}

/* The end of a call; or, of the code of quick, of one whose end was seen before. */
static int on_trap(struct mx_stub *s, const struct user_regs_struct *r, mx_stub_tell *tell,
                   void *ctx, struct err *e)
{
    int64_t result = (int64_t)r->rax;
    if (s->state == MX_STUB_CALLING && s->is_quick &&
        mx_quick_phase(&s->quick, r, &result) != MX_QUICK_DONE)
        return go_on(s, 0, e);
    if (s->state == MX_STUB_CALLING)
        return finish_stopped(s, result, tell, ctx, e);
    s->state = MX_STUB_RESTING;
    return 0;
}

static int on_signal(struct mx_stub *s, int signo, mx_stub_tell *tell, void *ctx, struct err *e)
{
    struct user_regs_struct r;
    siginfo_t info;
    int rc = get_regs(s, &r, e);
    if (rc < 0)
        return rc == -ESRCH ? 0 : rc;
    /* Of several signals those that the process has caused come first, so this is no other. */
    if (signo == SIGTRAP && is_trap(s, &r))
        return on_trap(s, &r, tell, ctx, e);
    if (ptrace(PTRACE_GETSIGINFO, s->t.pid, 0, &info) < 0)
        return errno == ESRCH
                   ? 0
                   : err_set(e, errno, "ask process %d for its signal", (int)s->t.pid);
    if (is_caught(s, signo))
        return on_handled(s, signo, &r, &info, tell, ctx, e);
    if (!stops_or_kills(s, signo))
        rc = hide_stop(s, &r, e);
    return rc < 0 ? rc : go_on(s, signo, e);
}

/* It was stopped as a job, goes on as a job, or stops because we want it to. */
static int on_event_stop(struct mx_stub *s, int signo, mx_stub_tell *tell, void *ctx,
                         struct err *e)
{
    struct mx_stub_out out = { .what = MX_STUB_STOP };
    struct user_regs_struct r;
    if (s->state == MX_STUB_STARTING) {
        s->state = MX_STUB_RESTING;
        return start_call(s, false, e);
    }
    if (signo != SIGTRAP) {
        bool was_halted = s->is_halted;
        s->is_halted = true;
        if (ptrace(PTRACE_LISTEN, s->t.pid, 0, 0) < 0 && errno != ESRCH)
            return err_set(e, errno, "let process %d be stopped", (int)s->t.pid);
        return was_halted ? 0 : tell(ctx, s, &out);
    }
    int rc = 0;
    if (s->is_halted) {
        s->is_halted = false;
        out.what = MX_STUB_CONT;
        if (!is_caught(s, SIGCONT) || s->t.blocked & bit(SIGCONT))
            rc = tell(ctx, s, &out);
    }
    if (rc == 0 && s->state != MX_STUB_RESTING)
        rc = get_regs(s, &r, e);
    /* The call is over, and its trap is about to say so. */
    if (rc == 0 && s->state != MX_STUB_RESTING && is_trap(s, &r))
        return go_on(s, 0, e);
    if (rc == 0 && (s->is_rest_wanted || (s->state == MX_STUB_IDLE && s->has_call))) {
        s->state = MX_STUB_RESTING;
        return s->is_rest_wanted ? 0 : start_call(s, false, e);
    }
    if (s->state == MX_STUB_RESTING)
        return rc;
    if (rc == 0 && s->is_cancelled && s->state == MX_STUB_CALLING) {
        rc = set_mask(s, e); /* what its own mask would let in is for when it is made again */
        return rc < 0 ? rc : finish_stopped(s, cancelled_result(s, &r), tell, ctx, e);
    }
    if (rc == 0)
        rc = hide_stop(s, &r, e);
    return rc == -ESRCH ? 0 : rc < 0 ? rc : go_on(s, 0, e);
}

static int on_status(struct mx_stub *s, int status, mx_stub_tell *tell, void *ctx,
                     struct err *e)
{
    unsigned long child = 0;
    struct mx_stub_out out = { .what = MX_STUB_ENDED };
    if (!WIFSTOPPED(status)) {
        s->state = MX_STUB_GONE;
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
        return rc < 0 ? rc : go_on(s, 0, e);
    default: return go_on(s, 0, e);
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
    int rc = check(s, WNOHANG, tell, ctx, e);
    return rc < 0 ? rc : start_call(s, false, e);
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
        rc = check(s, 0, tell, ctx, e);
    s->is_rest_wanted = false;
    return rc;
}

int mx_stub_cancel(struct mx_stub *s, struct err *e)
{
    if (s->state != MX_STUB_CALLING || s->is_halted)
        return 0;
    s->is_cancelled = true;
    if (ptrace(PTRACE_INTERRUPT, s->t.pid, 0, 0) < 0 && errno != ESRCH)
        return err_set(e, errno, "stop process %d", (int)s->t.pid);
    return 0;
}

int mx_stub_leave(struct mx_stub *s, struct err *e)
{
    struct mx_call c = { SYS_munmap, { s->private_at, MX_CALL_ARENA_BYTES + GADGET_BYTES } };
    int rc = mx_tracee_must(&s->t, &c, "munmap", e);
    if (rc == 0)
        rc = mx_quick_leave(&s->quick, &s->t, e);
    return rc < 0 ? rc : set_mask(s, e);
}

int mx_stub_fill(struct mx_stub *s, int fd, struct err *e)
{
    struct mx_restore_how how = { .stub = &s->t };
    struct mx_restored r;
    int rc = mx_stub_leave(s, e);
    if (rc < 0)
        return rc;
    rc = mx_restore_as(fd, &how, &r, e);
    s->t = r.t;
    return rc;
}

int mx_stub_free(struct mx_stub *s, struct err *e)
{
    s->state = MX_STUB_GONE;
    return mx_tracee_release(&s->t, e);
}

int mx_stub_call(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e)
{
    uint32_t sent = s->sent;
    s->has_call = true;
    int rc = s->state == MX_STUB_IDLE && !takes_quick(s) ? mx_stub_rest(s, tell, ctx, e) : 0;
    if (rc < 0 || s->state == MX_STUB_GONE)
        return rc;
    if (s->sent != sent) { /* a signal was there first */
        s->has_call = s->is_forking = false;
        struct mx_stub_out out = { .what = MX_STUB_ANSWER, .result = MX_RESTART_ALWAYS };
        return tell(ctx, s, &out);
    }
    int64_t result;
    rc = start_call(s, true, e);
    if (rc < 0 || s->state != MX_STUB_CALLING || !s->is_quick ||
        ends_stopped(number_of(s->call.line)) || !mx_quick_await(&s->quick, &result))
        return rc;
    s->state = MX_STUB_IDLE;
    return finish_call(s, result, tell, ctx, e);
}

int mx_stub_mask(struct mx_stub *s, uint64_t blocked, mx_stub_tell *tell, void *ctx,
                 struct err *e)
{
    int rc = mx_stub_rest(s, tell, ctx, e);
    s->t.blocked = blocked;
    if (rc < 0 || s->state != MX_STUB_RESTING)
        return rc;
    return set_mask(s, e);
}

int mx_stub_die(struct mx_stub *s, int signo, mx_stub_tell *tell, void *ctx, struct err *e)
{
    int rc = mx_stub_rest(s, tell, ctx, e);
    if (rc < 0 || s->state == MX_STUB_GONE)
        return rc;
    if (signo < 1 || signo > 64 || signo == SIGKILL || s->state != MX_STUB_RESTING)
        return kill(s->t.pid, SIGKILL) < 0 ? err_set(e, errno, "end process %d", (int)s->t.pid)
                                           : 0;
    /* A dump would be of the stub's memory, which is not the job's. */
    static const struct rlimit none = { 0, 0 };
    rc = prlimit(s->t.pid, RLIMIT_CORE, &none, NULL) < 0 && errno != ESRCH
             ? err_set(e, errno, "limit process %d", (int)s->t.pid)
             : set_default(s, signo, e);
    s->t.blocked &= ~bit(signo);
    if (rc == 0)
        rc = set_mask(s, e);
    uint64_t args[MX_CALL_ARGS] = { (uint64_t)s->t.pid, (uint64_t)s->t.pid, (uint64_t)signo };
    return rc < 0 ? rc : start(s, SYS_tgkill, args, MX_STUB_IDLE, e);
}
