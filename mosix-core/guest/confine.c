/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confine.c: the filter is put into a body. Must not know: what becomes of its calls.
 * Source: seccomp_unotify(2). */
#include "mosix-core/guest/supervise.h"

#include "common/sys/fd.h"
#include "mosix-core/guest/filter.h"
#include "mosix-core/image/form/sections.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* The body's own number of the listener stays open in it: it can do nothing with it, as every
 * call on a descriptor goes home. */
static int take_listener(pid_t pid, int number, int *listener, struct err *e)
{
    /* Not in older headers, nor kernels: then each call wakes the supervisor on whichever
     * processor. */
    static const unsigned long set_flags = 0x40082104, sync_wake_up = 1;
    AUTO_FD process = (int)syscall(SYS_pidfd_open, pid, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, number, 0);
    if (fd < 0)
        return err_set(e, errno, "take the listener of process %d (%s)", (int)pid,
                       process < 0 ? "pidfd_open" : "pidfd_getfd");
    *listener = fd;
    if (ioctl(fd, set_flags, sync_wake_up) < 0 && errno != EINVAL && errno != ENOTTY)
        return err_set(e, errno, "prepare the listener of process %d", (int)pid);
    return fd_set_cloexec(fd, true);
}

/* Arguments of calls are read and written so; without it each call would be given EFAULT. */
static int check_reach(const struct mx_tracee *t, struct err *e)
{
    uint64_t word;
    struct iovec here = { &word, sizeof word },
                 there = { (void *)(uintptr_t)t->scratch, sizeof word };
    if (process_vm_readv(t->pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof word)
        return err_set(e, errno, "read memory of process %d (process_vm_readv)", (int)t->pid);
    if (process_vm_writev(t->pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof word)
        return err_set(e, errno, "write memory of process %d (process_vm_writev)", (int)t->pid);
    return 0;
}

int mx_guest_confine(struct mx_tracee *t, int *listener, struct err *e)
{
    struct sock_filter program[MX_FILTER_MAX];
    int64_t number;
    int len = mx_filter_build(program);
    size_t len_bytes = (size_t)len * sizeof *program;
    if (len < 0 || len_bytes + 64 > MX_SCRATCH_BYTES)
        return err_set(e, ENOSPC, "build the filter of calls");
    int rc = mx_tracee_scratch(t, 0, e);
    struct sock_fprog head = { .len = (unsigned short)len,
                               .filter = (void *)(uintptr_t)(t->scratch + 64) };
    struct mx_call alone = { SYS_prctl, { PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0 } };
    struct mx_call c = { SYS_seccomp,
                         { SECCOMP_SET_MODE_FILTER,
                           SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC |
                               SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
                               SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                           t->scratch } };
    if (rc == 0)
        rc = check_reach(t, e);
    if (rc == 0)
        rc = mx_tracee_write(t, t->scratch, &head, sizeof head, e);
    if (rc == 0)
        rc = mx_tracee_write(t, t->scratch + 64, program, len_bytes, e);
    if (rc == 0)
        rc = mx_tracee_must(t, &alone, "prctl(PR_SET_NO_NEW_PRIVS)", e);
    if (rc == 0)
        rc = mx_tracee_call(t, &c, &number, e);
    if (rc == 0 && number < 0)
        rc = err_set(e, (int)-number, "seccomp in process %d", (int)t->pid);
    if (rc == 0)
        rc = take_listener(t->pid, (int)number, listener, e);
    return rc < 0 ? rc : mx_tracee_unscratch(t, e);
}
