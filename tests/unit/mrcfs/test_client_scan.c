/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_scan.c: lists of directories that the file client asks for by one request and
 * ahead, between a kernel and a server that are both the test: what is asked when, and that
 * nothing is believed that a change in between may have outdated. */
#include "tests/lib/unit.h"

#include "common/base/wire_errors.h"
#include "common/sys/fd.h"
#include "common/sys/loop.h"
#include "mrcfs/mrcfs.h"
#include "mrcfs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOT = 1, FILE_NODE = 7, FIRST_DIR = 20, VALID_MS = 10000 };

static struct loop *loop;
static struct mfs_client *client;
static int kernel, meta, bulk; /* our ends */
static uint64_t last_unique;
static uint8_t in[1 << 16];

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        assert_int_equal(loop_turn(loop, 0), 0);
}

/* ---- the kernel ---- */

static uint64_t ask(uint32_t opcode, uint64_t node, const void *body, size_t len)
{
    uint8_t room[1024];
    struct fuse_in_header h = { .len = (uint32_t)(sizeof h + len),
                                .opcode = opcode,
                                .unique = ++last_unique,
                                .nodeid = node,
                                .uid = 1000 };
    memcpy(room, &h, sizeof h);
    if (len)
        memcpy(room + sizeof h, body, len);
    assert_int_equal(send(kernel, room, sizeof h + len, 0), sizeof h + len);
    turn();
    return h.unique;
}

/* The next answer; its body goes to body. Returns the error. */
static int answer(uint64_t unique, void *body, size_t size)
{
    struct fuse_out_header h;
    ssize_t n = recv(kernel, in, sizeof in, MSG_DONTWAIT);
    assert_true(n >= (ssize_t)sizeof h);
    memcpy(&h, in, sizeof h);
    assert_int_equal(h.unique, unique);
    if (body && !h.error) {
        assert_true((size_t)n >= sizeof h + size);
        memcpy(body, in + sizeof h, size);
    }
    return -h.error;
}

static void assert_no_answer(void)
{
    assert_int_equal(recv(kernel, in, sizeof in, MSG_DONTWAIT), -1);
}

/* Notices of attributes that are not to be believed any more are not what these tests are
 * about. */
static void skip_notices(void)
{
    struct fuse_out_header h;
    while (recv(kernel, &h, sizeof h, MSG_DONTWAIT | MSG_PEEK) >= (ssize_t)sizeof h &&
           !h.unique)
        recv(kernel, in, sizeof in, MSG_DONTWAIT);
}

static uint64_t ask_open_dir(uint64_t node)
{
    struct fuse_open_in o = { .flags = O_RDONLY | O_DIRECTORY };
    return ask(FUSE_OPENDIR, node, &o, sizeof o);
}

static uint64_t ask_name(uint32_t opcode, uint64_t dir, const char *name)
{
    return ask(opcode, dir, name, strlen(name) + 1);
}

/* ---- the server ---- */

/* The next message that is not about forgetting. False: there is none. */
static bool next_message(struct mfs_head *h, struct rd *body)
{
    do {
        uint32_t len;
        struct rd r = rd_of(in, 4);
        if (recv(meta, in, 4, MSG_DONTWAIT) != 4)
            return false;
        assert_int_equal(get_u32(&r, &len), 0);
        assert_int_equal(recv(meta, in, len, MSG_DONTWAIT), len);
        *body = rd_of(in, len);
        assert_int_equal(mfs_head_get(body, h), 0);
    } while (h->kind == MFS_FORGET);
    return true;
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

static void send_message(const struct mfs_head *h, const uint8_t *body, size_t len)
{
    uint8_t room[8192];
    struct wr m = wr_of(room, sizeof room);
    mfs_message_begin(&m, h);
    put_raw(&m, body, len);
    mfs_message_end(&m, 0);
    assert_false(m.is_full);
    assert_int_equal(send(meta, room, wr_len(&m), MSG_NOSIGNAL), wr_len(&m));
    turn();
}

static void reply(uint64_t id, uint32_t error, const uint8_t *body, size_t len)
{
    send_message(&(struct mfs_head){ .kind = MFS_REPLY, .id = id, .error = error }, body, len);
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
    reply(id, 0, room, wr_len(&w));
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
    send_message(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_recall }, room,
                 wr_len(&w));
    turn();
    reply(expect_call(MFS_OP_recalled), 0, NULL, 0);
    skip_notices();
}

