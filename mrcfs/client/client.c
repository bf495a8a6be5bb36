/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client.c: the connection to a file server: calls out, streams, its beginning and end. What comes in: receive.c.
 * Must not know: FUSE.
 * Threads: the loop's only.
 * Invariant: a call that was sent is answered exactly once, by the server or by
 * mfs_client_lose. */
#include "mrcfs/client/client.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrcfs/client/away.h"
#include "mrcfs/client/chunks.h"
#include "mrcfs/client/hello.h"
#include "mrcfs/client/join.h"
#include "mrcfs/client/notify.h"
#include "mrcfs/client/roots.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 256 << 10, SHRINK_BYTES = 4 << 20 };

/* ---- calls ---- */

struct mfs_call *mfs_call_new(struct mfs_client *c, mfs_reply_fn fn)
{
    struct mfs_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->client = c;
    call->fn = fn;
    return call;
}

void mfs_call_drop(struct mfs_call *call)
{
    if (!call)
        return;
    list_remove(&call->interrupted);
    free(call->name);
    free(call->new_name);
    free(call->who);
    free(call->body);
    free(call);
}

static struct link *bucket_of(struct mfs_client *c, uint64_t id)
{
    return &c->calls[id % MFS_CALL_BUCKETS];
}

struct mfs_call *mfs_call_find(struct mfs_client *c, uint64_t id)
{
    LIST_EACH(bucket_of(c, id), it, nx)
    {
        struct mfs_call *call = LIST_ENTRY(it, struct mfs_call, link);
        if (call->id == id)
            return call;
    }
    return NULL;
}

static void call_enter(struct mfs_call *call)
{
    struct mfs_client *c = call->client;
    list_push_back(bucket_of(c, call->id), &call->link);
    if (call->is_lock_wait)
        c->lock_wait_count++;
    else
        c->call_count++;
    mfs_barrier_enter(call);
}

void mfs_call_leave(struct mfs_call *call)
{
    struct mfs_client *c = call->client;
    mfs_barrier_leave(call);
    list_remove(&call->link);
    list_remove(&call->interrupted);
    if (call->is_lock_wait)
        c->lock_wait_count--;
    else
        c->call_count--;
}

static void queue_commit(struct mfs_stream *s, size_t len_bytes)
{
    buf_commit(&s->out, len_bytes);
    s->client->stats.bytes_out += len_bytes;
}

/* The message written behind the queue's end, packed in its place if that pays. Returns its
 * length now. */
static size_t pack_in_place(struct mfs_stream *s, const struct wr *w)
{
    size_t len = wr_len(w);
    if (!mfs_packer_wants(&s->packer, len))
        return len;
    AUTO_FREE uint8_t *room = malloc(mfs_packer_room(len));
    size_t packed = room ? mfs_packer_pack(&s->packer, w->start, len, room) : 0;
    if (!packed || packed > len)
        return len;
    memcpy(w->start, room, packed);
    s->client->stats.packed_out += packed;
    s->client->stats.packed_out_plain += len;
    return packed;
}

void mfs_client_waited(struct mfs_client *c, enum mfs_op op, uint64_t depth)
{
    if (depth <= c->depth_seen)
        return;
    if (op < ARRAY_LEN(c->stats.waited))
        c->stats.waited[op] += depth - c->depth_seen;
    c->depth_seen = depth;
    if (c->opts.behind)
        atomic_store_explicit(&c->opts.behind->waited, depth, memory_order_relaxed);
}

/* Operations whose answers let nobody go on. */
static bool is_without_waiter(enum mfs_op op)
{
    return op == MFS_OP_release || op == MFS_OP_releasedir || op == MFS_OP_renew ||
           op == MFS_OP_recalled || op == MFS_OP_surrender || op == MFS_OP_supply;
}

