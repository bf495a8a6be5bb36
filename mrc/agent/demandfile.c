/* SPDX-License-Identifier: GPL-2.0-or-later */
/* demandfile.c: standard input on demand, the target's side: FUSE requests into demands.
 * Must not know: the view, the head's descriptor.
 * Speaks the kernel's FUSE protocol itself: one file and a dozen requests don't need a library,
 * and libfuse's session can't mount a file system whose root is a file. Source: linux/fuse.h;
 * fuse(4). Policy: strict while reads are small or few, so that nothing is read for nothing; a
 * job that keeps reading big pieces gets read-ahead that doubles, since each strict read costs
 * a round trip. */
#include "mrc/agent/demandfile.h"

#include "common/sys/fd.h"
#include "mrc/demand.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/mount.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    REQUEST_SIZE = 64 * 1024, /* longest request from the kernel: none carries data */
    READS_MAX = 64,           /* reads that wait at a time */
    POLLS_MAX = 64,
    POLLED_MAX = 64 * 1024, /* bytes for who polls a pipe */
    BIG_READ = 4096,
    STREAM_FROM = 128 * 1024, /* bytes used in big reads before read-ahead starts */
    AHEAD_FIRST = 256 * 1024,
    AHEAD_MAX = 4 * 1024 * 1024,
    ROOT = FUSE_ROOT_ID,
};

struct waiting_read {
    uint64_t unique;
    uint32_t size;
};

struct demandfile {
    struct loop *loop;
    struct mrc_port *port;
    int fd;
    bool is_pipe, wants_file;
    uint64_t size; /* of the head's file, and its time */
    int64_t mtime_sec;
    uint32_t mtime_nsec;
    struct loop_fd watch;
    struct buf in;    /* supply records, not whole yet */
    struct buf ready; /* bytes for the job */
    struct waiting_read reads[READS_MAX];
    int read_count;
    uint64_t polls[POLLS_MAX]; /* kernel handles to be told */
    int poll_count;
    bool is_read_asked, is_poll_asked, is_ready, is_end;
    uint32_t poll_size;  /* of the latest answer to a poll */
    uint32_t pipe_asked; /* size of the read that the pipe's bytes were asked for */
    uint64_t supplied, used, big_used, ahead, stream_until;
    void (*on_done)(void *ctx, int code);
    void *ctx;
};

static void demand(struct demandfile *d, enum demand_kind kind, uint64_t value)
{
    uint8_t space[DEMAND_LEN];
    struct wr w = wr_of(space, sizeof space);
    put_u8(&w, (uint8_t)kind);
    put_u64(&w, value);
    if (d->port && mrc_port_send(d->port, space, wr_len(&w)) < 0)
        mrc_port_reset(d->port, -ENOSPC, "demands");
}

/* Answers to the kernel */

static void reply(struct demandfile *d, uint64_t unique, int error, const void *ptr, size_t len)
{
    struct fuse_out_header h = { .len = (uint32_t)(sizeof h + len),
                                 .error = error,
                                 .unique = unique };
    struct iovec iov[2] = { { &h, sizeof h }, { (void *)ptr, len } };
    ssize_t n = writev(d->fd, iov, len ? 2 : 1);
    (void)n; /* ENOENT: the reader was interrupted meanwhile */
}

static void tell_pollers(struct demandfile *d)
{
    for (int i = 0; i < d->poll_count; i++) {
        struct {
            struct fuse_out_header h;
            struct fuse_notify_poll_wakeup_out body;
        } m = { .h = { .len = sizeof m, .error = FUSE_NOTIFY_POLL }, .body = { d->polls[i] } };
        ssize_t n = write(d->fd, &m, sizeof m);
        (void)n; /* the poller has gone */
    }
    d->poll_count = 0;
}

static void fill_attr(const struct demandfile *d, struct fuse_attr *a)
{
    memset(a, 0, sizeof *a);
    a->ino = ROOT;
    a->mode = S_IFREG | 0400;
    a->nlink = 1;
    a->uid = getuid();
    a->gid = getgid();
    a->blksize = 65536;
    a->size = d->size;
    a->mtime = a->ctime = a->atime = (uint64_t)d->mtime_sec;
    a->mtimensec = a->ctimensec = a->atimensec = d->mtime_nsec;
}

/* Reads */

