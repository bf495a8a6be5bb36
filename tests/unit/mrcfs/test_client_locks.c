/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_locks.c: locks that the file client decides about itself, between a kernel and a
 * server that are both the test: when the server is asked nothing, when they move to it, and
 * what becomes of them if they can't. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NODE = 7, FH = 33, VALID_MS = 60000, SOON_MS = 10000, ANN = 501, BOB = 502 };

static uint64_t file; /* the kernel's handle */

/* ---- the server ---- */

static uint64_t last_id; /* of what came last: what goes in order travels on the other stream, and has the next one */

/* The next message; the kernel's pages are dropped by another thread first. */
static struct mfs_head next(uint16_t op, struct rd *body)
{
    struct mfs_head h = { 0 };
    for (int i = 0; i < SOON_MS / 10; i++) {
        struct pollfd pf = { .fd = cx.meta, .events = POLLIN };
        cx_turn();
        if (poll(&pf, 1, 10) > 0) {
            assert_true(cx_next_message(&h, body));
            break;
        }
    }
    assert_int_equal(h.op, op);
    last_id = h.id;
    return h;
}

static uint64_t expect(uint16_t op)
{
    struct rd body;
    return next(op, &body).id;
}

static void assert_no_call(void)
{
    struct mfs_head h;
    struct rd body;
    cx_turn();
    assert_false(cx_next_message(&h, &body));
}

static struct mfs_attr attr(uint32_t flags)
{
    return (struct mfs_attr){ .ino = 9,
                              .mode = S_IFREG | 0644,
                              .nlink = 1,
                              .uid = 1000,
                              .gid = 1000,
                              .size = 5,
                              .valid_ms = VALID_MS,
                              .flags = flags };
}

static void recall(uint64_t serial)
{
    uint8_t room[64];
    struct wr w = wr_of(room, sizeof room);
    mfs_recall_notice_put(&w, &(struct mfs_recall_notice){ .node = NODE, .serial = serial });
    cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_recall }, room,
            wr_len(&w));
}

static void expired(void)
{
    uint8_t room[8];
    struct wr w = wr_of(room, sizeof room);
    mfs_expired_notice_put(&w, &(struct mfs_expired_notice){ 0 });
    cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_expired }, room,
            wr_len(&w));
}

/* The next message moves so many locks; they are in moved. Returns its id. */
static struct mfs_lock_rec moved[8];
static uint64_t expect_move(size_t count)
{
    struct rd body;
    struct mfs_surrender_req q;
    uint64_t id = next(MFS_OP_surrender, &body).id;
    assert_int_equal(mfs_surrender_req_get(&body, &q), 0);
    assert_int_equal(q.locks.len, count * MFS_LOCK_REC_BYTES);
    struct rd r = rd_of(q.locks.ptr, q.locks.len);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(mfs_lock_rec_get(&r, &moved[i]), 0);
    return id;
}

/* ---- the kernel ---- */

static void skip_notices(void)
{
    struct fuse_out_header h;
    while (recv(cx.kernel, &h, sizeof h, MSG_DONTWAIT | MSG_PEEK) >= (ssize_t)sizeof h &&
           !h.unique)
        recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT);
}

static int answer(uint64_t unique)
{
    return cx_answer_later(unique);
}

static void no_answer(void)
{
    skip_notices();
    cx_assert_no_answer();
}

static uint64_t ask_lock(uint32_t op, uint64_t owner, uint32_t type, uint64_t first,
                         uint64_t last)
{
    struct fuse_lk_in in = { .fh = file,
                             .owner = owner,
                             .lk = { .start = first, .end = last, .type = type, .pid = 40 } };
    return cx_ask(op, NODE, &in, sizeof in);
}

static int lock(uint64_t owner, uint32_t type, uint64_t first, uint64_t last)
{
    return answer(ask_lock(FUSE_SETLK, owner, type, first, last));
}

