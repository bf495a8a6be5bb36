/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_readahead.c: files that are asked for ahead of the kernel, between a kernel and a
 * server that are both the test: each byte is asked for once, and none is given that a change
 * in between may have outdated. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"
#include "mrcfs/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NODE = 7,
    VALID_MS = 10000,
    STEP = MFS_READ_STEP_BYTES,
    SIZE = 5 * STEP - 1000,
    LATER = 100, /* bytes of another time */
};

static uint64_t kernel_fh;
static uint8_t got[STEP];

/* ---- the server ---- */

static struct mfs_head next_call(struct rd *body)
{
    struct mfs_head h = { 0 };
    do
        h = cx_message(body);
    while (h.kind == MFS_FORGET);
    return h;
}

static uint64_t expect_range(uint64_t offset, uint32_t size)
{
    struct rd body;
    struct mfs_read_req q;
    struct mfs_head h = next_call(&body);
    assert_int_equal(h.op, MFS_OP_read);
    assert_int_equal(mfs_read_req_get(&body, &q), 0);
    assert_int_equal(q.offset, offset);
    assert_int_equal(q.size, size);
    return h.id;
}

static uint64_t expect_read(uint64_t offset)
{
    return expect_range(offset, STEP);
}

static void assert_no_call(void)
{
    struct mfs_head h;
    struct rd body;
    assert_false(cx_next_message(&h, &body));
}

static uint8_t byte_at(uint64_t offset, unsigned when)
{
    return (uint8_t)(offset / 1000 + when);
}

static void reply_range(uint64_t id, uint64_t offset, size_t size, unsigned when)
{
    size_t len = offset + size < SIZE ? size : (size_t)(SIZE - offset);
    uint8_t *bytes = malloc(size), *room = malloc(size + 100);
    assert_true(bytes && room);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(offset + i, when);
    struct wr w = wr_of(room, size + 100);
    mfs_read_rep_put(&w, &(struct mfs_read_rep){ { bytes, (uint32_t)len } });
    cx_reply(id, 0, room, wr_len(&w));
    free(room);
    free(bytes);
}

static void reply_read(uint64_t id, uint64_t offset, unsigned when)
{
    reply_range(id, offset, STEP, when);
}

static void recall(void)
{
    uint8_t room[64];
    struct rd body;
    struct wr w = wr_of(room, sizeof room);
    mfs_recall_notice_put(&w, &(struct mfs_recall_notice){ .node = NODE, .serial = 1 });
    cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_recall }, room,
            wr_len(&w));
    (void)body;
}

/* ---- the kernel ---- */

static uint64_t ask_read(uint64_t offset)
{
    struct fuse_read_in in = { .fh = kernel_fh, .offset = offset, .size = STEP };
    return cx_ask(FUSE_READ, NODE, &in, sizeof in);
}

/* Notices of attributes and pages are not what these tests are about. */
static void skip_notices(void)
{
    struct fuse_out_header h;
    while (recv(cx.kernel, &h, sizeof h, MSG_DONTWAIT | MSG_PEEK) >= (ssize_t)sizeof h &&
           !h.unique)
        recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT);
}

static void assert_read(uint64_t unique, uint64_t offset, unsigned when)
{
    size_t len = offset + STEP < SIZE ? (size_t)STEP : (size_t)(SIZE - offset);
    skip_notices();
    assert_int_equal(cx_answer(unique, got, len), 0);
    for (size_t i = 0; i < len; i++)
        if (got[i] != byte_at(offset + i, when))
            fail_msg("byte %llu is %u", (unsigned long long)(offset + i), got[i]);
}

static void close_file(void)
{
    struct fuse_release_in done = { .fh = kernel_fh };
    cx_ask(FUSE_RELEASE, NODE, &done, sizeof done);
    skip_notices();
    recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT);
}

