/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client.c: the file client between a kernel and a server that are both the test: what is
 * kept cached, what is told to the kernel, what waits for what, what a lost server means. */
#include "tests/lib/mfs_client_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct mfs_head expect_call(uint16_t op)
{
    struct rd body;
    struct mfs_head h = cx_message(&body);
    assert_int_equal(h.kind, MFS_REQUEST);
    assert_int_equal(h.op, op);
    return h;
}

static void assert_no_call(void)
{
    assert_int_equal(recv(cx.meta, cx.in, 1, MSG_DONTWAIT), -1);
}

static struct mfs_attr attr_of(int64_t mtime, int64_t ctime)
{
    return (struct mfs_attr){ .ino = 9,
                              .mode = S_IFREG | 0644,
                              .nlink = 1,
                              .uid = 1000,
                              .gid = 1000,
                              .size = 5,
                              .mtime_sec = mtime,
                              .ctime_sec = ctime };
}

static void reply_entry(uint64_t id, uint64_t node, const struct mfs_attr *a)
{
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    mfs_entry_put(&w, &(struct mfs_entry){ .node = node, .attr = *a });
    cx_reply(id, 0, room, wr_len(&w));
}

static int set_up(void **state)
{
    (void)state;
    struct fuse_init_out out = cx_start(&(struct cx_opts){ 0 });
    assert_int_equal(out.max_write, 1 << 20);
    assert_int_equal(out.max_pages, 256);
    assert_true(out.flags & FUSE_HANDLE_KILLPRIV_V2);
    assert_true(out.flags & FUSE_ATOMIC_O_TRUNC);
    assert_true(out.flags & FUSE_AUTO_INVAL_DATA);
    assert_false(out.flags & FUSE_WRITEBACK_CACHE);
    return 0;
}

/* Once more, with other options. */
static void start_anew(const struct cx_opts *o)
{
    cx_end(NULL);
    cx_start(o);
}

static void look_up(uint64_t node, const struct mfs_attr *a)
{
    struct fuse_entry_out out;
    uint64_t unique = cx_ask(FUSE_LOOKUP, 1, "name", 5);
    reply_entry(expect_call(MFS_OP_lookup).id, node, a);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    assert_int_equal(out.nodeid, node);
    assert_int_equal(out.entry_valid + out.entry_valid_nsec + out.attr_valid, 0);
}

/* Opens node 7, whose attributes are now a. Returns the flags for the kernel. */
static uint32_t open_file(const struct mfs_attr *a, uint32_t flags, uint64_t *fh)
{
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    struct fuse_open_in o = { .flags = flags };
    struct fuse_open_out out;
    uint64_t unique = cx_ask(FUSE_OPEN, 7, &o, sizeof o);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = 33, .attr = *a });
    cx_reply(expect_call(MFS_OP_open).id, 0, room, wr_len(&w));
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    if (fh)
        *fh = out.fh;
    return out.open_flags;
}

static void test_pages(void **state)
{
    (void)state;
    struct mfs_attr a = attr_of(100, 100);
    look_up(7, &a);
    assert_int_equal(open_file(&a, O_RDONLY, NULL), 0); /* nothing is known of what it holds */
    assert_int_equal(open_file(&a, O_RDONLY, NULL), FOPEN_KEEP_CACHE);
    assert_int_equal(open_file(&a, O_RDWR | O_APPEND, NULL),
                     FOPEN_KEEP_CACHE | FOPEN_DIRECT_IO);
    a.ctime_sec++; /* changed, and the mtime put back */
    assert_int_equal(open_file(&a, O_RDONLY, NULL), 0);
    assert_int_equal(open_file(&a, O_RDONLY, NULL), FOPEN_KEEP_CACHE);
    a.size++;
    a.flags = MFS_ATTR_RECENT; /* another change may have the same time */
    assert_int_equal(open_file(&a, O_RDONLY, NULL), 0);
    assert_int_equal(open_file(&a, O_RDONLY, NULL), 0);
    a.flags = 0;
    assert_int_equal(open_file(&a, O_RDONLY, NULL), 0);
    assert_int_equal(open_file(&a, O_RDONLY, NULL), FOPEN_KEEP_CACHE);
}