static void used(struct demandfile *d, uint32_t asked, size_t n)
{
    d->used += n;
    if (asked >= BIG_READ)
        d->big_used += n;
    else
        d->big_used = 0;
}

static void want_more(struct demandfile *d)
{
    if (d->big_used >= STREAM_FROM) {
        if (!d->ahead)
            d->ahead = AHEAD_FIRST;
        if (d->supplied - d->used < d->ahead / 2 && d->stream_until < d->used + d->ahead) {
            if (d->stream_until && d->ahead < AHEAD_MAX)
                d->ahead *= 2;
            d->stream_until = d->used + d->ahead;
            demand(d, DEMAND_STREAM, d->stream_until);
        }
    }
    bool is_streaming = d->stream_until > d->supplied;
    if (d->read_count && !d->is_read_asked && !is_streaming) {
        d->is_read_asked = true;
        demand(d, DEMAND_READ, d->reads[0].size);
    }
    if (d->poll_count && !d->is_poll_asked && !d->is_ready && !buf_len(&d->ready)) {
        d->is_poll_asked = true;
        demand(d, DEMAND_POLL, 0);
    }
}

static void drop_read(struct demandfile *d, int i)
{
    d->read_count--;
    memmove(&d->reads[i], &d->reads[i + 1], sizeof d->reads[0] * (size_t)(d->read_count - i));
}

static void serve_reads(struct demandfile *d)
{
    while (d->read_count && (buf_len(&d->ready) || d->is_end)) {
        struct waiting_read *r = &d->reads[0];
        size_t n = buf_len(&d->ready) < r->size ? buf_len(&d->ready) : r->size;
        reply(d, r->unique, 0, n ? buf_at(&d->ready) : NULL, n);
        used(d, r->size, n);
        buf_consume(&d->ready, n);
        if (!n)
            d->is_end = false; /* the next read looks again: a terminal goes on after its end */
        drop_read(d, 0);
    }
}

static void on_pipe_writable(struct demandfile *d)
{
    while (buf_len(&d->ready)) {
        ssize_t n = fd_write(d->fd, buf_at(&d->ready), buf_len(&d->ready));
        if (n == -EAGAIN)
            break;
        if (n < 0) {
            loop_fd_del(&d->watch);
            fd_close(&d->fd);
            return;
        }
        used(d, d->pipe_asked, (size_t)n);
        buf_consume(&d->ready, (size_t)n);
    }
    if (d->is_end && !buf_len(&d->ready)) {
        loop_fd_del(&d->watch);
        fd_close(&d->fd);
        return;
    }
    loop_fd_set(&d->watch, buf_len(&d->ready) ? EPOLLOUT : 0);
    want_more(d);
}

/* Requests of the kernel */

struct request {
    const struct fuse_in_header *h;
    const void *body;
    size_t len;
};

static void do_init(struct demandfile *d, const struct request *q)
{
    const struct fuse_init_in *in = q->body;
    struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
                                 .minor = in->minor < FUSE_KERNEL_MINOR_VERSION
                                              ? in->minor
                                              : FUSE_KERNEL_MINOR_VERSION,
                                 .max_readahead = in->max_readahead,
                                 .flags = in->flags & FUSE_MAX_PAGES,
                                 .max_background = 16,
                                 .congestion_threshold = 12,
                                 .max_write = 4096,
                                 .time_gran = 1,
                                 .max_pages = 256 };
    reply(d, q->h->unique, 0, &out, sizeof out);
}

static void do_getattr(struct demandfile *d, const struct request *q)
{
    struct fuse_attr_out out = { .attr_valid = 3600 };
    fill_attr(d, &out.attr);
    reply(d, q->h->unique, 0, &out, sizeof out);
}

static void do_open(struct demandfile *d, const struct request *q)
{
    struct fuse_open_out out = { .fh = 1,
                                 .open_flags =
                                     FOPEN_DIRECT_IO | FOPEN_STREAM | FOPEN_NONSEEKABLE };
    reply(d, q->h->unique, 0, &out, sizeof out);
}