static int set_up(void **state)
{
    uint8_t room[256];
    struct rd body;
    struct mfs_attr a = { .ino = 9,
                          .mode = S_IFREG | 0644,
                          .nlink = 1,
                          .uid = 1000,
                          .gid = 1000,
                          .size = SIZE,
                          .valid_ms = VALID_MS,
                          .flags = MFS_ATTR_HELD };
    struct wr w = wr_of(room, sizeof room);
    (void)state;
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS });
    int room_bytes = 200 * 1000; /* the kernel doubles it: for the longest answer here */
    assert_int_equal(setsockopt(cx.meta, SOL_SOCKET, SO_SNDBUF, &room_bytes, sizeof room_bytes), 0);
    uint64_t unique = cx_ask(FUSE_LOOKUP, 1, "name", 5);
    uint64_t lookup = next_call(&body).id;
    uint64_t list = next_call(&body).id; /* of its directory, ahead */
    mfs_entry_put(&w, &(struct mfs_entry){ .node = NODE, .attr = a, .valid_ms = VALID_MS });
    cx_reply(lookup, 0, room, wr_len(&w));
    cx_reply(list, wire_error_from(-EIO), NULL, 0);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    struct fuse_open_in o = { .flags = O_RDONLY };
    struct fuse_open_out out;
    unique = cx_ask(FUSE_OPEN, NODE, &o, sizeof o);
    w = wr_of(room, sizeof room);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = 33, .attr = a });
    cx_reply(next_call(&body).id, 0, room, wr_len(&w));
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    kernel_fh = out.fh;
    return 0;
}

/* The first read, and what is asked for ahead of it: all of the file. */
static uint64_t first_read(uint64_t ids[5])
{
    uint64_t unique = ask_read(0);
    for (unsigned i = 0; i < 5; i++)
        ids[i] = expect_read(i * (uint64_t)STEP);
    assert_no_call();
    return unique;
}

static void assert_stats(uint64_t in_vain, uint64_t twice)
{
    struct mfs_stats s;
    mfs_client_stats(cx.client, &s);
    assert_int_equal(s.ahead_bytes, 4 * (uint64_t)STEP);
    assert_int_equal(s.ahead_in_vain, in_vain);
    assert_int_equal(s.ahead_twice, twice);
}

/* ---- tests ---- */

static void test_each_byte_once(void **state)
{
    (void)state;
    uint64_t ids[5], unique = first_read(ids);
    reply_read(ids[0], 0, 0);
    assert_read(unique, 0, 0);
    /* Out of order: the later one is here first. */
    reply_read(ids[2], 2 * STEP, 0);
    uint64_t second = ask_read(STEP), third = ask_read(2 * STEP);
    assert_read(third, 2 * STEP, 0);
    cx_assert_no_answer();
    reply_read(ids[1], STEP, 0);
    assert_read(second, STEP, 0);
    reply_read(ids[3], 3 * STEP, 0);
    reply_read(ids[4], 4 * STEP, 0);
    assert_read(ask_read(3 * STEP), 3 * STEP, 0);
    assert_read(ask_read(4 * STEP), 4 * STEP, 0); /* shorter: the file's end */
    assert_no_call();
    close_file();
    assert_stats(0, 0);
}

static void test_two_pieces_in_one_read(void **state)
{
    (void)state;
    uint64_t ids[5], unique = first_read(ids);
    reply_read(ids[0], 0, 0);
    assert_read(unique, 0, 0);
    unique = ask_read(STEP + 4096);
    reply_read(ids[1], STEP, 0);
    cx_assert_no_answer();
    reply_read(ids[2], 2 * STEP, 0);
    assert_read(unique, STEP + 4096, 0);
}

