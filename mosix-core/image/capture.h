/* SPDX-License-Identifier: GPL-2.0-or-later */
/* capture.h: the image of a running process of one thread.
 * Must not know: where the image goes.
 * Privilege: to trace the process: one's own, or anybody's as root. */
#ifndef MOSIX_CORE_IMAGE_CAPTURE_H
#define MOSIX_CORE_IMAGE_CAPTURE_H

#include "common/base/err.h"
#include "mosix-core/image/image.h"
#include "mosix-core/image/tracee.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mx_captured {
    uint64_t image_bytes;
    uint64_t frozen_us; /* how long it stood still */
};

/* A process that stands still, with its image written. */
struct mx_capture {
    struct mx_tracee t;
    uint64_t start_us, image_bytes;
};

/* Stops process pid and writes its image to fd. After a failure it goes on. Returns 0; -ENOTSUP
 * with words when it has what can't be in an image (threads, sockets, pipes other than 0 to 2,
 * shared memory, POSIX timers, a seccomp filter, 32-bit code); -ESRCH, -EPERM; or the error of
 * writing. */
MUST int mx_capture_start(struct mx_capture *c, pid_t pid, int fd, struct err *e);

/* is_ending: the process is killed; else it goes on. */
MUST int mx_capture_finish(struct mx_capture *c, bool is_ending, struct mx_captured *did,
                           struct err *e);

/* Both. */
MUST int mx_capture(pid_t pid, int fd, bool is_ending, struct mx_captured *did, struct err *e);

#endif