static uint64_t ask_flock(uint32_t op, uint64_t owner, uint32_t type)
{
    struct fuse_lk_in in = { .fh = file,
                             .owner = owner,
                             .lk = { .end = INT64_MAX, .type = type },
                             .lk_flags = FUSE_LK_FLOCK };
    return cx_ask(op, NODE, &in, sizeof in);
}

static uint64_t ask_flush(uint64_t owner)
{
    struct fuse_flush_in in = { .fh = file, .lock_owner = owner };
    return cx_ask(FUSE_FLUSH, NODE, &in, sizeof in);
}

static uint64_t ask_release(void)
{
    struct fuse_release_in in = { .fh = file };
    return cx_ask(FUSE_RELEASE, NODE, &in, sizeof in);
}

static uint64_t ask_read(void)
{
    struct fuse_read_in in = { .fh = file, .size = 4096 };
    return cx_ask(FUSE_READ, NODE, &in, sizeof in);
}

static uint64_t ask_write(void)
{
    struct {
        struct fuse_write_in in;
        char text[4];
    } w = { .in = { .fh = file, .size = 4, .flags = O_RDWR | O_SYNC } };
    return cx_ask(FUSE_WRITE, NODE, &w, sizeof w.in + 4);
}

static void open_file(uint32_t attr_flags)
{
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    struct fuse_open_in in = { .flags = O_RDWR };
    struct fuse_open_out out;
    uint64_t unique = cx_ask(FUSE_OPEN, NODE, &in, sizeof in);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = FH, .attr = attr(attr_flags) });
    cx_reply(expect(MFS_OP_open), 0, room, wr_len(&w));
    skip_notices();
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    file = out.fh;
}

/* It was closed here, and not yet there: nobody is asked. */
static void open_again(void)
{
    struct fuse_open_in in = { .flags = O_RDWR };
    struct fuse_open_out out;
    uint64_t unique = cx_ask(FUSE_OPEN, NODE, &in, sizeof in);
    assert_no_call();
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    file = out.fh;
}

static int set_up(void **state)
{
    (void)state;
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS });
    uint64_t unique = cx_look_up(
        "name", &(struct mfs_entry){ .node = NODE, .valid_ms = VALID_MS, .attr = attr(0) });
    assert_int_equal(answer(unique), 0);
    open_file(MFS_ATTR_ALONE);
    return 0;
}

/* ---- tests ---- */

TEST(test_nobody_is_asked)
{
    struct fuse_lk_out out;
    assert_int_equal(lock(ANN, F_RDLCK, 0, 9), 0);
    assert_int_equal(lock(BOB, F_RDLCK, 5, 14), 0);
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), EAGAIN);
    skip_notices();
    assert_int_equal(
        cx_answer(ask_lock(FUSE_GETLK, ANN, F_WRLCK, 0, INT64_MAX), &out, sizeof out), 0);
    assert_int_equal(out.lk.type, F_RDLCK);
    assert_int_equal(out.lk.start, 5);
    assert_int_equal(out.lk.end, 14);
    assert_int_equal(out.lk.pid, 40);
    /* Bob closes some descriptor of the file. */
    assert_int_equal(answer(ask_flush(BOB)), 0);
    assert_int_equal(lock(ANN, F_WRLCK, 0, INT64_MAX), 0);
    skip_notices();
    assert_int_equal(cx_answer(ask_lock(FUSE_GETLK, BOB, F_RDLCK, 3, 3), &out, sizeof out), 0);
    assert_int_equal(out.lk.type, F_WRLCK);
    assert_int_equal(out.lk.end, INT64_MAX);
    assert_int_equal(answer(ask_flock(FUSE_SETLK, 900, F_WRLCK)), 0);
    assert_int_equal(answer(ask_flock(FUSE_SETLK, 901, F_RDLCK)), EAGAIN);
    assert_int_equal(answer(ask_flock(FUSE_SETLK, 900, F_UNLCK)), 0);
    assert_int_equal(lock(ANN, F_UNLCK, 0, INT64_MAX), 0);
    assert_no_call();
}

/* Somebody else comes: the locks are the answer to the recall, and the server decides from then
 * on. */
