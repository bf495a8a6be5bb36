/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore_state.c: what capture_state.c found out is put into a stopped process, by calls that
 * it makes. Must not know: memory, descriptors. */
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* A call whose argument is in the scratch memory. */
static int tell(struct mx_tracee *t, const struct mx_call *c, const char *what, const void *ptr,
                size_t len_bytes, struct err *e)
{
    int rc = mx_tracee_write(t, t->scratch, ptr, len_bytes, e);
    return rc < 0 ? rc : mx_tracee_must(t, c, what, e);
}

static int put_layout(struct mx_tracee *t, const struct mx_sec *s, struct err *e)
{
    const struct mx_sec_layout *l = &s->layout;
    uint64_t auxv_at = t->scratch + 1024;
    struct prctl_mm_map m = {
        .start_code = l->start_code,
        .end_code = l->end_code,
        .start_data = l->start_data,
        .end_data = l->end_data,
        .start_brk = l->start_brk,
        .brk = l->brk,
        .start_stack = l->start_stack,
        .arg_start = l->arg_start,
        .arg_end = l->arg_end,
        .env_start = l->env_start,
        .env_end = l->env_end,
        .auxv = (void *)(uintptr_t)auxv_at,
        .auxv_size = l->auxv.len,
        .exe_fd = UINT32_MAX,
    };
    struct mx_call c = { SYS_prctl, { PR_SET_MM, PR_SET_MM_MAP, t->scratch, sizeof m } };
    int rc = mx_tracee_write(t, auxv_at, l->auxv.ptr, l->auxv.len, e);
    return rc < 0 ? rc : tell(t, &c, "prctl(PR_SET_MM_MAP)", &m, sizeof m, e);
}

static int put_name(struct mx_tracee *t, const struct mx_sec *s, struct err *e)
{
    char comm[16] = "";
    struct mx_call c = { SYS_prctl, { PR_SET_NAME, t->scratch } };
    int rc = bytes_to_text(s->process.comm, comm, sizeof comm);
    if (rc < 0)
        return err_set(e, -rc, "set the name of process %d", (int)t->pid);
    return tell(t, &c, "prctl(PR_SET_NAME)", comm, sizeof comm, e);
}

static int put_thread(struct mx_tracee *t, const struct mx_sec *s, struct err *e)
{
    const struct mx_sec_thread *h = &s->thread;
    struct mx_call tid = { SYS_set_tid_address, { h->clear_tid } };
    struct mx_call robust = { SYS_set_robust_list, { h->robust, h->robust_bytes } };
    struct mx_call rseq = { SYS_rseq, { h->rseq, h->rseq_bytes, 0, h->rseq_signature } };
    int rc = mx_tracee_must(t, &tid, "set_tid_address", e);
    if (rc == 0 && h->robust_bytes)
        rc = mx_tracee_must(t, &robust, "set_robust_list", e);
    return rc == 0 && h->rseq ? mx_tracee_must(t, &rseq, "rseq", e) : rc;
}

/* ---- signals ---- */

/* That of SIGTRAP by itself, as many calls at once end in one (calls.c). */
static int put_actions(struct mx_tracee *t, struct bytes actions, struct err *e)
{
    struct mx_call c[MX_SIGNALS];
    unsigned count = 0;
    _Static_assert((int)MX_SIGNALS * (int)MX_ACTION_BYTES <= (int)MX_SCRATCH_BYTES, "room");
    for (uint64_t s = 1; s <= MX_SIGNALS; s++)
        if (s != SIGKILL && s != SIGSTOP && s != SIGTRAP)
            c[count++] =
                (struct mx_call){ SYS_rt_sigaction,
                                  { s, t->scratch + (s - 1) * MX_ACTION_BYTES, 0, 8 } };
    struct mx_call trap = { SYS_rt_sigaction,
                            { SIGTRAP, t->scratch + (SIGTRAP - 1) * MX_ACTION_BYTES, 0, 8 } };
    int rc = mx_tracee_write(t, t->scratch, actions.ptr, actions.len, e);
    if (rc == 0)
        rc = mx_tracee_must_all(t, c, count, "rt_sigaction", e);
    return rc == 0 ? mx_tracee_must(t, &trap, "rt_sigaction", e) : rc;
}

