/* SPDX-License-Identifier: GPL-2.0-or-later */
/* link.h: frames over a stream socket, or a connection that is sealed, neither side ever
 * waiting for the other to read. Must not know: what frames mean. */
#ifndef MOSIX_CORE_DEPUTY_LINK_H
#define MOSIX_CORE_DEPUTY_LINK_H

#include "common/sys/buf.h"
#include "mosix-core/abi/talk.h"
#include "mosix-core/deputy/sealed.h"

enum { MX_LINK_QUEUE_MAX = 64 << 20 }; /* bytes that wait to be sent */

struct mx_link {
    int fd;                   /* borrowed */
    struct mx_sealed *sealed; /* borrowed; what fd is then; NULL: a plain socket */
    int watch; /* when this has ended, so has the link; -1: it ends when its peer ends it */
    struct buf in, out;
    uint8_t *frame; /* being made: 4 + MX_FRAME_MAX */
    struct wr w;
    size_t taken_bytes; /* of in, by the last frame given out */
};

/* fd: a plain socket; with sealed the one that it was given over. */
MUST int mx_link_init(struct mx_link *l, int fd, struct mx_sealed *sealed);
void mx_link_fini(struct mx_link *l);

/* A frame to be filled and sent. */
struct wr *mx_link_begin(struct mx_link *l, enum mx_talk kind, uint32_t who);
/* Sends it, or queues it. Returns 0; -ENOSPC when it or the queue is too long; -EPIPE and its
 * like when the peer is gone. */
MUST int mx_link_send(struct mx_link *l);

/* What poll is to wait for. */
short mx_link_wants(const struct mx_link *l);
/* Waits for that, and for nothing else. Returns what has happened; -EPIPE when watch has ended.
 */
MUST int mx_link_wait(const struct mx_link *l, short events);
/* Sends what waits; after poll has said that it may. */
MUST int mx_link_flush(struct mx_link *l);

/* Takes what has come from the socket, without waiting. Returns 0, -EPIPE when the peer is
 * gone. */
MUST int mx_link_fill(struct mx_link *l);
/* The next whole frame, valid until the next call. Returns 1, 0 when there is none, -EPROTO. */
MUST int mx_link_next(struct mx_link *l, struct mx_talk_frame *f);

#endif
