/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_own.c: a file that the file client is alone with, between a kernel and a server that are both the test: what is
 * answered from what was written, and when that ends. What is put behind travels on the bulk stream, where the test doesn't
 * look: its number follows that of the message before. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { NODE = 7, FH = 33, VALID_MS = 60000, SOON_MS = 10000, MTIME = 4711 };

static uint64_t file;    /* the kernel's handle */
static uint64_t last_id; /* of the messages that were seen */

/* ---- the server ---- */

/* The next message; the kernel's pages are dropped by another thread first. */
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

static struct mfs_attr attr(uint64_t size, uint32_t flags)
{
    return (struct mfs_attr){ .ino = 9,
                              .mode = S_IFREG | 0644,
                              .nlink = 1,
                              .uid = 1000,
                              .gid = 1000,
                              .size = size,
                              .mtime_sec = MTIME,
                              .valid_ms = VALID_MS,
                              .flags = flags };
}

static void notice(uint16_t number, uint64_t serial)
{
    uint8_t room[64];
    struct wr w = wr_of(room, sizeof room);
    if (number == MFS_NOTICE_recall)
        mfs_recall_notice_put(&w,
                              &(struct mfs_recall_notice){ .node = NODE, .serial = serial });
    else
        mfs_expired_notice_put(&w, &(struct mfs_expired_notice){ 0 });
    cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = number }, room, wr_len(&w));
}

static void reply_written(uint64_t id, uint32_t bytes)
{
    uint8_t room[16];
    struct wr w = wr_of(room, sizeof room);
    mfs_write_rep_put(&w, &(struct mfs_write_rep){ bytes });
    cx_reply(id, 0, room, wr_len(&w));
}

/* ---- the kernel ---- */

static void skip_notices(void)
{
    struct fuse_out_header h;
    while (recv(cx.kernel, &h, sizeof h, MSG_DONTWAIT | MSG_PEEK) >= (ssize_t)sizeof h &&
           !h.unique)
        recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT);
}

static int answer(uint64_t unique, void *body, size_t size)
{
    skip_notices();
    return cx_answer(unique, body, size);
}

static void no_answer(void)
{
    skip_notices();
    cx_assert_no_answer();
}

static uint64_t ask_read(void)
{
    struct fuse_read_in in = { .fh = file, .size = 4096 };
    return cx_ask(FUSE_READ, NODE, &in, sizeof in);
}

/* A read is answered at once, so. */
static void assert_reads(const char *want)
{
    char got[64] = "";
    assert_int_equal(answer(ask_read(), got, strlen(want)), 0);
    assert_memory_equal(got, want, strlen(want));
    struct fuse_out_header h;
    memcpy(&h, cx.in, sizeof h);
    assert_int_equal(h.len, sizeof h + strlen(want));
    assert_no_call();
}

static uint64_t ask_write(const char *text, uint64_t offset, uint32_t flags)
{
    struct {
        struct fuse_write_in in;
        char text[32];
    } w = { .in = { .fh = file,
                    .offset = offset,
                    .size = (uint32_t)strlen(text),
                    .flags = O_RDWR | flags } };
    memcpy(w.text, text, strlen(text));
    return cx_ask(FUSE_WRITE, NODE, &w, sizeof w.in + strlen(text));
}

/* A write is answered at once. Returns the number of its message. */
static uint64_t write_behind(const char *text, uint64_t offset, uint32_t flags)
{
    struct fuse_write_out out;
    assert_int_equal(answer(ask_write(text, offset, flags), &out, sizeof out), 0);
    assert_int_equal(out.size, strlen(text));
    assert_no_call();
    return ++last_id;
}

/* The kernel's own question, before it reads. */
static uint64_t ask_size(void)
{
    struct fuse_getattr_in in = { .getattr_flags = FUSE_GETATTR_FH, .fh = file };
    return cx_ask(FUSE_GETATTR, NODE, &in, sizeof in);
}

static void open_file(uint64_t size, uint32_t attr_flags)
{
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    struct fuse_open_in in = { .flags = O_RDWR };
    struct fuse_open_out out;
    uint64_t unique = cx_ask(FUSE_OPEN, NODE, &in, sizeof in);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = FH, .attr = attr(size, attr_flags) });
    expect(MFS_OP_open);
    cx_reply(last_id, 0, room, wr_len(&w));
    assert_int_equal(answer(unique, &out, sizeof out), 0);
    file = out.fh;
}

static void set_up_of(uint64_t size)
{
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS });
    uint64_t unique = cx_look_up("name", &(struct mfs_entry){ .node = NODE,
                                                              .valid_ms = VALID_MS,
                                                              .attr = attr(size, 0) });
    assert_int_equal(answer(unique, NULL, 0), 0);
    open_file(size, MFS_ATTR_ALONE);
}

static int set_up(void **state)
{
    (void)state;
    set_up_of(0);
    return 0;
}

/* ---- tests ---- */