static void test_old_kernel(void **state)
{
    (void)state;
    start_anew(&(struct cx_opts){ .is_old_kernel = true });
    struct mfs_attr a = attr_of(100, 100);
    look_up(7, &a);
    assert_int_equal(open_file(&a, O_WRONLY | O_APPEND, NULL), FOPEN_DIRECT_IO);
    assert_int_equal(open_file(&a, O_RDWR | O_APPEND, NULL), FOPEN_KEEP_CACHE);
}

static void say_notice(uint16_t notice, const struct wr *fields)
{
    cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = notice }, fields->start,
            wr_len(fields));
}

/* A notice that the kernel was sent; it comes from the notifier's thread. */
static void expect_notice(int code, void *body, size_t size)
{
    struct fuse_out_header h;
    struct pollfd p = { .fd = cx.kernel, .events = POLLIN };
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT) >=
                (ssize_t)(sizeof h + size));
    memcpy(&h, cx.in, sizeof h);
    assert_int_equal(h.unique, 0);
    assert_int_equal(h.error, code);
    memcpy(body, cx.in + sizeof h, size);
}

static void test_notices(void **state)
{
    (void)state;
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    struct mfs_attr a = attr_of(100, 100);
    struct fuse_notify_inval_inode_out inode;
    struct fuse_notify_inval_entry_out entry;
    look_up(7, &a);
    open_file(&a, O_RDONLY, NULL);
    mfs_inval_node_notice_put(&w, &(struct mfs_inval_node_notice){ 7, 1, 4096, 0 });
    say_notice(MFS_NOTICE_inval_node, &w);
    expect_notice(FUSE_NOTIFY_INVAL_INODE, &inode, sizeof inode);
    assert_int_equal(inode.ino, 7);
    assert_int_equal(inode.off, 4096);
    assert_int_equal(open_file(&a, O_RDONLY, NULL), 0); /* what it held is not trusted either */
    w = wr_of(room, sizeof room);
    mfs_inval_entry_notice_put(&w, &(struct mfs_inval_entry_notice){ 1, bytes_of("name") });
    say_notice(MFS_NOTICE_inval_entry, &w);
    expect_notice(FUSE_NOTIFY_INVAL_ENTRY, &entry, sizeof entry);
    assert_int_equal(entry.parent, 1);
    assert_memory_equal(cx.in + sizeof(struct fuse_out_header) + sizeof entry, "name", 5);
}

/* Export two's root is node 2: FUSE's 1 is 2 there, and 2 is 1 here. */
static void test_second_export(void **state)
{
    (void)state;
    start_anew(&(struct cx_opts){ .export_number = 1 });
    struct rd body;
    struct mfs_lookup_req m;
    struct mfs_attr a = attr_of(1, 1);
    uint64_t unique = cx_ask(FUSE_LOOKUP, 1, "name", 5);
    struct mfs_head h = cx_message(&body);
    assert_int_equal(mfs_lookup_req_get(&body, &m), 0);
    assert_int_equal(m.node, 2);
    struct fuse_entry_out out;
    reply_entry(h.id, 7, &a);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    assert_int_equal(out.nodeid, 7);
    struct fuse_forget_in forget = { .nlookup = 1 };
    cx_ask(FUSE_FORGET, 7, &forget, sizeof forget);
    struct mfs_forget_rec f;
    assert_int_equal(cx_message(&body).kind, MFS_FORGET);
    assert_int_equal(mfs_forget_rec_get(&body, &f), 0);
    assert_int_equal(f.node, 7);
    assert_int_equal(f.nlookup, 1);
}

static void test_lone_user(void **state)
{
    (void)state;
    start_anew(&(struct cx_opts){ .is_single_user = true });
    struct mfs_attr a = attr_of(1, 1);
    struct fuse_entry_out out;
    a.uid = a.gid = MFS_NOBODY;
    uint64_t unique = cx_ask(FUSE_LOOKUP, 1, "theirs", 7);
    reply_entry(expect_call(MFS_OP_lookup).id, 7, &a);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    assert_int_equal(out.attr.uid, MFS_NOBODY);
    a.flags = MFS_ATTR_WRITABLE;
    unique = cx_ask(FUSE_LOOKUP, 1, "writable", 9);
    reply_entry(expect_call(MFS_OP_lookup).id, 8, &a);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    assert_int_equal(out.attr.uid, 1000);
    assert_int_equal(out.attr.gid, 1000);
    /* In a directory of ours even what we can't write can be removed. */
    a.flags = 0;
    a.uid = a.gid = 1000;
    a.mode = S_IFDIR | 0755;
    unique = cx_ask(FUSE_LOOKUP, 1, "ours", 5);
    reply_entry(expect_call(MFS_OP_lookup).id, 9, &a);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    a = attr_of(1, 1);
    a.uid = a.gid = MFS_NOBODY;
    unique = cx_ask(FUSE_LOOKUP, 9, "theirs", 7);
    reply_entry(expect_call(MFS_OP_lookup).id, 10, &a);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    assert_int_equal(out.attr.uid, 1000);
}

