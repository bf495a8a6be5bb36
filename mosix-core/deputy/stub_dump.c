/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stub_dump.c: a stub that dies of a signal which dumps memory: the job's is elsewhere.
 * Must not know: how the memory gets here.
 * The signal is taken from it and, when its memory is the job's again, queued to it again, so
 * that the kernel makes the dump as it would have. Source: rt_tgsigqueueinfo(2), core(5). */
#include "mosix-core/deputy/dump.h"
#include "mosix-core/deputy/stub_parts.h"

#include <signal.h>
#include <sys/syscall.h>

bool mx_stub_dumps(struct mx_stub *s, int signo)
{
    return !mx_stub_lead(s)->is_dying && mx_dump_is_of(signo) && mx_dump_is_wanted(s->t.pid);
}

int mx_stub_queue_dump(struct mx_stub *s, struct err *e)
{
    /* By the numbers that it knows: it may be in another namespace than we are. */
    struct mx_call ask_pid = { SYS_getpid, { 0 } }, ask_tid = { SYS_gettid, { 0 } };
    int64_t pid = 0, tid = 0;
    int rc = mx_tracee_call(&s->t, &ask_pid, &pid, e);
    if (rc == 0)
        rc = mx_tracee_call(&s->t, &ask_tid, &tid, e);
    if (rc == 0)
        rc = mx_tracee_write(&s->t, s->private_at, &s->dump_of, sizeof s->dump_of, e);
    struct mx_call c = { SYS_rt_tgsigqueueinfo,
                         { (uint64_t)pid, (uint64_t)tid, (uint64_t)s->dump_of.si_signo,
                           s->private_at } };
    if (rc == 0)
        rc = mx_tracee_must(&s->t, &c, "rt_tgsigqueueinfo", e);
    if (rc == 0)
        s->dump = MX_STUB_DUMP_QUEUED;
    return rc;
}

/* It stands still, and the signal is the only one that it can get. */
static int let_die(struct mx_stub *s, struct err *e)
{
    int rc = mx_dump_forbid(&s->t, e);
    if (rc < 0)
        return rc;
    s->t.blocked = ~(UINT64_C(1) << (s->dump_of.si_signo - 1));
    s->t.has_stop = false;
    s->state = MX_STUB_IDLE;
    s->is_quick = false;
    s->dump = MX_STUB_DUMP_GIVEN_UP;
    mx_stub_lead(s)->is_dying = false;
    rc = mx_stub_set_mask(s, e);
    return rc < 0 ? rc : mx_stub_go_on(s, 0, e);
}

int mx_stub_give_up_dump(struct mx_stub *s, mx_stub_tell *tell, void *ctx, struct err *e)
{
    int rc = mx_stub_rest(s, tell, ctx, e);
    if (rc < 0 || s->state == MX_STUB_GONE)
        return rc;
    if (s->dump == MX_STUB_DUMP_KEPT)
        rc = mx_stub_queue_dump(s, e);
    if (rc == 0)
        rc = let_die(s, e);
    if (rc < 0 && kill(s->t.pid, SIGKILL) < 0)
        return rc;
    return 0;
}
