/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_moves.c: moves between two directories that the file client is alone with,
 * between a kernel and a server that are both the test: what is answered before the server has
 * done it, what waits for that, and what becomes of it if it fails. What is taken for done
 * travels on the bulk stream, where the test doesn't look: its number follows that of the
 * message before. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { ONE = 11, TWO, FILE_NODE, OVER, DIR_NODE, VALID_MS = 60000, SOON_MS = 10000 };

static const uint32_t SOLE = MFS_ATTR_SOLE | MFS_ATTR_PLAIN, MOVES = SOLE | MFS_ATTR_MOVES;

static uint64_t last_id; /* of the messages that were seen */

/* ---- the server ---- */

static struct rd expect(uint16_t op)
{
    struct mfs_head h = { 0 };
    struct rd body = { 0 };
    for (int i = 0; i < SOON_MS / 10; i++) {
        struct pollfd pf = { .fd = cx.meta, .events = POLLIN };
        cx_turn();
        if (poll(&pf, 1, 10) > 0) {
            assert_true(cx_next_message(&h, &body));
            break;
        }
    }
    assert_int_equal(h.op, op);
    last_id = h.id;
    return body;
}

static void assert_no_call(void)
{
    struct mfs_head h;
    struct rd body;
    cx_turn();
    assert_false(cx_next_message(&h, &body));
}

static void recall(uint64_t node, uint64_t serial)
{
    uint8_t room[64];
    struct wr w = wr_of(room, sizeof room);
    mfs_recall_notice_put(&w, &(struct mfs_recall_notice){ .node = node, .serial = serial });
    cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_recall }, room,
            wr_len(&w));
}

/* ---- the kernel ---- */

static int answer(uint64_t unique, void *body, size_t size)
{
    struct fuse_out_header h;
    while (recv(cx.kernel, &h, sizeof h, MSG_DONTWAIT | MSG_PEEK) >= (ssize_t)sizeof h &&
           !h.unique)
        recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT);
    return cx_answer(unique, body, size);
}

/* Looks name up in dir, where it is node, or (0) is not. Lists that are asked for are refused,
 * so that only what is looked up is known. */
static void look_up(uint64_t dir, const char *name, uint64_t node, mode_t mode, uint32_t flags)
{
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    uint64_t unique = cx_ask(FUSE_LOOKUP, dir, name, strlen(name) + 1), id = 0;
    struct mfs_head h;
    struct rd body;
    while (cx_next_message(&h, &body)) {
        if (h.op == MFS_OP_list)
            cx_reply(h.id, wire_error_from(-EACCES), NULL, 0);
        else
            id = h.id;
        last_id = h.id > last_id ? h.id : last_id;
    }
    assert_true(id != 0);
    struct mfs_attr a = { .ino = node,
                          .mode = mode,
                          .nlink = S_ISDIR(mode) ? 2 : 1,
                          .uid = 1000,
                          .gid = 1000,
                          .valid_ms = VALID_MS,
                          .flags = flags };
    mfs_entry_put(&w, &(struct mfs_entry){ .node = node, .valid_ms = VALID_MS, .attr = a });
    cx_reply(id, 0, room, wr_len(&w));
    assert_int_equal(answer(unique, NULL, 0), 0);
}

static uint64_t ask_rename(uint64_t from, uint64_t to, const char names[4], uint32_t flags)
{
    struct {
        struct fuse_rename2_in in;
        char names[4]; /* of one letter */
    } r = { .in = { .newdir = to, .flags = flags } };
    memcpy(r.names, names, 4);
    return cx_ask(FUSE_RENAME2, from, &r, sizeof r.in + 4);
}

#define A_TO_B "a\0b"

/* Answered at once. Returns the number of its message. */
static uint64_t move(uint64_t from, uint64_t to, const char names[4])
{
    uint64_t unique = ask_rename(from, to, names, 0);
    assert_int_equal(answer(unique, NULL, 0), 0);
    assert_no_call();
    return ++last_id;
}

