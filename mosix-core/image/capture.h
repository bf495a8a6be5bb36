/* SPDX-License-Identifier: GPL-2.0-or-later */
/* capture.h: the image of a running process, of all its threads.
 * Must not know: where the image goes.
 * Privilege: to trace the process: one's own, or anybody's as root. */
#ifndef MOSIX_CORE_IMAGE_CAPTURE_H
#define MOSIX_CORE_IMAGE_CAPTURE_H

#include "common/base/err.h"
#include "mosix-core/image/clocks.h"
#include "mosix-core/image/image.h"
#include "mosix-core/image/threads.h"
#include "mosix-core/image/tracee.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* So long another may still trace a process that is to be captured whole. */
enum { MX_TRACER_MS = 1000 };

struct mx_captured {
    uint64_t image_bytes;
    uint64_t frozen_us; /* how long it stood still */
};

/* What is taken besides memory, registers and signals. */
enum mx_capture_for {
    MX_CAPTURE_WHOLE, /* a file: descriptors too */
    MX_CAPTURE_MOVE,  /* a process at home that leaves: what its stub keeps is not in the image
                       */
    MX_CAPTURE_BODY,  /* a body that goes on elsewhere: it has a filter, and no descriptors */
};

/* A process that stands still. */
struct mx_capture {
    struct mx_tracee t;       /* its first thread */
    struct mx_threads others; /* those besides */
    enum mx_capture_for what_for;
    int without;            /* a descriptor that is left out of a whole image; 0: none */
    struct mx_clocks ahead; /* its clocks, of ours */
    uint64_t start_us, image_bytes;
};

/* Could process pid be captured? It is not stopped; some reasons are found only later. Returns
 * 0, or -ENOTSUP with words as mx_capture_start; -ESRCH, -EPERM. */
MUST int mx_capture_look(pid_t pid, enum mx_capture_for what_for, struct err *e);

/* Stops it for a moment, in which it makes a userfaultfd that notes changes of its memory
 * (mosix-core/image/scan.h). It runs on, also after a failure. Returns what mx_watch_make does.
 */
MUST int mx_capture_watch(pid_t pid, int *uffd, struct err *e);

/* Stops it. c: zeroed but for what_for and ahead. Returns 0, or what mx_tracee_seize does.
 */
MUST int mx_capture_stop(struct mx_capture *c, pid_t pid, struct err *e);

/* It goes on, with all its threads, as they were found. */
MUST int mx_capture_release(struct mx_capture *c, struct err *e);

/* Writes its image; it still stands still, also after a failure. A caller may have stopped c->t
 * himself. */
MUST int mx_capture_write(struct mx_capture *c, int fd, struct err *e);

/* Stops process pid and writes its image to fd. c: zeroed but for without. After a failure it
 * goes on. Returns 0; -ENOTSUP with words when it has what can't be in an image (sockets, pipes
 * other than 0 to 2, shared memory, POSIX timers, a seccomp filter, 32-bit code); -ESRCH,
 * -EPERM; or the error of writing. */
MUST int mx_capture_start(struct mx_capture *c, pid_t pid, int fd, struct err *e);

/* is_ending: the process is killed; else it goes on. */
MUST int mx_capture_finish(struct mx_capture *c, bool is_ending, struct mx_captured *did,
                           struct err *e);

/* Both. */
MUST int mx_capture(pid_t pid, int fd, bool is_ending, struct mx_captured *did, struct err *e);

#endif
