/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_scan.c: lists of directories that the file client asks for by one request and
 * ahead, between a kernel and a server that are both the test: what is asked when, and that
 * nothing is believed that a change in between may have outdated. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"
#include "common/sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOT = 1, FILE_NODE = 7, FIRST_DIR = 20, VALID_MS = 10000 };

/* ---- the kernel ---- */

/* Notices of attributes that are not to be believed any more are not what these tests are
 * about. */
static void skip_notices(void)
{
    struct fuse_out_header h;
    while (recv(cx.kernel, &h, sizeof h, MSG_DONTWAIT | MSG_PEEK) >= (ssize_t)sizeof h &&
           !h.unique)
        recv(cx.kernel, cx.in, sizeof cx.in, MSG_DONTWAIT);
}

static uint64_t ask_open_dir(uint64_t node)
{
    struct fuse_open_in o = { .flags = O_RDONLY | O_DIRECTORY };
    return cx_ask(FUSE_OPENDIR, node, &o, sizeof o);
}

static uint64_t ask_name(uint32_t opcode, uint64_t dir, const char *name)
{
    return cx_ask(opcode, dir, name, strlen(name) + 1);
}

/* ---- the server ---- */

static uint64_t space_call; /* the last question about the file system's room */

/* The next message that is not about forgetting, nor about room. False: there is none. */
static bool next_message(struct mfs_head *h, struct rd *body)
{
    while (cx_next_message(h, body)) {
        if (h->op == MFS_OP_statfs)
            space_call = h->id;
        else if (h->kind != MFS_FORGET)
            return true;
    }
    return false;
}

static struct mfs_head expect(uint16_t op, struct rd *body)
{
    struct mfs_head h;
    assert_true(next_message(&h, body));
    assert_int_equal(h.op, op);
    return h;
}

static uint64_t expect_call(uint16_t op)
{
    struct rd body;
    return expect(op, &body).id;
}

static uint64_t expect_list(uint64_t node)
{
    struct rd body;
    struct mfs_list_req q;
    uint64_t id = expect(MFS_OP_list, &body).id;
    assert_int_equal(mfs_list_req_get(&body, &q), 0);
    assert_int_equal(q.node, node);
    return id;
}

static void assert_no_call(void)
{
    struct mfs_head h;
    struct rd body;
    assert_false(next_message(&h, &body));
}

static struct mfs_entry entry_of(uint64_t node, uint32_t mode)
{
    return (struct mfs_entry){ .node = node,
                               .valid_ms = VALID_MS,
                               .attr = { .ino = node,
                                         .mode = mode,
                                         .nlink = 1,
                                         .uid = 1000,
                                         .gid = 1000,
                                         .size = 5,
                                         .flags = mode & 04 ? MFS_ATTR_ROOT_FS : 0,
                                         .valid_ms = VALID_MS } };
}

static void put_name(struct wr *w, const char *name, uint64_t node, uint32_t mode)
{
    struct mfs_dirent d = { .next_cookie = node,
                            .name = bytes_of(name),
                            .ino = node,
                            .has_entry = 1,
                            .entry = entry_of(node, mode) };
    mfs_dirent_put(w, &d);
}

static void reply_list(uint64_t id, const struct wr *entries, bool is_eof)
{
    uint8_t room[8192];
    struct wr w = wr_of(room, sizeof room);
    mfs_list_rep_put(
        &w, &(struct mfs_list_rep){ is_eof, { entries->start, (uint32_t)wr_len(entries) } });
    cx_reply(id, 0, room, wr_len(&w));
}

/* The root has the file "f" and directories d0, d1, … */
static void reply_root(uint64_t id, unsigned dirs)
{
    uint8_t room[8192];
    struct wr w = wr_of(room, sizeof room);
    put_name(&w, "f", FILE_NODE, S_IFREG | 0644);
    for (unsigned i = 0; i < dirs; i++)
        put_name(&w, (const char[]){ 'd', (char)('0' + i), 0 }, FIRST_DIR + i, S_IFDIR | 0755);
    reply_list(id, &w, true);
}

