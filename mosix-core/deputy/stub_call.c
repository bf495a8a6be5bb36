/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stub_call.c: a stub is given a call, and its result is fetched: by stops, or without.
 * Must not know: how calls get here, signals.
 * After a few calls the code of quick.c makes them, which costs no stop. */
#include "mosix-core/deputy/own.h"
#include "mosix-core/deputy/stub_parts.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { QUICK_AFTER = 8 }; /* calls by stops: who makes no more is not worth it */

/* This kernel's numbers of the calls, by id. */
static const long numbers[MX_CALL_IDS] = {
#define CALL(id, name, ...)    [id] = SYS_##name,
#define VARIANT(id, name, ...) [id] = SYS_##name,
#include "mosix-core/abi/calls.def"
#undef CALL
#undef VARIANT
};

long mx_stub_number_of(const struct mx_call_line *line)
{
    return numbers[line->id];
}

long mx_stub_call_number(const struct mx_stub *s)
{
    return s->is_mirrored ? (long)s->mirror.call.number : mx_stub_number_of(s->call.line);
}

/* ---- running ---- */

int mx_stub_get_regs(const struct mx_stub *s, struct user_regs_struct *r, struct err *e)
{
    if (ptrace(PTRACE_GETREGS, s->t.pid, 0, r) < 0)
        return err_set(e, errno, "get registers of process %d", (int)s->t.pid);
    return 0;
}

int mx_stub_put_regs(const struct mx_stub *s, const struct user_regs_struct *r, struct err *e)
{
    if (ptrace(PTRACE_SETREGS, s->t.pid, 0, r) < 0)
        return err_set(e, errno, "set registers of process %d", (int)s->t.pid);
    return 0;
}

int mx_stub_go_on(const struct mx_stub *s, int signo, struct err *e)
{
    if (ptrace(PTRACE_CONT, s->t.pid, 0, signo) < 0 && errno != ESRCH)
        return err_set(e, errno, "go on with process %d", (int)s->t.pid);
    return 0;
}

int mx_stub_start(struct mx_stub *s, long number, const uint64_t args[MX_CALL_ARGS],
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
    int rc = mx_stub_put_regs(s, &r, e);
    return rc == -ESRCH ? 0 : rc < 0 ? rc : mx_stub_go_on(s, 0, e);
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
    long number = mx_stub_call_number(s);
    return s->quick.area && !s->is_mirrored && number != SYS_execve && number != SYS_execveat;
}

bool mx_stub_takes_quick(const struct mx_stub *s)
{
    return s->is_quick && !s->is_forking && may_quick(s);
}

bool mx_stub_ends_stopped(long number)
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
    int rc = mx_stub_put_regs(s, &r, e);
    return rc == -ESRCH ? 0 : rc < 0 ? rc : mx_stub_go_on(s, 0, e);
}

static int call_quick(struct mx_stub *s, bool is_awaited, struct err *e)
{
    long number = mx_stub_number_of(s->call.line);
    mx_quick_post(&s->quick, number, s->call.args, !is_awaited || mx_stub_ends_stopped(number));
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
        s->is_forking || s->leader || s->threads || ++s->by_stops != QUICK_AFTER)
        return 0;
    int rc = mx_quick_get(&s->quick, &s->t, s->gadget_at + QUICK_AT, s->private_at, &why);
    if (rc == 0)
        s->arena_at = s->quick.at;
    return mx_stub_set_mask(s, e);
}

/* ---- with the body's pointers ---- */

/* Keeps pointers, or can't be told from what does. */
static bool is_of_device(const struct mx_stub *s)
{
    return s->mirror.call.number == SYS_ioctl &&
           mx_own_device(s->t.pid, (int)s->mirror.call.args[0]);
}

/* It can't have the memory of its body, or is not to: then it makes another call for this one,
 * which does nothing. */
static int start_mirrored(struct mx_stub *s, struct err *e)
{
    struct mx_range ours[] = {
        { s->private_at, s->gadget_at + GADGET_BYTES },
        { s->quick.at, s->quick.at ? s->quick.at + MX_QUICK_AREA_BYTES : 0 },
        s->park,
    };
    bool has_threads = s->leader || s->threads;
    struct err why = { "uses a device (ioctl)" };
    if (has_threads) /* they use that memory too, and each has some of ours in it */
        err_say(&why, ENOTSUP, "has threads, and makes a call with pointers of its own");
    int rc = has_threads || is_of_device(s) ? -ENOTSUP : mx_stub_drop_spares(s, e);
    if (rc == 0)
        rc = mx_mirror_ready(&s->mirror, &s->t, ours, ARRAY_LEN(ours), s->private_at, &why);
    if (rc < 0 && rc != -ENOTSUP)
        return err_set(e, -rc, "serve process %d", (int)s->t.pid);
    s->is_refused = rc < 0;
    snprintf(s->why, sizeof s->why, "%.190s", why.text);
    rc = mx_stub_set_mask(s, e);
    if (rc < 0)
        return rc;
    return mx_stub_start(s, s->is_refused ? SYS_getpid : mx_stub_call_number(s),
                         s->mirror.call.args, MX_STUB_CALLING, e);
}

