/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_hostile.c: a malicious server against the file client, lie by lie. Each that would do harm ends the connection: whoever
 * waits gets EIO, nobody is left waiting, and the kernel is told nothing that came with it. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOT = 1, FILE_NODE = 7, FH = 33, ASKED = 10, LONG_MS = 10000 };

static const struct cx_opts plain = { 0 }, leases = { .lease_ms = LONG_MS };
static char said[64]; /* which lie, for who reads a failure */

static int set_up(void **state UNUSED)
{
    cx_start(&plain);
    return 0;
}

/* The connection was ended once, and unique (0: nobody) was answered EIO; then another client. */
static void assert_ended(uint64_t unique, const struct cx_opts *next)
{
    if (cx.lost_count != 1)
        fail_msg("the client goes on after: %s", said);
    if (unique)
        assert_int_equal(cx_answer(unique, NULL, 0), EIO);
    cx_end(NULL);
    cx_start(next);
}

static struct mfs_attr file_attr(void)
{
    return (struct mfs_attr){ .ino = 9, .mode = S_IFREG | 0644, .nlink = 1, .uid = 1000, .gid = 1000, .size = 5 };
}

static size_t put_entry(uint8_t room[256], uint64_t node, const struct mfs_attr *a)
{
    struct wr w = wr_of(room, 256);
    mfs_entry_put(&w, &(struct mfs_entry){ .node = node, .attr = *a });
    assert_false(w.is_full);
    return wr_len(&w);
}

static uint64_t next_id(void)
{
    struct rd body;
    return cx_message(&body).id;
}

static void send_raw(const uint8_t *ptr, size_t len)
{
    assert_int_equal(send(cx.meta, ptr, len, MSG_NOSIGNAL), len);
    cx_turn();
}

/* ---- messages ---- */

static void test_wrong_ids(void **state UNUSED)
{
    uint8_t room[256];
    struct mfs_attr a = file_attr();
    size_t len = put_entry(room, FILE_NODE, &a);
    snprintf(said, sizeof said, "the same answer twice");
    uint64_t unique = cx_ask(FUSE_LOOKUP, ROOT, "name", 5), id = next_id();
    cx_reply(id, 0, room, len);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    cx_reply(id, 0, room, len);
    assert_ended(0, &plain);
    static const uint64_t never[] = { 0, 4711, UINT64_MAX };
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        snprintf(said, sizeof said, "an answer to %llu", (unsigned long long)never[i]);
        unique = cx_ask(FUSE_LOOKUP, ROOT, "name", 5);
        next_id();
        cx_reply(never[i], 0, room, len);
        assert_ended(unique, &plain);
    }
}

static void test_lengths_and_kinds(void **state UNUSED)
{
    static const uint32_t lengths[] = { 0, 1, MFS_HEAD_BYTES - 5, 1U << 30, INT32_MAX, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        uint8_t room[64] = { 0 };
        struct wr w = wr_of(room, sizeof room);
        put_u32(&w, lengths[i]);
        snprintf(said, sizeof said, "a message of %u bytes", lengths[i]);
        uint64_t unique = cx_ask(FUSE_READLINK, ROOT, NULL, 0);
        next_id();
        send_raw(room, lengths[i] < sizeof room - 4 ? 4 + lengths[i] : sizeof room);
        assert_ended(unique, &plain);
    }
    static const uint8_t kinds[] = { 0, MFS_REQUEST, MFS_CANCEL, MFS_FORGET, 99, 255 };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        uint8_t room[64] = { 0 };
        struct wr w = wr_of(room, sizeof room);
        put_u32(&w, 40);
        put_u8(&w, kinds[i]);
        snprintf(said, sizeof said, "a message of kind %u", kinds[i]);
        uint64_t unique = cx_ask(FUSE_READLINK, ROOT, NULL, 0);
        next_id();
        send_raw(room, 44);
        assert_ended(unique, &plain);
    }
}