/* The server is asked, and waited for. */
static void assert_asks(uint64_t from, uint64_t to, const char names[4], uint32_t flags)
{
    ask_rename(from, to, names, flags);
    cx_assert_no_answer();
    expect(MFS_OP_rename);
}

static void start(uint32_t one, uint32_t two)
{
    last_id = 0;
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS });
    look_up(1, "one", ONE, S_IFDIR | 0755, one);
    look_up(1, "two", TWO, S_IFDIR | 0755, two);
    look_up(ONE, "a", FILE_NODE, S_IFREG | 0644, SOLE);
    look_up(ONE, "d", DIR_NODE, S_IFDIR | 0755, MOVES);
    look_up(TWO, "b", 0, 0, 0);
}

static int set_up(void **state UNUSED)
{
    start(MOVES, MOVES);
    return 0;
}

/* ---- tests ---- */

/* What moved is known in its new place and not in the old one, before the server has done it.
 */
TEST(test_a_file_is_moved_at_once)
{
    struct fuse_entry_out e;
    move(ONE, TWO, A_TO_B);
    uint64_t unique = cx_ask(FUSE_LOOKUP, ONE, "a", 2);
    int rc = answer(unique, &e, sizeof e);
    assert_true(rc == ENOENT || (rc == 0 && !e.nodeid));
    unique = cx_ask(FUSE_LOOKUP, TWO, "b", 2);
    assert_int_equal(answer(unique, &e, sizeof e), 0);
    assert_int_equal(e.nodeid, FILE_NODE);
    assert_no_call();
    move(TWO, ONE, "b\0a"); /* and back */
}

TEST(test_a_directory_is_moved_at_once)
{
    struct fuse_attr_out out;
    move(ONE, TWO, "d\0b");
    struct fuse_getattr_in in = { 0 };
    uint64_t unique = cx_ask(FUSE_GETATTR, TWO, &in, sizeof in);
    assert_int_equal(answer(unique, &out, sizeof out), 0);
    assert_int_equal(out.attr.nlink, 3); /* ".." of what came */
    unique = cx_ask(FUSE_GETATTR, ONE, &in, sizeof in);
    assert_int_equal(answer(unique, &out, sizeof out), 0);
    assert_int_equal(out.attr.nlink, 1);
}

/* Whoever looks at either directory, or at what moved, sees it done. */
static void waits_for_move(uint64_t node)
{
    struct mfs_recalled_req q;
    uint64_t id = move(ONE, TWO, "d\0b");
    recall(node, 5);
    assert_no_call();
    cx_reply(id, 0, NULL, 0);
    struct rd body = expect(MFS_OP_recalled);
    assert_int_equal(mfs_recalled_req_get(&body, &q), 0);
    assert_int_equal(q.serial, 5);
}

TEST(test_a_recall_of_the_old_place_waits)
{
    waits_for_move(ONE);
    assert_asks(TWO, ONE, "b\0z", 0); /* nobody is alone with that any more */
}

TEST(test_a_recall_of_the_new_place_waits)
{
    waits_for_move(TWO);
    assert_asks(ONE, TWO, A_TO_B, 0);
}

TEST(test_a_recall_of_what_moved_waits)
{
    look_up(ONE, "z", 0, 0, 0);
    waits_for_move(DIR_NODE);
    assert_asks(TWO, ONE, "b\0z", 0); /* it is a directory that others look at */
}

/* The file system may refuse it: EXDEV. */
TEST(test_another_file_system_is_asked)
{
    assert_int_equal(cx_end(NULL), 0);
    start(MOVES, SOLE);
    assert_asks(ONE, TWO, A_TO_B, 0);
}

TEST(test_out_of_another_file_system_is_asked)
{
    assert_int_equal(cx_end(NULL), 0);
    start(SOLE, MOVES);
    assert_asks(ONE, TWO, A_TO_B, 0);
}

