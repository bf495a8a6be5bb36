/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mfs_client_fixture.c: the file client between two ends that a test plays. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"
#include "common/sys/fd.h"
#include "common/sys/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct cx cx;

static struct loop *loop;
static int bulk; /* our end, which nothing comes from */
static uint64_t last_unique;

static void on_lost(void *ctx, const struct err *why)
{
    (void)ctx;
    (void)why;
    cx.lost_count++;
}

void cx_turn(void)
{
    for (int i = 0; i < 3; i++)
        assert_int_equal(loop_turn(loop, 0), 0);
}

/* ---- the kernel ---- */

uint64_t cx_ask(uint32_t opcode, uint64_t node, const void *body, size_t len_bytes)
{
    uint8_t room[1024];
    struct fuse_in_header h = { .len = (uint32_t)(sizeof h + len_bytes),
                                .opcode = opcode,
                                .unique = ++last_unique,
                                .nodeid = node,
                                .uid = 1000 };
    assert_true(len_bytes <= sizeof room - sizeof h);
    memcpy(room, &h, sizeof h);
    if (len_bytes)
        memcpy(room + sizeof h, body, len_bytes);
    assert_int_equal(send(cx.kernel, room, sizeof h + len_bytes, 0), sizeof h + len_bytes);
    cx_turn();
    return h.unique;
}

int cx_answer(uint64_t unique, void *body, size_t size_bytes)
{
    struct fuse_out_header h;
    ssize_t n = recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT);
    assert_true(n >= (ssize_t)sizeof h);
    memcpy(&h, cx.in, sizeof h);
    assert_int_equal(h.unique, unique);
    if (body && !h.error) {
        assert_true((size_t)n >= sizeof h + size_bytes);
        memcpy(body, cx.in + sizeof h, size_bytes);
    }
    return -h.error;
}

int cx_answer_later(uint64_t unique)
{
    enum { TRIES = 1000, TRY_MS = 10 };
    struct fuse_out_header h = { 0 };
    for (int i = 0; i < TRIES && !h.unique; i++) {
        struct pollfd pf = { .fd = cx.kernel, .events = POLLIN };
        if (poll(&pf, 1, TRY_MS) <= 0)
            continue;
        assert_true(recv(cx.kernel, &h, sizeof h, MSG_DONTWAIT | MSG_PEEK) >= (ssize_t)sizeof h);
        if (h.unique)
            break;
        struct {
            struct fuse_out_header h;
            struct fuse_notify_inval_inode_out what;
        } notice = { .what.off = -1 };
        recv(cx.kernel, &notice, sizeof notice, MSG_DONTWAIT);
        cx.dropped_count += h.error == FUSE_NOTIFY_INVAL_INODE && notice.what.off == 0;
    }
    return cx_answer(unique, NULL, 0);
}

void cx_assert_no_answer(void)
{
    assert_int_equal(recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT), -1);
}

/* ---- the server ---- */

bool cx_next_message(struct mfs_head *h, struct rd *body)
{
    uint32_t len;
    ssize_t n = recv(cx.meta, cx.in, 4, MSG_DONTWAIT);
    struct rd r = rd_of(cx.in, 4);
    if (n < 0)
        return false;
    assert_int_equal(n, 4);
    assert_int_equal(get_u32(&r, &len), 0);
    assert_int_equal(recv(cx.meta, cx.in, len, MSG_DONTWAIT), len);
    *body = rd_of(cx.in, len);
    assert_int_equal(mfs_head_get(body, h), 0);
    return true;
}

struct mfs_head cx_message(struct rd *body)
{
    struct mfs_head h = { 0 };
    assert_true(cx_next_message(&h, body));
    return h;
}

void cx_send(const struct mfs_head *h, const uint8_t *body, size_t len_bytes)
{
    size_t size = MFS_HEAD_BYTES + len_bytes;
    uint8_t *room = malloc(size);
    struct wr m = wr_of(room, size);
    assert_non_null(room);
    mfs_message_begin(&m, h);
    put_raw(&m, body, len_bytes);
    mfs_message_end(&m, 0);
    assert_false(m.is_full);
    assert_int_equal(send(cx.meta, room, wr_len(&m), MSG_NOSIGNAL), wr_len(&m));
    free(room);
    cx_turn();
}

void cx_reply(uint64_t id, uint32_t error, const uint8_t *body, size_t len_bytes)
{
    cx_send(&(struct mfs_head){ .kind = MFS_REPLY, .id = id, .error = error }, body, len_bytes);
}