/* A lock is asked for only when the server has heard that the last holder closed. */
static void test_lock_after_close(void **state)
{
    (void)state;
    struct mfs_attr a = attr_of(1, 1);
    uint64_t first, second;
    look_up(7, &a);
    open_file(&a, O_RDWR, &first);
    open_file(&a, O_RDWR, &second);
    struct fuse_lk_in lk = { .fh = first,
                             .owner = 1,
                             .lk = { .end = INT64_MAX, .type = F_WRLCK },
                             .lk_flags = FUSE_LK_FLOCK };
    uint64_t unique = cx_ask(FUSE_SETLK, 7, &lk, sizeof lk);
    cx_reply(expect_call(MFS_OP_flock).id, 0, NULL, 0);
    assert_int_equal(cx_answer_later(unique), 0);
    struct fuse_release_in r = { .fh = first, .release_flags = FUSE_RELEASE_FLOCK_UNLOCK };
    uint64_t release = cx_ask(FUSE_RELEASE, 7, &r, sizeof r);
    uint64_t id = expect_call(MFS_OP_release).id;
    lk.fh = second;
    unique = cx_ask(FUSE_SETLK, 7, &lk, sizeof lk);
    assert_no_call();
    cx_reply(id, 0, NULL, 0);
    assert_int_equal(cx_answer(release, NULL, 0), 0);
    cx_reply(expect_call(MFS_OP_flock).id, 0, NULL, 0);
    assert_int_equal(cx_answer_later(unique), 0);
}

static void test_flush(void **state)
{
    (void)state;
    struct mfs_attr a = attr_of(1, 1);
    uint64_t fh;
    look_up(7, &a);
    open_file(&a, O_RDWR, &fh);
    struct fuse_flush_in f = { .fh = fh, .lock_owner = 5 };
    uint64_t unique = cx_ask(FUSE_FLUSH, 7, &f, sizeof f);
    assert_int_equal(cx_answer(unique, NULL, 0), 0); /* nothing written, nothing locked */
    assert_no_call();
    struct fuse_lk_in lk = { .fh = fh, .owner = 5, .lk = { .end = 9, .type = F_WRLCK } };
    unique = cx_ask(FUSE_SETLK, 7, &lk, sizeof lk);
    cx_reply(expect_call(MFS_OP_setlk).id, 0, NULL, 0);
    assert_int_equal(cx_answer_later(unique), 0);
    assert_int_equal(cx.dropped_count, 1); /* what the lock protects is read anew */
    unique = cx_ask(FUSE_FLUSH, 7, &f, sizeof f);
    cx_reply(expect_call(MFS_OP_flush).id, 0, NULL, 0);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
}

static void test_interrupt(void **state)
{
    (void)state;
    struct rd body;
    uint64_t unique = cx_ask(FUSE_READLINK, 1, NULL, 0);
    uint64_t id = expect_call(MFS_OP_readlink).id;
    struct fuse_interrupt_in i = { .unique = unique };
    cx_ask(FUSE_INTERRUPT, 0, &i, sizeof i);
    struct mfs_head h = cx_message(&body);
    assert_int_equal(h.kind, MFS_CANCEL);
    assert_int_equal(h.id, id);
    cx_reply(id, 3, NULL, 0);
    assert_int_equal(cx_answer(unique, NULL, 0), EINTR);
}

