/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supply.c: the head's side of standard input on demand.
 * Must not know: FUSE, the job.
 * Invariant: nothing is read from the descriptor but for a demand that is outstanding. */
#include "mrc/demand.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct mrc_supply {
    struct loop *loop;
    int fd;
    struct loop_fd watch;
    struct mrc_port *port;
    struct buf in;
    void (*on_done)(void *ctx, int code);
    void *ctx;
    uint64_t supplied;  /* bytes in all */
    uint64_t want_once; /* READ that is outstanding */
    uint64_t stream_until;
    bool wants_ready;
};

static void rewatch(struct mrc_supply *s)
{
    bool wants = s->want_once || s->stream_until > s->supplied || s->wants_ready;
    bool has_room = s->port && buf_len(&s->port->queue) < MRC_PORT_LOW;
    loop_fd_set(&s->watch, wants && has_room ? EPOLLIN : 0);
}

static void send_head(struct mrc_supply *s, enum supply_kind kind, uint32_t len)
{
    uint8_t space[SUPPLY_HEAD];
    struct wr w = wr_of(space, sizeof space);
    put_u8(&w, (uint8_t)kind);
    put_u32(&w, len);
    if (mrc_port_send(s->port, space, wr_len(&w)) < 0)
        mrc_port_reset(s->port, -ENOSPC, "standard input");
}

static void read_some(struct mrc_supply *s)
{
    static uint8_t space[SUPPLY_MAX];
    uint64_t want = s->want_once;
    if (s->stream_until > s->supplied && s->stream_until - s->supplied > want)
        want = s->stream_until - s->supplied;
    size_t size = want < sizeof space ? (size_t)want : sizeof space;
    ssize_t n = fd_read(s->fd, space, size);
    if (n == -EAGAIN)
        return;
    if (n < 0)
        n = 0; /* a terminal that hung up, a directory: the job sees the end */
    send_head(s, SUPPLY_DATA, (uint32_t)n);
    if (n && mrc_port_send(s->port, space, (size_t)n) < 0)
        mrc_port_reset(s->port, -ENOSPC, "standard input");
    s->supplied += (uint64_t)n;
    s->want_once = 0;
    if (n == 0)
        s->stream_until = s->supplied; /* asked again, we look again */
}

static void on_fd(void *ctx, uint32_t events)
{
    struct mrc_supply *s = ctx;
    (void)events;
    if (s->want_once || s->stream_until > s->supplied) {
        read_some(s);
    } else if (s->wants_ready) {
        s->wants_ready = false;
        send_head(s, SUPPLY_READY, 0);
    }
    rewatch(s);
}

static void give_back(struct mrc_supply *s, uint64_t used)
{
    if (used < s->supplied && lseek(s->fd, -(off_t)(s->supplied - used), SEEK_CUR) >= 0)
        s->supplied = used;
}

static void take(struct mrc_supply *s, uint8_t kind, uint64_t value)
{
    switch (kind) {
    case DEMAND_READ: s->want_once = value; break;
    case DEMAND_STREAM:
        if (value > s->stream_until)
            s->stream_until = value;
        break;
    case DEMAND_POLL: s->wants_ready = true; break;
    case DEMAND_CANCEL:
        s->want_once = 0;
        s->wants_ready = false;
        break;
    case DEMAND_USED: give_back(s, value); break;
    default: break; /* a later version's */
    }
}

static void on_data(void *ctx, struct bytes body)
{
    struct mrc_supply *s = ctx;
    mrc_port_consumed(s->port, body.len);
    if (buf_append(&s->in, body.ptr, body.len) < 0) {
        mrc_port_reset(s->port, -EPROTO, "demands");
        return;
    }
    while (buf_len(&s->in) >= DEMAND_LEN) {
        struct rd r = rd_of(buf_at(&s->in), DEMAND_LEN);
        uint8_t kind;
        uint64_t value;
        if (get_u8(&r, &kind) == 0 && get_u64(&r, &value) == 0)
            take(s, kind, value);
        buf_consume(&s->in, DEMAND_LEN);
    }
    rewatch(s);
}

static void on_eof(void *ctx)
{
    struct mrc_supply *s = ctx;
    loop_fd_set(&s->watch, 0);
    mrc_port_end(s->port);
}

static void on_room(void *ctx)
{
    rewatch(ctx);
}

static void on_closed(void *ctx, int code, struct bytes text)
{
    struct mrc_supply *s = ctx;
    (void)text;
    loop_fd_del(&s->watch);
    buf_fini(&s->in);
    void (*done)(void *, int) = s->on_done;
    void *done_ctx = s->ctx;
    free(s);
    done(done_ctx, code);
}

static const struct mrc_port_ops ops = { on_data, on_eof, NULL, on_room, on_closed };

int mrc_supply_new(struct loop *loop, int fd, void (*on_done)(void *ctx, int code), void *ctx,
                   struct mrc_supply **out)
{
    struct mrc_supply *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->loop = loop;
    s->fd = fd;
    s->on_done = on_done;
    s->ctx = ctx;
    buf_init(&s->in, MRC_WINDOW_FIRST + 4096);
    int rc = loop_fd_add(loop, &s->watch, fd, 0, on_fd, s);
    if (rc < 0) {
        free(s);
        return rc;
    }
    *out = s;
    return 0;
}

int mrc_supply_open(struct mrc_supply *s, struct mrc_link *l, uint8_t weight)
{
    uint8_t space[20];
    struct wr w = wr_of(space, sizeof space);
    struct stat st;
    if (fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        put_u64(&w, (uint64_t)st.st_size);
        put_i64(&w, st.st_mtim.tv_sec);
        put_u32(&w, (uint32_t)st.st_mtim.tv_nsec);
    }
    struct bytes request = { space, (uint32_t)wr_len(&w) };
    return mrc_link_open(l, "stdin-demand", request, weight, MRC_WINDOW_FIRST, &ops, s,
                         &s->port);
}
