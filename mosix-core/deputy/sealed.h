/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sealed.h: a connection between two nodes, of whoever uses it himself instead of having a
 * process carry it: pieces as in net/wire.h. Must not know: handshakes, what is carried.
 * Who has greeted the other node gives descriptor and keys away over a socket; then that socket
 * only says, by its end, that the connection is to end. */
#ifndef MOSIX_CORE_DEPUTY_SEALED_H
#define MOSIX_CORE_DEPUTY_SEALED_H

#include "common/sys/buf.h"
#include "common/sys/crypto.h"

enum {
    MX_SEALED_PIECE_MAX = 64 << 10, /* bytes of a piece before it is sealed */
    MX_SEALED_TAKE_MS = 5000,       /* a connection that is not given within it is lost */
};

/* Lies in memory that is shared with children, so that what one of them has sent counts. */
struct mx_sealed {
    int fd;
    struct crypto_stream out, in;
    struct buf raw; /* what has come and is not yet a whole piece, or has no room */
    bool is_ended;  /* the other side has said so */
};

MUST int mx_sealed_give(int sock, int fd, const struct crypto_stream *out,
                        const struct crypto_stream *in);
/* Waits for it. Returns 0; -EPIPE when nobody gives one any more; -ETIMEDOUT, -EPROTO. */
MUST int mx_sealed_take(struct mx_sealed **s, int sock);
void mx_sealed_free(struct mx_sealed *s); /* accepts NULL */

/* Seals a piece of at most MX_SEALED_PIECE_MAX and puts it behind out. */
MUST int mx_sealed_put(struct mx_sealed *s, struct buf *out, const uint8_t *ptr,
                       size_t len_bytes);
/* Takes what has come from the connection, without waiting. Returns 0; -EPIPE when it is cut.
 */
MUST int mx_sealed_fill(struct mx_sealed *s);
/* Opens what is whole and has room in in. Returns how many pieces; -EPROTO; -EPIPE at the end.
 */
MUST int mx_sealed_open(struct mx_sealed *s, struct buf *in);

#endif
