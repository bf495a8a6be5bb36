/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_join.c: small writes that become a chunk on their way (client/join.h): when they
 * are sent, and what becomes of them if they can't be. They travel on the bulk stream, where
 * the test doesn't look: the number of the last message tells. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"
#include "common/sys/clock.h"
#include "mrcfs/chunks/put.h"
#include "mrcfs/client/chunks.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/join.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NODE = 7, OTHER = 8, FH = 33, VALID_MS = 60000, SOON_MS = 10000, PIECE = 512 };

static uint64_t file; /* the kernel's handle */
static char cache_dir[64];

static struct mfs_attr attr(uint32_t flags)
{
    return (struct mfs_attr){ .ino = 9,
                              .mode = S_IFREG | 0644,
                              .nlink = 1,
                              .uid = 1000,
                              .gid = 1000,
                              .valid_ms = VALID_MS,
                              .flags = flags };
}

static int answer(uint64_t unique, void *body, size_t size)
{
    struct fuse_out_header h;
    while (recv(cx.kernel, &h, sizeof h, MSG_DONTWAIT | MSG_PEEK) >= (ssize_t)sizeof h &&
           !h.unique)
        recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT);
    return cx_answer(unique, body, size);
}

/* The server's answers to all that is asked now: lists are refused, op has the body in w. */
static void reply_to(uint16_t op, const uint8_t *body, size_t len)
{
    struct mfs_head h;
    struct rd r;
    uint64_t id = 0;
    while (cx_next_message(&h, &r)) {
        if (h.op == op)
            id = h.id;
        else
            cx_reply(h.id, wire_error_from(-EACCES), NULL, 0);
    }
    assert_true(id != 0);
    cx_reply(id, 0, body, len);
}

static void look_up(const char *name, uint64_t node)
{
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    uint64_t unique = cx_ask(FUSE_LOOKUP, 1, name, strlen(name) + 1);
    mfs_entry_put(&w,
                  &(struct mfs_entry){ .node = node, .valid_ms = VALID_MS, .attr = attr(0) });
    reply_to(MFS_OP_lookup, room, wr_len(&w));
    assert_int_equal(answer(unique, NULL, 0), 0);
}

static int set_up(void **state UNUSED)
{
    snprintf(cache_dir, sizeof cache_dir, "/tmp/mrc-join-XXXXXX");
    assert_non_null(mkdtemp(cache_dir));
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS, .cache_dir = cache_dir });
    for (uint64_t until = clock_mono_ms() + SOON_MS;
         !mfs_chunks_is_on(cx.client->chunks) && clock_mono_ms() < until;)
        usleep(1000); /* another thread looks the store through */
    assert_true(mfs_chunks_is_on(cx.client->chunks));
    look_up("name", NODE);
    look_up("other", OTHER);
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    struct fuse_open_in in = { .flags = O_RDWR };
    struct fuse_open_out out;
    uint64_t unique = cx_ask(FUSE_OPEN, NODE, &in, sizeof in);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = FH, .attr = attr(MFS_ATTR_ALONE) });
    reply_to(MFS_OP_open, room, wr_len(&w));
    assert_int_equal(answer(unique, &out, sizeof out), 0);
    file = out.fh;
    cx.client->seen = calloc(1, sizeof *cx.client->seen); /* as if a chunk had come by */
    assert_non_null(cx.client->seen);
    return 0;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                      struct FTW *where UNUSED)
{
    return remove(path);
}

