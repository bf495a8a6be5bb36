/* SPDX-License-Identifier: GPL-2.0-or-later */
/* link.c: frames over a stream socket. Must not know: what frames mean. */
#include "mosix-core/deputy/link.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { PIECE = 64 << 10 };

int mx_link_init(struct mx_link *l, int fd, struct mx_sealed *sealed)
{
    *l = (struct mx_link){ .fd = sealed ? sealed->fd : fd,
                           .sealed = sealed,
                           .watch = sealed ? fd : -1 };
    buf_init(&l->in, MX_FRAME_MAX + 4 + PIECE);
    buf_init(&l->out, MX_LINK_QUEUE_MAX);
    l->frame = malloc(4 + MX_FRAME_MAX);
    return l->frame ? 0 : -ENOMEM;
}

void mx_link_fini(struct mx_link *l)
{
    buf_fini(&l->in);
    buf_fini(&l->out);
    free(l->frame);
    l->frame = NULL;
}

struct wr *mx_link_begin(struct mx_link *l, enum mx_talk kind, uint32_t who)
{
    l->w = wr_of(l->frame, 4 + MX_FRAME_MAX);
    mx_talk_begin(&l->w, kind, who);
    return &l->w;
}

/* As much as goes now. Returns the count. */
static ssize_t send_some(const struct mx_link *l, const uint8_t *ptr, size_t len_bytes)
{
    ssize_t n;
    do
        n = send(l->fd, ptr, len_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    return n;
}

/* What is sealed is on its way while the rest is being sealed. */
static int send_sealed(struct mx_link *l, size_t len_bytes)
{
    int rc = 0;
    for (size_t done = 0; rc == 0 && done < len_bytes;) {
        size_t some = len_bytes - done;
        some = some < MX_SEALED_PIECE_MAX ? some : MX_SEALED_PIECE_MAX;
        rc = mx_sealed_put(l->sealed, &l->out, l->frame + done, some);
        if (rc == 0)
            rc = mx_link_flush(l);
        done += some;
    }
    return rc;
}

int mx_link_send(struct mx_link *l)
{
    int rc = mx_talk_close(&l->w);
    size_t len = wr_len(&l->w);
    if (rc < 0 || l->sealed)
        return rc < 0 ? rc : send_sealed(l, len);
    ssize_t n = buf_len(&l->out) ? 0 : send_some(l, l->frame, len);
    if (n < 0)
        return (int)n;
    return (size_t)n < len ? buf_append(&l->out, l->frame + n, len - (size_t)n) : 0;
}

short mx_link_wants(const struct mx_link *l)
{
    return (short)(POLLIN | (buf_len(&l->out) ? POLLOUT : 0));
}

int mx_link_wait(const struct mx_link *l, short events)
{
    struct pollfd p[2] = { { l->fd, events, 0 }, { l->watch, 0, 0 } };
    if (poll(p, 2, -1) < 0)
        return errno == EINTR ? 0 : -errno;
    return p[1].revents ? -EPIPE : p[0].revents;
}

int mx_link_flush(struct mx_link *l)
{
    ssize_t n = buf_len(&l->out) ? send_some(l, buf_at(&l->out), buf_len(&l->out)) : 0;
    if (n > 0)
        buf_consume(&l->out, (size_t)n);
    return n < 0 ? (int)n : 0;
}

static void drop_taken(struct mx_link *l)
{
    buf_consume(&l->in, l->taken_bytes);
    l->taken_bytes = 0;
}

int mx_link_fill(struct mx_link *l)
{
    uint8_t *spot;
    drop_taken(l);
    if (l->sealed)
        return mx_sealed_fill(l->sealed);
    size_t room = buf_room(&l->in) < PIECE ? buf_room(&l->in) : PIECE;
    if (room == 0)
        return 0; /* there is a whole frame to be taken first */
    int rc = buf_reserve(&l->in, room, &spot);
    if (rc < 0)
        return rc;
    ssize_t n;
    do
        n = recv(l->fd, spot, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    if (n == 0)
        return -EPIPE;
    buf_commit(&l->in, (size_t)n);
    return 0;
}

int mx_link_next(struct mx_link *l, struct mx_talk_frame *f)
{
    drop_taken(l);
    int64_t n;
    int opened;
    do {
        n = mx_talk_next((struct bytes){ buf_at(&l->in), (uint32_t)buf_len(&l->in) }, f);
        opened = n == 0 && l->sealed ? mx_sealed_open(l->sealed, &l->in) : 0;
    } while (opened > 0);
    if (opened < 0)
        return opened;
    if (n > 0)
        l->taken_bytes = (size_t)n;
    return n > 0 ? 1 : (int)n;
}