static void do_read(struct demandfile *d, const struct request *q)
{
    const struct fuse_read_in *in = q->body;
    bool was_ready = d->is_ready; /* the poller was told so: it is not to be turned away */
    d->is_ready = false;
    if (d->read_count == READS_MAX) {
        reply(d, q->h->unique, -EAGAIN, NULL, 0);
        return;
    }
    if (in->flags & O_NONBLOCK && !was_ready && !buf_len(&d->ready) && !d->is_end) {
        /* What is not here yet is fetched for the next try. */
        if (!d->is_read_asked && d->stream_until <= d->supplied) {
            d->is_read_asked = true;
            demand(d, DEMAND_READ, in->size);
        }
        reply(d, q->h->unique, -EAGAIN, NULL, 0);
        return;
    }
    d->reads[d->read_count++] = (struct waiting_read){ q->h->unique, in->size };
    serve_reads(d);
    want_more(d);
}

static void do_poll(struct demandfile *d, const struct request *q)
{
    const struct fuse_poll_in *in = q->body;
    struct fuse_poll_out out = { 0 };
    if (buf_len(&d->ready) || d->is_ready || d->is_end)
        out.revents = POLLIN | POLLRDNORM;
    else if (in->flags & FUSE_POLL_SCHEDULE_NOTIFY && d->poll_count < POLLS_MAX)
        d->polls[d->poll_count++] = in->kh;
    reply(d, q->h->unique, 0, &out, sizeof out);
    want_more(d);
}

static void do_interrupt(struct demandfile *d, const struct request *q)
{
    const struct fuse_interrupt_in *in = q->body;
    for (int i = 0; i < d->read_count; i++)
        if (d->reads[i].unique == in->unique) {
            reply(d, in->unique, -EINTR, NULL, 0);
            drop_read(d, i);
            break;
        }
    if (!d->read_count && d->is_read_asked) {
        d->is_read_asked = false;
        demand(d, DEMAND_CANCEL, 0);
    }
}

static void do_nothing(struct demandfile *d, const struct request *q)
{
    reply(d, q->h->unique, 0, NULL, 0);
}

static void do_statfs(struct demandfile *d, const struct request *q)
{
    struct fuse_statfs_out out = { .st = { .bsize = 4096, .namelen = 255, .frsize = 4096 } };
    reply(d, q->h->unique, 0, &out, sizeof out);
}

static void do_ioctl(struct demandfile *d, const struct request *q)
{
    reply(d, q->h->unique, -ENOTTY, NULL, 0);
}

static void do_lseek(struct demandfile *d, const struct request *q)
{
    reply(d, q->h->unique, -ESPIPE, NULL, 0);
}

static void no_answer(struct demandfile *d, const struct request *q)
{
    (void)d;
    (void)q;
}

static const struct {
    uint32_t opcode;
    size_t body_len; /* least */
    void (*fn)(struct demandfile *d, const struct request *q);
} requests[] = {
    { FUSE_INIT, sizeof(struct fuse_init_in), do_init },
    { FUSE_GETATTR, 0, do_getattr },
    { FUSE_SETATTR, 0, do_getattr },
    { FUSE_OPEN, 0, do_open },
    { FUSE_READ, sizeof(struct fuse_read_in), do_read },
    { FUSE_POLL, sizeof(struct fuse_poll_in), do_poll },
    { FUSE_INTERRUPT, sizeof(struct fuse_interrupt_in), do_interrupt },
    { FUSE_RELEASE, 0, do_nothing },
    { FUSE_FLUSH, 0, do_nothing },
    { FUSE_ACCESS, 0, do_nothing },
    { FUSE_FSYNC, 0, do_nothing },
    { FUSE_DESTROY, 0, do_nothing },
    { FUSE_STATFS, 0, do_statfs },
    { FUSE_IOCTL, 0, do_ioctl },
    { FUSE_LSEEK, 0, do_lseek },
    { FUSE_FORGET, 0, no_answer },
    { FUSE_BATCH_FORGET, 0, no_answer },
};

static void serve_request(struct demandfile *d, const uint8_t *ptr, size_t len)
{
    struct request q = { (const void *)ptr, ptr + sizeof(struct fuse_in_header),
                         len - sizeof(struct fuse_in_header) };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        if (requests[i].opcode == q.h->opcode) {
            if (q.len >= requests[i].body_len)
                requests[i].fn(d, &q);
            else
                reply(d, q.h->unique, -EINVAL, NULL, 0);
            return;
        }
    reply(d, q.h->unique, -ENOSYS, NULL, 0);
}