/* A directory with nothing but a file "x". */
static void reply_x(uint64_t id, uint64_t node)
{
    uint8_t room[1024];
    struct wr w = wr_of(room, sizeof room);
    put_name(&w, "x", node, S_IFREG | 0644);
    reply_list(id, &w, true);
}

static void recall(uint64_t node)
{
    uint8_t room[64];
    struct wr w = wr_of(room, sizeof room);
    mfs_recall_notice_put(&w, &(struct mfs_recall_notice){ .node = node, .serial = 1 });
    cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_recall }, room,
            wr_len(&w));
    cx_turn();
    cx_reply(expect_call(MFS_OP_recalled), 0, NULL, 0);
    skip_notices();
}

/* ---- set-up ---- */

static int set_up(void **state)
{
    (void)state;
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS });
    return 0;
}

static void open_root(unsigned dirs)
{
    struct fuse_open_out out;
    uint64_t unique = ask_open_dir(ROOT);
    reply_root(expect_list(ROOT), dirs);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    assert_no_call();
}

/* ---- tests ---- */

static void test_one_request(void **state)
{
    (void)state;
    struct fuse_open_out out;
    struct fuse_entry_out entry;
    uint64_t unique = ask_open_dir(ROOT);
    reply_root(expect_list(ROOT), 1);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    struct fuse_read_in r = { .fh = out.fh, .size = 4096 };
    unique = cx_ask(FUSE_READDIR, ROOT, &r, sizeof r);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    struct fuse_dirent first; /* not aligned where it lies */
    memcpy(&first, cx.in + sizeof(struct fuse_out_header), sizeof first);
    assert_int_equal(first.namelen, 1);
    assert_int_equal(cx.in[sizeof(struct fuse_out_header) + FUSE_NAME_OFFSET], 'f');
    unique = ask_name(FUSE_LOOKUP, ROOT, "f");
    assert_int_equal(cx_answer(unique, &entry, sizeof entry), 0);
    assert_int_equal(entry.nodeid, FILE_NODE);
    assert_int_equal(cx_answer(ask_name(FUSE_LOOKUP, ROOT, "absent"), NULL, 0), ENOENT);
    struct fuse_release_in done = { .fh = out.fh };
    assert_int_equal(cx_answer(cx_ask(FUSE_RELEASEDIR, ROOT, &done, sizeof done), NULL, 0), 0);
    assert_no_call();
}

/* What changes while a list is on the way makes it void, but is no reason not to ask again. It is, when that happens each time. */
static void test_a_change_on_the_way(void **state)
{
    enum { TRIES = 4 };
    (void)state;
    for (int i = 0; i < TRIES; i++) {
        uint64_t looked = ask_name(FUSE_LOOKUP, ROOT, "absent");
        struct rd body;
        uint64_t lookup = 0, list = 0;
        struct mfs_head h;
        while (next_message(&h, &body))
            *(h.op == MFS_OP_lookup ? &lookup : &list) = h.id;
        assert_true(lookup && list);
        recall(ROOT);
        cx_reply(lookup, wire_error_from(-ENOENT), NULL, 0);
        assert_int_equal(cx_answer(looked, NULL, 0), ENOENT);
        reply_root(list, 1);
        assert_no_call();
    }
    ask_name(FUSE_LOOKUP, ROOT, "absent");
    expect_call(MFS_OP_lookup);
    assert_no_call();
}

static unsigned count_lists(void)
{
    struct mfs_head h;
    struct rd body;
    unsigned lists = 0;
    while (next_message(&h, &body))
        lists += h.op == MFS_OP_list;
    return lists;
}

/* Names in directories beside each other, in no order: after the third the others' lists are asked for. */
static void test_names_here_and_there(void **state)
{
    (void)state;
    open_root(10);
    ask_name(FUSE_LOOKUP, FIRST_DIR + 7, "x");
    assert_int_equal(count_lists(), 1);
    ask_name(FUSE_LOOKUP, FIRST_DIR + 2, "x");
    assert_int_equal(count_lists(), 1);
    ask_name(FUSE_LOOKUP, FIRST_DIR + 2, "y");
    assert_int_equal(count_lists(), 0);
    ask_name(FUSE_LOOKUP, FIRST_DIR + 5, "x");
    assert_int_equal(count_lists(), 8);
}

