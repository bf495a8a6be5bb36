/* SPDX-License-Identifier: GPL-2.0-or-later */
/* send.h: the image of a process that moves: memory goes in rounds while it runs, the rest when
 * it stands still. Must not know: where to; who decides when it stands still.
 * Threads: rounds are sent by one of ours, between mx_send_start and mx_send_stop; it traces
 * nothing. The other side says the number of each round when it begins there (u32, little
 * endian), so that what it has taken is known, not what lies in buffers. */
#ifndef MOSIX_CORE_IMAGE_SEND_H
#define MOSIX_CORE_IMAGE_SEND_H

#include "mosix-core/image/capture.h"

enum {
    MX_SEND_PATIENCE_MS = 2000, /* a round that is not ended in this time is cut off */
};

/* After each round, from the thread: how long sending what has changed since would take;
 * UINT32_MAX: that is not known. rc: -errno with words, and there will be no more. */
typedef void (*mx_send_round)(void *ctx, int rc, uint32_t left_ms, const struct err *e);

struct mx_send_how {
    pid_t pid;
    enum mx_capture_for what_for;
    struct mx_clocks ahead; /* the process's clocks, of ours */
    int fd;                 /* a stream socket, borrowed */
    int uffd;               /* borrowed, of mx_watch_make; -1: all is sent at the end */
    /* In the thread, before anything else; or NULL. */
    void (*before)(void *ctx);
    mx_send_round round; /* NULL: there are no rounds */
    /* When so little is left it is soon to stand still: there is no further round for a moment.
     * With more left no time is lost between rounds, in which the process would only change
     * more. */
    uint32_t little_ms;
    void *ctx;
};

struct mx_send;
/* Starts the thread, if there are to be rounds. Returns 0 or -errno with words. */
MUST int mx_send_start(struct mx_send **out, const struct mx_send_how *how, struct err *e);
/* The thread ends, in bounded time. */
void mx_send_stop(struct mx_send *s);
/* After stop, of the process that stands still in c: what is left, and the end. */
MUST int mx_send_rest(struct mx_send *s, struct mx_capture *c, struct err *e);
/* Also stops it; accepts NULL. */
void mx_send_free(struct mx_send *s);

#endif