static void on_fuse(void *ctx, uint32_t events)
{
    struct demandfile *d = ctx;
    static _Alignas(8) uint8_t space[REQUEST_SIZE];
    (void)events;
    if (d->is_pipe) {
        on_pipe_writable(d);
        return;
    }
    for (;;) {
        ssize_t n = fd_read(d->fd, space, sizeof space);
        if (n == -EAGAIN)
            return;
        if (n == -ENOENT)
            continue; /* a request that was interrupted before we read it */
        if (n < (ssize_t)sizeof(struct fuse_in_header)) {
            loop_fd_del(&d->watch); /* ENODEV: nobody has the file open any more */
            fd_close(&d->fd);
            return;
        }
        serve_request(d, space, (size_t)n);
    }
}

/* Supplies of the head */

static int take_supply(struct demandfile *d)
{
    struct rd r = rd_of(buf_at(&d->in), buf_len(&d->in));
    uint8_t kind;
    struct bytes body;
    if (rd_left(&r) < SUPPLY_HEAD || get_u8(&r, &kind) < 0)
        return 0;
    struct rd length = r;
    uint32_t len;
    if (get_u32(&length, &len) < 0 || len > SUPPLY_MAX)
        return -EPROTO;
    if (get_bytes(&r, &body) < 0)
        return 0;
    if (kind == SUPPLY_READY) {
        d->is_poll_asked = false;
        d->is_ready = true;
    } else if (kind == SUPPLY_DATA) {
        d->is_read_asked = false;
        d->supplied += body.len;
        if (!body.len) {
            d->is_end = true;
            d->stream_until = d->supplied;
        }
        int rc = buf_append(&d->ready, body.ptr, body.len);
        if (rc < 0)
            return rc;
    }
    buf_consume(&d->in, SUPPLY_HEAD + (size_t)body.len);
    return 1;
}

static void on_data(void *ctx, struct bytes body)
{
    struct demandfile *d = ctx;
    mrc_port_consumed(d->port, body.len); /* the demands are the bound */
    int rc = buf_append(&d->in, body.ptr, body.len);
    while (rc == 0 && (rc = take_supply(d)) > 0)
        rc = 0;
    if (rc < 0) {
        mrc_port_reset(d->port, -EPROTO, "standard input");
        return;
    }
    if (d->fd < 0)
        return;
    if (d->is_pipe) {
        /* Who polls needs one byte to see. Who waits again has taken it, and may have more. */
        if (d->is_ready) {
            d->is_ready = false;
            d->is_read_asked = true;
            d->poll_size = d->poll_size ? d->poll_size * 16 : 1;
            if (d->poll_size > POLLED_MAX)
                d->poll_size = POLLED_MAX;
            d->pipe_asked = d->poll_size;
            demand(d, DEMAND_READ, d->pipe_asked);
        }
        on_pipe_writable(d);
        return;
    }
    serve_reads(d);
    if (buf_len(&d->ready) || d->is_ready || d->is_end)
        tell_pollers(d);
    want_more(d);
}

static void on_eof(void *ctx)
{
    struct demandfile *d = ctx;
    d->is_end = true;
    mrc_port_end(d->port);
}

static void on_closed(void *ctx, int code, struct bytes text)
{
    struct demandfile *d = ctx;
    (void)text;
    loop_fd_del(&d->watch);
    fd_close(&d->fd);
    buf_fini(&d->in);
    buf_fini(&d->ready);
    void (*done)(void *, int) = d->on_done;
    void *done_ctx = d->ctx;
    free(d);
    done(done_ctx, code);
}

static const struct mrc_port_ops ops = { on_data, on_eof, NULL, NULL, on_closed };

int demandfile_new(struct loop *loop, struct mrc_port *port, struct bytes request,
                   void (*on_done)(void *ctx, int code), void *ctx, struct demandfile **out)
{
    struct demandfile *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->loop = loop;
    d->fd = -1;
    d->port = port;
    d->on_done = on_done;
    d->ctx = ctx;
    struct rd r = rd_of(request.ptr, request.len);
    d->wants_file = get_u64(&r, &d->size) == 0 && get_i64(&r, &d->mtime_sec) == 0 &&
                    get_u32(&r, &d->mtime_nsec) == 0;
    buf_init(&d->in, MRC_WINDOW_FIRST + SUPPLY_MAX + SUPPLY_HEAD + AHEAD_MAX);
    buf_init(&d->ready, 2 * AHEAD_MAX + SUPPLY_MAX);
    port->ops = &ops;
    port->ctx = d;
    *out = d;
    return 0;
}

