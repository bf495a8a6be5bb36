/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inject.h: a deputy that makes a job's calls in the stub by ptrace: the stub's number,
 * descriptors, directory and credentials count. Must not know: how calls get here.
 * Signals: while it serves, SIGCHLD is blocked in the calling thread and waited for; a signal
 * of another child's that comes meanwhile is taken too, so who has others waits for them
 * afterwards without one. */
#ifndef MOSIX_CORE_DEPUTY_INJECT_H
#define MOSIX_CORE_DEPUTY_INJECT_H

#include "common/base/err.h"
#include "mosix-core/abi/calls.h"
#include "mosix-core/image/tracee.h"

enum { MX_STUBS_MAX = 256 }; /* processes of one job that are away */

enum {
    MX_DEPUTY_LOST = 0,
    MX_DEPUTY_ENDED = 1,
    MX_DEPUTY_TOLD = 2,
    MX_DEPUTY_EXEC = 3, /* the stub has executed another program, which runs here, let go */
};

/* Serves calls from guest, a stream socket, in the stopped process t, and in the children that
 * it makes meanwhile, until they have ended, guest is lost, or told (-1: none) can be read
 * while no call is under way and no child is away. Stubs die with us. Frames:
 * mosix-core/abi/talk.h. Returns MX_DEPUTY_ENDED when the stub has ended, as the job or a
 * signal asked; MX_DEPUTY_EXEC; MX_DEPUTY_LOST when guest has closed the stream;
 * MX_DEPUTY_TOLD; -EPROTO for what no guest of ours says; or what failed. When it is LOST or
 * TOLD t still stands still, with the job's mask; children have been killed. */
MUST int mx_deputy_serve(struct mx_tracee *t, int guest, int told, struct err *e);

/* The same, and counts the calls by their lines' ids: counts has MX_CALL_IDS of them, which are
 * added to. */
MUST int mx_deputy_serve_counting(struct mx_tracee *t, int guest, int told, uint64_t *counts,
                                  struct err *e);

#endif
