/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire.h: a TCP connection between two nodes that know each other, and the process that carries
 * bytes over it. Must not know: what is carried. On the connection: each side sends
 * a magic, a public part made for this connection, and, where nodes have certificates, its own;
 * from both and what only the two can know (X25519 of the certified keys, or the key that all
 * share) come two keys (common/sys/crypto.h). Then in each direction a header, and pieces: u32
 * length, sealed bytes. The first piece of the side that connects is its hello, of the other
 * one its answer. Who is not who the certificate says can't make the first piece; who changes,
 * repeats or leaves out anything ends the connection. The last piece says that it is, so that a
 * cut is known for one.
 */
#ifndef MOSIX_CORE_NET_WIRE_H
#define MOSIX_CORE_NET_WIRE_H

#include "common/base/err.h"
#include "common/sys/crypto.h"
#include "gossip/cert.h"
#include "mosix-core/net/nodes.h"

#define MX_WIRE_MAGIC      "mxwire1\n" /* with a shared key */
#define MX_WIRE_MAGIC_CERT "mxwire2\n"

enum {
    MX_WIRE_MAGIC_BYTES = 8,
    MX_PIECE_MAX = 64 << 10, /* bytes of a piece before it is sealed */
    MX_HELLO_MAX = 512,      /* bytes of a hello and of an answer */
    MX_HANDSHAKE_MS = 3000,  /* connecting, and each side's part of the handshake */
    MX_DEAD_PEER_MS =
        15000, /* what was sent and not acknowledged for so long ends the connection */
};

/* Who we are on connections: by a certificate, or one of those who share a key. */
struct mx_identity {
    bool has_cert;
    uint8_t key[CRYPTO_KEY_BYTES];
    uint8_t owner[KEYS_PUBLIC_BYTES], secret[KEYS_SECRET_BYTES], cert[GSP_CERT_BYTES];
};

/* After a handshake. fd is blocking, with a time limit only during the handshake. */
struct mx_wire {
    int fd;
    struct crypto_stream out, in;
};

/* Connects, says hello and takes the answer, which is 0 or -errno and words. Returns 0; -EACCES
 * when the other side is not that node; -EKEYREVOKED, -ETIME for its certificate; what the
 * other side has answered; or what failed: then nothing is open. */
MUST int mx_wire_connect(struct mx_wire *l, const struct mx_node *to,
                         const struct mx_identity *id, const void *hello, size_t hello_bytes,
                         struct err *e);

/* Of a connection that was accepted; takes fd, also after a failure. *hello_bytes: the room in
 * hello, then its length. *who: which of nodes it is, proven; -1 where a key is shared. The
 * caller answers. Returns 0; -EACCES, -EPROTO for somebody else, -EKEYREVOKED, -ETIME;
 * -ETIMEDOUT. */
MUST int mx_wire_accept(struct mx_wire *l, int fd, const struct mx_identity *id,
                        const struct mx_nodes *nodes, int *who, void *hello,
                        size_t *hello_bytes, struct err *e);
/* rc: 0, or -errno with words. */
MUST int mx_wire_answer(struct mx_wire *l, int rc, const char *words);

/* Carries bytes both ways between the link and plain, a stream socket, until both directions
 * have ended or one is broken; both are closed then. Returns 0; -EPIPE when the connection was
 * cut; -EPROTO when it was tampered with. */
MUST int mx_wire_carry(struct mx_wire *l, int plain);

/* Gives the connection to who has the other end of plain (mosix-core/deputy/sealed.h), and
 * waits until that has ended; both are closed then. Returns 0 or -errno. */
MUST int mx_wire_give(struct mx_wire *l, int plain);

#endif
