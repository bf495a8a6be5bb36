/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stub_parts.h: what stub.c (states, signals) and stub_call.c (calls) need of each other.
 * Must not know: how calls get here. */
#ifndef MOSIX_CORE_DEPUTY_STUB_PARTS_H
#define MOSIX_CORE_DEPUTY_STUB_PARTS_H

#include "mosix-core/deputy/stub.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

/* The page behind the arena: the gadget, and from QUICK_AT on the code of quick.c. */
enum { GADGET_BYTES = 4096, QUICK_AT = 16, AFTER_CALL = 2 /* from the gadget's start */ };

/* As the kernel has it: handler, flags, restorer, mask. */
struct mx_stub_action {
    uint64_t handler, flags, restorer, mask;
};
void mx_stub_note_action(struct mx_stub *s, int signo, const struct mx_stub_action *a);
/* Of one that stands still: what the job has, after calls of ours. */
MUST int mx_stub_set_mask(struct mx_stub *s, struct err *e);

/* One that stands still gives back memory for threads that have ended. */
MUST int mx_stub_drop_spares(struct mx_stub *s, struct err *e);

MUST int mx_stub_get_regs(const struct mx_stub *s, struct user_regs_struct *r, struct err *e);
MUST int mx_stub_put_regs(const struct mx_stub *s, const struct user_regs_struct *r,
                          struct err *e);
/* Is it to go home before it dies of this signal? */
bool mx_stub_dumps(struct mx_stub *s, int signo);
/* A signal that was kept is queued to it again, while all are blocked. */
MUST int mx_stub_queue_dump(struct mx_stub *s, struct err *e);

/* One that was killed meanwhile is told of later. */
MUST int mx_stub_go_on(const struct mx_stub *s, int signo, struct err *e);

/* One call at the gadget, in that state. */
MUST int mx_stub_start(struct mx_stub *s, long number, const uint64_t args[MX_CALL_ARGS],
                       enum mx_stub_state state, struct err *e);

/* This kernel's number. */
long mx_stub_number_of(const struct mx_call_line *line);
/* The same of the call that waits, or is made. */
long mx_stub_call_number(const struct mx_stub *s);
/* Need it not stop for the call? */
bool mx_stub_takes_quick(const struct mx_stub *s);
/* After these the stub is looked at, or more is done by it. */
bool mx_stub_ends_stopped(long number);

/* Starts the call that waits, if it may be now. is_awaited: the caller waits for its end, if it
 * comes soon. */
MUST int mx_stub_start_call(struct mx_stub *s, bool is_awaited, struct err *e);
/* Its call has this result; its state is to be what it does then. finish_stopped: it stands
 * still. */
MUST int mx_stub_finish_call(struct mx_stub *s, int64_t result, mx_stub_tell *tell, void *ctx,
                             struct err *e);
MUST int mx_stub_finish_stopped(struct mx_stub *s, int64_t result, mx_stub_tell *tell,
                                void *ctx, struct err *e);

/* It may have been killed in the middle of something, and been waited for or not: nothing is
 * taken from who waits for it. */
enum mx_stub_fate { MX_STUB_GOES_ON, MX_STUB_HAS_STOPPED, MX_STUB_HAS_DIED };
enum mx_stub_fate mx_stub_fate(const struct mx_stub *s);

#endif
