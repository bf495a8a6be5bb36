/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supervise.h: a body's calls are sent home, and what home says is done to it.
 * Must not know: who is at the other end of the stream. Frames: mosix-core/abi/talk.h.
 * While it serves, SIGCHLD is blocked in the calling thread and waited for. */
#ifndef MOSIX_CORE_GUEST_SUPERVISE_H
#define MOSIX_CORE_GUEST_SUPERVISE_H

#include "common/base/err.h"
#include "mosix-core/deputy/sealed.h"
#include "mosix-core/image/clocks.h"
#include "mosix-core/image/threads.h"
#include "mosix-core/image/tracee.h"

#include <stdbool.h>
#include <stdint.h>

enum { MX_BODIES_MAX = 256 }; /* processes of one job that are here, and their threads */

/* Puts the filter into a body that stands still, into all its threads; from its next call on it
 * is noticed. *listener: where. Returns 0 or -errno; the body is not to run after a failure. */
MUST int mx_guest_confine(struct mx_tracee *t, int *listener, struct err *e);

enum {
    MX_GUEST_ENDED = 0,
    MX_GUEST_KILLED = 1, /* here, and then at home */
    MX_GUEST_TOLD = 2,
    MX_GUEST_EXEC = 3, /* the job goes on at home: it went there, or executed another program */
};

struct mx_guest_how {
    int listener;
    int home;                 /* a stream socket, */
    struct mx_sealed *sealed; /* or what was given over it; NULL: it is the stream itself */
    int told;                 /* or -1 */
    /* NULL: the body has no other threads, and goes home when it makes one. Else empty, and
     * afterwards, when it was told, those that it has: they stand still. */
    struct mx_threads *others;
    struct mx_clocks ahead; /* the bodies' clocks, of ours */
    uint64_t memory_kills;  /* mx_sandbox_memory_kills(), of before the body was there */
    uint32_t
        processes_max;  /* that may be here; 0: MX_BODIES_MAX. Who forks once more goes home */
    const char *only;   /* names of calls that are known, with blanks around each; NULL: all of
                           calls.def */
    bool has_no_mirror; /* what is not known brings bodies home, whatever it is */
    /* told can be read while there are children: takes what is asked and answers it. Returns
     * false when that is left for later. Or NULL. */
    bool (*busy)(void *ctx);
    void *ctx;
};

/* Serves the body t->pid, a child of ours that runs untraced, and the children that it makes,
 * until all have ended. When told can be read, and the body has no children here, the call that
 * the body waits in is made to end at home, early if it can, and the body is caught: then
 * MX_GUEST_TOLD is returned, nothing is on its way, and it stands still, between its calls. A
 * body that makes a call that is not known, or that home wants, goes home by itself and goes on
 * there: of the first that is MX_GUEST_EXEC. Returns MX_GUEST_...; -errno when home is lost:
 * the body is to be ended then. When it has ended it is the caller's to wait for. */
MUST int mx_guest_serve(struct mx_tracee *t, const struct mx_guest_how *how, struct err *e);

#endif
