/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supervise.h: a body's calls are sent home, and their answers given to it.
 * Must not know: who is at the other end of the stream.
 * On the stream: u32 length and a call as mx_call_ask makes it; back u32 length and its answer.
 * One at a time. Length 0 after a call: it is to end early; its answer comes all the same, the
 * kernel's -ERESTART… if nothing has been done; after an answer it means nothing. */
#ifndef MOSIX_CORE_GUEST_SUPERVISE_H
#define MOSIX_CORE_GUEST_SUPERVISE_H

#include "common/base/err.h"
#include "mosix-core/image/tracee.h"

enum { MX_FRAME_MAX = (1 << 20) + 4096 }; /* bytes of a call or of an answer */

/* Puts the filter into a body that stands still; from its next call on it is noticed.
 * *listener: where. Returns 0 or -errno; the body is not to run after a failure. */
MUST int mx_guest_confine(struct mx_tracee *t, int *listener, struct err *e);

enum { MX_GUEST_TOLD = 2 };

/* Serves the body t->pid, which runs untraced, until it has ended. home: a stream socket. told:
 * a descriptor, or -1; when it can be read the call that the body waits in is made to end at
 * home, early if it can, and the body is caught: then MX_GUEST_TOLD is returned, and
 * mx_tracee_await has it stand still, between its calls. A call that is not known ends with
 * ENOSYS. Returns 0 when the job has ended at home, or 1 when the body was killed here; -errno
 * when home is lost: the body is to be ended then. */
MUST int mx_guest_serve(struct mx_tracee *t, int listener, int home, int told, struct err *e);

#endif