/* What decides over the length of the head. */
static struct mfs_head head_of(const struct mfs_call *call, enum mfs_op op,
                               const struct mfs_caller *who)
{
    struct mfs_client *c = call->client;
    return (struct mfs_head){ .kind = call->is_ordered ? MFS_ORDERED : MFS_REQUEST,
                              .id = ++c->last_id,
                              .op = (uint16_t)op,
                              .uid = who->uid,
                              .gid = who->gid,
                              .pid = who->pid,
                              .is_assumed = call->is_behind,
                              .begins_order = call->is_ordered && c->begins_order,
                              .expiries = c->lease.expiries,
                              .makes_node = call->makes_node,
                              .makes_fh = call->makes_fh };
}

/* An ordered call that is waited for may come back: the server waits for nobody in that order.
 */
static int keep_body(struct mfs_call *call, const struct mfs_caller *who, const uint8_t *ptr,
                     size_t len_bytes)
{
    free(call->who); /* it may have been sent before */
    free(call->body);
    call->who = malloc(sizeof *call->who);
    call->body = malloc(len_bytes + 1);
    if (!call->who || !call->body)
        return -ENOMEM;
    *call->who = *who;
    memcpy(call->body, ptr, len_bytes);
    call->body_bytes = len_bytes;
    return 0;
}

static void sent(struct mfs_call *call, const struct mfs_head *h)
{
    struct mfs_client *c = call->client;
    c->begins_order = c->begins_order && !h->begins_order;
    call->id = h->id;
    call->op = h->op;
    call->depth = c->depth_seen + 1;
    call->sent_us = clock_mono_us();
    call->is_unwaited |= is_without_waiter((enum mfs_op)h->op);
    call_enter(call);
    if (h->op < ARRAY_LEN(c->stats.requests))
        c->stats.requests[h->op]++;
}

void mfs_call_expect(struct mfs_call *call, enum mfs_op op)
{
    struct mfs_head h = { .op = (uint16_t)op, .id = ++call->client->last_id };
    sent(call, &h);
}

/* fields: the request's. */
static bool is_changing(enum mfs_op op, const void *fields)
{
    if (op == MFS_OP_open)
        return ((const struct mfs_open_req *)fields)->oflags & MFS_O_TRUNC;
    return mfs_op_changes(op);
}

/* Who copies a file in small pieces reads another one meanwhile. */
static bool is_reading(enum mfs_op op)
{
    return op == MFS_OP_read || op == MFS_OP_fetch;
}

int mfs_call_send(struct mfs_call *call, enum mfs_op op, const struct mfs_caller *who,
                  mfs_put_fn put, const void *fields, size_t var_bytes)
{
    struct mfs_client *c = call->client;
    bool changes = is_changing(op, fields);
    bool waits = c->is_away && op != MFS_OP_hello, may_repeat = mfs_away_may_repeat(op);
    if (c->is_lost)
        return -ENOTCONN;
    if ((c->is_refusing && changes) || (waits && !may_repeat))
        return -EIO;
    if (call->is_lock_wait && c->lock_wait_count >= MFS_LOCK_WAITS_MAX)
        return -ENOLCK;
    call->is_ordered = call->is_behind || mfs_behind_concerns(call, op, changes);
    if (call->is_ordered || !is_reading(op))
        mfs_join_flush(c); /* it comes first */
    bool is_bulk = call->is_ordered || (op == MFS_OP_write && var_bytes > MFS_BULK_FROM);
    struct mfs_stream *s = is_bulk ? &c->bulk : &c->meta;
    /* The longest fixed part is that of setattr; 256 covers every operation. */
    size_t size_bytes = MFS_HEAD_BYTES + 256 + var_bytes;
    uint8_t *spot;
    if (buf_reserve(&s->out, size_bytes, &spot) < 0)
        return -ENOMEM;
    struct wr w = wr_of(spot, size_bytes);
    struct mfs_head h = head_of(call, op, who);
    mfs_message_begin(&w, &h);
    size_t head_bytes = wr_len(&w);
    put(&w, fields);
    if (w.is_full)
        return -ENOMEM;
    mfs_message_end(&w, 0);
    bool keeps = (call->is_ordered && !call->is_behind) || (c->opts.is_patient && may_repeat);
    if (keeps &&
        keep_body(call, who, spot + head_bytes, wr_len(&w) - head_bytes) < 0)
        return -ENOMEM;
    if (waits) {
        call->op = h.op;
        call->is_ordered = false;
        mfs_away_park(call);
        return 0;
    }
    queue_commit(s, op == MFS_OP_hello ? wr_len(&w) : pack_in_place(s, &w)); /* another server */
    sent(call, &h);
    if (op == MFS_OP_write || op == MFS_OP_put)
        c->written_bytes += var_bytes;
    else
        c->change_count += changes;
    return 0;
}