/* ---- set-up ---- */

static int set_up(void **state)
{
    (void)state;
    int m[2], b[2], k[2];
    uint8_t room[256], exports[64];
    struct wr x = wr_of(exports, sizeof exports), w = wr_of(room, sizeof room);
    struct err e = { "" };
    last_unique = 0;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(fd_socketpair(m), 0);
    assert_int_equal(fd_socketpair(b), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, k), 0);
    meta = m[0];
    bulk = b[0];
    kernel = k[0];
    mfs_export_rec_put(&x, &(struct mfs_export_rec){ 0, bytes_of("/one") });
    mfs_message_begin(&w, &(struct mfs_head){ .kind = MFS_REPLY, .id = 1 });
    mfs_hello_rep_put(&w,
                      &(struct mfs_hello_rep){ .version = MFS_VERSION,
                                               .features = MFS_FEATURE_LEASES,
                                               .exports = { exports, (uint32_t)wr_len(&x) } });
    mfs_message_end(&w, 0);
    assert_int_equal(send(meta, room, wr_len(&w), 0), wr_len(&w));
    struct mfs_client_opts o = { .loop = loop,
                                 .meta_fd = m[1],
                                 .bulk_fd = b[1],
                                 .own_uid = 1000,
                                 .own_gid = 1000,
                                 .consistency = MFS_LEASE };
    assert_int_equal(mfs_client_new(&o, &client, &e), 0);
    expect_call(MFS_OP_hello);
    assert_int_equal(mfs_client_attach(client, 0, k[1], &e), 0);
    turn();
    w = wr_of(room, sizeof room);
    mfs_renew_rep_put(&w, &(struct mfs_renew_rep){ VALID_MS });
    reply(expect_call(MFS_OP_renew), 0, room, wr_len(&w));
    struct fuse_init_in init = { .major = 7, .minor = 38, .flags = ~0U, .flags2 = ~0U };
    struct fuse_init_out out;
    assert_int_equal(answer(ask(FUSE_INIT, 0, &init, sizeof init), &out, sizeof out), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mfs_client_free(client);
    loop_free(loop);
    close(meta);
    close(bulk);
    close(kernel);
    return 0;
}

static void open_root(unsigned dirs)
{
    struct fuse_open_out out;
    uint64_t unique = ask_open_dir(ROOT);
    reply_root(expect_list(ROOT), dirs);
    assert_int_equal(answer(unique, &out, sizeof out), 0);
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
    assert_int_equal(answer(unique, &out, sizeof out), 0);
    struct fuse_read_in r = { .fh = out.fh, .size = 4096 };
    unique = ask(FUSE_READDIR, ROOT, &r, sizeof r);
    assert_int_equal(answer(unique, NULL, 0), 0);
    const struct fuse_dirent *first = (const void *)(in + sizeof(struct fuse_out_header));
    assert_int_equal(first->namelen, 1);
    assert_int_equal(first->name[0], 'f');
    unique = ask_name(FUSE_LOOKUP, ROOT, "f");
    assert_int_equal(answer(unique, &entry, sizeof entry), 0);
    assert_int_equal(entry.nodeid, FILE_NODE);
    assert_int_equal(answer(ask_name(FUSE_LOOKUP, ROOT, "absent"), NULL, 0), ENOENT);
    struct fuse_release_in done = { .fh = out.fh };
    assert_int_equal(answer(ask(FUSE_RELEASEDIR, ROOT, &done, sizeof done), NULL, 0), 0);
    assert_no_call();
}

