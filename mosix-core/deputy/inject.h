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
#include "mosix-core/deputy/sealed.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/threads.h"

#include <stdbool.h>

enum {
    MX_DEPUTY_LOST = 0,
    MX_DEPUTY_ENDED = 1,
    MX_DEPUTY_TOLD = 2,
    MX_DEPUTY_EXEC = 3, /* it runs here, let go: it came home, or executed another program */
};

/* What becomes of the processes that are away. */
enum mx_deputy_news {
    MX_DEPUTY_CAME_HOME, /* who goes on here, let go; text: why it came */
    MX_DEPUTY_FAILED,    /* who was lost; text: why */
    MX_DEPUTY_KILLED, /* who was killed where it was, which was nobody's wish here; text: "", or
                         after that: likely why */
    MX_DEPUTY_FAMILY, /* who: 1 when there are others than the first, or it is gone; 0 */
};

/* What is asked while it serves. */
enum mx_deputy_wish {
    MX_DEPUTY_NO_WISH, /* something that can't be done now */
    MX_DEPUTY_FETCH,   /* a body, or all (0), are to come home */
    MX_DEPUTY_ROOM,    /* an image comes, into the park up to end; 0: it doesn't, any more */
};

struct mx_deputy_how {
    int guest, told;           /* told: -1: none */
    struct mx_threads *others; /* of t, besides it: they stand still when t does */
    struct mx_sealed *sealed;  /* what was given over guest; NULL: guest is the stream itself */
    uint64_t *counts;          /* MX_CALL_IDS; calls are counted by their lines' ids; or NULL */
    struct mx_range park;      /* memory of t that is kept; 0: none */
    /* told can be read: what is it? A wish has been read then. Or NULL. */
    enum mx_deputy_wish (*wish)(void *ctx, uint32_t *who, uint64_t *end);
    /* The park is clear again, if it is still there; needed for that wish. */
    void (*cleared)(void *ctx, const struct mx_range *park);
    void (*said)(void *ctx, enum mx_deputy_news what, uint32_t who, const char *text);
    void *ctx;
};

/* Serves calls from guest, a stream socket, in the stopped process t, and in the children that
 * it makes meanwhile, until they have ended, guest is lost, or told can be read while no call
 * is under way and no child is away. Stubs die with us. Frames: mosix-core/abi/talk.h. Returns
 * MX_DEPUTY_ENDED when the stub has ended, as the job or a signal asked; MX_DEPUTY_EXEC;
 * MX_DEPUTY_LOST when guest has closed the stream; MX_DEPUTY_TOLD; -EPROTO for what no guest of
 * ours says; or what failed. When it is LOST or TOLD t still stands still, with the job's mask;
 * children have been killed. A body that is sent back is put into its stub, which is let go
 * then, as an ordinary process; that of t is told like an EXEC. */
MUST int mx_deputy_serve(struct mx_tracee *t, const struct mx_deputy_how *how, struct err *e);

#endif