static void test_errors_and_big_ones(void **state)
{
    (void)state;
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room), none = wr_of(room, 0);
    uint64_t unique = ask_open_dir(ROOT);
    /* The errors are opendir's. */
    cx_reply(expect_list(ROOT), wire_error_from(-EACCES), NULL, 0);
    cx_reply(expect_call(MFS_OP_opendir), wire_error_from(-EACCES), NULL, 0);
    assert_int_equal(cx_answer(unique, NULL, 0), EACCES);
    unique = ask_open_dir(ROOT);
    reply_list(expect_list(ROOT), &none, false);
    mfs_opendir_rep_put(&w, &(struct mfs_opendir_rep){ 5 });
    cx_reply(expect_call(MFS_OP_opendir), 0, room, wr_len(&w));
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    ask_open_dir(ROOT); /* seen to be too big: not tried again */
    expect_call(MFS_OP_opendir);
    assert_no_call();
}

static void test_ahead(void **state)
{
    (void)state;
    struct fuse_open_out out;
    open_root(3);
    uint64_t first = ask_open_dir(FIRST_DIR);
    uint64_t id = expect_list(FIRST_DIR);
    uint64_t next = expect_list(FIRST_DIR + 1);
    uint64_t last = expect_list(FIRST_DIR + 2);
    assert_no_call();
    uint64_t second = ask_open_dir(FIRST_DIR + 1); /* waits for what is on the way */
    assert_no_call();
    cx_assert_no_answer();
    reply_x(next, 31);
    assert_int_equal(cx_answer(second, &out, sizeof out), 0);
    reply_x(id, 30);
    assert_int_equal(cx_answer(first, &out, sizeof out), 0);
    reply_x(last, 32);
    assert_int_equal(cx_answer(ask_open_dir(FIRST_DIR + 2), &out, sizeof out), 0);
    assert_no_call();
    struct mfs_stats s;
    mfs_client_stats(cx.client, &s);
    assert_int_equal(s.requests[MFS_OP_list], 4);
    /* hello, the root's, and the three at once */
    assert_int_equal(s.round_trips_waited, 3);
}

/* Who goes through them from the last to the first is ahead of in that direction. */
static void test_ahead_backwards(void **state)
{
    (void)state;
    open_root(10);
    ask_open_dir(FIRST_DIR + 9); /* nothing is after it: eight from the first on */
    reply_x(expect_list(FIRST_DIR + 9), 39);
    for (unsigned i = 0; i < 8; i++)
        reply_x(expect_list(FIRST_DIR + i), 30 + i);
    assert_no_call();
    for (unsigned i = 1; i < 8; i++)
        recall(FIRST_DIR + i);
    ask_open_dir(FIRST_DIR + 8);
    expect_list(FIRST_DIR + 8);
    for (unsigned i = 8; --i;)
        reply_x(expect_list(FIRST_DIR + i), 30 + i);
    assert_no_call();
}

/* A list whose files' attributes were recalled is had once more when its directory is opened:
 * not each of them is asked for. */
static void test_attributes_lost(void **state)
{
    (void)state;
    enum { FILES = 40 };
    uint8_t room[8192];
    struct wr w = wr_of(room, sizeof room);
    struct fuse_open_out out;
    for (unsigned i = 0; i < FILES; i++)
        put_name(&w, (const char[]){ 'f', (char)('0' + i), 0 }, FIRST_DIR + i, S_IFREG | 0644);
    uint64_t unique = ask_open_dir(ROOT);
    reply_list(expect_list(ROOT), &w, true);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    for (unsigned i = 0; i < 15; i++)
        recall(FIRST_DIR + i);
    assert_int_equal(cx_answer(ask_open_dir(ROOT), &out, sizeof out), 0);
    assert_no_call();
    recall(FIRST_DIR + 15);
    unique = ask_open_dir(ROOT);
    reply_list(expect_list(ROOT), &w, true);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    struct fuse_entry_out entry;
    assert_int_equal(cx_answer(ask_name(FUSE_LOOKUP, ROOT, "f0"), &entry, sizeof entry), 0);
    assert_int_equal(cx_answer(ask_open_dir(ROOT), &out, sizeof out), 0);
    assert_no_call();
}

