/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_shed.c: how many files the file client knows of, and what it tells the kernel to
 * forget, between a kernel and a server that are both the test. */
#include "tests/lib/mfs_client_fixture.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Eighty names, twenty of the hundred files without one; two directories of sixty files. */
enum {
    ROOT = 1,
    KNOWN_MAX = 100,
    FILES = 60,
    DIR_A = 20,
    DIR_B = 21,
    IN_A = 1000,
    IN_B = 2000,
    VALID_MS = 10000
};
enum { NOTIFY_PRUNE = 9, MINOR_WITHOUT_PRUNE = 44, MINOR_WITH_PRUNE = 45 };

static void put_name(struct wr *w, const char *name, uint64_t node, uint32_t mode)
{
    struct mfs_dirent d = { .next_cookie = node,
                            .name = bytes_of(name),
                            .ino = node,
                            .has_entry = 1,
                            .entry = { .node = node,
                                       .valid_ms = VALID_MS,
                                       .attr = { .ino = node,
                                                 .mode = mode,
                                                 .nlink = 1,
                                                 .uid = 1000,
                                                 .gid = 1000,
                                                 .flags = MFS_ATTR_ROOT_FS,
                                                 .valid_ms = VALID_MS } } };
    mfs_dirent_put(w, &d);
}

static uint64_t
    list_calls[DIR_B + 1]; /* for the list of each directory, seen and not answered */

/* Reads messages until one asks for op; of a list: of that of node. Returns its call. */
static uint64_t expect(uint16_t op, uint64_t node)
{
    while (op != MFS_OP_list || !list_calls[node]) {
        struct rd body;
        struct mfs_list_req q;
        struct mfs_head h = cx_message(&body);
        if (h.kind == MFS_FORGET)
            continue;
        if (h.op == MFS_OP_list && mfs_list_req_get(&body, &q) == 0 && q.node <= DIR_B)
            list_calls[q.node] = h.id;
        else if (h.op == op)
            return h.id;
    }
    uint64_t id = list_calls[node];
    list_calls[node] = 0;
    return id;
}

static void reply_list(uint64_t node, const struct wr *entries)
{
    static uint8_t room[64 * 1024];
    struct wr w = wr_of(room, sizeof room);
    mfs_list_rep_put(
        &w, &(struct mfs_list_rep){ 1, { entries->start, (uint32_t)wr_len(entries) } });
    cx_reply(expect(MFS_OP_list, node), 0, room, wr_len(&w));
}

static uint8_t notices[2 * FILES][sizeof(struct fuse_out_header) + 32 + 8 * KNOWN_MAX];
static unsigned notice_count, notices_taken;

/* Notices of names that are sent meanwhile are kept. */
static void answer(uint64_t unique, void *body, size_t size_bytes)
{
    struct fuse_out_header h;
    struct pollfd pf = { .fd = cx.kernel, .events = POLLIN };
    while (poll(&pf, 1, 10000) == 1 &&
           recv(cx.kernel, &h, sizeof h, MSG_PEEK) == (ssize_t)sizeof h && !h.unique)
        assert_true(recv(cx.kernel, notices[notice_count++], sizeof notices[0], 0) > 0);
    assert_int_equal(cx_answer(unique, body, size_bytes), 0);
}

static void open_dir(uint64_t node, const struct wr *entries)
{
    struct fuse_open_in o = { .flags = O_RDONLY | O_DIRECTORY };
    uint64_t unique = cx_ask(FUSE_OPENDIR, node, &o, sizeof o);
    reply_list(node, entries);
    answer(unique, NULL, 0);
}

static const char *name_of(unsigned i)
{
    static char name[16];
    snprintf(name, sizeof name, "f%02u", i);
    return name;
}

/* The kernel opens the directory, and looks each of its files up. */
static void visit(uint64_t dir, uint64_t first)
{
    static uint8_t room[32 * 1024];
    struct wr w = wr_of(room, sizeof room);
    for (unsigned i = 0; i < FILES; i++)
        put_name(&w, name_of(i), first + i, S_IFREG | 0644);
    open_dir(dir, &w);
    for (unsigned i = 0; i < FILES; i++) {
        struct fuse_entry_out entry;
        uint64_t unique = cx_ask(FUSE_LOOKUP, dir, name_of(i), sizeof "f00");
        answer(unique, &entry, sizeof entry);
        assert_int_equal(entry.nodeid, first + i);
    }
}

static void start(uint32_t kernel_minor)
{
    uint8_t room[1024];
    struct wr w = wr_of(room, sizeof room);
    memset(list_calls, 0, sizeof list_calls);
    cx_start(&(struct cx_opts){
        .lease_ms = VALID_MS, .kernel_minor = kernel_minor, .known_max = KNOWN_MAX });
    put_name(&w, "a", DIR_A, S_IFDIR | 0755);
    put_name(&w, "b", DIR_B, S_IFDIR | 0755);
    open_dir(ROOT, &w);
    notice_count = notices_taken = 0;
    for (const char *name = "a"; name; name = *name == 'a' ? "b" : NULL) {
        struct fuse_entry_out entry;
        answer(cx_ask(FUSE_LOOKUP, ROOT, name, sizeof "a"), &entry, sizeof entry);
    }
}