/* What can be packed is bounded before it is unpacked. */
static void test_packed(void **state UNUSED)
{
    static const uint32_t plains[] = { 0, 9, 1U << 20, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(plains); i++) {
        uint8_t room[64];
        struct wr w = wr_of(room, sizeof room);
        put_u32(&w, 32);
        put_u8(&w, MFS_PACKED);
        put_u64(&w, 2);
        put_u32(&w, plains[i]);
        for (int n = 0; n < 19; n++)
            put_u8(&w, (uint8_t)(n * 37));
        snprintf(said, sizeof said, "a packed message of %u bytes", plains[i]);
        send_raw(room, wr_len(&w));
        assert_ended(0, &plain);
    }
}

/* ---- answers ---- */

/* Each beginning of a good answer, and one with more behind it. */
static void test_cut_answers(void **state UNUSED)
{
    uint8_t room[257] = { 0 };
    struct mfs_attr a = file_attr();
    size_t len = put_entry(room, FILE_NODE, &a);
    for (size_t cut = 0; cut <= len + 1; cut++) {
        if (cut == len)
            continue;
        snprintf(said, sizeof said, "%zu bytes of %zu", cut, len);
        uint64_t unique = cx_ask(FUSE_LOOKUP, ROOT, "name", 5);
        cx_reply(next_id(), 0, room, cut);
        assert_ended(unique, &plain);
    }
}

static void test_attributes(void **state UNUSED)
{
    struct lie {
        const char *what;
        uint32_t mode;
        uint64_t size;
        uint32_t nsec;
    };
    static const struct lie lies[] = {
        { "no type", 0644, 5, 0 },
        { "a type that is none", 0170000 | 0644, 5, 0 },
        { "bits beyond the mode", 0x80000000 | S_IFREG | 0644, 5, 0 },
        { "a negative size", S_IFREG | 0644, UINT64_MAX, 0 },
        { "a second of two thousand milliseconds", S_IFREG | 0644, 5, 2000000000 },
    };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        uint8_t room[256];
        struct mfs_attr a = file_attr();
        a.mode = lies[i].mode;
        a.size = lies[i].size;
        a.mtime_nsec = lies[i].nsec;
        snprintf(said, sizeof said, "%s", lies[i].what);
        uint64_t unique = cx_ask(FUSE_LOOKUP, ROOT, "name", 5);
        size_t len = put_entry(room, FILE_NODE, &a);
        cx_reply(next_id(), 0, room, len);
        assert_ended(unique, &plain);
    }
}

/* Returns the handle that the kernel got. */
static uint64_t open_file(uint32_t flags)
{
    uint8_t room[256];
    struct mfs_attr a = file_attr();
    size_t len = put_entry(room, FILE_NODE, &a);
    uint64_t unique = cx_ask(FUSE_LOOKUP, ROOT, "name", 5);
    cx_reply(next_id(), 0, room, len);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    struct fuse_open_in o = { .flags = flags };
    struct fuse_open_out out;
    struct wr w = wr_of(room, sizeof room);
    unique = cx_ask(FUSE_OPEN, FILE_NODE, &o, sizeof o);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = FH, .attr = a });
    cx_reply(next_id(), 0, room, wr_len(&w));
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    return out.fh;
}