static void test_recall(void **state)
{
    (void)state;
    struct rd body;
    uint64_t ids[5], unique = first_read(ids);
    reply_read(ids[0], 0, 0);
    assert_read(unique, 0, 0);
    reply_read(ids[1], STEP, 0);
    uint64_t waiting = ask_read(2 * STEP);
    recall();
    /* Who waits is not given what was asked for before; nor is anybody else. */
    uint64_t anew = expect_read(2 * STEP);
    reply_read(ids[2], 2 * STEP, 0);
    reply_read(ids[3], 3 * STEP, 0);
    reply_read(ids[4], 4 * STEP, 0);
    skip_notices();
    cx_assert_no_answer();
    reply_read(anew, 2 * STEP, LATER);
    assert_read(waiting, 2 * STEP, LATER);
    struct mfs_head h;
    while (cx_next_message(&h, &body))
        assert_true(h.op == MFS_OP_recalled || h.op == MFS_OP_release || h.kind == MFS_FORGET);
    unique = ask_read(STEP);
    uint64_t id = expect_read(STEP);
    reply_read(id, STEP, LATER);
    assert_read(unique, STEP, LATER);
}

static void test_own_change(void **state)
{
    (void)state;
    struct rd body;
    uint8_t room[128];
    struct wr w = wr_of(room, sizeof room);
    uint64_t ids[5], unique = first_read(ids);
    reply_read(ids[0], 0, 0);
    assert_read(unique, 0, 0);
    reply_read(ids[1], STEP, 0);
    struct fuse_setattr_in set = { .valid = FATTR_SIZE, .size = SIZE };
    uint64_t setting = cx_ask(FUSE_SETATTR, NODE, &set, sizeof set);
    struct mfs_head h = next_call(&body);
    assert_int_equal(h.op, MFS_OP_setattr);
    unique = ask_read(STEP);
    uint64_t id = expect_read(STEP);
    reply_read(id, STEP, LATER);
    assert_read(unique, STEP, LATER);
    mfs_setattr_rep_put(
        &w, &(struct mfs_setattr_rep){
                .attr = { .ino = 9, .mode = S_IFREG | 0644, .nlink = 1, .size = SIZE } });
    cx_reply(h.id, 0, room, wr_len(&w));
    assert_int_equal(cx_answer(setting, NULL, 0), 0);
    reply_read(ids[2], 2 * STEP, 0); /* asked for before the change */
    unique = ask_read(2 * STEP);
    skip_notices();
    cx_assert_no_answer();
}

static void test_failure(void **state)
{
    (void)state;
    uint64_t ids[5], unique = first_read(ids);
    reply_read(ids[0], 0, 0);
    assert_read(unique, 0, 0);
    unique = ask_read(STEP);
    cx_reply(ids[1], wire_error_from(-EIO), NULL, 0);
    cx_reply(expect_read(STEP), wire_error_from(-EIO), NULL, 0); /* the reader's own */
    assert_int_equal(cx_answer(unique, NULL, 0), EIO);
    assert_stats(3 * (uint64_t)STEP, STEP); /* what did not come aside */
}

/* Two reads elsewhere, and all of a file of this size is asked for: one request of two steps, and three, beside the second read. */
static void read_here_and_there(uint64_t ids[4])
{
    uint64_t unique = ask_read(3 * STEP);
    reply_read(expect_read(3 * STEP), 3 * STEP, 0);
    assert_read(unique, 3 * STEP, 0);
    assert_no_call();
    unique = ask_read(STEP);
    uint64_t id = expect_read(STEP);
    ids[0] = expect_range(0, 2 * STEP);
    for (unsigned i = 1; i < 4; i++)
        ids[i] = expect_read((i + 1) * (uint64_t)STEP);
    assert_no_call();
    reply_read(id, STEP, 0);
    assert_read(unique, STEP, 0);
}