/* The next notice to the kernel, of another thread; its code. */
static int next_notice(uint8_t **body)
{
    struct pollfd pf = { .fd = cx.kernel, .events = POLLIN };
    struct fuse_out_header h;
    if (notices_taken == notice_count) {
        notices_taken = notice_count = 0;
        assert_int_equal(poll(&pf, 1, 10000), 1);
        assert_true(recv(cx.kernel, notices[notice_count++], sizeof notices[0], 0) > 0);
    }
    memcpy(&h, notices[notices_taken], sizeof h);
    assert_int_equal(h.unique, 0);
    *body = notices[notices_taken++] + sizeof h;
    return h.error;
}

static void forget(uint64_t node)
{
    struct fuse_forget_in f = { 1 };
    cx_ask(FUSE_FORGET, node, &f, sizeof f);
}

/* How many nodes the client has given back to the server since it was asked last. */
static unsigned count_forgotten(void)
{
    struct mfs_head h;
    struct rd body;
    unsigned count = 0;
    for (int i = 0; i < 4; i++)
        cx_turn();
    while (cx_next_message(&h, &body))
        if (h.kind == MFS_FORGET)
            count += (unsigned)(rd_left(&body) / 16);
    return count;
}

/* Before Linux 6.18: the first directory's names make room for the second one's, and so do its
 * files in the kernel. */
static void test_by_name(void **state)
{
    (void)state;
    bool was_told[FILES] = { 0 };
    start(MINOR_WITHOUT_PRUNE);
    visit(DIR_A, IN_A);
    visit(DIR_B, IN_B);
    for (unsigned i = 0; i < FILES; i++) {
        struct fuse_notify_inval_entry_out what;
        uint8_t *body;
        assert_int_equal(next_notice(&body), FUSE_NOTIFY_INVAL_ENTRY);
        memcpy(&what, body, sizeof what);
        assert_int_equal(what.parent, DIR_A);
        assert_int_equal(what.flags, 0);
        const char *name = (const char *)body + sizeof what;
        assert_int_equal(what.namelen, 3);
        unsigned which = (unsigned)((name[1] - '0') * 10 + name[2] - '0');
        assert_true(which < FILES && !was_told[which]);
        was_told[which] = true;
    }
    cx_assert_no_answer();
    for (unsigned i = 0; i < FILES; i++)
        forget(IN_A + i);
    assert_int_equal(count_forgotten(), FILES);
}

/* From then on: those without a name are named to it by their numbers, as soon as there are too
 * many. */
static void test_by_node(void **state)
{
    (void)state;
    start(MINOR_WITH_PRUNE);
    visit(DIR_A, IN_A);
    visit(DIR_B, IN_B);
    struct {
        uint32_t count, padding;
        uint64_t spare;
        uint64_t nodes[KNOWN_MAX];
    } what;
    uint8_t *body;
    assert_int_equal(next_notice(&body), NOTIFY_PRUNE);
    memcpy(&what, body, sizeof what);
    assert_in_range(what.count, 2 * FILES + 3 - KNOWN_MAX, FILES + 2);
    for (unsigned i = 0; i < what.count; i++)
        assert_true(what.nodes[i] == DIR_A || what.nodes[i] == DIR_B ||
                    (what.nodes[i] >= IN_A && what.nodes[i] < IN_A + FILES));
    cx_assert_no_answer();
}

/* What is open is not dropped. */
static void test_open_files_stay(void **state)
{
    (void)state;
    uint8_t room[256];
    struct wr w = wr_of(room, sizeof room);
    struct fuse_open_in o = { .flags = O_RDONLY };
    start(MINOR_WITHOUT_PRUNE);
    visit(DIR_A, IN_A);
    uint64_t unique = cx_ask(FUSE_OPEN, IN_A + 7, &o, sizeof o);
    uint64_t id = expect(MFS_OP_open, 0);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = 5,
                                                 .attr = { .ino = IN_A + 7,
                                                           .mode = S_IFREG | 0644,
                                                           .nlink = 1,
                                                           .valid_ms = VALID_MS } });
    cx_reply(id, 0, room, wr_len(&w));
    answer(unique, NULL, 0);
    visit(DIR_B, IN_B);
    for (unsigned i = 0; i < FILES - 1; i++) {
        uint8_t *notice;
        assert_int_equal(next_notice(&notice), FUSE_NOTIFY_INVAL_ENTRY);
        const char *name = (const char *)notice + sizeof(struct fuse_notify_inval_entry_out);
        assert_string_not_equal(name, "f07");
    }
    cx_assert_no_answer();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_by_name, cx_end),
        cmocka_unit_test_teardown(test_by_node, cx_end),
        cmocka_unit_test_teardown(test_open_files_stay, cx_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
