/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sealed.c: pieces of a connection, and who gets it. Must not know: what is carried.
 * Source: unix(7). */
#include "mosix-core/deputy/sealed.h"

#include "common/base/wire.h"
#include "common/sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WHOLE_PIECE_MAX = 4 + MX_SEALED_PIECE_MAX + CRYPTO_SEAL_EXTRA_BYTES };

struct keys {
    struct crypto_stream out, in;
};

int mx_sealed_give(int sock, int fd, const struct crypto_stream *out,
                   const struct crypto_stream *in)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct keys keys = { *out, *in };
    struct iovec v = { &keys, sizeof keys };
    struct msghdr m = { .msg_iov = &v,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control.space };
    memset(&control, 0, sizeof control);
    control.head = (struct cmsghdr){ CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    ssize_t n;
    do
        n = sendmsg(sock, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    int rc = n < 0 ? -errno : n == (ssize_t)sizeof keys ? 0 : -EPIPE;
    crypto_wipe(&keys, sizeof keys);
    return rc;
}

/* Returns the descriptor, or -errno. */
static int receive(int sock, struct keys *keys)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec v = { keys, sizeof *keys };
    struct msghdr m = { .msg_iov = &v,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control.space };
    AUTO_FD fd = -1;
    ssize_t n;
    do
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return n == 0 ? -EPIPE : n != (ssize_t)sizeof *keys || fd < 0 ? -EPROTO : take_fd(&fd);
}

int mx_sealed_take(struct mx_sealed **s, int sock)
{
    struct keys keys;
    struct pollfd p = { sock, POLLIN, 0 };
    int n;
    do
        n = poll(&p, 1, MX_SEALED_TAKE_MS);
    while (n < 0 && errno == EINTR);
    int fd = n < 0 ? -errno : n == 0 ? -ETIMEDOUT : receive(sock, &keys);
    if (fd < 0)
        return fd;
    struct mx_sealed *got =
        mmap(NULL, sizeof *got, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) {
        close(fd);
        return -ENOMEM;
    }
    *got = (struct mx_sealed){ .fd = fd, .out = keys.out, .in = keys.in };
    buf_init(&got->raw, 2 * WHOLE_PIECE_MAX);
    crypto_wipe(&keys, sizeof keys);
    *s = got;
    return 0;
}

void mx_sealed_free(struct mx_sealed *s)
{
    if (!s)
        return;
    buf_fini(&s->raw);
    fd_close(&s->fd);
    crypto_wipe(s, sizeof *s);
    munmap(s, sizeof *s);
}

int mx_sealed_put(struct mx_sealed *s, struct buf *out, const uint8_t *ptr, size_t len_bytes)
{
    uint8_t *spot;
    size_t sealed_bytes = len_bytes + CRYPTO_SEAL_EXTRA_BYTES;
    int rc = buf_reserve(out, 4 + sealed_bytes, &spot);
    if (rc < 0)
        return rc;
    struct wr head = wr_of(spot, 4);
    put_u32(&head, (uint32_t)sealed_bytes);
    crypto_seal(&s->out, spot + 4, ptr, len_bytes, false);
    buf_commit(out, 4 + sealed_bytes);
    return 0;
}

int mx_sealed_fill(struct mx_sealed *s)
{
    uint8_t *spot;
    size_t room = buf_room(&s->raw) < WHOLE_PIECE_MAX ? buf_room(&s->raw) : WHOLE_PIECE_MAX;
    if (room == 0)
        return 0; /* there is a whole piece to be opened first */
    int rc = buf_reserve(&s->raw, room, &spot);
    if (rc < 0)
        return rc;
    ssize_t n;
    do
        n = recv(s->fd, spot, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    buf_commit(&s->raw, (size_t)n);
    return n == 0 ? -EPIPE : 0;
}

int mx_sealed_open(struct mx_sealed *s, struct buf *in)
{
    for (int count = 0;; count++) {
        struct rd r = rd_of(buf_at(&s->raw), buf_len(&s->raw));
        uint32_t sealed_bytes;
        uint8_t none, *spot = &none;
        if (s->is_ended)
            return count ? count : -EPIPE;
        if (get_u32(&r, &sealed_bytes) < 0)
            return count;
        if (sealed_bytes < CRYPTO_SEAL_EXTRA_BYTES || sealed_bytes > WHOLE_PIECE_MAX - 4)
            return -EPROTO;
        size_t len = sealed_bytes - CRYPTO_SEAL_EXTRA_BYTES;
        if (rd_left(&r) < sealed_bytes || buf_room(in) < len)
            return count;
        int rc = len ? buf_reserve(in, len, &spot) : 0;
        if (rc == 0)
            rc = crypto_open(&s->in, spot, r.at, sealed_bytes, &s->is_ended);
        if (rc < 0)
            return rc;
        buf_commit(in, len);
        buf_consume(&s->raw, 4 + sealed_bytes);
    }
}