/* The ordered call, which has been answered, is sent once more without order. False: it can't
 * be. */
bool mfs_call_send_again(struct mfs_call *call)
{
    struct mfs_stream *s = &call->client->meta;
    size_t size_bytes = MFS_HEAD_BYTES + call->body_bytes;
    uint8_t *spot;
    call->is_ordered = false;
    if (buf_reserve(&s->out, size_bytes, &spot) < 0)
        return false;
    struct wr w = wr_of(spot, size_bytes);
    struct mfs_head h = head_of(call, (enum mfs_op)call->op, call->who);
    mfs_message_begin(&w, &h);
    put_raw(&w, call->body, call->body_bytes);
    mfs_message_end(&w, 0);
    queue_commit(s, wr_len(&w));
    sent(call, &h);
    return true;
}

#define OP(number, name, req, rep)                                                             \
    static void put_##name(struct wr *w, const void *m)                                        \
    {                                                                                          \
        mfs_##name##_req_put(w, m);                                                            \
    }                                                                                          \
    int mfs_send_##name(struct mfs_call *call, const struct mfs_caller *who,                   \
                        const struct mfs_##name##_req *m, size_t var_bytes)                    \
    {                                                                                          \
        return mfs_call_send(call, MFS_OP_##name, who, put_##name, m, var_bytes);              \
    }
#include "mrcfs/ops.def"
#undef OP

/* Queues a message without answer on the meta stream. A full queue loses it: what these
 * messages say (cancel, forget) is only a help to the server. */
static void send_short(struct mfs_client *c, const struct mfs_head *h, const void *body,
                       size_t body_bytes)
{
    uint8_t *spot;
    if (c->is_lost || c->is_away || buf_reserve(&c->meta.out, MFS_HEAD_BYTES + body_bytes, &spot) < 0)
        return;
    struct wr w = wr_of(spot, MFS_HEAD_BYTES + body_bytes);
    mfs_message_begin(&w, h);
    put_raw(&w, body, body_bytes);
    if (w.is_full)
        return;
    mfs_message_end(&w, 0);
    queue_commit(&c->meta, wr_len(&w));
}

static void on_interrupted(void *ctx)
{
    struct mfs_client *c = ctx;
    uint64_t now = clock_mono_ms();
    LIST_EACH(&c->interrupted, it, nx)
    {
        struct mfs_call *call = LIST_ENTRY(it, struct mfs_call, interrupted);
        if (now - call->interrupted_ms >= MFS_DYING_WAIT_MS)
            mfs_session_abandon(call);
    }
    if (!list_is_empty(&c->interrupted))
        loop_timer_set(c->loop, &c->interrupted_timer, MFS_DYING_WAIT_MS, on_interrupted, c);
}

void mfs_call_interrupt(struct mfs_call *call)
{
    struct mfs_client *c = call->client;
    struct mfs_head h = { .kind = MFS_CANCEL, .id = call->id };
    if (call->id) /* it was sent */
        send_short(c, &h, NULL, 0);
    if (link_is_in(&call->interrupted))
        return;
    call->interrupted_ms = clock_mono_ms();
    if (list_is_empty(&c->interrupted))
        loop_timer_set(c->loop, &c->interrupted_timer, MFS_DYING_WAIT_MS, on_interrupted, c);
    list_push_back(&c->interrupted, &call->interrupted);
}

static void send_forgets(struct mfs_client *c)
{
    struct mfs_head h = { .kind = MFS_FORGET };
    if (c->forget_bytes)
        send_short(c, &h, c->forgets, c->forget_bytes);
    c->forget_bytes = 0;
}

void mfs_client_forget(struct mfs_client *c, uint64_t node, uint64_t nlookup)
{
    if (!nlookup)
        return;
    struct wr w = wr_of(c->forgets + c->forget_bytes, sizeof c->forgets - c->forget_bytes);
    mfs_forget_rec_put(&w, &(struct mfs_forget_rec){ node, nlookup });
    c->forget_bytes += wr_len(&w);
    if (c->forget_bytes == sizeof c->forgets)
        send_forgets(c);
}

/* ---- losing the server ---- */

void mfs_client_lose(struct mfs_client *c, const struct err *why)
{
    if (c->is_lost)
        return;
    c->is_lost = true;
    mfs_join_flush(c);
    struct err kept = *why;
    loop_fd_del(&c->meta.watch);
    loop_fd_del(&c->bulk.watch);
    fd_close(&c->meta.fd);
    fd_close(&c->bulk.fd);
    buf_fini(&c->meta.out);
    buf_fini(&c->bulk.out);
    for (size_t i = 0; i < MFS_CALL_BUCKETS; i++) {
        while (!list_is_empty(&c->calls[i])) {
            struct mfs_call *call = LIST_ENTRY(c->calls[i].next, struct mfs_call, link);
            mfs_call_leave(call);
            int rc = call->fn(call, -EIO, NULL);
            (void)rc; /* only decoding fails */
            mfs_call_drop(call);
        }
    }
    while (!list_is_empty(&c->parked)) {
        struct mfs_call *call = LIST_ENTRY(c->parked.next, struct mfs_call, link);
        list_remove(&call->link);
        int rc = call->fn(call, -EIO, NULL);
        (void)rc;
        mfs_call_drop(call);
    }
    mfs_barrier_lost(c);
    mfs_client_flush(c); /* sessions that were held must hear ENOTCONN */
    if (c->opts.on_lost)
        c->opts.on_lost(c->opts.ctx, &kept);
}

/* The streams are of no use any more. */
static void broken(struct mfs_client *c, int rc, const struct err *why)
{
    if (c->opts.is_patient && !c->is_lost && rc != -EPROTO && rc != -ENOSPC && rc != -ENOMEM)
        mfs_away_begin(c, why);
    else
        mfs_client_lose(c, why);
}

/* ---- streams ---- */

/* Handles whole messages at the front of s->in. */
static int stream_parse(struct mfs_stream *s, struct err *e)
{
    while (buf_len(&s->in) >= 4) {
        struct rd r = rd_of(buf_at(&s->in), buf_len(&s->in));
        uint32_t len;
        int rc = get_u32(&r, &len);
        if (rc < 0 || len < MFS_MESSAGE_MIN || len > MFS_MESSAGE_MAX)
            return err_set(e, EPROTO, "file server sent a message of %u bytes", len);
        if (rd_left(&r) < len)
            return 0;
        rc = mfs_client_message(s->client, (struct bytes){ r.at, len }, e);
        if (rc < 0)
            return rc;
        if (s->client->is_lost)
            return 0;
        s->client->stats.bytes_in += 4 + (uint64_t)len;
        buf_consume(&s->in, 4 + (size_t)len);
    }
    return 0;
}

/* How much to read: the rest of a long message that has begun, or a good deal. */
static size_t stream_wanted(const struct mfs_stream *s)
{
    uint32_t len;
    struct rd r = rd_of(buf_at(&s->in), buf_len(&s->in));
    if (get_u32(&r, &len) < 0 || len > MFS_MESSAGE_MAX || len + 4 <= buf_len(&s->in))
        return READ_BYTES;
    size_t left = len + 4 - buf_len(&s->in);
    return left > READ_BYTES ? left : READ_BYTES;
}

/* One read. Returns 1 if something came, 0 when there is nothing now, or -errno. */
static int stream_read(struct mfs_stream *s, struct err *e)
{
    uint8_t *spot;
    size_t want = stream_wanted(s);
    if (want > buf_room(&s->in))
        want = buf_room(&s->in);
    int rc = buf_reserve(&s->in, want, &spot);
    if (rc < 0)
        return err_set(e, -rc, "read from the file server");
    ssize_t n = fd_read(s->fd, spot, want);
    if (n == -EAGAIN)
        return 0;
    if (n < 0)
        return err_set(e, (int)-n, "read from the file server");
    if (n == 0)
        return err_say(e, ECONNRESET, "the file server has gone");
    buf_commit(&s->in, (size_t)n);
    rc = stream_parse(s, e);
    return rc < 0 ? rc : 1;
}

/* n bytes of the queue were written. */
static void count_written(struct mfs_stream *s, size_t n)
{
    while (n) {
        uint32_t len = 0;
        struct rd r = rd_of(buf_at(&s->out), buf_len(&s->out));
        if (!s->message_left && get_u32(&r, &len) == 0)
            s->message_left = 4 + (size_t)len;
        size_t part = n < s->message_left ? n : s->message_left;
        buf_consume(&s->out, part);
        s->message_left -= part;
        n -= part;
    }
}

static int stream_write(struct mfs_stream *s, struct err *e)
{
    if (buf_len(&s->out) && !s->busy_since_us)
        s->busy_since_us = clock_mono_us();
    while (buf_len(&s->out)) {
        ssize_t n = fd_write(s->fd, buf_at(&s->out), buf_len(&s->out));
        if (n == -EAGAIN)
            break;
        if (n < 0)
            return err_set(e, (int)-n, "write to the file server");
        count_written(s, (size_t)n);
        mfs_packer_sent(&s->packer, (size_t)n, s->busy_since_us);
    }
    if (!buf_len(&s->out))
        s->busy_since_us = 0;
    if (!buf_len(&s->out) && s->out.size > SHRINK_BYTES) {
        size_t max_bytes = s->out.max_bytes;
        buf_fini(&s->out);
        buf_init(&s->out, max_bytes);
    }
    loop_fd_set(&s->watch, buf_len(&s->out) ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return 0;
}

bool mfs_client_is_crowded(const struct mfs_client *c)
{
    size_t limit = c->is_held ? MFS_OUT_LOW_BYTES : MFS_OUT_HIGH_BYTES;
    size_t calls = c->is_held ? MFS_CALLS_MAX / 2 : MFS_CALLS_MAX;
    size_t dirty = c->is_held ? MFS_DIRTY_MAX / 2 : MFS_DIRTY_MAX;
    return !c->is_lost && (c->is_away || c->behind_bytes > dirty || buf_len(&c->meta.out) > limit ||
                           buf_len(&c->bulk.out) > limit || c->call_count > calls);
}

void mfs_client_flush(struct mfs_client *c)
{
    if (!c->is_lost && c->meta.fd >= 0) {
        struct err e = { "" };
        send_forgets(c);
        int rc = stream_write(&c->meta, &e);
        rc = rc < 0 ? rc : stream_write(&c->bulk, &e);
        if (rc < 0) {
            broken(c, rc, &e);
            return;
        }
    }
    bool is_held = mfs_client_is_crowded(c);
    if (is_held == c->is_held)
        return;
    c->is_held = is_held;
    LIST_EACH(&c->sessions, it, nx)
    mfs_session_hold(mfs_session_of(it), is_held);
}

static void on_stream(void *ctx, uint32_t events)
{
    struct mfs_stream *s = ctx;
    struct mfs_client *c = s->client;
    struct err e = { "" };
    int rc = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        rc = stream_read(s, &e);
    if (rc < 0)
        broken(c, rc, &e);
    else
        mfs_client_flush(c);
}

int mfs_client_watch(struct mfs_client *c, int meta_fd, int bulk_fd)
{
    c->meta.fd = meta_fd;
    c->bulk.fd = bulk_fd;
    int rc = fd_set_nonblock(meta_fd, true);
    if (rc == 0)
        rc = fd_set_nonblock(bulk_fd, true);
    if (rc == 0)
        rc = loop_fd_add(c->loop, &c->meta.watch, meta_fd, EPOLLIN, on_stream, &c->meta);
    if (rc == 0)
        rc = loop_fd_add(c->loop, &c->bulk.watch, bulk_fd, EPOLLIN, on_stream, &c->bulk);
    return rc;
}

/* ---- beginning and end ---- */

static int stream_init(struct mfs_stream *s, struct mfs_client *c, const char *name, int fd)
{
    s->client = c;
    s->name = name;
    s->fd = fd;
    buf_init(&s->in, 2 * (MFS_MESSAGE_MAX + 4) + READ_BYTES);
    buf_init(&s->out, MFS_OUT_MAX_BYTES);
    return fd_set_nonblock(fd, true);
}

/* Waits until fd can be read or written. Returns 0, -ETIMEDOUT, -errno. */
static int wait_for(int fd, short events, uint64_t until_ms)
{
    for (;;) {
        uint64_t now = clock_mono_ms();
        if (now >= until_ms)
            return -ETIMEDOUT;
        struct pollfd p = { .fd = fd, .events = events };
        int n = poll(&p, 1, (int)(until_ms - now));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

struct hello_result {
    bool is_done;
    int rc;
    struct err err;
};

static int on_hello(struct mfs_call *call, int rc, struct rd *body)
{
    struct hello_result *result = call->file;
    result->is_done = true;
    result->rc = rc < 0 ? err_set(&result->err, -rc, "file server refused the connection")
                        : mfs_hello_take(call->client, body, &result->err);
    return 0; /* the words are better than "malformed" */
}

/* Sends hello and handles what comes on the meta stream until it is answered. */
static int greet(struct mfs_client *c, struct err *e)
{
    struct hello_result result = { 0 };
    struct mfs_call *call = mfs_call_new(c, on_hello);
    if (!call)
        return -ENOMEM;
    call->file = &result;
    int rc = mfs_hello_send(call, e);
    if (rc < 0) {
        mfs_call_drop(call);
        return rc;
    }
    uint64_t until_ms = clock_mono_ms() + MFS_HELLO_WAIT_MS;
    struct mfs_stream *out = &c->meta;
    while (rc == 0 && buf_len(&out->out)) {
        ssize_t n = fd_write(out->fd, buf_at(&out->out), buf_len(&out->out));
        if (n >= 0)
            count_written(out, (size_t)n);
        else if (n == -EAGAIN)
            rc = wait_for(out->fd, POLLOUT, until_ms);
        else
            rc = (int)n;
    }
    while (rc == 0 && !result.is_done) {
        rc = wait_for(c->meta.fd, POLLIN, until_ms);
        if (rc == 0)
            rc = stream_read(&c->meta, e);
        if (rc > 0)
            rc = 0;
    }
    if (result.is_done) {
        if (result.rc < 0 && e)
            *e = result.err;
        return result.rc;
    }
    mfs_call_leave(call);
    mfs_call_drop(call);
    return e && e->text[0] ? rc : err_set(e, -rc, "greet the file server");
}

static void wake_loop(void *ctx)
{
    loop_wake(ctx);
}

int mfs_client_add_notifier(struct mfs_client *c, struct mfs_notifier **out)
{
    return mfs_notifier_new(wake_loop, c->loop, out);
}

int mfs_client_new(const struct mfs_client_opts *o, struct mfs_client **out, struct err *e)
{
    struct mfs_client *c = calloc(1, sizeof *c);
    AUTO_FD meta_fd = o->meta_fd;
    AUTO_FD bulk_fd = o->bulk_fd;
    if (!c)
        return err_set(e, ENOMEM, "file client");
    c->loop = o->loop;
    c->use_start = 1;
    c->opts = *o;
    c->recalled[0] = c->recalled[1] = c->mark_fd = -1;
    list_init(&c->barriers);
    list_init(&c->sessions);
    list_init(&c->parked);
    list_init(&c->interrupted);
    list_init(&c->readings);
    list_init(&c->behind);
    list_init(&c->behind_waiting);
    list_init(&c->moving_locks);
    for (size_t i = 0; i < MFS_CALL_BUCKETS; i++)
        list_init(&c->calls[i]);
    int rc = stream_init(&c->meta, c, "meta", take_fd(&meta_fd));
    int rc_bulk = stream_init(&c->bulk, c, "bulk", take_fd(&bulk_fd));
    if (rc >= 0)
        rc = rc_bulk;
    if (rc < 0)
        err_set(e, -rc, "file server's streams");
    else
        rc = greet(c, e);
    if (rc >= 0 && ((rc = mfs_client_add_notifier(c, &c->notifier)) < 0 ||
                    (rc = mfs_client_add_notifier(c, &c->lock_notifier)) < 0))
        err_set(e, -rc, "file client's notifier");
    if (rc >= 0 && (rc = mfs_mark_start(c)) < 0)
        err_set(e, -rc, "file client's marks");
    if (rc >= 0) {
        rc = loop_fd_add(c->loop, &c->meta.watch, c->meta.fd, EPOLLIN, on_stream, &c->meta);
        if (rc >= 0)
            rc = loop_fd_add(c->loop, &c->bulk.watch, c->bulk.fd, EPOLLIN, on_stream, &c->bulk);
        if (rc < 0)
            err_set(e, -rc, "watch the file server");
    }
    if (rc < 0) {
        mfs_client_free(c);
        return rc;
    }
    /* Without a cache everything works as well. */
    if (c->opts.cache_dir && c->features & MFS_FEATURE_CHUNKS &&
        mfs_chunks_new(c->loop, c->opts.cache_dir, &c->chunks) < 0)
        c->chunks = NULL;
    mfs_lease_start(c);
    if (mfs_lease_is_on(c))
        mfs_roots_ask(c);
    c->paths_ahead = o->paths_ahead ? strdup(o->paths_ahead) : NULL;
    mfs_client_flush(c);
    *out = c;
    return 0;
}

/* Of what is queued nobody waits for any more, only a message that was begun is written to its
 * end: half a one would look like a broken link to the server. */
static void finish_message(struct mfs_stream *s)
{
    uint64_t until_ms = clock_mono_ms() + MFS_FAREWELL_WAIT_MS;
    int rc = 0;
    while (rc == 0 && s->message_left) {
        ssize_t n = fd_write(s->fd, buf_at(&s->out), s->message_left);
        if (n > 0)
            count_written(s, (size_t)n);
        else
            rc = n == -EAGAIN ? wait_for(s->fd, POLLOUT, until_ms) : -EPIPE;
    }
}

void mfs_client_free(struct mfs_client *c)
{
    if (!c)
        return;
    c->opts.on_lost = NULL;
    c->opts.on_away = NULL;
    c->opts.on_detached = NULL;
    mfs_join_flush(c);
    if (!c->is_lost && c->meta.fd >= 0) {
        finish_message(&c->meta);
        finish_message(&c->bulk);
    }
    mfs_client_lose(c, &(struct err){ "closed" });
    mfs_join_free(c);
    mfs_chunks_free(c->chunks);
    free(c->seen);
    c->seen = NULL;
    c->chunks = NULL;
    /* A notice may be waiting in the kernel for the answer to a request that is still to be
     * read: the sessions answer (with an error) until the notifier has come back. */
    while (!mfs_notifier_stop(c->notifier) || !mfs_notifier_stop(c->lock_notifier) ||
           !mfs_notifier_stop(c->shed_notifier))
        if (loop_turn(c->loop, 100) < 0)
            break;
    LIST_EACH(&c->sessions, it, nx)
    mfs_session_free(mfs_session_of(it));
    mfs_notifier_free(c->notifier);
    mfs_notifier_free(c->lock_notifier);
    mfs_notifier_free(c->shed_notifier);
    mfs_mark_stop(c); /* the notifier's thread used it */
    mfs_lease_stop(c);
    buf_fini(&c->meta.in);
    buf_fini(&c->bulk.in);
    mfs_packer_fini(&c->meta.packer);
    mfs_packer_fini(&c->bulk.packer);
    loop_timer_del(&c->interrupted_timer);
    mfs_roots_free(c);
    free(c->paths_ahead);
    mfs_hello_fini(c);
    free(c->request);
    free(c->profile);
    free(c->used);
    free(c);
}