static uint64_t ask_xattr(uint64_t node)
{
    struct {
        struct fuse_getxattr_in in;
        char name[12];
    } q = { .in.size = 100, .name = "user.x" };
    return cx_ask(FUSE_GETXATTR, node, &q, sizeof q.in + sizeof "user.x");
}

/* That a file has no extended attributes is known until it is recalled, however long ago it was
 * listed. */
static void test_plain_files(void **state)
{
    (void)state;
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    struct mfs_dirent d = { .next_cookie = 1,
                            .name = bytes_of("f"),
                            .has_entry = 1,
                            .entry = entry_of(FILE_NODE, S_IFREG | 0644) };
    d.entry.attr.flags |= MFS_ATTR_PLAIN;
    d.entry.attr.valid_ms = 1; /* of the lease's time: 1 ms was left then */
    mfs_dirent_put(&w, &d);
    struct fuse_open_out out;
    uint64_t unique = ask_open_dir(ROOT);
    reply_list(expect_list(ROOT), &w, true);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    struct fuse_entry_out entry;
    assert_int_equal(cx_answer(ask_name(FUSE_LOOKUP, ROOT, "f"), &entry, sizeof entry), 0);
    for (uint64_t now = clock_mono_ms(); clock_mono_ms() < now + 2;)
        cx_turn();
    assert_int_equal(cx_answer(ask_xattr(FILE_NODE), NULL, 0), ENODATA);
    assert_no_call();
    recall(FILE_NODE);
    ask_xattr(FILE_NODE);
    expect_call(MFS_OP_getxattr);
}

static void test_not_a_scan(void **state)
{
    (void)state;
    ask_open_dir(FIRST_DIR); /* nothing is known of its parent */
    expect_call(MFS_OP_opendir);
    assert_no_call();
}

static void test_own_change_in_between(void **state)
{
    (void)state;
    struct fuse_entry_out entry;
    open_root(2);
    ask_open_dir(FIRST_DIR);
    expect_list(FIRST_DIR);
    uint64_t ahead = expect_list(FIRST_DIR + 1); /* was read before what follows */
    uint64_t unique = ask_name(FUSE_UNLINK, FIRST_DIR + 1, "x");
    uint64_t id = expect_call(MFS_OP_unlink);
    expect_call(MFS_OP_claim); /* the directory beside it may be next */
    cx_reply(id, 0, NULL, 0);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    reply_x(ahead, 31);
    skip_notices();
    unique = ask_name(FUSE_LOOKUP, FIRST_DIR + 1, "x");
    assert_int_equal(cx_answer(unique, &entry, sizeof entry), ENOENT);
    ask_open_dir(FIRST_DIR + 1);
    expect_list(FIRST_DIR + 1); /* the one that came is not its listing */
}

static void test_recall_in_between(void **state)
{
    (void)state;
    struct fuse_open_out out;
    open_root(2);
    ask_open_dir(FIRST_DIR);
    expect_list(FIRST_DIR);
    uint64_t ahead = expect_list(FIRST_DIR + 1);
    recall(FIRST_DIR + 1);
    reply_x(ahead, 31);
    uint64_t looked = ask_name(FUSE_LOOKUP, FIRST_DIR + 1, "x");
    uint64_t again = expect_list(FIRST_DIR + 1);
    assert_no_call();
    uint64_t unique = ask_open_dir(FIRST_DIR + 1);
    reply_x(again, 31);
    assert_int_equal(cx_answer(looked, NULL, 0), 0);
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    recall(FIRST_DIR + 1);
    ask_open_dir(FIRST_DIR + 1);
    expect_list(FIRST_DIR + 1);
}