/* ---- both ---- */

/* What the server says first; it may stand in the stream before the client asks. */
static void greet(uint32_t features)
{
    uint8_t room[256], exports[64];
    struct wr x = wr_of(exports, sizeof exports), w = wr_of(room, sizeof room);
    mfs_export_rec_put(&x, &(struct mfs_export_rec){ 0, bytes_of("/one") });
    mfs_export_rec_put(&x, &(struct mfs_export_rec){ MFS_EXPORT_RO, bytes_of("/two") });
    mfs_hello_rep_put(&w,
                      &(struct mfs_hello_rep){ .version = MFS_VERSION,
                                               .features = features,
                                               .exports = { exports, (uint32_t)wr_len(&x) } });
    cx_reply(1, 0, room, wr_len(&w));
}

static void grant(uint32_t lease_ms)
{
    uint8_t room[16];
    struct wr w = wr_of(room, sizeof room);
    struct rd body;
    cx_turn();
    struct mfs_head h = cx_message(&body);
    assert_int_equal(h.op, MFS_OP_renew);
    mfs_renew_rep_put(&w, &(struct mfs_renew_rep){ .lease_ms = lease_ms });
    cx_reply(h.id, 0, room, wr_len(&w));
    for (int i = 0; i < 2; i++) {
        h = cx_message(&body);
        assert_int_equal(h.op, MFS_OP_getattr);
        cx.root_calls[i] = h.id;
    }
}

/* The exports' roots: they are asked about when the kernel asks. */
static void refuse_roots(void)
{
    for (int i = 0; i < 2; i++)
        cx_reply(cx.root_calls[i], wire_error_from(-EIO), NULL, 0);
}

struct fuse_init_out cx_start(const struct cx_opts *o)
{
    int m[2], b[2], k[2];
    struct rd body;
    struct err e = { "" };
    last_unique = 0;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(fd_socketpair(m), 0);
    assert_int_equal(fd_socketpair(b), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, k), 0);
    cx = (struct cx){ .kernel = k[0], .meta = m[0] };
    bulk = b[0];
    greet((o->lease_ms ? MFS_FEATURE_LEASES : 0) | (o->cache_dir ? MFS_FEATURE_CHUNKS : 0));
    struct mfs_client_opts opts = { .loop = loop,
                                    .meta_fd = m[1],
                                    .bulk_fd = b[1],
                                    .own_uid = 1000,
                                    .own_gid = 1000,
                                    .is_single_user = o->is_single_user,
                                    .cache_dir = o->cache_dir,
                                    .paths_ahead = o->paths_ahead,
                                    .known_max = o->known_max,
                                    .on_lost = on_lost };
    if (o->lease_ms)
        opts.consistency = MFS_LEASE;
    assert_int_equal(mfs_client_new(&opts, &cx.client, &e), 0);
    assert_int_equal(cx_message(&body).op, MFS_OP_hello);
    assert_int_equal(mfs_client_attach(cx.client, o->export_number, k[1], &e), 0);
    if (o->lease_ms)
        grant(o->lease_ms);
    if (o->lease_ms && !o->has_roots_ahead)
        refuse_roots();
    struct fuse_init_in init = { .major = 7,
                                 .minor = o->kernel_minor ? o->kernel_minor : 38,
                                 .flags = ~0U,
                                 .flags2 = o->is_old_kernel ? 0 : ~0U };
    struct fuse_init_out out;
    assert_int_equal(cx_answer(cx_ask(FUSE_INIT, 0, &init, sizeof init), &out, sizeof out), 0);
    return out;
}

int cx_end(void **state)
{
    (void)state;
    mfs_client_free(cx.client);
    loop_free(loop);
    close(cx.meta);
    close(bulk);
    close(cx.kernel);
    return 0;
}

uint64_t cx_look_up(const char *name, const struct mfs_entry *e)
{
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    uint64_t unique = cx_ask(FUSE_LOOKUP, 1, name, strlen(name) + 1), id = 0;
    struct mfs_head h;
    struct rd body;
    while (cx_next_message(&h, &body)) {
        if (h.op == MFS_OP_list)
            cx_reply(h.id, wire_error_from(-EACCES), NULL, 0);
        else
            id = h.id;
    }
    assert_true(id != 0);
    mfs_entry_put(&w, e);
    cx_reply(id, 0, room, wr_len(&w));
    return unique;
}