TEST(test_directories_within_one_where_they_may_not_move)
{
    assert_int_equal(cx_end(NULL), 0);
    start(SOLE, MOVES);
    look_up(ONE, "z", 0, 0, 0);
    assert_asks(ONE, ONE, "d\0z", 0);
}

TEST(test_files_within_one_move_anyway)
{
    assert_int_equal(cx_end(NULL), 0);
    start(SOLE, MOVES);
    look_up(ONE, "z", 0, 0, 0);
    move(ONE, ONE, "a\0z");
}

TEST(test_into_a_directory_that_others_know)
{
    assert_int_equal(cx_end(NULL), 0);
    start(MOVES, MFS_ATTR_PLAIN);
    assert_asks(ONE, TWO, A_TO_B, 0);
}

TEST(test_to_a_name_of_which_nothing_is_known)
{
    assert_asks(ONE, TWO, "a\0q", 0);
}

TEST(test_over_a_file)
{
    look_up(TWO, "o", OVER, S_IFREG | 0644, SOLE);
    struct fuse_getattr_in in = { 0 };
    move(ONE, TWO, "a\0o");
    cx_ask(FUSE_GETATTR, OVER, &in, sizeof in);
    cx_assert_no_answer(); /* it has no name any more: the server says what it is now, in order
                            */
}

TEST(test_over_what_must_not_be_there)
{
    look_up(TWO, "o", OVER, S_IFREG | 0644, SOLE);
    assert_asks(ONE, TWO, "a\0o", 1 /* RENAME_NOREPLACE */);
}

TEST(test_over_a_directory)
{
    look_up(TWO, "o", OVER, S_IFDIR | 0755, MOVES);
    assert_asks(ONE, TWO, "d\0o", 0);
}

TEST(test_an_exchange)
{
    look_up(TWO, "o", OVER, S_IFREG | 0644, SOLE);
    assert_asks(ONE, TWO, "a\0o", 2 /* RENAME_EXCHANGE */);
}

/* It fails: what comes after it is asked for, nothing is believed, and the end says what is
 * lost. */
TEST(test_it_fails)
{
    look_up(TWO, "c", 0, 0, 0);
    uint64_t id = move(ONE, TWO, A_TO_B), next = move(ONE, TWO, "d\0c");
    struct err e = { 0 };
    cx_reply(id, wire_error_from(-EXDEV), NULL, 0);
    cx_reply(next, wire_error_from(-ECANCELED), NULL, 0);
    cx_turn();
    assert_int_equal(mfs_client_take_lost(cx.client, &e), -EXDEV);
    assert_non_null(strstr(e.text, "rename of \"a\""));
    cx_ask(FUSE_LOOKUP, TWO, "b", 2);
    expect(MFS_OP_lookup);
}

#define MOVES_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, cx_end)
UNIT_MAIN(MOVES_TEST(test_a_file_is_moved_at_once),
          MOVES_TEST(test_a_directory_is_moved_at_once),
          MOVES_TEST(test_a_recall_of_the_old_place_waits),
          MOVES_TEST(test_a_recall_of_the_new_place_waits),
          MOVES_TEST(test_a_recall_of_what_moved_waits),
          MOVES_TEST(test_another_file_system_is_asked),
          MOVES_TEST(test_out_of_another_file_system_is_asked),
          MOVES_TEST(test_directories_within_one_where_they_may_not_move),
          MOVES_TEST(test_files_within_one_move_anyway),
          MOVES_TEST(test_into_a_directory_that_others_know),
          MOVES_TEST(test_to_a_name_of_which_nothing_is_known), MOVES_TEST(test_over_a_file),
          MOVES_TEST(test_over_what_must_not_be_there), MOVES_TEST(test_over_a_directory),
          MOVES_TEST(test_an_exchange), MOVES_TEST(test_it_fails))