static void test_attributes_changed_in_between(void **state)
{
    (void)state;
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    struct fuse_entry_out entry;
    open_root(1);
    assert_int_equal(cx_answer(ask_name(FUSE_LOOKUP, ROOT, "f"), &entry, sizeof entry), 0);
    recall(ROOT);
    ask_open_dir(ROOT);
    uint64_t id = expect_list(ROOT); /* was read before what follows */
    struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = S_IFREG | 0600 };
    uint64_t unique = cx_ask(FUSE_SETATTR, FILE_NODE, &set, sizeof set);
    struct mfs_entry now = entry_of(FILE_NODE, S_IFREG | 0600);
    now.attr.valid_ms = 0;
    mfs_setattr_rep_put(&w, &(struct mfs_setattr_rep){ now.attr });
    cx_reply(expect_call(MFS_OP_setattr), 0, room, wr_len(&w));
    struct fuse_attr_out attr;
    assert_int_equal(cx_answer(unique, &attr, sizeof attr), 0);
    reply_root(id, 1);
    ask_name(FUSE_LOOKUP, ROOT, "f");
    /* the list's mode is the old one */
    expect_call(MFS_OP_lookup);
}

static void test_missed_name(void **state)
{
    (void)state;
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    uint64_t first = ask_name(FUSE_LOOKUP, ROOT, "absent");
    uint64_t id = expect_call(MFS_OP_lookup);
    uint64_t list = expect_list(ROOT);
    mfs_entry_put(&w, &(struct mfs_entry){ .valid_ms = VALID_MS });
    cx_reply(id, 0, room, wr_len(&w));
    struct fuse_entry_out entry;
    cx_answer(first, &entry, sizeof entry);
    uint64_t second = ask_name(FUSE_LOOKUP, ROOT, "absent.too");
    assert_no_call(); /* the list will say */
    cx_assert_no_answer();
    reply_root(list, 0);
    assert_int_equal(cx_answer(second, NULL, 0), ENOENT);
    assert_int_equal(cx_answer(ask_name(FUSE_LOOKUP, ROOT, "a.third"), NULL, 0), ENOENT);
    assert_no_call();
}

static void test_lost(void **state)
{
    (void)state;
    uint64_t opened = ask_open_dir(ROOT);
    expect_list(ROOT);
    uint64_t name = ask_name(FUSE_LOOKUP, ROOT, "f");
    cx_assert_no_answer();
    shutdown(cx.meta, SHUT_RDWR);
    cx_turn();
    assert_int_equal(cx_answer(opened, NULL, 0), ENOTCONN);
    assert_int_equal(cx_answer(name, NULL, 0), ENOTCONN);
}

static uint64_t answer_room(uint64_t unique)
{
    struct fuse_statfs_out out;
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    return out.st.bfree;
}

static void reply_room(uint64_t id, uint64_t bfree)
{
    uint8_t room[128];
    struct wr w = wr_of(room, sizeof room);
    mfs_statfs_rep_put(&w, &(struct mfs_statfs_rep){ .bsize = 4096, .bfree = bfree });
    cx_reply(id, 0, room, wr_len(&w));
}

/* The room is asked for with the first directory; who asks meanwhile waits for that answer, and
 * later ones need none. What is on another file system is asked about. */
