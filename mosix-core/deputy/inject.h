/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inject.h: a deputy that makes a job's calls in the stub by ptrace: the stub's number,
 * descriptors, directory and credentials count. Must not know: how calls get here. A deputy
 * inside the stub will be faster and able to take signals during a call. */
#ifndef MOSIX_CORE_DEPUTY_INJECT_H
#define MOSIX_CORE_DEPUTY_INJECT_H

#include "common/base/err.h"
#include "mosix-core/image/tracee.h"

enum { MX_DEPUTY_LOST = 0, MX_DEPUTY_ENDED = 1, MX_DEPUTY_TOLD = 2 };

/* Serves calls from guest, a stream socket, in the stopped process t until the job ends, guest
 * is lost, or told (-1: none) can be read while no call is under way: then the stub still
 * stands still. Signals for the stub wait. The stub dies with us. Returns MX_DEPUTY_ENDED when
 * the stub has ended, as the job asked; MX_DEPUTY_LOST when guest has closed the stream;
 * MX_DEPUTY_TOLD; -EPROTO for what no guest of ours says; or what failed. */
MUST int mx_deputy_serve(struct mx_tracee *t, int guest, int told, struct err *e);

#endif
