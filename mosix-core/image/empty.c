/* SPDX-License-Identifier: GPL-2.0-or-later */
/* empty.c: a process that stands still gives all its memory back, and can still make calls.
 * Must not know: why, or where its contents are. */
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <linux/ptrace.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

int mx_tracee_drop_rseq(struct mx_tracee *t, struct err *e)
{
    struct __ptrace_rseq_configuration r = { 0 };
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->pid, sizeof r, &r) < 0)
        return err_set(e, errno, "ask for the rseq area of process %d", (int)t->pid);
    struct mx_call c = { SYS_rseq, { r.rseq_abi_pointer, r.rseq_abi_size, 1, r.signature } };
    return r.rseq_abi_pointer ? mx_tracee_must(t, &c, "rseq", e) : 0;
}

int mx_tracee_drop_areas(struct mx_tracee *t, struct mx_threads *others, struct err *e)
{
    int rc = mx_tracee_drop_rseq(t, e);
    for (unsigned i = 0; others && rc == 0 && i < others->count; i++) {
        others->list[i].t.syscall_at = t->syscall_at;
        rc = mx_tracee_drop_rseq(&others->list[i].t, e);
    }
    return rc;
}

static bool is_kept(const struct mx_sec_mapping *m, const struct mx_range *keep, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (m->start < keep[i].end && keep[i].start < m->end)
            return true;
    return false;
}

int mx_tracee_empty(struct mx_tracee *t, struct mx_threads *others, struct err *e)
{
    return mx_tracee_empty_but(t, others, NULL, 0, e);
}

int mx_tracee_empty_but(struct mx_tracee *t, struct mx_threads *others,
                        const struct mx_range *keep, unsigned kept_count, struct err *e)
{
    struct mx_maps m = { 0 };
    unsigned count = 0;
    int rc = mx_tracee_unscratch(t, e);
    if (rc == 0)
        rc = mx_maps_read_places(&m, t->pid, e);
    struct mx_call *calls = rc == 0 ? calloc(m.count + 1, sizeof *calls) : NULL;
    if (rc == 0 && !calls)
        rc = err_set(e, ENOMEM, "empty process %d", (int)t->pid);
    for (uint32_t i = 0; rc == 0 && i < m.count; i++)
        if (m.list[i].kind == MX_MAP_MEMORY && !is_kept(&m.list[i], keep, kept_count))
            calls[count++] =
                (struct mx_call){ SYS_munmap,
                                  { m.list[i].start, m.list[i].end - m.list[i].start } };
    if (rc == 0)
        rc = mx_capture_find_call(t, &m, e);
    if (rc == 0)
        rc = mx_tracee_drop_areas(t, others, e);
    if (rc == 0)
        rc = mx_tracee_scratch(t, 0, e);
    if (rc == 0)
        rc = mx_tracee_must_all(t, calls, count, "munmap", e);
    int gone = rc == 0 ? mx_tracee_unscratch(t, e) : 0;
    free(calls);
    mx_maps_fini(&m);
    return rc < 0 ? rc : gone;
}