static void test_room(void **state)
{
    (void)state;
    uint8_t list[1024];
    struct wr w = wr_of(list, sizeof list);
    struct mfs_stats s;
    space_call = 0;
    uint64_t open = ask_open_dir(ROOT);
    uint64_t id = expect_list(ROOT);
    assert_no_call();
    assert_int_not_equal(space_call, 0);
    uint64_t first = cx_ask(FUSE_STATFS, ROOT, NULL, 0);
    uint64_t second = cx_ask(FUSE_STATFS, ROOT, NULL, 0);
    assert_no_call();
    cx_assert_no_answer();
    put_name(&w, "same", FIRST_DIR, S_IFDIR | 0755);
    put_name(&w, "other", FIRST_DIR + 1, S_IFDIR | 0750);
    reply_list(id, &w, true);
    assert_int_equal(cx_answer(open, NULL, 0), 0);
    reply_room(space_call, 70);
    assert_int_equal(answer_room(first), 70);
    assert_int_equal(answer_room(second), 70);
    space_call = 0;
    cx_answer(ask_name(FUSE_LOOKUP, ROOT, "same"), NULL, 0);
    assert_int_equal(answer_room(cx_ask(FUSE_STATFS, FIRST_DIR, NULL, 0)), 70);
    assert_no_call();
    assert_int_equal(space_call, 0);
    /* hello, and what was asked for at once */
    mfs_client_stats(cx.client, &s);
    assert_int_equal(s.round_trips_waited, 2);
    cx_answer(ask_name(FUSE_LOOKUP, ROOT, "other"), NULL, 0);
    uint64_t third = cx_ask(FUSE_STATFS, FIRST_DIR + 1, NULL, 0);
    assert_no_call();
    assert_int_not_equal(space_call, 0);
    reply_room(space_call, 5);
    assert_int_equal(answer_room(third), 5);
}

static void reply_attr(uint64_t id, uint64_t size)
{
    uint8_t room[128];
    struct wr w = wr_of(room, sizeof room);
    struct mfs_attr a = entry_of(ROOT, S_IFDIR | 0755).attr;
    a.size = size;
    mfs_getattr_rep_put(&w, &(struct mfs_getattr_rep){ a });
    cx_reply(id, 0, room, wr_len(&w));
}

static uint64_t ask_attr(void)
{
    struct fuse_getattr_in in = { 0 };
    return cx_ask(FUSE_GETATTR, ROOT, &in, sizeof in);
}

static uint64_t answer_size(uint64_t unique)
{
    struct fuse_attr_out out;
    skip_notices();
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    return out.attr.size;
}

static int set_up_roots(void **state)
{
    (void)state;
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS, .has_roots_ahead = true });
    return 0;
}

/* What was asked of the root before it was mounted answers the kernel's first question. */
static void test_root_ahead(void **state)
{
    (void)state;
    uint64_t unique = ask_attr();
    assert_no_call();
    cx_assert_no_answer();
    reply_attr(cx.root_calls[0], 77);
    assert_int_equal(answer_size(unique), 77);
    assert_int_equal(answer_size(ask_attr()), 77); /* it is granted */
    assert_no_call();
    reply_attr(cx.root_calls[1], 5);
}

static void test_root_ahead_that_came(void **state)
{
    (void)state;
    struct mfs_stats s;
    reply_attr(cx.root_calls[0], 77);
    assert_int_equal(answer_size(ask_attr()), 77);
    assert_no_call();
    mfs_client_stats(cx.client, &s);
    assert_int_equal(s.round_trips_waited, 2); /* with hello */
}

static void test_root_ahead_recalled(void **state)
{
    (void)state;
    reply_attr(cx.root_calls[0], 77);
    recall(ROOT);
    uint64_t unique = ask_attr();
    reply_attr(expect_call(MFS_OP_getattr), 78);
    assert_int_equal(answer_size(unique), 78);
}

/* It comes in time, but an own change is before it. */
static void test_root_ahead_changed(void **state)
{
    (void)state;
    struct fuse_mkdir_in in = { .mode = 0755 };
    uint8_t ask[sizeof in + 2] = { 0 };
    memcpy(ask, &in, sizeof in);
    ask[sizeof in] = 'd';
    uint64_t making = cx_ask(FUSE_MKDIR, ROOT, ask, sizeof ask);
    cx_reply(expect_call(MFS_OP_mkdir), wire_error_from(-EEXIST), NULL, 0);
    skip_notices();
    assert_int_equal(cx_answer(making, NULL, 0), EEXIST);
    reply_attr(cx.root_calls[0], 77);
    uint64_t unique = ask_attr();
    reply_attr(expect_call(MFS_OP_getattr), 78);
    assert_int_equal(answer_size(unique), 78);
}

