/* SPDX-License-Identifier: GPL-2.0-or-later */
/* carry.c: bytes between a plain socket and a sealed connection.
 * Must not know: what they are.
 * Each direction has one piece under way: until it is written nothing more is read, so a slow
 * reader slows its writer, and one direction never waits for the other. */
#include "mosix-core/net/wire.h"

#include "common/base/wire.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mosix-core/net/prompt.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEALED_MAX = MX_PIECE_MAX + CRYPTO_SEAL_EXTRA_BYTES };

struct way {
    int from, to;
    uint8_t in[4 + SEALED_MAX]; /* of the connection: a piece that is arriving */
    size_t in_bytes;
    uint8_t out[4 + SEALED_MAX];
    size_t out_bytes, out_done;
    bool is_ended; /* what is left in out is all */
    bool is_shut;
};

struct carrier {
    struct mx_wire *link;
    struct way sealing, opening;
};

/* Returns the bytes read, 0 at the end, -EAGAIN when there are none. */
static ssize_t read_some(int fd, uint8_t *ptr, size_t len_bytes)
{
    return fd_read(fd, ptr, len_bytes);
}

static void seal_piece(struct carrier *c, size_t len_bytes, bool is_last)
{
    struct way *w = &c->sealing;
    struct wr head = wr_of(w->out, 4);
    put_u32(&head, (uint32_t)(len_bytes + CRYPTO_SEAL_EXTRA_BYTES));
    crypto_seal(&c->link->out, w->out + 4, w->in, len_bytes, is_last);
    w->out_bytes = 4 + len_bytes + CRYPTO_SEAL_EXTRA_BYTES;
    w->out_done = 0;
    w->is_ended = is_last;
}

static int on_plain(struct carrier *c)
{
    struct way *w = &c->sealing;
    ssize_t n = read_some(w->from, w->in, MX_PIECE_MAX);
    if (n == -EAGAIN)
        return 0;
    seal_piece(c, n > 0 ? (size_t)n : 0, n <= 0); /* who has died there has ended, too */
    return 0;
}

static int open_piece(struct carrier *c, size_t sealed_bytes)
{
    struct way *w = &c->opening;
    bool is_last;
    int rc = crypto_open(&c->link->in, w->out, w->in + 4, sealed_bytes, &is_last);
    if (rc < 0)
        return rc;
    w->out_bytes = sealed_bytes - CRYPTO_SEAL_EXTRA_BYTES;
    w->out_done = 0;
    w->in_bytes = 0;
    w->is_ended = is_last;
    return 0;
}

static int on_sealed(struct carrier *c)
{
    struct way *w = &c->opening;
    uint32_t want = 0;
    struct rd r = rd_of(w->in, 4);
    if (w->in_bytes >= 4 && get_u32(&r, &want) < 0)
        return -EPROTO;
    if (w->in_bytes >= 4 && (want < CRYPTO_SEAL_EXTRA_BYTES || want > SEALED_MAX))
        return -EPROTO;
    size_t need = w->in_bytes < 4 ? 4 : 4 + (size_t)want;
    ssize_t n =
        need > w->in_bytes ? read_some(w->from, w->in + w->in_bytes, need - w->in_bytes) : 0;
    if (n == -EAGAIN)
        return 0;
    if (n <= 0)
        return n < 0 ? (int)n : -EPIPE; /* without a last piece it is a cut */
    w->in_bytes += (size_t)n;
    return w->in_bytes == need && need > 4 ? open_piece(c, want) : 0;
}

static int write_out(struct way *w)
{
    if (w->out_done < w->out_bytes) {
        ssize_t n = fd_write(w->to, w->out + w->out_done, w->out_bytes - w->out_done);
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        w->out_done += (size_t)n;
    }
    if (w->out_done == w->out_bytes) {
        w->out_bytes = w->out_done = 0;
        if (w->is_ended && !w->is_shut) {
            w->is_shut = true;
            if (shutdown(w->to, SHUT_WR) < 0)
                return -errno;
        }
    }
    return 0;
}

static bool wants_in(const struct way *w)
{
    return !w->is_ended && w->out_bytes == 0;
}

static bool wants_out(const struct way *w)
{
    return w->out_bytes > 0;
}

static short wants(const struct way *reader, const struct way *writer)
{
    return (short)((wants_in(reader) ? POLLIN : 0) | (wants_out(writer) ? POLLOUT : 0));
}

static int turn(struct carrier *c, int plain)
{
    struct way *s = &c->sealing, *o = &c->opening;
    struct pollfd p[2] = { { plain, wants(s, o), 0 }, { c->link->fd, wants(o, s), 0 } };
    for (unsigned i = 0; i < 2; i++)
        if (!p[i].events)
            p[i].fd = -1;
    if (poll(p, 2, -1) < 0)
        return errno == EINTR ? 0 : -errno;
    short any_in = POLLIN | POLLHUP | POLLERR;
    int rc = 0;
    if (p[0].revents & any_in && wants_in(s))
        rc = on_plain(c);
    if (rc == 0 && p[1].revents & any_in && wants_in(o))
        rc = on_sealed(c);
    if (rc == 0 && (wants_out(s) || s->is_ended))
        rc = write_out(s);
    if (rc == 0 && (wants_out(o) || o->is_ended))
        rc = write_out(o);
    return rc;
}

int mx_wire_carry(struct mx_wire *l, int plain)
{
    AUTO_FREE struct carrier *c = calloc(1, sizeof *c);
    AUTO_FD sealed = take_fd(&l->fd), open_end = plain;
    if (!c)
        return -ENOMEM;
    struct mx_wire link = { sealed, l->out, l->in };
    c->link = &link;
    mx_be_prompt(0, true);
    c->sealing.from = c->opening.to = open_end;
    c->sealing.to = c->opening.from = sealed;
    int rc = fd_set_nonblock(sealed, true);
    if (rc == 0)
        rc = fd_set_nonblock(open_end, true);
    while (rc == 0 && !(c->sealing.is_shut && c->opening.is_shut))
        rc = turn(c, open_end);
    return rc;
}