static void test_whole(void **state)
{
    (void)state;
    uint64_t ids[4];
    read_here_and_there(ids);
    uint64_t waiting = ask_read(4 * STEP);
    for (unsigned i = 1; i < 4; i++)
        reply_read(ids[i], (i + 1) * (uint64_t)STEP, 0);
    assert_read(waiting, 4 * STEP, 0);
    assert_true(cx.client->reading_bytes > 0);
    reply_range(ids[0], 0, 2 * STEP, 0);
    assert_int_equal(cx.client->reading_bytes, 0);
    /* From now on it is all here, in any order. */
    static const unsigned order[] = { 3, 0, 4, 2, 1, 3, 0 };
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        assert_read(ask_read(order[i] * (uint64_t)STEP), order[i] * (uint64_t)STEP, 0);
    assert_no_call();
    /* Until it is recalled. It is not held any more, and so not asked for whole. */
    recall();
    struct mfs_head h;
    struct rd body;
    while (cx_next_message(&h, &body))
        assert_true(h.op == MFS_OP_recalled || h.kind == MFS_FORGET);
    static const unsigned back[] = { 4, 1, 3, 0 };
    for (size_t i = 0; i < ARRAY_LEN(back); i++) {
        uint64_t at = back[i] * (uint64_t)STEP, unique = ask_read(at);
        reply_read(expect_read(at), at, LATER);
        assert_read(unique, at, LATER);
    }
    close_file();
}

/* Recalled while it comes: nobody is given it. */
static void test_whole_recalled(void **state)
{
    (void)state;
    uint64_t ids[4];
    struct rd body;
    read_here_and_there(ids);
    uint64_t waiting = ask_read(2 * STEP);
    reply_range(ids[0], 0, 2 * STEP, 0);
    recall();
    uint64_t anew = expect_read(2 * STEP);
    for (unsigned i = 1; i < 4; i++)
        reply_read(ids[i], (i + 1) * (uint64_t)STEP, 0);
    skip_notices();
    cx_assert_no_answer();
    reply_read(anew, 2 * STEP, LATER);
    assert_read(waiting, 2 * STEP, LATER);
    struct mfs_head h;
    while (cx_next_message(&h, &body))
        assert_true(h.op == MFS_OP_recalled || h.kind == MFS_FORGET);
    uint64_t unique = ask_read(4 * STEP);
    reply_read(expect_read(4 * STEP), 4 * STEP, LATER);
    assert_read(unique, 4 * STEP, LATER);
    assert_int_equal(cx.client->reading_bytes, 0);
}

/* One of the requests fails: the file is read as it is asked for. */
static void test_whole_failed(void **state)
{
    (void)state;
    uint64_t ids[4];
    read_here_and_there(ids);
    uint64_t waiting = ask_read(4 * STEP);
    reply_range(ids[0], 0, 2 * STEP, 0);
    reply_read(ids[1], 2 * STEP, 0);
    cx_reply(ids[2], wire_error_from(-EIO), NULL, 0);
    reply_read(expect_read(4 * STEP), 4 * STEP, 0);
    assert_read(waiting, 4 * STEP, 0);
    assert_int_equal(cx.client->reading_bytes, 0);
    assert_no_call();
}

/* Closed before it has come. */
static void test_closed(void **state)
{
    (void)state;
    uint64_t ids[5], unique = first_read(ids);
    reply_read(ids[0], 0, 0);
    assert_read(unique, 0, 0);
    reply_read(ids[1], STEP, 0);
    close_file();
    for (unsigned i = 2; i < 5; i++)
        reply_read(ids[i], i * (uint64_t)STEP, 0);
    assert_stats(4 * (uint64_t)STEP, 0);
    assert_int_equal(cx.client->reading_bytes, 0);
}

static void test_lost(void **state)
{
    (void)state;
    uint64_t ids[5], first = first_read(ids);
    uint64_t second = ask_read(STEP);
    close(cx.meta);
    cx.meta = -1;
    cx_turn();
    assert_int_equal(cx.lost_count, 1);
    int answers = 0;
    struct fuse_out_header h;
    while (recv(cx.kernel, &h, sizeof h, MSG_DONTWAIT) >= (ssize_t)sizeof h) {
        assert_true(h.unique == first || h.unique == second);
        assert_true(h.error < 0);
        answers++;
    }
    assert_int_equal(answers, 2);
    assert_int_equal(cx.client->reading_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_byte_once, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_two_pieces_in_one_read, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_recall, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_own_change, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_failure, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_whole, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_whole_recalled, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_whole_failed, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_closed, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_lost, set_up, cx_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
