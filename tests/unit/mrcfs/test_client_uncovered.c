/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_uncovered.c: a file that is open here while programs at the server may change it
 * unnoticed: the kernel is promised nothing of it, and what was read ahead counts only as long
 * as the attributes stay. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"
#include "mrcfs/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
    NODE = 7,
    VALID_MS = 10000,
    STEP = MFS_READ_STEP_BYTES,
    SIZE = 2 * STEP,
};

static uint64_t kernel_fh;
static uint32_t owner; /* in the server's numbers; its own is 0 */

static struct mfs_attr attr_of(uint64_t size, uint32_t flags)
{
    return (struct mfs_attr){ .ino = 9,
                              .mode = S_IFREG | 0644,
                              .nlink = 1,
                              .uid = owner,
                              .size = size,
                              .valid_ms = VALID_MS,
                              .flags = flags };
}

static struct mfs_head next_call(struct rd *body)
{
    struct mfs_head h = { 0 };
    do
        h = cx_message(body);
    while (h.kind == MFS_FORGET);
    return h;
}

/* Looks the file up, which the server answers if it is asked. Returns for how long the kernel
 * may believe its attributes. */
static uint64_t look_up(bool is_first)
{
    uint8_t room[256];
    struct rd body;
    struct wr w = wr_of(room, sizeof room);
    struct fuse_entry_out out;
    uint64_t unique = cx_ask(FUSE_LOOKUP, 1, "name", 5);
    if (is_first) {
        uint64_t lookup = next_call(&body).id, list = next_call(&body).id;
        mfs_entry_put(&w, &(struct mfs_entry){
                              .node = NODE, .attr = attr_of(SIZE, 0), .valid_ms = VALID_MS });
        cx_reply(lookup, 0, room, wr_len(&w));
        cx_reply(list, wire_error_from(-EIO), NULL, 0);
    }
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    return out.attr_valid * 1000 + out.attr_valid_nsec / 1000000;
}

/* Does the kernel hear, before anything else, that it must ask for the attributes? */
static bool take_notice(void)
{
    struct fuse_out_header *h = (struct fuse_out_header *)(void *)cx.in;
    if (recv(cx.kernel, h, sizeof *h, MSG_DONTWAIT | MSG_PEEK) < (ssize_t)sizeof *h ||
        h->unique)
        return false;
    assert_int_equal(h->error, FUSE_NOTIFY_INVAL_INODE);
    recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT);
    struct fuse_notify_inval_inode_out *n =
        (struct fuse_notify_inval_inode_out *)(void *)(h + 1);
    assert_int_equal(n->ino, NODE);
    assert_true(n->off < 0); /* pages are compared with what the answer says */
    return true;
}

static bool open_file(int host_flags, uint32_t flags)
{
    uint8_t room[256];
    struct rd body;
    struct wr w = wr_of(room, sizeof room);
    struct fuse_open_in in = { .flags = (uint32_t)host_flags };
    struct fuse_open_out out;
    uint64_t unique = cx_ask(FUSE_OPEN, NODE, &in, sizeof in);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = 33, .attr = attr_of(SIZE, flags) });
    cx_reply(next_call(&body).id, 0, room, wr_len(&w));
    bool is_told = take_notice();
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    kernel_fh = out.fh;
    return is_told;
}

static int set_up(void **state)
{
    (void)state;
    owner = 0;
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS });
    return 0;
}

static void test_open_that_covers(void **state)
{
    (void)state;
    look_up(true);
    assert_true(look_up(false) > 0);
    assert_false(open_file(O_RDONLY, MFS_ATTR_HELD));
    assert_true(look_up(false) > 0);
}

/* What was promised while it was closed ends before the open returns. */
static void test_open_that_does_not(void **state)
{
    (void)state;
    look_up(true);
    assert_true(look_up(false) > 0);
    assert_true(open_file(O_RDWR, 0));
}

/* Nobody gets a lease of another user's file: what changes it is reported. */
static void test_open_of_another_users(void **state)
{
    (void)state;
    owner = 7;
    look_up(true);
    assert_true(look_up(false) > 0);
    assert_false(open_file(O_RDWR, 0));
}

/* Nothing is promised of a file that it is open and alone with: a late report of a change would end that while the kernel asks for
 * what it reads next, and make it drop the answer. */
static void test_alone_and_then_not(void **state)
{
    (void)state;
    look_up(true);
    assert_true(look_up(false) > 0);
    assert_true(open_file(O_RDWR, MFS_ATTR_ALONE));
    assert_int_equal(look_up(false), 0);
    assert_false(open_file(O_RDONLY, 0));
}

static uint64_t ask_read(uint64_t offset)
{
    struct fuse_read_in in = { .fh = kernel_fh, .offset = offset, .size = STEP };
    return cx_ask(FUSE_READ, NODE, &in, sizeof in);
}

static void reply_read(uint64_t id)
{
    uint8_t *bytes = calloc(1, STEP), *room = malloc(STEP + 100);
    assert_true(bytes && room);
    struct wr w = wr_of(room, STEP + 100);
    mfs_read_rep_put(&w, &(struct mfs_read_rep){ { bytes, STEP } });
    cx_reply(id, 0, room, wr_len(&w));
    free(room);
    free(bytes);
}

static void ask_attr(uint64_t size)
{
    uint8_t room[256];
    struct rd body;
    struct wr w = wr_of(room, sizeof room);
    struct fuse_getattr_in in = { .getattr_flags = FUSE_GETATTR_FH, .fh = kernel_fh };
    uint64_t unique = cx_ask(FUSE_GETATTR, NODE, &in, sizeof in);
    struct mfs_head h = next_call(&body);
    assert_int_equal(h.op, MFS_OP_getattr);
    mfs_getattr_rep_put(&w, &(struct mfs_getattr_rep){ .attr = attr_of(size, 0) });
    cx_reply(h.id, 0, room, wr_len(&w));
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
}

/* The first half is read, the second one ahead of the kernel. */
static void read_first_half(void)
{
    struct rd body;
    uint64_t unique = ask_read(0);
    uint64_t first = next_call(&body).id, second = next_call(&body).id;
    reply_read(first);
    reply_read(second);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
}

static void test_read_ahead(void **state)
{
    (void)state;
    struct rd body;
    struct mfs_head h;
    look_up(true);
    open_file(O_RDONLY, 0);
    read_first_half();
    ask_attr(SIZE);
    uint64_t unique = ask_read(STEP);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    assert_false(cx_next_message(&h, &body));
}

static void test_read_ahead_of_a_change(void **state)
{
    (void)state;
    struct rd body;
    look_up(true);
    open_file(O_RDONLY, 0);
    read_first_half();
    ask_attr(SIZE + 1);
    ask_read(STEP);
    cx_assert_no_answer();
    assert_int_equal(next_call(&body).op, MFS_OP_read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_open_that_covers, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_open_that_does_not, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_open_of_another_users, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_alone_and_then_not, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_read_ahead, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_read_ahead_of_a_change, set_up, cx_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
