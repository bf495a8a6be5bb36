/* SPDX-License-Identifier: GPL-2.0-or-later */
/* freeze.h: a process at home whose memory goes to a file and comes back from it.
 * Must not know: who asks, what the file is called. */
#ifndef MOSIX_CORE_MOVE_FREEZE_H
#define MOSIX_CORE_MOVE_FREEZE_H

#include "mosix-core/image/capture.h"

/* Stops process pid and writes its image to fd, durably. c: anything. Returns 0: it stands
 * still, and has all that it had; or as mx_capture_start: it goes on. */
MUST int mx_freeze_write(struct mx_capture *c, pid_t pid, int fd, struct err *e);

/* A stub without memory (c: it and its threads) gets that of the image in fd, which is read
 * from its start, and verified before anything of it is used. Returns 0: mx_capture_release
 * lets it go on; else it stands still without memory, and this can be tried again; or -ESRCH
 * when it is lost. */
MUST int mx_freeze_read(struct mx_capture *c, int fd, struct err *e);

#endif