/* ---- paths that are asked for ahead ---- */

enum { A = 20, B = 21 };

static uint64_t walk_call;

static int set_up_path(void **state)
{
    struct rd body, names;
    struct mfs_walk_req q;
    struct bytes name;
    (void)state;
    cx_start(&(struct cx_opts){ .lease_ms = VALID_MS,
                                .paths_ahead = "/bin:/one/../x::/oneself:/one/a//b/:/one" });
    walk_call = expect(MFS_OP_walk, &body).id;
    assert_int_equal(mfs_walk_req_get(&body, &q), 0);
    assert_int_equal(q.node, ROOT);
    assert_true(q.list_size > 0);
    names = rd_of(q.names.ptr, q.names.len);
    assert_int_equal(get_bytes(&names, &name), 0);
    assert_true(name.len == 1 && name.ptr[0] == 'a');
    assert_int_equal(get_bytes(&names, &name), 0);
    assert_true(name.len == 1 && name.ptr[0] == 'b');
    assert_int_equal(rd_left(&names), 0);
    assert_no_call();
    return 0;
}

static void reply_dir(uint64_t id, uint64_t node)
{
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    struct mfs_entry e = entry_of(node, S_IFDIR | 0755);
    mfs_entry_put(&w, &e);
    cx_reply(id, 0, room, wr_len(&w));
}

static void refuse(uint64_t id)
{
    cx_reply(id, wire_error_from(-ECANCELED), NULL, 0);
}

static uint64_t answer_node(uint64_t unique)
{
    struct fuse_entry_out entry;
    skip_notices();
    assert_int_equal(cx_answer(unique, &entry, sizeof entry), 0);
    return entry.nodeid;
}

static void test_path(void **state)
{
    (void)state;
    struct mfs_stats s;
    uint64_t unique = ask_name(FUSE_LOOKUP, ROOT, "a");
    assert_no_call(); /* it waits */
    cx_assert_no_answer();
    reply_dir(walk_call + 1, A);
    assert_int_equal(answer_node(unique), A);
    unique = ask_name(FUSE_LOOKUP, A, "b");
    assert_no_call();
    cx_assert_no_answer();
    reply_dir(walk_call + 2, B);
    assert_int_equal(answer_node(unique), B);
    unique = ask_name(FUSE_LOOKUP, B, "absent"); /* waits for the list */
    assert_no_call();
    cx_assert_no_answer();
    reply_x(walk_call + 3, 31);
    assert_int_equal(cx_answer(unique, NULL, 0), ENOENT);
    assert_int_equal(answer_node(ask_name(FUSE_LOOKUP, B, "x")), 31);
    cx_reply(walk_call, 0, NULL, 0);
    assert_no_call();
    mfs_client_stats(cx.client, &s);
    assert_int_equal(s.round_trips_waited, 2); /* hello, and all of this */
}

static void test_path_that_is_absent(void **state)
{
    (void)state;
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    uint64_t unique = ask_name(FUSE_LOOKUP, ROOT, "a");
    mfs_entry_put(&w, &(struct mfs_entry){ .valid_ms = VALID_MS });
    cx_reply(walk_call + 1, 0, room, wr_len(&w));
    assert_int_equal(cx_answer(unique, NULL, 0), ENOENT);
    refuse(walk_call + 2);
    refuse(walk_call + 3);
    cx_reply(walk_call, 0, NULL, 0);
    assert_int_equal(cx_answer(ask_name(FUSE_LOOKUP, ROOT, "a"), NULL, 0), ENOENT);
    assert_no_call();
}

/* Who waited asks for himself. */
static void test_path_that_fails(void **state)
{
    (void)state;
    uint64_t unique = ask_name(FUSE_LOOKUP, ROOT, "a");
    cx_reply(walk_call + 1, wire_error_from(-EIO), NULL, 0);
    reply_dir(expect_call(MFS_OP_lookup), A);
    assert_int_equal(answer_node(unique), A);
    refuse(walk_call + 2);
    refuse(walk_call + 3);
    cx_reply(walk_call, 0, NULL, 0);
}