TEST(test_recall)
{
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
    assert_int_equal(answer(ask_flock(FUSE_SETLK, 900, F_RDLCK)), 0);
    recall(3);
    uint64_t waiting = ask_lock(FUSE_SETLK, BOB, F_RDLCK, 20, 29);
    uint64_t id = expect_move(2);
    cx_reply(expect(MFS_OP_recalled), 0, NULL, 0); /* when the pages are dropped */
    assert_int_equal(moved[0].fh, FH);
    assert_int_equal(moved[0].owner, ANN);
    assert_int_equal(moved[0].type, MFS_LOCK_WR);
    assert_int_equal(moved[0].end, 9);
    assert_int_equal(moved[0].pid, 40);
    assert_true(moved[1].is_flock);
    assert_int_equal(moved[1].type, MFS_LOCK_RD);
    uint64_t flush = ask_flush(ANN);
    no_answer();
    assert_no_call();
    cx_reply(id, 0, NULL, 0);
    cx_reply(expect(MFS_OP_setlk), 0, NULL, 0);
    uint64_t flushed =
        expect(MFS_OP_flush); /* a lock that this closing may end is at the server */
    assert_int_equal(answer(waiting), 0);
    cx_reply(flushed, 0, NULL, 0);
    assert_int_equal(answer(flush), 0);
    waiting = ask_lock(FUSE_SETLK, ANN, F_UNLCK, 0, 9);
    cx_reply(expect(MFS_OP_setlk), 0, NULL, 0);
    assert_int_equal(answer(waiting), 0);
    assert_no_call();
}

/* What ends before they are sent does not move. */
TEST(test_recall_of_nothing)
{
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
    assert_int_equal(lock(ANN, F_UNLCK, 0, 9), 0);
    recall(3);
    cx_reply(expect(MFS_OP_recalled), 0, NULL, 0);
    uint64_t unique = ask_lock(FUSE_SETLK, ANN, F_RDLCK, 20, 29);
    cx_reply(expect(MFS_OP_setlk), 0, NULL, 0);
    assert_int_equal(answer(unique), 0);
}

/* A lock that must be waited for: the server waits. */
TEST(test_waiting)
{
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
    uint64_t unique = ask_lock(FUSE_SETLKW, BOB, F_WRLCK, 5, 5);
    uint64_t id = expect_move(1);
    no_answer();
    recall(8);
    cx_reply(expect(MFS_OP_recalled), 0, NULL, 0);
    no_answer();
    cx_reply(id, 0, NULL, 0);
    struct rd body;
    struct mfs_setlk_req q;
    id = next(MFS_OP_setlk, &body).id;
    assert_int_equal(mfs_setlk_req_get(&body, &q), 0);
    assert_true(q.is_waiting);
    no_answer();
    cx_reply(id, 0, NULL, 0);
    assert_int_equal(answer(unique), 0);
}

static void assert_all_lost(void)
{
    assert_int_equal(answer(ask_read()), ESTALE);
    assert_int_equal(answer(ask_write()), ESTALE);
    assert_int_equal(lock(ANN, F_UNLCK, 0, 9), ESTALE);
    assert_int_equal(answer(ask_flush(ANN)), ESTALE);
    assert_no_call();
    uint64_t unique = ask_release();
    cx_reply(expect(MFS_OP_release), 0, NULL, 0);
    assert_int_equal(answer(unique), 0);
    /* A file that is opened after it is as good as any. */
    open_file(0);
    unique = ask_lock(FUSE_SETLK, ANN, F_RDLCK, 20, 29);
    cx_reply(expect(MFS_OP_setlk), 0, NULL, 0);
    assert_int_equal(answer(unique), 0);
}

TEST(test_too_late)
{
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
    recall(3);
    uint64_t id = expect_move(1);
    cx_reply(expect(MFS_OP_recalled), 0, NULL, 0);
    cx_reply(id, wire_error_from(-ESTALE), NULL, 0);
    assert_all_lost();
}

/* The leases have run out: nothing is read under the lock before it is known to be held still.
 */
