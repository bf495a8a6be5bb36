/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore.h: a process made from an image.
 * Must not know: where the image comes from.
 * Privilege: the same process number needs CAP_CHECKPOINT_RESTORE; higher limits than ours need
 * CAP_SYS_RESOURCE. */
#ifndef MOSIX_CORE_IMAGE_RESTORE_H
#define MOSIX_CORE_IMAGE_RESTORE_H

#include "common/base/err.h"
#include "mosix-core/image/clocks.h"
#include "mosix-core/image/form/sections.h"
#include "mosix-core/image/park.h"
#include "mosix-core/image/threads.h"
#include "mosix-core/image/tracee.h"

#include <stdbool.h>
#include <sys/types.h>

struct mx_restored {
    pid_t pid;        /* our child: to be waited for */
    bool has_old_pid; /* it has the number that it had, and so have its threads */
    bool has_threads; /* besides the first */
    struct mx_tracee t;
    struct mx_threads others; /* threads besides the first, until it runs */
};

/* A descriptor that is to be of another file than the image says. */
struct mx_restore_other {
    unsigned number;
    const char *path; /* absolute */
};

/* How a body is made, or a stub filled again. */
struct mx_restore_how {
    /* NULL: a fresh child. Else this process, which stands still: its memory, registers,
     * signals and timers of processor time become the image's; all else it has already. Its old
     * memory is lost as soon as the image begins to be read. */
    struct mx_tracee *stub;
    /* Its threads besides the first, which stand still too: they become the image's by their
     * numbers, and are in r->others from then on, also after a failure. NULL: it has none. */
    struct mx_threads *stub_threads;
    /* Its pages don't come with the image but lie in a file of memory, each at the offset that
     * is its address, which is empty afterwards. NULL: they come. */
    const int *pages;
    /* With pages, or NULL: of these the process has its pages in its own memory already, where
     * it does not use them (park.h); all of that memory is gone afterwards. */
    const struct mx_park *park;
    /* A body: descriptors, directory and mask of the image are its home's business, and it may
     * come in rounds, each of which is answered with its number. before: called when the image
     * has begun, before the child is made; inside: in the child, before
     * anything else. Each returns 0 or -errno with words. */
    bool is_body;
    /* Of a body: so much memory it may have, 0: as much as there is. More than that in the
     * image is -ENOMEM, and what it asks for later is refused as if there were none. */
    uint64_t memory_max_bytes;
    int (*before)(void *ctx, const struct mx_sec_process *p, struct err *e);
    int (*inside)(void *ctx, struct err *e);
    /* All is there. then: what the process's clocks showed when it stood still; not called if
     * the image does not say. Returns 0 or -errno with words. */
    int (*after)(void *ctx, const struct mx_clocks *then, struct err *e);
    void (*some)(void *ctx);               /* some more of the image has come; or NULL */
    const struct mx_restore_other *others; /* of a fresh child */
    unsigned other_count;
    void *ctx;
};

/* As mx_restore_start. With a stub r->t is a copy of it, which is to be used from then on, also
 * after a failure: it stands still then, with memory that makes no sense, and can still make
 * calls. */
MUST int mx_restore_as(int fd, const struct mx_restore_how *how, struct mx_restored *r,
                       struct err *e);

/* Reads an image from fd, to its end and not a byte further, and makes of it a child of ours,
 * which stands still and dies with us. Descriptors 0 to 2 that were no files are ours. Returns
 * 0; -EPROTO for an image that is cut short or was changed; -ENOTSUP when it is of another
 * kernel; -ESTALE when a file has changed; or what failed: then there is no child. */
MUST int mx_restore_start(int fd, struct mx_restored *r, struct err *e);

/* It runs; or it is ended and waited for, as it is after a failure. */
MUST int mx_restore_finish(struct mx_restored *r, bool is_running, struct err *e);

/* Both: it runs when this returns. */
MUST int mx_restore(int fd, struct mx_restored *r, struct err *e);

#endif