static void test_path_recalled_in_between(void **state)
{
    (void)state;
    reply_dir(walk_call + 1, A);
    recall(A);
    reply_dir(walk_call + 2, B); /* looked up before the recall, for all that is known */
    reply_x(walk_call + 3, 31);
    cx_reply(walk_call, 0, NULL, 0);
    uint64_t unique = ask_name(FUSE_LOOKUP, A, "b");
    reply_dir(expect_call(MFS_OP_lookup), B);
    skip_notices();
    (void)unique;
}

/* A change of ours after the walk was sent, in a directory that became known only with it, by
 * another way. */
static void test_path_changed_in_between(void **state)
{
    (void)state;
    struct fuse_mkdir_in in = { .mode = 0755 };
    uint8_t ask[sizeof in + 2] = { 0 };
    uint64_t open = ask_open_dir(ROOT);
    uint8_t room[1024];
    struct wr w = wr_of(room, sizeof room);
    put_name(&w, "other", A, S_IFDIR | 0755); /* the same directory */
    reply_list(expect_list(ROOT), &w, true);
    assert_int_equal(cx_answer(open, NULL, 0), 0);
    assert_int_equal(answer_node(ask_name(FUSE_LOOKUP, ROOT, "other")), A);
    memcpy(ask, &in, sizeof in);
    ask[sizeof in] = 'b';
    uint64_t making = cx_ask(FUSE_MKDIR, A, ask, sizeof ask);
    reply_dir(expect_call(MFS_OP_mkdir), B);
    assert_int_equal(answer_node(making), B);
    struct mfs_head h;
    struct rd body;
    while (next_message(&h, &body))
        cx_reply(h.id, wire_error_from(-EBUSY), NULL,
                 0); /* what is asked for because of that */
    reply_dir(walk_call + 1, A);
    w = wr_of(room, sizeof room);
    mfs_entry_put(&w, &(struct mfs_entry){ .valid_ms = VALID_MS });
    cx_reply(walk_call + 2, 0, room, wr_len(&w)); /* absent: it was, then */
    refuse(walk_call + 3);
    cx_reply(walk_call, 0, NULL, 0);
    uint64_t unique = ask_name(FUSE_LOOKUP, A, "b");
    skip_notices();
    if (next_message(&h, &body))
        reply_dir(h.id, B);
    assert_int_equal(answer_node(unique), B);
}

static void test_path_lost(void **state)
{
    (void)state;
    uint64_t unique = ask_name(FUSE_LOOKUP, ROOT, "a");
    close(cx.meta);
    cx.meta = -1;
    cx_turn();
    assert_int_equal(cx.lost_count, 1);
    skip_notices();
    assert_int_not_equal(cx_answer(unique, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_request, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_a_change_on_the_way, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_names_here_and_there, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_errors_and_big_ones, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_ahead, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_ahead_backwards, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_attributes_lost, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_plain_files, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_not_a_scan, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_own_change_in_between, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_recall_in_between, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_attributes_changed_in_between, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_missed_name, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_lost, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_room, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_root_ahead, set_up_roots, cx_end),
        cmocka_unit_test_setup_teardown(test_root_ahead_that_came, set_up_roots, cx_end),
        cmocka_unit_test_setup_teardown(test_root_ahead_recalled, set_up_roots, cx_end),
        cmocka_unit_test_setup_teardown(test_root_ahead_changed, set_up_roots, cx_end),
        cmocka_unit_test_setup_teardown(test_path, set_up_path, cx_end),
        cmocka_unit_test_setup_teardown(test_path_that_is_absent, set_up_path, cx_end),
        cmocka_unit_test_setup_teardown(test_path_that_fails, set_up_path, cx_end),
        cmocka_unit_test_setup_teardown(test_path_recalled_in_between, set_up_path, cx_end),
        cmocka_unit_test_setup_teardown(test_path_changed_in_between, set_up_path, cx_end),
        cmocka_unit_test_setup_teardown(test_path_lost, set_up_path, cx_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