static int tear_down(void **state)
{
    int rc = cx_end(state);
    return rc ? rc : nftw(cache_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_piece(uint64_t offset)
{
    struct {
        struct fuse_write_in in;
        char bytes[PIECE];
    } w = { .in = { .fh = file, .offset = offset, .size = PIECE, .flags = O_RDWR } };
    struct fuse_write_out out;
    uint64_t unique = cx_ask(FUSE_WRITE, NODE, &w, sizeof w);
    assert_int_equal(answer(unique, &out, sizeof out), 0);
    assert_int_equal(out.size, PIECE);
}

/* Messages that were sent since. */
static uint64_t sent_since(uint64_t id)
{
    return cx.client->last_id - id;
}

/* ---- tests ---- */

/* A chunk of them is one message. All of it within the time that a run is kept, or this would
 * be about that. */
TEST(test_small_writes_are_one_message)
{
    uint64_t id = cx.client->last_id, begun = clock_mono_ms();
    for (uint64_t at = 0; at < MFS_CHUNK_BYTES; at += PIECE)
        write_piece(at);
    if (clock_mono_ms() - begun < MFS_JOIN_LOOK_MS)
        assert_int_equal(sent_since(id), 1);
    assert_in_range(sent_since(id), 1, MFS_CHUNK_BYTES / PIECE / 4);
    assert_int_equal(cx.client->behind_bytes, MFS_CHUNK_BYTES);
}

TEST(test_one_that_does_not_go_on_is_sent_soon)
{
    uint64_t id = cx.client->last_id;
    write_piece(0);
    for (uint64_t until = clock_mono_ms() + SOON_MS;
         !sent_since(id) && clock_mono_ms() < until;)
        cx_turn();
    assert_int_equal(sent_since(id), 1);
}

TEST(test_elsewhere_is_another_message)
{
    uint64_t id = cx.client->last_id;
    write_piece(0);
    write_piece(100 * PIECE);
    assert_int_equal(sent_since(id), 2);
}

/* Whatever is asked comes after it. */
TEST(test_other_requests_come_after)
{
    uint64_t id = cx.client->last_id;
    struct fuse_getxattr_in in = { .size = 100 };
    uint8_t room[64] = { 0 };
    memcpy(room, &in, sizeof in);
    memcpy(room + sizeof in, "user.x", 7);
    write_piece(0);
    cx_ask(FUSE_GETXATTR, OTHER, room, sizeof in + 7);
    assert_int_equal(sent_since(id), 2);
    struct mfs_head h;
    struct rd body;
    assert_true(cx_next_message(&h, &body));
    assert_int_equal(h.id, id + 2);
}

static void on_done(void *ctx)
{
    ++*(int *)ctx;
}

TEST(test_the_end_of_a_job_sends_it)
{
    uint64_t id = cx.client->last_id;
    struct mfs_barrier b;
    int done = 0;
    write_piece(0);
    mfs_barrier_start(&b, cx.client, on_done, &done);
    assert_int_equal(sent_since(id), 1);
    cx_turn();
    assert_int_equal(done, 0); /* before it is made */
    mfs_barrier_drop(&b);
}

/* What the writer relied on is over before it was sent: it isn't, and is not lost unseen. */
TEST(test_the_end_of_leases)
{
    uint8_t room[16];
    struct wr w = wr_of(room, sizeof room);
    struct err e = { 0 };
    uint64_t id = cx.client->last_id;
    write_piece(0);
    mfs_expired_notice_put(&w, &(struct mfs_expired_notice){ 0 });
    cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_expired }, room,
            wr_len(&w));
    for (uint64_t until = clock_mono_ms() + SOON_MS;
         cx.client->behind_bytes && clock_mono_ms() < until;)
        cx_turn();
    assert_int_equal(cx.client->behind_bytes, 0);
    if (!sent_since(id))
        assert_int_equal(mfs_client_take_lost(cx.client, &e), -ESTALE);
}

TEST(test_the_connection_is_lost)
{
    struct err e = { 0 };
    write_piece(0);
    close(cx.meta);
    cx.meta = -1;
    for (uint64_t until = clock_mono_ms() + SOON_MS; !cx.lost_count && clock_mono_ms() < until;)
        cx_turn();
    assert_int_equal(cx.lost_count, 1);
    assert_int_equal(cx.client->behind_bytes, 0);
    assert_int_equal(mfs_client_take_lost(cx.client, &e), -EIO);
}

/* Nothing came by that it could be. */
TEST(test_where_nothing_was_seen_each_is_sent)
{
    free(cx.client->seen);
    cx.client->seen = NULL;
    uint64_t id = cx.client->last_id;
    write_piece(0);
    write_piece(PIECE);
    assert_int_equal(sent_since(id), 2);
}

#define JOIN_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
UNIT_MAIN(JOIN_TEST(test_small_writes_are_one_message),
          JOIN_TEST(test_one_that_does_not_go_on_is_sent_soon),
          JOIN_TEST(test_elsewhere_is_another_message),
          JOIN_TEST(test_other_requests_come_after), JOIN_TEST(test_the_end_of_a_job_sends_it),
          JOIN_TEST(test_the_end_of_leases), JOIN_TEST(test_the_connection_is_lost),
          JOIN_TEST(test_where_nothing_was_seen_each_is_sent))
