/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire.c: the handshake of two nodes.
 * Must not know: what is carried. Secrets are wiped when the keys have been derived. */
#include "mosix-core/net/wire.h"

#include "common/base/wire.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { GREETING_MAX_BYTES = MX_WIRE_MAGIC_BYTES + CRYPTO_PUBLIC_BYTES + GSP_CERT_BYTES };

/* ---- sockets ---- */

static int set_limits(int fd, unsigned handshake_ms)
{
    int on = 1, dead_ms = MX_DEAD_PEER_MS, idle_s = 5, every_s = 5, count = 3;
    struct timeval t = { handshake_ms / 1000, handshake_ms % 1000 * 1000 };
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count) < 0)
        return -errno;
    return 0;
}

/* Waits for the end of a connect() of fd; an interruption is none of the time that it may take.
 * Returns 0 or the negated error. */
static int wait_connected(int fd)
{
    uint64_t end = clock_mono_ms() + MX_HANDSHAKE_MS;
    struct pollfd p = { fd, POLLOUT, 0 };
    int error = 0;
    socklen_t len = sizeof error;
    for (;;) {
        uint64_t now = clock_mono_ms();
        int n = poll(&p, 1, now < end ? (int)(end - now) : 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ETIMEDOUT;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : -error;
    }
}

static int dial(const struct mx_node *to, int *fd_out, struct err *e)
{
    struct sockaddr_storage a;
    socklen_t len = mx_node_address(to, &a);
    AUTO_FD fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(e, errno, "make a socket");
    int rc = connect(fd, (struct sockaddr *)&a, len) < 0 && errno != EINPROGRESS ? -errno : 0;
    if (rc == 0)
        rc = wait_connected(fd);
    if (rc == 0)
        rc = fd_set_nonblock(fd, false);
    if (rc == 0)
        rc = set_limits(fd, MX_HANDSHAKE_MS);
    if (rc < 0)
        return err_set(e, -rc, "connect to node %s (%s port %u)", to->name, to->address,
                       to->port);
    *fd_out = take_fd(&fd);
    return 0;
}

/* ---- handshake ---- */

static int read_all(int fd, void *ptr, size_t len_bytes)
{
    ssize_t n = fd_read_full(fd, ptr, len_bytes);
    if (n == -EAGAIN)
        return -ETIMEDOUT;
    return n == (ssize_t)len_bytes ? 0 : n < 0 ? (int)n : -EPIPE;
}

/* What the two have said to each other before anything is sealed. */
struct greeting {
    uint8_t public[CRYPTO_PUBLIC_BYTES];
    struct gsp_cert cert; /* theirs, signed by the owner; where there are certificates */
};

static size_t greeting_bytes(const struct mx_identity *id)
{
    return id->has_cert ? GREETING_MAX_BYTES : GREETING_MAX_BYTES - GSP_CERT_BYTES;
}

static const char *magic_of(const struct mx_identity *id)
{
    return id->has_cert ? MX_WIRE_MAGIC_CERT : MX_WIRE_MAGIC;
}

static int send_greeting(int fd, const struct mx_identity *id, const struct crypto_exchange *x)
{
    uint8_t greeting[GREETING_MAX_BYTES];
    struct wr w = wr_of(greeting, sizeof greeting);
    put_raw(&w, magic_of(id), MX_WIRE_MAGIC_BYTES);
    put_raw(&w, x->public, sizeof x->public);
    put_raw(&w, id->cert, sizeof id->cert);
    return fd_write_full(fd, greeting, greeting_bytes(id));
}

static int take_greeting(int fd, const struct mx_identity *id, struct greeting *g)
{
    uint8_t greeting[GREETING_MAX_BYTES];
    const uint8_t *at = greeting + MX_WIRE_MAGIC_BYTES;
    int rc = read_all(fd, greeting, MX_WIRE_MAGIC_BYTES);
    if (rc == 0 && memcmp(greeting, magic_of(id), MX_WIRE_MAGIC_BYTES) != 0)
        rc = -EPROTO;
    if (rc == 0)
        rc = read_all(fd, greeting + MX_WIRE_MAGIC_BYTES,
                      greeting_bytes(id) - MX_WIRE_MAGIC_BYTES);
    memcpy(g->public, at, sizeof g->public);
    if (rc == 0 && id->has_cert)
        rc = gsp_cert_open(at + sizeof g->public, GSP_CERT_BYTES, id->owner,
                           clock_wall_ms() / 1000, &g->cert);
    return rc;
}

/* Does the certificate stand for that node of the map? */
static int check_cert(const struct mx_node *n, const struct gsp_cert *c)
{
    if (c->node != n->number)
        return -EACCES;
    return c->serial <= n->revoked ? -EKEYREVOKED : 0;
}

static int derive(const struct mx_identity *id, struct crypto_exchange *x,
                  const struct greeting *g, bool is_first, uint8_t sending[CRYPTO_KEY_BYTES],
                  uint8_t receiving[CRYPTO_KEY_BYTES])
{
    _Static_assert((int)CRYPTO_KEY_BYTES == (int)KEYS_SHARED_BYTES, "one length");
    uint8_t shared[CRYPTO_KEY_BYTES];
    int rc = 0;
    memcpy(shared, id->key, sizeof shared);
    if (id->has_cert)
        rc = keys_shared(shared, id->secret, g->cert.key);
    if (rc == 0)
        rc = crypto_exchange_keys(x, shared, g->public, is_first, sending, receiving);
    crypto_wipe(shared, sizeof shared);
    return rc;
}

/* The first piece, with the header in front. */
static int send_first(struct mx_wire *l, const uint8_t key[CRYPTO_KEY_BYTES], const void *ptr,
                      size_t len_bytes)
{
    uint8_t space[CRYPTO_HEADER_BYTES + 4 + MX_HELLO_MAX + CRYPTO_SEAL_EXTRA_BYTES];
    if (len_bytes > MX_HELLO_MAX)
        return -EMSGSIZE;
    crypto_seal_start(&l->out, key, space);
    struct wr w = wr_of(space + CRYPTO_HEADER_BYTES, 4);
    put_u32(&w, (uint32_t)(len_bytes + CRYPTO_SEAL_EXTRA_BYTES));
    crypto_seal(&l->out, space + CRYPTO_HEADER_BYTES + 4, ptr, len_bytes, false);
    return fd_write_full(l->fd, space,
                         CRYPTO_HEADER_BYTES + 4 + len_bytes + CRYPTO_SEAL_EXTRA_BYTES);
}

static int take_piece(struct mx_wire *l, void *ptr, size_t *len_bytes)
{
    uint8_t head[4], sealed[MX_HELLO_MAX + CRYPTO_SEAL_EXTRA_BYTES];
    uint32_t sealed_bytes = 0;
    bool is_last;
    int rc = read_all(l->fd, head, sizeof head);
    struct rd r = rd_of(head, sizeof head);
    if (rc == 0)
        rc = get_u32(&r, &sealed_bytes);
    if (rc == 0 && (sealed_bytes < CRYPTO_SEAL_EXTRA_BYTES || sealed_bytes > sizeof sealed ||
                    sealed_bytes - CRYPTO_SEAL_EXTRA_BYTES > *len_bytes))
        rc = -EPROTO;
    if (rc == 0)
        rc = read_all(l->fd, sealed, sealed_bytes);
    if (rc == 0)
        rc = crypto_open(&l->in, ptr, sealed, sealed_bytes, &is_last);
    if (rc == 0)
        *len_bytes = sealed_bytes - CRYPTO_SEAL_EXTRA_BYTES;
    return rc;
}

static int take_first(struct mx_wire *l, const uint8_t key[CRYPTO_KEY_BYTES], void *ptr,
                      size_t *len_bytes)
{
    uint8_t header[CRYPTO_HEADER_BYTES];
    int rc = read_all(l->fd, header, sizeof header);
    if (rc == 0)
        rc = crypto_open_start(&l->in, key, header);
    return rc == 0 ? take_piece(l, ptr, len_bytes) : rc;
}

/* Words for what only the lack of the key, or a bad day, does. */
static int say_why(int rc, const struct mx_identity *id, const char *who, struct err *e)
{
    if (rc == -EKEYREVOKED)
        return err_say(e, EKEYREVOKED, "%s: its certificate was revoked", who);
    if (rc == -ETIME)
        return err_say(e, ETIME, "%s: its certificate has expired", who);
    if ((rc == -EPROTO || rc == -EACCES) && id->has_cert)
        return err_say(e, EACCES,
                       "%s is not that node by a certificate of this cluster's owner, or is no "
                       "mosixd of this version",
                       who);
    if (rc == -EPROTO)
        return err_say(e, EACCES, "%s has not the same key, or is no mosixd of this version",
                       who);
    return err_set(e, -rc, "greet %s", who);
}

static int meet(struct mx_wire *l, const struct mx_node *to, const struct mx_identity *id,
                const void *hello, size_t hello_bytes, uint8_t answer[MX_HELLO_MAX],
                size_t *answer_bytes)
{
    struct crypto_exchange x;
    struct greeting theirs;
    uint8_t sending[CRYPTO_KEY_BYTES], receiving[CRYPTO_KEY_BYTES];
    int rc = crypto_exchange_new(&x);
    if (rc == 0)
        rc = send_greeting(l->fd, id, &x);
    if (rc == 0)
        rc = take_greeting(l->fd, id, &theirs);
    if (rc == 0 && id->has_cert)
        rc = check_cert(to, &theirs.cert);
    if (rc == 0)
        rc = derive(id, &x, &theirs, true, sending, receiving);
    if (rc == 0)
        rc = send_first(l, sending, hello, hello_bytes);
    if (rc == 0)
        rc = take_first(l, receiving, answer, answer_bytes);
    if (rc == -EPIPE || rc == -ECONNRESET) /* it has hung up on our hello */
        rc = -EPROTO;
    crypto_wipe(sending, sizeof sending);
    crypto_wipe(receiving, sizeof receiving);
    return rc;
}

int mx_wire_connect(struct mx_wire *l, const struct mx_node *to, const struct mx_identity *id,
                    const void *hello, size_t hello_bytes, struct err *e)
{
    uint8_t answer[MX_HELLO_MAX];
    size_t len = sizeof answer;
    char who[MX_NODE_NAME_MAX + 8], words[200] = "";
    int32_t said = 0;
    struct bytes text;
    snprintf(who, sizeof who, "node %s", to->name);
    int rc = dial(to, &l->fd, e);
    if (rc < 0)
        return rc;
    rc = meet(l, to, id, hello, hello_bytes, answer, &len);
    struct rd r = rd_of(answer, len);
    if (rc == 0 && (get_i32(&r, &said) < 0 || get_bytes(&r, &text) < 0 ||
                    bytes_to_text(text, words, sizeof words) < 0 || said > 0 || said < -4095))
        rc = -EPROTO;
    if (rc == 0 && said == 0)
        rc = set_limits(l->fd, 0);
    if (rc < 0)
        rc = say_why(rc, id, who, e);
    else if (said < 0)
        rc = err_say(e, -said, "%s: %s", who, words);
    if (rc < 0)
        fd_close(&l->fd);
    return rc;
}

static int find_who(const struct mx_nodes *nodes, const struct gsp_cert *c)
{
    int who = mx_nodes_number(nodes, c->node);
    if (who < 0)
        return -EACCES;
    int rc = check_cert(&nodes->list[who], c);
    return rc < 0 ? rc : who;
}

int mx_wire_accept(struct mx_wire *l, int fd, const struct mx_identity *id,
                   const struct mx_nodes *nodes, int *who, void *hello, size_t *hello_bytes,
                   struct err *e)
{
    struct crypto_exchange x;
    struct greeting theirs;
    uint8_t sending[CRYPTO_KEY_BYTES], receiving[CRYPTO_KEY_BYTES];
    uint8_t header[CRYPTO_HEADER_BYTES];
    l->fd = fd;
    int rc = set_limits(fd, MX_HANDSHAKE_MS);
    if (rc == 0)
        rc = crypto_exchange_new(&x);
    if (rc == 0)
        rc = take_greeting(fd, id, &theirs);
    if (rc == 0)
        rc = send_greeting(fd, id, &x);
    if (rc == 0 && id->has_cert) {
        *who = find_who(nodes, &theirs.cert);
        rc = *who < 0 ? *who : 0;
    } else {
        *who = -1;
    }
    if (rc == 0)
        rc = derive(id, &x, &theirs, false, sending, receiving);
    if (rc == 0)
        rc = take_first(l, receiving, hello, hello_bytes);
    if (rc == 0) {
        crypto_seal_start(&l->out, sending, header);
        rc = fd_write_full(fd, header, sizeof header);
    }
    crypto_wipe(sending, sizeof sending);
    crypto_wipe(receiving, sizeof receiving);
    if (rc < 0) {
        fd_close(&l->fd);
        return say_why(rc, id, "who has connected", e);
    }
    return 0;
}

int mx_wire_answer(struct mx_wire *l, int rc, const char *words)
{
    uint8_t answer[MX_HELLO_MAX], space[4 + MX_HELLO_MAX + CRYPTO_SEAL_EXTRA_BYTES];
    char text[200];
    snprintf(text, sizeof text, "%s", words);
    struct wr a = wr_of(answer, sizeof answer), w = wr_of(space, 4);
    put_i32(&a, rc);
    put_bytes(&a, bytes_of(text));
    put_u32(&w, (uint32_t)(wr_len(&a) + CRYPTO_SEAL_EXTRA_BYTES));
    crypto_seal(&l->out, space + 4, answer, wr_len(&a), false);
    int failed = fd_write_full(l->fd, space, 4 + wr_len(&a) + CRYPTO_SEAL_EXTRA_BYTES);
    return failed < 0 ? failed : set_limits(l->fd, 0);
}