static void test_errors_and_big_ones(void **state)
{
    (void)state;
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room), none = wr_of(room, 0);
    uint64_t unique = ask_open_dir(ROOT);
    reply(expect_list(ROOT), wire_error_from(-EACCES), NULL, 0); /* the errors are opendir's */
    reply(expect_call(MFS_OP_opendir), wire_error_from(-EACCES), NULL, 0);
    assert_int_equal(answer(unique, NULL, 0), EACCES);
    unique = ask_open_dir(ROOT);
    reply_list(expect_list(ROOT), &none, false);
    mfs_opendir_rep_put(&w, &(struct mfs_opendir_rep){ 5 });
    reply(expect_call(MFS_OP_opendir), 0, room, wr_len(&w));
    assert_int_equal(answer(unique, NULL, 0), 0);
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
    assert_no_answer();
    reply_x(next, 31);
    assert_int_equal(answer(second, &out, sizeof out), 0);
    reply_x(id, 30);
    assert_int_equal(answer(first, &out, sizeof out), 0);
    reply_x(last, 32);
    assert_int_equal(answer(ask_open_dir(FIRST_DIR + 2), &out, sizeof out), 0);
    assert_no_call();
    struct mfs_stats s;
    mfs_client_stats(client, &s);
    assert_int_equal(s.requests[MFS_OP_list], 4);
    /* hello, the root's, and the three at once */
    assert_int_equal(s.round_trips_waited, 3);
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
    reply(expect_call(MFS_OP_unlink), 0, NULL, 0);
    assert_int_equal(answer(unique, NULL, 0), 0);
    reply_x(ahead, 31);
    skip_notices();
    unique = ask_name(FUSE_LOOKUP, FIRST_DIR + 1, "x");
    assert_int_equal(answer(unique, &entry, sizeof entry), ENOENT);
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
    ask_name(FUSE_LOOKUP, FIRST_DIR + 1, "x");
    expect_call(MFS_OP_lookup);
    uint64_t unique = ask_open_dir(FIRST_DIR + 1);
    reply_x(expect_list(FIRST_DIR + 1), 31);
    assert_int_equal(answer(unique, &out, sizeof out), 0);
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
    assert_int_equal(answer(ask_name(FUSE_LOOKUP, ROOT, "f"), &entry, sizeof entry), 0);
    recall(ROOT);
    ask_open_dir(ROOT);
    uint64_t id = expect_list(ROOT); /* was read before what follows */
    struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = S_IFREG | 0600 };
    uint64_t unique = ask(FUSE_SETATTR, FILE_NODE, &set, sizeof set);
    struct mfs_entry now = entry_of(FILE_NODE, S_IFREG | 0600);
    now.attr.valid_ms = 0;
    mfs_setattr_rep_put(&w, &(struct mfs_setattr_rep){ now.attr });
    reply(expect_call(MFS_OP_setattr), 0, room, wr_len(&w));
    struct fuse_attr_out attr;
    assert_int_equal(answer(unique, &attr, sizeof attr), 0);
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
    reply(id, 0, room, wr_len(&w));
    struct fuse_entry_out entry;
    answer(first, &entry, sizeof entry);
    uint64_t second = ask_name(FUSE_LOOKUP, ROOT, "absent.too");
    assert_no_call(); /* the list will say */
    assert_no_answer();
    reply_root(list, 0);
    assert_int_equal(answer(second, NULL, 0), ENOENT);
    assert_int_equal(answer(ask_name(FUSE_LOOKUP, ROOT, "a.third"), NULL, 0), ENOENT);
    assert_no_call();
}

static void test_lost(void **state)
{
    (void)state;
    uint64_t opened = ask_open_dir(ROOT);
    expect_list(ROOT);
    uint64_t name = ask_name(FUSE_LOOKUP, ROOT, "f");
    assert_no_answer();
    shutdown(meta, SHUT_RDWR);
    turn();
    assert_int_equal(answer(opened, NULL, 0), ENOTCONN);
    assert_int_equal(answer(name, NULL, 0), ENOTCONN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_and_big_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ahead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_a_scan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_change_in_between, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recall_in_between, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attributes_changed_in_between, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missed_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