static void test_more_than_was_asked(void **state UNUSED)
{
    uint8_t room[256], bytes[64] = { 0 };
    struct wr w = wr_of(room, sizeof room);
    struct fuse_read_in r = { .size = ASKED };
    snprintf(said, sizeof said, "more was read than asked for");
    r.fh = open_file(O_RDONLY);
    uint64_t unique = cx_ask(FUSE_READ, FILE_NODE, &r, sizeof r);
    struct rd body;
    struct mfs_head h = cx_message(&body);
    struct mfs_read_req q;
    assert_int_equal(h.op, MFS_OP_read);
    assert_ok(mfs_read_req_get(&body, &q));
    uint8_t *much = calloc(1, q.size + 64);
    assert_non_null(much);
    struct wr m = wr_of(much, q.size + 64);
    put_u32(&m, q.size + 1);
    cx_reply(h.id, 0, much, 4 + q.size + 1);
    free(much);
    assert_ended(unique, &plain);

    struct {
        struct fuse_write_in in;
        char bytes[ASKED];
    } x = { .in = { .size = ASKED } };
    snprintf(said, sizeof said, "more was written than asked for");
    x.in.fh = open_file(O_WRONLY);
    unique = cx_ask(FUSE_WRITE, FILE_NODE, &x, sizeof x.in + ASKED);
    mfs_write_rep_put(&w, &(struct mfs_write_rep){ .written = ASKED + 1 });
    cx_reply(next_id(), 0, room, wr_len(&w));
    assert_ended(unique, &plain);

    struct {
        struct fuse_getxattr_in in;
        char name[8];
    } g = { .in = { .size = ASKED }, .name = "user.x" };
    unique = cx_ask(FUSE_GETXATTR, ROOT, &g, sizeof g.in + 7);
    w = wr_of(room, sizeof room);
    mfs_getxattr_rep_put(&w, &(struct mfs_getxattr_rep){ .length = 64, .value = { bytes, 64 } });
    cx_reply(next_id(), 0, room, wr_len(&w));
    assert_int_equal(cx_answer(unique, NULL, 0), ERANGE); /* none of it reaches the kernel's smaller room */
    assert_int_equal(cx.lost_count, 0);
}

/* An error is one that the kernel knows, whatever number came. */
static void test_errors(void **state UNUSED)
{
    static const uint32_t errors[] = { 200, 4096, 512, INT32_MAX, (uint32_t)INT32_MIN, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        uint64_t unique = cx_ask(FUSE_READLINK, ROOT, NULL, 0);
        cx_reply(next_id(), errors[i], NULL, 0);
        int got = cx_answer(unique, NULL, 0);
        assert_true(got > 0 && got < 512);
        assert_int_equal(cx.lost_count, 0);
    }
}

/* ---- names ---- */

static void test_names_in_lists(void **state UNUSED)
{
    static char longest[MFS_NAME_MAX + 2];
    memset(longest, 'n', sizeof longest - 1);
    cx_end(NULL);
    cx_start(&leases);
    const struct bytes names[] = {
        bytes_of("a/b"), bytes_of("/"),  bytes_of("../x"), bytes_of(""), bytes_of(longest), { (const uint8_t *)"a\0b", 3 },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        uint8_t entries[2048], room[2600];
        struct wr w = wr_of(entries, sizeof entries), m = wr_of(room, sizeof room);
        struct mfs_attr a = file_attr();
        struct mfs_dirent d = {
            .next_cookie = 1, .name = names[i], .ino = 9, .has_entry = 1, .entry = { .node = FILE_NODE, .attr = a }
        };
        struct fuse_open_in o = { .flags = O_RDONLY | O_DIRECTORY };
        struct fuse_open_out out;
        snprintf(said, sizeof said, "a list with a bad name, number %zu", i);
        mfs_dirent_put(&w, &d);
        assert_false(w.is_full);
        uint64_t unique = cx_ask(FUSE_OPENDIR, ROOT, &o, sizeof o);
        struct rd body;
        struct mfs_head h = cx_message(&body);
        assert_int_equal(h.op, MFS_OP_list);
        mfs_list_rep_put(&m, &(struct mfs_list_rep){ .is_eof = 1, .entries = { entries, (uint32_t)wr_len(&w) } });
        cx_reply(h.id, 0, room, wr_len(&m));
        if (!cx.lost_count) { /* it is looked at when it is read */
            assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
            struct fuse_read_in r = { .fh = out.fh, .size = 4096 };
            unique = cx_ask(FUSE_READDIRPLUS, ROOT, &r, sizeof r);
        }
        assert_ended(unique, &leases);
    }
}

static void test_names_in_notices(void **state UNUSED)
{
    static const char *const names[] = { "a/b", "/", "" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        uint8_t room[64];
        struct wr w = wr_of(room, sizeof room);
        snprintf(said, sizeof said, "a notice about \"%s\"", names[i]);
        mfs_inval_entry_notice_put(&w, &(struct mfs_inval_entry_notice){ .node = ROOT, .name = bytes_of(names[i]) });
        cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_inval_entry }, room, wr_len(&w));
        assert_ended(0, &plain);
    }
}

