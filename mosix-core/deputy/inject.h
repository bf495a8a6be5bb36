/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inject.h: a deputy that makes a job's calls in the stub by ptrace: the stub's number,
 * descriptors, directory and credentials count. Must not know: how calls get here. A deputy
 * inside the stub will be faster and able to take signals during a call. */
#ifndef MOSIX_CORE_DEPUTY_INJECT_H
#define MOSIX_CORE_DEPUTY_INJECT_H

#include "common/base/err.h"
#include "mosix-core/image/tracee.h"

/* Serves calls from guest, a stream socket, in the stopped process t until the job ends or
 * guest is lost: then the stub still stands still. Signals for the stub wait. The stub dies with us. Returns 1 when
 * the stub has ended, as the job asked; 0 when guest has closed the stream; -EPROTO for what no
 * guest of ours says; or what failed. */
MUST int mx_deputy_serve(struct mx_tracee *t, int guest, struct err *e);

#endif