int demandfile_serve(struct demandfile *d, int fuse_fd)
{
    struct stat st;
    d->fd = fuse_fd;
    d->is_pipe = fstat(fuse_fd, &st) == 0 && S_ISFIFO(st.st_mode);
    d->is_end = false;
    int rc = fd_set_nonblock(fuse_fd, true);
    if (rc == 0)
        rc = loop_fd_add(d->loop, &d->watch, fuse_fd, d->is_pipe ? 0 : EPOLLIN, on_fuse, d);
    if (rc < 0)
        fd_close(&d->fd);
    return rc;
}

bool demandfile_wants_file(const struct demandfile *d)
{
    return d->wants_file;
}

bool demandfile_is_pipe(const struct demandfile *d)
{
    return d->is_pipe;
}

/* While read-ahead runs, who waits is served anyway. */
bool demandfile_wish(struct demandfile *d, const uint8_t record[DEMAND_LEN])
{
    struct rd r = rd_of(record, DEMAND_LEN);
    uint8_t kind;
    uint64_t size;
    if (d->fd < 0 || get_u8(&r, &kind) < 0 || get_u64(&r, &size) < 0)
        return false;
    bool is_served = d->is_read_asked || d->stream_until > d->supplied || buf_len(&d->ready);
    if (is_served || (kind == DEMAND_POLL && d->is_poll_asked))
        return true;
    if (kind == DEMAND_READ) {
        d->is_read_asked = true;
        d->pipe_asked = size < SUPPLY_MAX ? (uint32_t)size : SUPPLY_MAX;
        demand(d, DEMAND_READ, d->pipe_asked);
    } else {
        d->is_poll_asked = true;
        demand(d, DEMAND_POLL, 0);
    }
    return true;
}

void demandfile_finish(struct demandfile *d)
{
    loop_fd_del(&d->watch);
    fd_close(&d->fd);
    if (!d->port->is_ended) {
        demand(d, DEMAND_USED, d->used);
        mrc_port_end(d->port);
    }
}

/* In the builder */

static int set(int fs, const char *key, const char *value)
{
    return syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

static int mount_detached(int fuse_fd)
{
    AUTO_FD fs = (int)syscall(SYS_fsopen, "fuse", FSOPEN_CLOEXEC);
    if (fs < 0)
        return -errno;
    char fd_text[16], uid_text[16], gid_text[16];
    snprintf(fd_text, sizeof fd_text, "%d", fuse_fd);
    snprintf(uid_text, sizeof uid_text, "%u", getuid());
    snprintf(gid_text, sizeof gid_text, "%u", getgid());
    int rc = set(fs, "source", "mrc-stdin");
    if (rc == 0)
        rc = set(fs, "fd", fd_text);
    if (rc == 0)
        rc = set(fs, "rootmode", "100400");
    if (rc == 0)
        rc = set(fs, "user_id", uid_text);
    if (rc == 0)
        rc = set(fs, "group_id", gid_text);
    if (rc == 0 && syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "allow_other", NULL, 0) < 0)
        rc = -errno;
    if (rc == 0 && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        rc = -errno;
    if (rc < 0)
        return rc;
    int mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
    return mnt < 0 ? -errno : mnt;
}

static int open_file(int sock, int *fd_out)
{
    AUTO_FD fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse_fd < 0)
        return -errno;
    AUTO_FD mnt = mount_detached(fuse_fd);
    if (mnt < 0)
        return mnt;
    int rc = fd_send(sock, fuse_fd);
    if (rc < 0)
        return rc;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", mnt);
    *fd_out = open(path, O_RDONLY | O_CLOEXEC);
    return *fd_out < 0 ? -errno : 0;
}

int demandfile_open(int sock, bool wants_file, int *fd_out, struct err *e)
{
    int rc = wants_file ? open_file(sock, fd_out) : -ENOTSUP;
    if (rc == 0)
        return 0;
    int pair[2];
    rc = fd_pipe(pair);
    if (rc == 0)
        rc = fd_send(sock, pair[1]);
    if (rc < 0)
        return err_set(e, -rc, "standard input of the job");
    close(pair[1]);
    *fd_out = pair[0];
    return 0;
}
