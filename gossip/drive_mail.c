/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drive_mail.c: recvmmsg, sendmmsg, and when a datagram arrived.
 * Must not know: what is in them. */
#include "gossip/drive_mail.h"

#include "common/base/rng.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* No answer says that nobody listens there: such errors would hide datagrams of others. */
int gsp_mail_open(struct gsp_mail *m, const struct sockaddr_storage *own, socklen_t len_bytes,
                  struct err *e)
{
    int on = 1, room = GSP_DRIVE_SOCKET;
    AUTO_FD fd = socket(own->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) < 0 ||
        bind(fd, (const struct sockaddr *)own, len_bytes) < 0)
        return err_set(e, errno, "open the port of the gossip");
    m->fd = take_fd(&fd);
    return 0;
}

void gsp_mail_close(struct gsp_mail *m)
{
    fd_close(&m->fd);
}

void gsp_mail_put(struct gsp_mail *m, const struct sockaddr_storage *to, socklen_t to_bytes,
                  const uint8_t *ptr, size_t len_bytes)
{
    if (m->count == GSP_DRIVE_BATCH)
        gsp_mail_flush(m);
    if (m->fd < 0 || len_bytes > sizeof m->out[0].bytes)
        return;
    m->out[m->count].to = *to;
    m->out[m->count].to_bytes = to_bytes;
    m->out[m->count].len_bytes = len_bytes;
    memcpy(m->out[m->count].bytes, ptr, len_bytes);
    m->count++;
}

void gsp_mail_flush(struct gsp_mail *m)
{
    struct mmsghdr h[GSP_DRIVE_BATCH];
    struct iovec v[GSP_DRIVE_BATCH];
    unsigned done = 0;
    memset(h, 0, sizeof h);
    for (unsigned i = 0; i < m->count; i++) {
        v[i] = (struct iovec){ m->out[i].bytes, m->out[i].len_bytes };
        h[i].msg_hdr.msg_name = &m->out[i].to;
        h[i].msg_hdr.msg_namelen = m->out[i].to_bytes;
        h[i].msg_hdr.msg_iov = &v[i];
        h[i].msg_hdr.msg_iovlen = 1;
    }
    while (done < m->count) {
        int n = sendmmsg(m->fd, h + done, m->count - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        for (int i = 0; i < n; i++, done++) {
            m->traffic.sent++;
            m->traffic.sent_bytes += m->out[done].len_bytes;
        }
        if (n <= 0) { /* the first of the rest can't be sent */
            m->traffic.unsent++;
            done++;
        }
    }
    m->count = 0;
}

/* The calendar may be set meanwhile: what seems to come from the future has just come. */
static uint32_t waited(struct msghdr *h, int64_t now_ms)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        struct timeval t;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMP)
            continue;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        int64_t ms = now_ms - ((int64_t)t.tv_sec * 1000 + t.tv_usec / 1000);
        return ms > 0 && ms < UINT32_MAX ? (uint32_t)ms : 0;
    }
    return 0;
}

unsigned gsp_mail_take(struct gsp_mail *m, void (*fn)(void *ctx, const struct gsp_letter *l),
                       void *ctx)
{
    /* One loop, one thread; and too much for a stack. */
    static uint8_t space[GSP_DRIVE_BATCH][GSP_SEALED_MAX + 1];
    static struct sockaddr_storage from[GSP_DRIVE_BATCH];
    static union {
        char bytes[CMSG_SPACE(sizeof(struct timeval))];
        struct cmsghdr align;
    } about[GSP_DRIVE_BATCH];
    struct mmsghdr h[GSP_DRIVE_BATCH];
    struct iovec v[GSP_DRIVE_BATCH];
    memset(h, 0, sizeof h);
    for (unsigned i = 0; i < GSP_DRIVE_BATCH; i++) {
        v[i] = (struct iovec){ space[i], sizeof space[i] };
        h[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
                                        .msg_namelen = sizeof from[i],
                                        .msg_iov = &v[i],
                                        .msg_iovlen = 1,
                                        .msg_control = about[i].bytes,
                                        .msg_controllen = sizeof about[i].bytes };
    }
    int n = recvmmsg(m->fd, h, GSP_DRIVE_BATCH, MSG_DONTWAIT, NULL);
    int64_t now_ms = clock_wall_ms();
    for (int i = 0; i < n; i++) {
        struct gsp_letter l = { .ptr = space[i],
                                .len_bytes = h[i].msg_len,
                                .from = &from[i],
                                .from_bytes = h[i].msg_hdr.msg_namelen,
                                .waited_ms = waited(&h[i].msg_hdr, now_ms) };
        m->traffic.received++;
        m->traffic.received_bytes += l.len_bytes;
        fn(ctx, &l);
    }
    return n > 0 ? (unsigned)n : 0;
}

uint64_t gsp_mail_source(const struct gsp_letter *l, uint64_t salt)
{
    uint64_t half[2] = { 0, 0 };
    if (l->from->ss_family == AF_INET)
        memcpy(half, &((const struct sockaddr_in *)(const void *)l->from)->sin_addr, 4);
    else if (l->from->ss_family == AF_INET6)
        memcpy(half, &((const struct sockaddr_in6 *)(const void *)l->from)->sin6_addr, 16);
    struct rng first = rng_of(half[0] ^ salt);
    struct rng second = rng_of(half[1] ^ rng_u64(&first));
    return rng_u64(&second);
}
