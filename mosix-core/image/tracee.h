/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tracee.h: a process that stands still, and the system calls that it makes for us.
 * Must not know: what its state is for.
 * A call is made at a syscall instruction of the vdso, which every process has, so nothing is
 * written into its code. When the tracer dies between the first call and mx_tracee_rest the
 * process goes on with our registers, and is lost: that time must be short. At any other time
 * it goes on as if nothing had been. */
#ifndef MOSIX_CORE_IMAGE_TRACEE_H
#define MOSIX_CORE_IMAGE_TRACEE_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>

enum {
    MX_STOP_MS = 5000, /* a process that does not stand still within it is let go */
    MX_SCRATCH_BYTES = 4 * 4096,
    MX_SCRATCH_WITH_CODE = MX_SCRATCH_BYTES + 9 * 4096,
};

struct mx_tracee {
    pid_t pid;
    bool is_seized;
    bool is_watched;     /* by us, before and afterwards: a fault stops it as it is */
    bool is_at_trap;     /* such a fault is of int3 */
    bool has_called;     /* calls were made in it */
    bool is_patient;     /* its calls may take as long as they like */
    int cancel_fd;       /* a patient call is interrupted when this can be read; -1: never */
    bool is_cancelled;   /* that has happened to the last call */
    bool has_stop;       /* a SIGSTOP came meanwhile: it is sent again at the end */
    int mem_fd;          /* /proc/PID/mem */
    bool is_sibling;     /* a thread besides the first, whose mem_fd this is */
    uint64_t syscall_at; /* address of a syscall instruction */
    uint64_t scratch;    /* memory of ours in the process; 0: none */
    bool has_code;       /* behind it, which makes calls one after the other */
    uint64_t blocked;    /* its mask of signals; while calls are made all are blocked */
    struct user_regs_struct regs; /* as it was found */
    long waits;          /* the call that it was found waiting in (asleep.h); 0: not known */
    uint64_t wait_value; /* by which that is made again */
};

/* Stops a process, which must be ours to trace, and notes its registers and mask.
 * is_child: kill it if we die. Returns 0; -ESRCH, -EPERM; -ETIMEDOUT when it didn't stop;
 * -ENOTSUP when it is not of this architecture. After a failure it runs as before. */
MUST int mx_tracee_seize(struct mx_tracee *t, pid_t pid, bool is_child, struct err *e);

/* The same in two halves: from catch on it will stop before it goes on in its own code, and a
 * call that it waits in may be interrupted; await waits for that, if nobody has. */
MUST int mx_tracee_catch(struct mx_tracee *t, pid_t pid, bool is_child, struct err *e);
MUST int mx_tracee_await(struct mx_tracee *t, struct err *e);

/* catch of a process that we trace all the time, with these options; letting go of it lets it
 * go on. If it stands at a fault of its own that will end it, that is where it is, and the
 * signal is dropped: it makes the fault again. */
enum { MX_TRACEE_WATCHED = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL };
MUST int mx_tracee_catch_watched(struct mx_tracee *t, pid_t pid, struct err *e);
/* Does it stand at such a fault, with signal signo? */
bool mx_tracee_is_fault(pid_t pid, int signo);

/* After calls: registers and mask as t->regs and t->blocked say; it stands still. */
MUST int mx_tracee_rest(struct mx_tracee *t, struct err *e);

/* Sets registers and mask and lets go; t->regs and t->blocked as the caller has left them. */
MUST int mx_tracee_release(struct mx_tracee *t, struct err *e);
/* Lets go of what is left after a failure, without a word: where calls were made first try
 * mx_tracee_release. */
void mx_tracee_fini(struct mx_tracee *t);

/* One system call by the process. Returns its result, which may be -errno, in *result; 0, or
 * -errno when the process is gone. */
struct mx_call {
    long number;
    uint64_t args[6];
};
MUST int mx_tracee_call(struct mx_tracee *t, const struct mx_call *c, int64_t *result,
                        struct err *e);
/* The same; a result that is an error is ours too, with the words of what. */
MUST int mx_tracee_must(struct mx_tracee *t, const struct mx_call *c, const char *what,
                        struct err *e);

/* Goes on, a step at a time and without signals, until it is outside of [start, end), which is
 * code that comes to an end. Returns 0; -ENOTSUP when it does not. */
MUST int mx_tracee_step_out(struct mx_tracee *t, uint64_t start, uint64_t end, struct err *e);

/* Goes on at regs until it traps before trap_at; for code of ours. */
MUST int mx_tracee_run(struct mx_tracee *t, const struct user_regs_struct *regs,
                       uint64_t trap_at, struct err *e);

/* Any number of calls, one after the other; with scratch memory the process stops once for
 * hundreds of them. results: one each, which may be -errno. Returns 0, or -errno when the
 * process is gone. */
MUST int mx_tracee_calls(struct mx_tracee *t, const struct mx_call *c, unsigned count,
                         int64_t *results, struct err *e);
/* The same; the first result that is an error is ours too, with the words of what. */
MUST int mx_tracee_must_all(struct mx_tracee *t, const struct mx_call *c, unsigned count,
                            const char *what, struct err *e);

/* MX_SCRATCH_BYTES for arguments, at address (0: anywhere; else MX_SCRATCH_WITH_CODE are used
 * there), and their end. */
MUST int mx_tracee_scratch(struct mx_tracee *t, uint64_t address, struct err *e);
MUST int mx_tracee_unscratch(struct mx_tracee *t, struct err *e);

MUST int mx_tracee_read(const struct mx_tracee *t, uint64_t address, void *ptr,
                        size_t len_bytes, struct err *e);
MUST int mx_tracee_write(const struct mx_tracee *t, uint64_t address, const void *ptr,
                         size_t len_bytes, struct err *e);

/* PTRACE_GETREGSET and SETREGSET of one kind of registers; *len_bytes is the room, then the
 * length. */
MUST int mx_tracee_get_set(const struct mx_tracee *t, unsigned kind, void *ptr,
                           size_t *len_bytes, struct err *e);
MUST int mx_tracee_put_set(const struct mx_tracee *t, unsigned kind, const void *ptr,
                           size_t len_bytes, struct err *e);

/* Finds a syscall instruction in memory [start, end), which is the vdso. */
MUST int mx_tracee_find_syscall(struct mx_tracee *t, uint64_t start, uint64_t end,
                                struct err *e);

#endif