int mx_restore_pending(struct mx_tracee *t, pid_t tgid, struct bytes pending,
                       bool is_of_process, struct err *e)
{
    int rc = 0;
    uint64_t pid = (uint64_t)tgid;
    for (uint32_t at = 0; rc == 0 && at < pending.len; at += MX_SIGINFO_BYTES) {
        int32_t signo;
        memcpy(&signo, pending.ptr + at, sizeof signo);
        struct mx_call all = { SYS_rt_sigqueueinfo, { pid, (uint64_t)signo, t->scratch } };
        struct mx_call one = { SYS_rt_tgsigqueueinfo,
                               { pid, (uint64_t)t->pid, (uint64_t)signo, t->scratch } };
        rc = tell(t, is_of_process ? &all : &one, "rt_sigqueueinfo", pending.ptr + at,
                  MX_SIGINFO_BYTES, e);
    }
    return rc;
}

static int put_signals(struct mx_tracee *t, const struct mx_sec *s, struct err *e)
{
    const struct mx_sec_signals *g = &s->signals;
    stack_t alt = { .ss_sp = (void *)(uintptr_t)g->altstack,
                    .ss_flags = (int)g->altstack_flags & ~SS_ONSTACK,
                    .ss_size = g->altstack_bytes };
    struct mx_call c = { SYS_sigaltstack, { t->scratch, 0 } };
    int rc = put_actions(t, g->actions, e);
    if (rc == 0) /* a stub may have one that was given up since */
        rc = tell(t, &c, "sigaltstack", &alt, sizeof alt, e);
    if (rc == 0)
        rc = mx_restore_pending(t, t->pid, g->pending, true, e);
    return rc == 0 ? mx_restore_pending(t, t->pid, g->pending_private, false, e) : rc;
}

static struct timeval of_us(uint64_t us)
{
    return (struct timeval){ (time_t)(us / 1000000), (suseconds_t)(us % 1000000) };
}

static int put_timers(struct mx_tracee *t, const struct mx_sec *s, struct err *e)
{
    const struct mx_sec_timers *m = &s->timers;
    struct itimerval v[3] = { { of_us(m->real_every), of_us(m->real_left) },
                              { of_us(m->virtual_every), of_us(m->virtual_left) },
                              { of_us(m->prof_every), of_us(m->prof_left) } };
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < 3; i++) {
        struct mx_call c = { SYS_setitimer, { i, t->scratch, 0 } };
        if (v[i].it_value.tv_sec || v[i].it_value.tv_usec)
            rc = tell(t, &c, "setitimer", &v[i], sizeof v[i], e);
    }
    return rc;
}

/* Each bit is the command that registers. */
static int put_barriers(struct mx_tracee *t, const struct mx_sec *s, struct err *e)
{
    int rc = 0;
    for (uint64_t bit = 1; rc == 0 && bit <= s->barriers.registered; bit <<= 1) {
        struct mx_call c = { SYS_membarrier, { bit, 0, 0 } };
        if (s->barriers.registered & bit)
            rc = mx_tracee_must(t, &c, "membarrier", e);
    }
    return rc;
}

int mx_restore_state(struct mx_tracee *t, const struct mx_sec *s, struct err *e)
{
    static int (*const puts[MX_SECTIONS_END])(struct mx_tracee *, const struct mx_sec *,
                                              struct err *) = {
        [MX_SEC_layout] = put_layout, [MX_SEC_process] = put_name,
        [MX_SEC_thread] = put_thread, [MX_SEC_signals] = put_signals,
        [MX_SEC_timers] = put_timers, [MX_SEC_barriers] = put_barriers,
    };
    return puts[s->number] ? puts[s->number](t, s, e) : -EINVAL;
}