static void test_round_trips(void **state)
{
    (void)state;
    struct mfs_stats s;
    uint64_t ids[3];
    mfs_client_stats(cx.client, &s);
    uint64_t before = s.round_trips_waited;
    for (int i = 0; i < 3; i++) { /* at once: one round trip */
        cx_ask(FUSE_READLINK, 1, NULL, 0);
        ids[i] = expect_call(MFS_OP_readlink).id;
    }
    for (int i = 2; i >= 0; i--)
        cx_reply(ids[i], 2, NULL, 0);
    mfs_client_stats(cx.client, &s);
    assert_int_equal(s.round_trips_waited, before + 1);
    for (int i = 0; i < 3; i++) { /* one after the other: three */
        cx_ask(FUSE_READLINK, 1, NULL, 0);
        cx_reply(expect_call(MFS_OP_readlink).id, 2, NULL, 0);
    }
    mfs_client_stats(cx.client, &s);
    assert_int_equal(s.round_trips_waited, before + 4);
    assert_int_equal(s.requests[MFS_OP_readlink], 6);
}

static void test_lost(void **state)
{
    (void)state;
    uint64_t waiting = cx_ask(FUSE_READLINK, 1, NULL, 0);
    expect_call(MFS_OP_readlink);
    cx_assert_no_answer();
    close(cx.meta);
    cx.meta = -1;
    cx_turn();
    assert_int_equal(cx_answer(waiting, NULL, 0), EIO);
    assert_int_equal(cx.lost_count, 1);
    assert_int_equal(cx_answer(cx_ask(FUSE_READLINK, 1, NULL, 0), NULL, 0), ENOTCONN);
    assert_int_equal(cx.lost_count, 1);
}

/* Answers that would do harm end the connection; nobody is left waiting. */
static void test_bad_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t opcode;
        const uint8_t body[16];
        size_t len;
    } bad[] = {
        { FUSE_READLINK, "\4\0\0\0a\0bc", 8 }, /* NUL in a target */
        { FUSE_READLINK, "\0\0\0\0", 4 },      /* empty target */
        { FUSE_READLINK, "\377\0\0\0abc", 7 }, /* longer than the message */
        { FUSE_READLINK, "\1\0\0\0abc", 7 },   /* bytes left over */
        { FUSE_STATFS, "", 0 },
        { FUSE_LOOKUP, "", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct rd body;
        uint64_t unique = bad[i].opcode == FUSE_LOOKUP ? cx_ask(FUSE_LOOKUP, 1, "x", 2)
                                                       : cx_ask(bad[i].opcode, 1, NULL, 0);
        cx_reply(cx_message(&body).id, 0, bad[i].body, bad[i].len);
        assert_int_equal(cx_answer(unique, NULL, 0), EIO);
        assert_int_equal(cx.lost_count, 1);
        start_anew(&(struct cx_opts){ 0 });
    }
    cx_reply(4711, 0, NULL, 0); /* nobody asked */
    assert_int_equal(cx.lost_count, 1);
}

/* Reads the meta stream to its end; returns 0 if that is between two messages. */
static void *read_to_the_end(void *arg)
{
    int *is_whole = arg;
    static uint8_t room[4096];
    uint32_t len;
    while (recv(cx.meta, room, 4, MSG_WAITALL) == 4) {
        struct rd r = rd_of(room, 4);
        *is_whole = get_u32(&r, &len) == 0 && len <= sizeof room &&
                    recv(cx.meta, room, len, MSG_WAITALL) == (ssize_t)len;
        if (!*is_whole)
            break;
    }
    return NULL;
}

/* A client that ends with a message written in part writes it to its end, if the server reads.
 */
static void test_end_within_a_message(void **state)
{
    (void)state;
    enum { REQUESTS = 4000, NAME = 250 };
    static char name[NAME + 1];
    memset(name, 'n', NAME);
    for (int i = 0; i < REQUESTS; i++)
        cx_ask(FUSE_LOOKUP, 1, name, sizeof name);
    /* More waits than one write takes: what is written now ends within a message. */
    struct rd body;
    uint8_t first;
    while (recv(cx.meta, &first, 1, MSG_DONTWAIT | MSG_PEEK) == 1)
        assert_int_equal(cx_message(&body).op, MFS_OP_lookup);
    cx_turn();
    pthread_t thread;
    int is_whole = 0;
    assert_int_equal(pthread_create(&thread, NULL, read_to_the_end, &is_whole), 0);
    mfs_client_free(cx.client);
    cx.client = NULL;
    pthread_join(thread, NULL);
    assert_true(is_whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_old_kernel, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_notices, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_second_export, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_lone_user, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_lock_after_close, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_flush, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_interrupt, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_round_trips, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_end_within_a_message, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_lost, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_bad_answers, set_up, cx_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
