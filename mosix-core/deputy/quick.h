/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quick.h: code of ours in a stub that takes calls from memory that we share with it, makes
 * them and puts their results there, without a stop.
 * Must not know: signals, what calls are for.
 * What lies in the shared memory is believed no more than what a body says: lengths are those
 * that were asked for, and what is looked at is copied first. */
#ifndef MOSIX_CORE_DEPUTY_QUICK_H
#define MOSIX_CORE_DEPUTY_QUICK_H

#include "common/base/err.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/image/tracee.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

/* Where it is asked for memory: far from where programs have theirs, as it may be a mirror of a
 * body's (mirror.h). */
#define MX_QUICK_AWAY_AT UINT64_C(0x2a0000000000)
enum { MX_QUICK_AREA_BYTES = MX_CALL_ARENA_BYTES + 4096 };

enum { MX_QUICK_WAIT_US = 100 }; /* a call is waited for so long without looking elsewhere */

struct mx_quick {
    uint8_t *area; /* ours: MX_CALL_ARENA_BYTES for arguments, and the request; NULL: none */
    uint64_t at;   /* the same in the stub */
    uint64_t code_at;
    uint32_t posted; /* requests so far */
};

/* Gets memory that a stub which stands still shares with us, by calls that it makes; scratch:
 * 16 bytes of its own to write to. The code goes to code_at by the caller: mx_quick_code.
 * Children of the stub don't have it. Returns 0, or -errno: then there is none. */
MUST int mx_quick_get(struct mx_quick *q, struct mx_tracee *t, uint64_t code_at,
                      uint64_t scratch, struct err *e);
/* Gives back what is ours; what is the stub's goes with its memory, or by mx_quick_leave. */
void mx_quick_fini(struct mx_quick *q);
MUST int mx_quick_leave(struct mx_quick *q, struct mx_tracee *t, struct err *e);

const void *mx_quick_code(size_t *len_bytes);

/* Registers with which it begins to take requests: the next, or with has_request the last that
 * was posted, which it has not seen. */
void mx_quick_regs(const struct mx_quick *q, bool has_request, struct user_regs_struct *r);

/* A call that it is to make; with is_trapping it stops at its end, else it goes on to wait for
 * the next. Not while it makes one. Waiting is ended by mx_quick_wake. */
void mx_quick_post(struct mx_quick *q, long number, const uint64_t args[6], bool is_trapping);
void mx_quick_wake(struct mx_quick *q);

/* Waits for the end of the last one for MX_QUICK_WAIT_US. Returns false when it has none yet;
 * it stops at its end then. */
MUST bool mx_quick_await(struct mx_quick *q, int64_t *result);

/* What a stub that has stopped has done of the last request. */
enum mx_quick_phase {
    MX_QUICK_BEFORE, /* nothing */
    MX_QUICK_CALL,   /* result: the kernel's, which may be -ERESTART... */
    MX_QUICK_DONE,   /* result */
};
enum mx_quick_phase mx_quick_phase(const struct mx_quick *q, const struct user_regs_struct *r,
                                   int64_t *result);
/* Is it about to be told of its trap, or has just been? */
bool mx_quick_is_trap(const struct mx_quick *q, const struct user_regs_struct *r);

#endif