TEST(test_what_was_written_is_read)
{
    assert_reads("");
    write_behind("hello world", 0, 0);
    write_behind("there", 6, 0);
    assert_reads("hello there");
    write_behind("!", 0, O_APPEND); /* wherever the kernel believes the end to be */
    assert_reads("hello there!");
}

TEST(test_the_kernel_hears_of_the_size_alone)
{
    struct fuse_attr_out out;
    write_behind("hello", 0, 0);
    assert_int_equal(answer(ask_size(), &out, sizeof out), 0);
    assert_int_equal(out.attr.size, 5);
    assert_int_equal(out.attr.mtime, MTIME); /* another one makes it drop its pages */
    assert_int_equal(out.attr_valid, 0);
    assert_no_call();
    /* Whoever looks is told nothing that the server has not said: others know something of this file. */
    struct fuse_getattr_in in = { 0 };
    cx_ask(FUSE_GETATTR, NODE, &in, sizeof in);
    no_answer();
}

TEST(test_a_recall_ends_it_when_all_is_made)
{
    uint64_t id = write_behind("hello", 0, 0);
    notice(MFS_NOTICE_recall, 5);
    assert_no_call();
    uint64_t unique = ask_read(); /* in order, after the write */
    no_answer();
    reply_written(id, 5);
    struct rd body = expect(MFS_OP_recalled);
    struct mfs_recalled_req q;
    assert_int_equal(mfs_recalled_req_get(&body, &q), 0);
    assert_int_equal(q.serial, 5);
    ask_read();
    expect(MFS_OP_read);
    ask_write("x", 0, 0);
    expect(MFS_OP_write);
    (void)unique;
}

TEST(test_the_end_of_leases_ends_it_at_once)
{
    uint64_t id = write_behind("hello", 0, 0);
    notice(MFS_NOTICE_expired, 0);
    ask_read();
    ask_size();
    no_answer();
    reply_written(id, 5);
    ask_read();
    expect(MFS_OP_read);
    assert_int_equal(cx.lost_count, 0);
}

TEST(test_a_write_that_is_waited_for_is_not_in_it)
{
    write_behind("hello", 0, 0);
    ask_write("J", 0, O_SYNC);
    ask_read();
    no_answer();
}

TEST(test_a_file_that_was_not_empty_is_asked_for)
{
    assert_int_equal(cx_end(NULL), 0);
    set_up_of(5);
    ask_read();
    expect(MFS_OP_read);
    struct fuse_attr_out out;
    assert_int_equal(answer(ask_size(), &out, sizeof out), 0);
    assert_int_equal(out.attr.size, 5);
}

/* A second open, for reading, is answered at once. */
static void open_to_read(void)
{
    struct fuse_open_in in = { .flags = O_RDONLY };
    struct fuse_open_out out;
    assert_int_equal(answer(cx_ask(FUSE_OPEN, NODE, &in, sizeof in), &out, sizeof out), 0);
    assert_no_call();
    file = out.fh;
}

static uint64_t ask_release(void)
{
    struct fuse_release_in in = { .fh = file };
    return cx_ask(FUSE_RELEASE, NODE, &in, sizeof in);
}

static void reply_opened(uint64_t id, uint64_t fh, uint64_t size)
{
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = fh, .attr = attr(size, 0) });
    cx_reply(id, 0, room, wr_len(&w));
}

TEST(test_a_reader_of_what_is_known_is_no_business_of_the_server)
{
    uint64_t writer = file;
    open_to_read();
    assert_reads("");
    uint64_t reader = file;
    file = writer;
    reply_written(write_behind("hello", 0, 0), 5);
    file = reader;
    assert_reads("hello");
    struct fuse_flush_in in = { .fh = file };
    assert_int_equal(answer(cx_ask(FUSE_FLUSH, NODE, &in, sizeof in), NULL, 0), 0);
    assert_int_equal(answer(ask_release(), NULL, 0), 0);
    assert_no_call();
}

TEST(test_such_a_reader_is_opened_before_a_recall_is_answered)
{
    enum { READER_FH = 44 };
    reply_written(write_behind("hello", 0, 0), 5);
    open_to_read();
    notice(MFS_NOTICE_recall, 5);
    expect(MFS_OP_open);
    uint64_t opening = last_id;
    expect(MFS_OP_recalled);
    uint64_t unique = ask_read(), closing = ask_release();
    assert_no_call();
    no_answer();
    reply_opened(opening, READER_FH, 5);
    struct rd body = expect(MFS_OP_read);
    struct mfs_read_req q;
    assert_int_equal(mfs_read_req_get(&body, &q), 0);
    assert_int_equal(q.fh, READER_FH);
    uint8_t room[64];
    struct wr w = wr_of(room, sizeof room);
    mfs_read_rep_put(&w, &(struct mfs_read_rep){ { (const uint8_t *)"other", 5 } });
    cx_reply(last_id, 0, room, wr_len(&w));
    char got[5];
    body = expect(MFS_OP_release);
    struct mfs_release_req closed;
    assert_int_equal(mfs_release_req_get(&body, &closed), 0);
    assert_int_equal(closed.fh, READER_FH);
    assert_int_equal(answer(unique, got, sizeof got), 0);
    assert_memory_equal(got, "other", sizeof got);
    cx_reply(last_id, 0, NULL, 0);
    assert_int_equal(answer(closing, NULL, 0), 0);
}