/* Nothing of its body's memory stays. */
static int end_mirrored(struct mx_stub *s, struct err *e)
{
    s->is_mirrored = s->is_refused = false;
    int rc = mx_mirror_drop(&s->mirror, &s->t, e);
    return rc < 0 ? rc : mx_stub_set_mask(s, e);
}

/* ---- calls ---- */

int mx_stub_start_call(struct mx_stub *s, bool is_awaited, struct err *e)
{
    static const uint64_t thread =
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    const uint64_t fork_args[MX_CALL_ARGS] = { s->is_threading ? thread : s->exit_signal };
    if (!s->has_call || s->is_halted ||
        (s->state != MX_STUB_RESTING && !(s->state == MX_STUB_IDLE && mx_stub_takes_quick(s))))
        return 0;
    if (s->is_forking)
        return mx_stub_start(s, SYS_clone, fork_args, MX_STUB_CALLING, e);
    if (s->is_mirrored)
        return start_mirrored(s, e);
    int rc = move_spans(s, false, 0, e);
    if (rc == 0 && may_quick(s))
        return call_quick(s, is_awaited, e);
    return rc < 0 ? rc
                  : mx_stub_start(s, mx_stub_number_of(s->call.line), s->call.args,
                                  MX_STUB_CALLING, e);
}

int mx_stub_idle(struct mx_stub *s, struct err *e)
{
    static const uint64_t none[MX_CALL_ARGS] = { 0 };
    if (s->state != MX_STUB_RESTING || s->is_halted || s->is_paused)
        return 0;
    return s->quick.area ? start_quick(s, false, e)
                         : mx_stub_start(s, SYS_pause, none, MX_STUB_IDLE, e);
}

/* What a call that has succeeded changes of what we know. */
static int after_call(struct mx_stub *s, struct err *e)
{
    long number = s->is_forking ? SYS_clone : mx_stub_number_of(s->call.line);
    if (number == SYS_rt_sigprocmask &&
        ptrace(PTRACE_GETSIGMASK, s->t.pid, sizeof s->t.blocked, &s->t.blocked) < 0)
        return err_set(e, errno, "get the signal mask of process %d", (int)s->t.pid);
    if (number == SYS_rt_sigaction && s->call.spans[1].is_there) {
        struct mx_stub_action a;
        memcpy(&a, s->arena + s->call.spans[1].at, sizeof a);
        mx_stub_note_action(s, (int)s->call.args[0], &a);
    }
    return 0;
}

static bool is_limit(const struct mx_stub *s)
{
    if (s->is_forking || s->is_mirrored)
        return false;
    long number = mx_stub_number_of(s->call.line);
    return (number == SYS_setrlimit && s->call.args[0] == RLIMIT_CORE) ||
           (number == SYS_prlimit64 && s->call.args[1] == RLIMIT_CORE);
}

/* A file of its own /proc tells of the stub: it is closed again. Sets out->what then. */
static int check_opened(struct mx_stub *s, struct mx_stub_out *out, struct err *e)
{
    const char *name = mx_own_file(mx_stub_lead(s)->t.pid, (int)out->result);
    struct mx_call c = { SYS_close, { (uint64_t)out->result } };
    if (!name)
        return 0;
    out->what = MX_STUB_NOT_AWAY;
    snprintf(s->why, sizeof s->why, "reads /proc/self/%s", name);
    out->why = s->why;
    int rc = mx_tracee_must(&s->t, &c, "close", e);
    return rc == 0 ? mx_stub_set_mask(s, e) : rc;
}

int mx_stub_finish_call(struct mx_stub *s, int64_t result, mx_stub_tell *tell, void *ctx,
                        struct err *e)
{
    int rc = s->is_forking || s->is_mirrored ? 0 : move_spans(s, true, result, e);
    if (rc == 0 && result >= 0 && !s->is_mirrored)
        rc = after_call(s, e);
    s->has_call = s->is_cancelled = false;
    struct mx_stub_out out = { .what = MX_STUB_ANSWER, .result = result };
    if (rc == 0 && result >= 0 && !s->is_forking && mx_own_opens(mx_stub_call_number(s)))
        rc = check_opened(s, &out, e);
    if (s->is_refused)
        out = (struct mx_stub_out){ .what = MX_STUB_NOT_AWAY, .why = s->why };
    const struct mx_stub_out limit = { .what = MX_STUB_LIMIT };
    if (rc == 0 && result >= 0 && is_limit(s))
        rc = tell(ctx, s, &limit);
    if (rc == 0)
        rc = tell(ctx, s, &out);
    if (rc == 0 && s->is_mirrored)
        rc = end_mirrored(s, e);
    if (rc == 0)
        rc = get_quick(s, e);
    s->is_forking = false;
    return rc;
}

int mx_stub_finish_stopped(struct mx_stub *s, int64_t result, mx_stub_tell *tell, void *ctx,
                           struct err *e)
{
    s->state = MX_STUB_RESTING;
    return mx_stub_finish_call(s, result, tell, ctx, e);
}