TEST(test_expired)
{
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
    expired();
    uint64_t id = expect_move(1);
    uint64_t read = ask_read(), unlock = ask_lock(FUSE_SETLK, ANN, F_UNLCK, 0, 9);
    no_answer();
    assert_no_call();
    cx_reply(id, wire_error_from(-ESTALE), NULL, 0);
    assert_int_equal(answer(read), ESTALE);
    assert_int_equal(answer(unlock), ESTALE);
    assert_all_lost();
}

TEST(test_expired_and_held)
{
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
    expired();
    uint64_t id = expect_move(1), read = ask_read();
    cx_reply(id, 0, NULL, 0);
    uint8_t room[64];
    struct wr w = wr_of(room, sizeof room);
    mfs_read_rep_put(&w, &(struct mfs_read_rep){ bytes_of("hello") });
    cx_reply(expect(MFS_OP_read), 0, room, wr_len(&w));
    assert_int_equal(answer(read), 0);
}

/* What is written under a lock says so. */
TEST(test_written_under_a_lock)
{
    for (int is_locked = 0; is_locked < 2; is_locked++) {
        struct rd body;
        struct mfs_write_req q;
        uint8_t room[64];
        struct wr w = wr_of(room, sizeof room);
        if (is_locked)
            assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
        uint64_t unique = ask_write(), id = next(MFS_OP_write, &body).id;
        assert_int_equal(mfs_write_req_get(&body, &q), 0);
        assert_int_equal(!!(q.oflags & MFS_O_LOCKED), is_locked);
        mfs_write_rep_put(&w, &(struct mfs_write_rep){ 4 });
        cx_reply(id, 0, room, wr_len(&w));
        assert_int_equal(answer(unique), 0);
    }
}

/* The last close ends all, and the next opening begins anew. */
TEST(test_closed)
{
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
    assert_int_equal(answer(ask_flock(FUSE_SETLK, 900, F_WRLCK)), 0);
    uint64_t unique = ask_release();
    cx_reply(expect(MFS_OP_release), 0, NULL, 0);
    assert_int_equal(answer(unique), 0);
    open_file(MFS_ATTR_ALONE);
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
    unique = ask_release();
    assert_int_equal(answer(unique), 0);
    open_again();
    assert_int_equal(lock(BOB, F_WRLCK, 0, 9), 0);
    assert_int_equal(answer(ask_flock(FUSE_SETLK, 901, F_WRLCK)), 0);
    assert_no_call();
    /* Somebody else wants it: that is answered when it has been closed. */
    unique = ask_release();
    assert_int_equal(answer(unique), 0);
    recall(3);
    assert_no_call();
    cx_reply(last_id + 1, 0, NULL, 0);
    cx_reply(expect(MFS_OP_recalled), 0, NULL, 0);
    open_file(0);
    unique = ask_lock(FUSE_SETLK, ANN, F_RDLCK, 20, 29);
    cx_reply(expect(MFS_OP_setlk), 0, NULL, 0);
    assert_int_equal(answer(unique), 0);
}

/* The server is lost while they move. */
TEST(test_lost)
{
    assert_int_equal(lock(ANN, F_WRLCK, 0, 9), 0);
    recall(3);
    expect_move(1);
    uint64_t waiting = ask_lock(FUSE_SETLK, ANN, F_UNLCK, 0, 9);
    close(cx.meta);
    cx.meta = -1;
    cx_turn();
    assert_int_equal(cx.lost_count, 1);
    assert_int_equal(answer(waiting), ESTALE);
}

#define LOCKS_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, cx_end)
UNIT_MAIN(LOCKS_TEST(test_nobody_is_asked), LOCKS_TEST(test_recall),
          LOCKS_TEST(test_recall_of_nothing), LOCKS_TEST(test_waiting),
          LOCKS_TEST(test_too_late), LOCKS_TEST(test_expired),
          LOCKS_TEST(test_expired_and_held), LOCKS_TEST(test_written_under_a_lock),
          LOCKS_TEST(test_closed), LOCKS_TEST(test_lost))
