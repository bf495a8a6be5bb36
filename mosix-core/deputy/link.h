/* SPDX-License-Identifier: GPL-2.0-or-later */
/* link.h: frames over a stream socket, neither side ever waiting for the other to read.
 * Must not know: what frames mean. */
#ifndef MOSIX_CORE_DEPUTY_LINK_H
#define MOSIX_CORE_DEPUTY_LINK_H

#include "common/sys/buf.h"
#include "mosix-core/abi/talk.h"

enum { MX_LINK_QUEUE_MAX = 64 << 20 }; /* bytes that wait to be sent */

struct mx_link {
    int fd; /* borrowed */
    struct buf in, out;
    uint8_t *frame; /* being made: 4 + MX_FRAME_MAX */
    struct wr w;
    size_t taken_bytes; /* of in, by the last frame given out */
};

MUST int mx_link_init(struct mx_link *l, int fd);
void mx_link_fini(struct mx_link *l);

/* A frame to be filled and sent. */
struct wr *mx_link_begin(struct mx_link *l, enum mx_talk kind, uint32_t who);
/* Sends it, or queues it. Returns 0; -ENOSPC when it or the queue is too long; -EPIPE and its
 * like when the peer is gone. */
MUST int mx_link_send(struct mx_link *l);

/* What poll is to wait for. */
short mx_link_wants(const struct mx_link *l);
/* Sends what waits; after poll has said that it may. */
MUST int mx_link_flush(struct mx_link *l);

/* Takes what has come from the socket, without waiting. Returns 0, -EPIPE when the peer is
 * gone. */
MUST int mx_link_fill(struct mx_link *l);
/* The next whole frame, valid until the next call. Returns 1, 0 when there is none, -EPROTO. */
MUST int mx_link_next(struct mx_link *l, struct mx_talk_frame *f);

#endif
