/* SPDX-License-Identifier: GPL-2.0-or-later */
/* note.h: short messages between processes of ours on one machine, with a descriptor if need
 * be. Must not know: what they mean. */
#ifndef MOSIX_CORE_MOVE_NOTE_H
#define MOSIX_CORE_MOVE_NOTE_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

struct mx_note {
    uint32_t what;
    int32_t rc; /* 0 or -errno */
    int32_t number;
    int64_t big, also;
    char text[256]; /* words of a failure */
};

/* A pair of sockets for notes, close-on-exec. */
MUST int mx_note_pair(int pair[2]);
/* fd: passed along, or -1; still the caller's. Returns 0 or -errno. */
MUST int mx_note_send(int sock, const struct mx_note *n, int fd);
/* *fd: a descriptor that came along, or -1. Returns 1; 0 when there is none and may_wait is
 * false; -EPIPE at the end; -EPROTO. */
MUST int mx_note_receive(int sock, struct mx_note *n, int *fd, bool may_wait);

#endif