/* ---- notices ---- */

static void test_cut_notices(void **state UNUSED)
{
    static const uint16_t notices[] = { MFS_NOTICE_inval_node, MFS_NOTICE_inval_entry, MFS_NOTICE_recall, MFS_NOTICE_expired,
                                        MFS_NOTICE_told,       MFS_NOTICE_mark,        MFS_NOTICE_wanted };
    uint8_t none[8] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(notices); i++) {
        snprintf(said, sizeof said, "a notice %u without fields", notices[i]);
        cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = notices[i] }, none, 0);
        assert_ended(0, &leases);
    }
    cx_end(NULL);
    cx_start(&leases);
    uint8_t room[16];
    struct wr w = wr_of(room, sizeof room);
    snprintf(said, sizeof said, "a put that was never sent is wanted");
    mfs_wanted_notice_put(&w, &(struct mfs_wanted_notice){ .request = 4711 });
    cx_send(&(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_wanted }, room, wr_len(&w));
    /* It may have been answered meanwhile: nothing is sent, and nothing is lost. */
    struct mfs_head h;
    struct rd body;
    assert_false(cx_next_message(&h, &body));
    assert_int_equal(cx.lost_count, 0);
}

UNUSED static long resident_mib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &pages, &resident), 2);
    fclose(f);
    return resident * sysconf(_SC_PAGESIZE) >> 20;
}

/* Sends the notice with any number in it, again and again, and reads nothing: memory doesn't grow with them, and the connection
 * ends (must_end), or may, if they come faster than they are done with. */
static void flood(uint16_t notice, unsigned rounds, bool must_end)
{
    enum { AT_ONCE = 1000, MORE_MIB = 128 };
    static uint8_t room[AT_ONCE * 64];
    long before UNUSED = resident_mib();
    uint64_t serial = 1;
    for (unsigned i = 0; i < rounds && !cx.lost_count; i++) {
        struct wr all = wr_of(room, sizeof room);
        for (int n = 0; n < AT_ONCE; n++) {
            struct wr m = wr_of(room + wr_len(&all), sizeof room - wr_len(&all));
            mfs_message_begin(&m, &(struct mfs_head){ .kind = MFS_NOTIFY, .notice = notice });
            if (notice == MFS_NOTICE_recall)
                mfs_recall_notice_put(&m, &(struct mfs_recall_notice){ .serial = serial++, .node = ROOT });
            else
                mfs_inval_entry_notice_put(&m, &(struct mfs_inval_entry_notice){ .node = ROOT, .name = bytes_of("name") });
            mfs_message_end(&m, 0);
            assert_false(m.is_full);
            all.at += wr_len(&m);
        }
        for (size_t sent = 0; sent < wr_len(&all) && !cx.lost_count; cx_turn()) {
            ssize_t n = send(cx.meta, room + sent, wr_len(&all) - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            sent += n > 0 ? (size_t)n : 0;
        }
    }
    snprintf(said, sizeof said, "a flood of notices %u", notice);
#ifndef __SANITIZE_ADDRESS__ /* it keeps what was freed for a while */
    assert_true(resident_mib() - before < MORE_MIB);
#endif
    if (must_end || cx.lost_count)
        assert_ended(0, &leases);
}

static void test_floods(void **state UNUSED)
{
    cx_end(NULL);
    cx_start(&leases);
    flood(MFS_NOTICE_recall, 1000, true); /* a server that confirms nothing */
    cx_end(NULL);
    cx_start(&plain);
    flood(MFS_NOTICE_inval_entry, 1000, false); /* and a kernel that takes nothing: under lease it is told nothing of this */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wrong_ids, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_lengths_and_kinds, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_packed, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_cut_answers, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_attributes, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_more_than_was_asked, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_errors, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_names_in_lists, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_names_in_notices, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_cut_notices, set_up, cx_end),
        cmocka_unit_test_setup_teardown(test_floods, set_up, cx_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