TEST(test_such_a_reader_that_can_not_be_opened_is_told_why)
{
    open_to_read();
    notice(MFS_NOTICE_expired, 0);
    uint64_t unique = ask_read();
    expect(MFS_OP_open);
    no_answer();
    cx_reply(last_id, wire_error_from(-EACCES), NULL, 0);
    assert_int_equal(answer(unique, NULL, 0), EACCES);
    assert_int_equal(answer(ask_read(), NULL, 0), EACCES);
    assert_int_equal(answer(ask_release(), NULL, 0), 0);
    assert_no_call();
}

TEST(test_such_a_reader_is_opened_when_the_writer_has_closed)
{
    uint64_t writer = file;
    open_to_read();
    uint64_t reader = file;
    file = writer;
    ask_release();
    expect(MFS_OP_release);
    expect(MFS_OP_open);
    file = reader;
    uint64_t unique = ask_read();
    assert_no_call();
    reply_opened(last_id, 44, 0);
    expect(MFS_OP_read);
    (void)unique;
}

TEST(test_a_lock_is_none_of_what_is_known)
{
    open_to_read();
    struct fuse_lk_in in = { .fh = file, .owner = 1, .lk = { .end = 9, .type = F_RDLCK } };
    cx_ask(FUSE_SETLK, NODE, &in, sizeof in);
    expect(MFS_OP_open);
    no_answer();
    reply_opened(last_id, 44, 0);
    expect(MFS_OP_setlk);
}

/* A shell begins a pipeline: what reads the file may be there before the open that cuts it is answered. */
TEST(test_a_reader_waits_for_the_writer_that_is_opening)
{
    assert_int_equal(cx_end(NULL), 0);
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS });
    uint64_t unique = cx_look_up("name", &(struct mfs_entry){ .node = NODE,
                                                              .valid_ms = VALID_MS,
                                                              .attr = attr(5, 0) });
    assert_int_equal(answer(unique, NULL, 0), 0);
    struct fuse_open_in in = { .flags = O_WRONLY | O_TRUNC };
    uint64_t writer = cx_ask(FUSE_OPEN, NODE, &in, sizeof in);
    expect(MFS_OP_open);
    in.flags = O_RDONLY;
    uint64_t reader = cx_ask(FUSE_OPEN, NODE, &in, sizeof in);
    assert_no_call();
    no_answer();
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = FH, .attr = attr(0, MFS_ATTR_ALONE) });
    cx_reply(last_id, 0, room, wr_len(&w));
    struct fuse_open_out out;
    assert_int_equal(answer(writer, NULL, 0), 0);
    assert_int_equal(answer(reader, &out, sizeof out), 0);
    file = out.fh;
    assert_reads("");
}

/* … and asks for itself if that one fails. */
TEST(test_a_reader_waits_for_a_writer_in_vain)
{
    assert_int_equal(cx_end(NULL), 0);
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS });
    uint64_t unique = cx_look_up("name", &(struct mfs_entry){ .node = NODE,
                                                              .valid_ms = VALID_MS,
                                                              .attr = attr(5, 0) });
    assert_int_equal(answer(unique, NULL, 0), 0);
    struct fuse_open_in in = { .flags = O_WRONLY };
    uint64_t writer = cx_ask(FUSE_OPEN, NODE, &in, sizeof in);
    expect(MFS_OP_open);
    uint64_t writing = last_id;
    in.flags = O_RDONLY;
    cx_ask(FUSE_OPEN, NODE, &in, sizeof in);
    assert_no_call();
    cx_reply(writing, wire_error_from(-EACCES), NULL, 0);
    assert_int_equal(answer(writer, NULL, 0), EACCES);
    expect(MFS_OP_open);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, cx_end)
UNIT_MAIN(WITH_FILE(test_what_was_written_is_read),
          WITH_FILE(test_the_kernel_hears_of_the_size_alone),
          WITH_FILE(test_a_recall_ends_it_when_all_is_made),
          WITH_FILE(test_the_end_of_leases_ends_it_at_once),
          WITH_FILE(test_a_write_that_is_waited_for_is_not_in_it),
          WITH_FILE(test_a_file_that_was_not_empty_is_asked_for),
          WITH_FILE(test_a_reader_of_what_is_known_is_no_business_of_the_server),
          WITH_FILE(test_such_a_reader_is_opened_before_a_recall_is_answered),
          WITH_FILE(test_such_a_reader_that_can_not_be_opened_is_told_why),
          WITH_FILE(test_such_a_reader_is_opened_when_the_writer_has_closed),
          WITH_FILE(test_a_lock_is_none_of_what_is_known),
          WITH_FILE(test_a_reader_waits_for_the_writer_that_is_opening),
          WITH_FILE(test_a_reader_waits_for_a_writer_in_vain))
