/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_ordered.c: requests that are done in their order, of which the client takes some
 * for done before they are (docs/leases.md, "Names before they are made"): numbers that the
 * client chose, failures, leases that run out, a client that goes. */
#include "tests/lib/mfs_fixture.h"

#include "common/base/wire_errors.h"
#include "mrcfs/chunks/put.h"
#include "mrcfs/chunkstore.h"
#include "mrcfs/server/pool.h"
#include "common/sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LEASE_MS = 1500, SOON_MS = 10000, NOT_MS = 150 };

static struct wc other; /* the second client */
static char meeting[64];
static uint8_t space[1 << 16];

static void start_one(struct wc *w)
{
    struct mfs_export x = { fx_dir, false };
    struct mfs_serve_opts o = {
        .exports = &x, .export_count = 1, .has_broker = true, .lease_ms = LEASE_MS
    };
    assert_ok(mfs_broker_connect(meeting, &o.broker_fd, NULL));
    assert_ok(wc_fork(w, &o, fx_user));
    close(o.broker_fd);
    w->features = MFS_FEATURE_LEASES | MFS_FEATURE_CHUNKS;
    w->keeps_notices = true;
    assert_ok(wc_greet(w));
    assert_ok(ON(w, renew, 0));
    assert_int_equal(rep.renew.lease_ms, LEASE_MS);
}

static int start_two(void **state UNUSED)
{
    fx_make_dir();
    snprintf(meeting, sizeof meeting, "/tmp/mfs-meet-XXXXXX");
    assert_non_null(mkdtemp(meeting));
    start_one(&c);
    start_one(&other);
    return 0;
}

static void end_meeting(void)
{
    char path[128];
    fx_remove_dir();
    snprintf(path, sizeof path, "%s/leases.sock", meeting);
    unlink(path);
    snprintf(path, sizeof path, "%s/leases.lock", meeting);
    unlink(path);
    rmdir(meeting);
}

static int end_two(void **state UNUSED)
{
    assert_ok(wc_stop(&c));
    assert_ok(wc_stop(&other));
    end_meeting();
    return 0;
}

/* The client's server has ended already. */
static int end_other(void **state UNUSED)
{
    assert_ok(wc_stop(&other));
    end_meeting();
    return 0;
}

/* ---- asking in order ---- */

struct how {
    bool is_waited;    /* the client has not taken it for done */
    bool is_anew;      /* it knows of all failures */
    uint32_t expiries; /* that it knows of */
    uint64_t node, fh; /* for what is made */
    int stream;        /* 0: the right one, bulk */
};

static struct wr body_w;

static uint64_t send_ordered(unsigned op, struct how how)
{
    struct mfs_head h = { .kind = MFS_ORDERED,
                          .id = ++c.last_id,
                          .op = (uint16_t)op,
                          .uid = c.uid,
                          .gid = c.gid,
                          .is_assumed = !how.is_waited,
                          .begins_order = how.is_anew,
                          .expiries = how.expiries,
                          .makes_node = how.node,
                          .makes_fh = how.fh };
    assert_false(body_w.is_full);
    assert_ok(wc_send(&c, how.stream < 0 ? 0 : 1, &h, space, wr_len(&body_w)));
    return h.id;
}

/* IN_ORDER(op, { how }, fields…): sends; returns the request's id. */
#define IN_ORDER(op, how, ...)                                                                 \
    (body_w = wr_of(space, sizeof space),                                                      \
     mfs_##op##_req_put(&body_w, &(struct mfs_##op##_req){ __VA_ARGS__ }),                     \
     send_ordered(MFS_OP_##op, how))
#define HOW(...) ((struct how){ __VA_ARGS__ })

/* The result of a request: 0 or -errno. */
static int result(uint64_t id)
{
    struct rd body;
    int rc = wc_wait(&c, id, SOON_MS, &body);
    return rc < 0 ? rc : wire_error_to(c.last.head.error);
}

static uint64_t number(uint64_t n)
{
    return MFS_NUMBER_CLIENT | n;
}

static bool is_there(const char *name)
{
    struct stat st;
    return lstat(fx_path(name), &st) == 0;
}

static struct bytes name_of(char text[32], const char *kind, int i)
{
    snprintf(text, 32, "%s%d", kind, i);
    return bytes_of(text);
}

static pid_t broker_pid(void)
{
    int fd;
    struct ucred who;
    socklen_t len = sizeof who;
    assert_ok(mfs_broker_connect(meeting, &fd, NULL));
    assert_return_code(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len), errno);
    close(fd);
    return who.pid;
}

static void expect_notice(struct wc *w, unsigned notice)
{
    struct rd body;
    do
        assert_ok(wc_notice(w, SOON_MS, &body));
    while (w->last.head.notice != notice);
}

/* ---- tests ---- */

/* Nothing is waited for; what is made is used by the numbers that the client gave it. */
TEST(test_many)
{
    enum { FILES = 300 };
    static uint64_t ids[FILES][5];
    uint64_t dir = IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("d"), 0755, 0);
    for (unsigned i = 0; i < FILES; i++) {
        char name[32], new_name[32];
        uint64_t node = number(100 + i), fh = number(1000 + i);
        ids[i][0] = IN_ORDER(create, HOW(.node = node, .fh = fh), number(1),
                             name_of(name, "f", (int)i), 0644, 0, MFS_O_RDWR);
        ids[i][1] = IN_ORDER(write, HOW(0), .fh = fh, .body = bytes_of(name));
        ids[i][2] = IN_ORDER(rename, HOW(0), number(1), bytes_of(name), number(1),
                             name_of(new_name, "g", (int)i), 0);
        ids[i][3] = IN_ORDER(release, HOW(.is_waited = true), fh);
        ids[i][4] = i % 3 ? IN_ORDER(getattr, HOW(.is_waited = true), node, 0)
                          : IN_ORDER(unlink, HOW(0), number(1), bytes_of(new_name));
    }
    assert_ok(result(dir));
    for (unsigned i = 0; i < FILES; i++)
        for (unsigned k = 0; k < 5; k++)
            assert_ok(result(ids[i][k]));
    int left = 0;
    for (int i = 0; i < FILES; i++) {
        char name[40], text[32];
        name_of(text, "g", i);
        snprintf(name, sizeof name, "d/%s", text);
        left += is_there(name);
        assert_int_equal(is_there(name), i % 3 != 0);
    }
    assert_int_equal(left, FILES - FILES / 3);
    /* Known by the number that the client gave. */
    assert_ok(CALL(getattr, number(101), 0));
    assert_int_equal(rep.getattr.attr.size, 2);
}

/* A number that is another's already is refused, and is still the other's. */
TEST(test_numbers_twice)
{
    assert_ok(result(IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("a"), 0755, 0)));
    uint64_t twice = IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("b"), 0755, 0);
    uint64_t after = IN_ORDER(mkdir, HOW(.node = number(2)), ROOT, bytes_of("c"), 0755, 0);
    assert_error(result(twice), EINVAL);
    assert_error(result(after), ECANCELED);
    assert_false(is_there("c"));
    assert_ok(CALL(lookup, ROOT, bytes_of("a")));
    assert_int_equal(rep.lookup.entry.node, number(1));
}

TEST(test_file_numbers_twice)
{
    assert_ok(result(IN_ORDER(create, HOW(.node = number(1), .fh = number(9)), ROOT,
                              bytes_of("a"), 0644, 0, MFS_O_RDWR)));
    uint64_t twice = IN_ORDER(create, HOW(.node = number(2), .fh = number(9)), ROOT,
                              bytes_of("b"), 0644, 0, MFS_O_RDWR);
    uint64_t write = IN_ORDER(write, HOW(0), .fh = number(9), .body = bytes_of("to b"));
    assert_true(result(twice) < 0);
    assert_error(result(write), ECANCELED);
    assert_int_equal(fx_stat("a").st_size, 0); /* what was meant for b */
    /* fh 9 is still a. */
    assert_int_equal(fx_write(number(9), 0, "a"), 1);
    assert_int_equal(fx_stat("a").st_size, 1);
}

/* Numbers of nothing, of the wrong kind, and those of the server's. */
TEST(test_numbers_of_nothing)
{
    static const uint64_t nowhere[] = { 0, 12345, UINT64_MAX, MFS_NUMBER_CLIENT };
    for (size_t i = 0; i < ARRAY_LEN(nowhere); i++) {
        assert_error(result(IN_ORDER(mkdir, HOW(.is_waited = true, .node = number(1)),
                                     nowhere[i], bytes_of("x"), 0755, 0)),
                     ESTALE);
        assert_error(result(IN_ORDER(write, HOW(.is_waited = true), .fh = nowhere[i],
                                     .body = bytes_of("x"))),
                     EBADF);
        assert_error(result(IN_ORDER(setattr, HOW(.is_waited = true), .node = nowhere[i],
                                     .valid = MFS_SET_MODE)),
                     ESTALE);
    }
    assert_ok(result(IN_ORDER(create, HOW(.node = number(3), .fh = number(4)), ROOT,
                              bytes_of("f"), 0644, 0, MFS_O_RDWR)));
    assert_error(result(IN_ORDER(mkdir, HOW(.is_waited = true, .node = number(5)), number(3),
                                 bytes_of("x"), 0755, 0)),
                 ENOTDIR);
    /* A number for what makes nothing is nothing. */
    assert_ok(result(IN_ORDER(
        getattr, HOW(.is_waited = true, .node = number(3), .fh = number(4)), number(3), 0)));
    /* None is needed. */
    assert_ok(result(IN_ORDER(mkdir, HOW(.is_waited = true), ROOT, bytes_of("d"), 0755, 0)));
    assert_ok(CALL(lookup, ROOT, bytes_of("d")));
    assert_int_equal(rep.lookup.entry.node & MFS_NUMBER_CLIENT, 0);
}

static void must_hang_up(void)
{
    struct rd body;
    int rc;
    while ((rc = wc_wait(&c, 0, SOON_MS, &body)) == 0)
        continue;
    assert_error(rc, ECONNRESET);
    assert_error(wc_stop(&c), EPROTO);
    assert_false(is_there("x"));
}

TEST(test_number_of_the_servers)
{
    IN_ORDER(mkdir, HOW(.node = 77), ROOT, bytes_of("x"), 0755, 0);
    must_hang_up();
}

TEST(test_file_number_of_the_servers)
{
    IN_ORDER(create, HOW(.node = number(1), .fh = 1), ROOT, bytes_of("x"), 0644, 0, MFS_O_RDWR);
    must_hang_up();
}

TEST(test_on_the_wrong_stream)
{
    IN_ORDER(mkdir, HOW(.node = number(1), .stream = -1), ROOT, bytes_of("x"), 0755, 0);
    must_hang_up();
}

TEST(test_what_may_wait)
{
    IN_ORDER(flock, HOW(.is_waited = true), .fh = 1);
    must_hang_up();
}

TEST(test_hello_in_order)
{
    IN_ORDER(hello, HOW(.is_waited = true), .version = MFS_VERSION);
    must_hang_up();
}

TEST(test_unknown_operation)
{
    body_w = wr_of(space, sizeof space);
    assert_error(result(send_ordered(4444, HOW(.is_waited = true))), ENOSYS);
    assert_ok(result(IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("a"), 0755, 0)));
    body_w = wr_of(space, sizeof space);
    uint64_t id = send_ordered(4444, HOW(0));
    uint64_t after = IN_ORDER(mkdir, HOW(.node = number(2)), ROOT, bytes_of("b"), 0755, 0);
    assert_error(result(id), ENOSYS);
    assert_error(result(after), ECANCELED);
}

/* A program here was first. Nothing is changed in the order any more, whoever asks; looking
 * goes on, and so does what is not in order. */
TEST(test_broken_order)
{
    fx_put("theirs", "abc");
    /* One that is waited for breaks nothing. */
    assert_error(
        result(IN_ORDER(mkdir, HOW(.is_waited = true), ROOT, bytes_of("theirs"), 0755, 0)),
        EEXIST);
    uint64_t first = IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("before"), 0755, 0);
    uint64_t failed =
        IN_ORDER(mkdir, HOW(.node = number(2)), ROOT, bytes_of("theirs"), 0755, 0);
    uint64_t inner = IN_ORDER(create, HOW(.node = number(3), .fh = number(4)), number(2),
                              bytes_of("f"), 0644, 0, MFS_O_RDWR);
    uint64_t removed = IN_ORDER(unlink, HOW(0), ROOT, bytes_of("theirs"));
    uint64_t waited = IN_ORDER(rmdir, HOW(.is_waited = true), ROOT, bytes_of("before"));
    uint64_t looked = IN_ORDER(getattr, HOW(.is_waited = true), number(1), 0);
    assert_ok(result(first));
    assert_error(result(failed), EEXIST);
    assert_error(result(inner), ECANCELED);
    assert_error(result(removed), ECANCELED);
    assert_error(result(waited), ECANCELED);
    assert_ok(result(looked));
    assert_int_equal(fx_stat("theirs").st_size, 3);
    assert_true(is_there("before"));
    uint64_t f = fx_node("theirs");
    assert_ok(result(IN_ORDER(open, HOW(.is_waited = true, .fh = number(6)), f, MFS_O_RDWR)));
    assert_error(result(IN_ORDER(open, HOW(.is_waited = true, .fh = number(7)), f,
                                 MFS_O_RDWR | MFS_O_TRUNC)),
                 ECANCELED);
    assert_int_equal(fx_stat("theirs").st_size, 3);
    assert_error(
        result(IN_ORDER(write, HOW(.is_waited = true), .fh = number(6), .body = bytes_of("x"))),
        ECANCELED);
    assert_ok(result(IN_ORDER(fsync, HOW(.is_waited = true), number(6), 0)));
    assert_ok(result(IN_ORDER(release, HOW(.is_waited = true), number(6))));
    assert_ok(CALL(mkdir, ROOT, bytes_of("after"), 0755, 0));
    assert_true(is_there("after"));
    /* The client has heard of it: what was sent before that stays undone. */
    uint64_t late = IN_ORDER(mkdir, HOW(.node = number(8)), ROOT, bytes_of("late"), 0755, 0);
    uint64_t anew =
        IN_ORDER(mkdir, HOW(.is_anew = true, .node = number(9)), ROOT, bytes_of("anew"), 0755, 0);
    uint64_t next = IN_ORDER(mkdir, HOW(.node = number(10)), number(9), bytes_of("n"), 0755, 0);
    assert_error(result(late), ECANCELED);
    assert_ok(result(anew));
    assert_ok(result(next));
    assert_true(is_there("anew/n"));
    assert_false(is_there("late"));
    /* And it breaks again. */
    assert_error(result(IN_ORDER(mkdir, HOW(.is_anew = true), ROOT, bytes_of("anew"), 0755, 0)),
                 EEXIST);
    assert_error(result(IN_ORDER(rmdir, HOW(0), ROOT, bytes_of("after"))), ECANCELED);
}

/* It holds up what its client is asked for, so it waits for no other client. */
TEST(test_waits_for_nobody)
{
    assert_ok(ON(&other, getattr, ROOT, 0)); /* and believes it */
    assert_int_equal(rep.getattr.attr.valid_ms, LEASE_MS);
    uint64_t begun = clock_mono_ms();
    assert_error(result(IN_ORDER(mkdir, HOW(.is_waited = true), ROOT, bytes_of("d"), 0755, 0)),
                 EAGAIN);
    assert_error(result(IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("d"), 0755, 0)),
                 ESTALE);
    assert_in_range(clock_mono_ms() - begun, 0, LEASE_MS / 2);
    assert_false(is_there("d"));
}

/* Somebody else wanted it while the client was silent: what it then took for done is not. */
TEST(test_leases_have_run_out)
{
    assert_ok(result(IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("a"), 0755, 0)));
    assert_int_equal(rep.renew.lease_ms, LEASE_MS);
    assert_ok(CALL(getattr, ROOT, 0));
    uint64_t begun = clock_mono_ms();
    assert_ok(ON(&other, mkdir, ROOT, bytes_of("theirs"), 0755, 0));
    assert_in_range(clock_mono_ms() - begun, 0, LEASE_MS + SOON_MS);
    expect_notice(&c, MFS_NOTICE_expired);
    uint64_t late = IN_ORDER(mkdir, HOW(.node = number(2)), ROOT, bytes_of("late"), 0755, 0);
    uint64_t next =
        IN_ORDER(mkdir, HOW(.node = number(3)), number(1), bytes_of("next"), 0755, 0);
    assert_error(result(late), ESTALE);
    assert_error(result(next), ECANCELED);
    assert_false(is_there("late"));
    assert_false(is_there("a/next"));
}

/* Somebody else wanted something of it while it was silent: what nobody else has had since is still done, and so is what rests on that. */
TEST(test_leases_have_run_out_elsewhere)
{
    assert_ok(result(IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("a"), 0755, 0)));
    assert_ok(result(IN_ORDER(mkdir, HOW(.node = number(2)), number(1), bytes_of("lost"), 0755, 0)));
    assert_ok(CALL(getattr, ROOT, 0));
    assert_ok(ON(&other, mkdir, ROOT, bytes_of("theirs"), 0755, 0));
    expect_notice(&c, MFS_NOTICE_expired);
    assert_ok(result(IN_ORDER(mkdir, HOW(.node = number(3)), number(1), bytes_of("late"), 0755, 0)));
    assert_ok(result(IN_ORDER(create, HOW(.node = number(4), .fh = number(5)), number(3), bytes_of("f"), 0644,
                              0, MFS_O_RDWR)));
    assert_ok(result(IN_ORDER(write, HOW(0), .fh = number(5), .body = bytes_of("late"))));
    assert_ok(result(IN_ORDER(setattr, HOW(0), .node = number(4), .valid = MFS_SET_MODE, .attr.mode = 0600)));
    assert_int_equal(fx_stat("a/late/f").st_size, 4);
    assert_int_equal(fx_stat("a/late/f").st_mode & 0777, 0600);
    /* Had by somebody else meanwhile, and given back. */
    assert_ok(ON(&other, lookup, ROOT, bytes_of("a")));
    uint64_t theirs = rep.lookup.entry.node;
    assert_ok(ON(&other, lookup, theirs, bytes_of("lost")));
    assert_ok(ON(&other, mkdir, rep.lookup.entry.node, bytes_of("theirs"), 0755, 0));
    assert_error(result(IN_ORDER(mkdir, HOW(.node = number(6)), number(2), bytes_of("x"), 0755, 0)), ESTALE);
    assert_error(result(IN_ORDER(mkdir, HOW(.node = number(7)), number(3), bytes_of("y"), 0755, 0)), ECANCELED);
    assert_false(is_there("a/lost/x"));
    assert_false(is_there("a/late/y"));
}

/* Nobody wanted anything while the client was silent (the way to it was cut for a while):
 * nothing is lost. */
TEST(test_silent_alone)
{
    assert_ok(result(IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("a"), 0755, 0)));
    uint64_t until = clock_mono_ms() + LEASE_MS + 2000;
    struct rd body;
    while (clock_mono_ms() < until) {
        int rc = wc_notice(&c, 100, &body);
        assert_true(rc == -ETIMEDOUT || (rc == 0 && c.last.head.notice != MFS_NOTICE_expired));
    }
    uint64_t renewal = wc_renew_send(&c, &(struct mfs_renew_req){ 0 });
    uint64_t late =
        IN_ORDER(mkdir, HOW(.node = number(2)), number(1), bytes_of("late"), 0755, 0);
    assert_ok(wc_renew_wait(&c, renewal, &rep.renew));
    assert_int_equal(rep.renew.lease_ms, LEASE_MS);
    assert_ok(result(late));
    assert_true(is_there("a/late"));
    /* It still holds what it held: another waits for it. */
    assert_ok(CALL(getattr, ROOT, 0));
    uint64_t id =
        wc_mkdir_send(&other, &(struct mfs_mkdir_req){ ROOT, bytes_of("theirs"), 0755, 0 });
    assert_int_equal(wc_wait(&other, id, NOT_MS, &body), -ETIMEDOUT);
    expect_notice(&c, MFS_NOTICE_recall);
}

/* An open that breaks the lease by which the client is alone with a file must not hold up what the client has to write
 * before it can answer. */
TEST(test_open_waits_for_nobody)
{
    assert_ok(CALL(create, ROOT, bytes_of("f"), 0644, 0, MFS_O_RDWR));
    uint64_t f = rep.create.entry.node, fh = rep.create.fh;
    assert_int_equal(rep.create.entry.attr.flags & MFS_ATTR_ALONE, MFS_ATTR_ALONE);
    uint64_t again = IN_ORDER(open, HOW(.is_waited = true), f, MFS_O_RDWR);
    uint64_t cut = IN_ORDER(setattr, HOW(.is_waited = true), .node = f, .valid = MFS_SET_SIZE);
    uint64_t written = IN_ORDER(write, HOW(0), .fh = fh, .body = bytes_of("abc"));
    assert_error(result(again), EAGAIN);
    assert_error(result(cut), EAGAIN);
    assert_ok(result(written));
    struct rd body;
    struct mfs_recall_notice n;
    do
        assert_ok(wc_notice(&c, SOON_MS, &body));
    while (c.last.head.notice != MFS_NOTICE_recall);
    assert_ok(mfs_recall_notice_get(&body, &n));
    assert_int_equal(n.node, f);
    /* As many as there could be workers. */
    enum { OPENS = MFS_WORKERS_MAX + 1 };
    uint64_t ids[OPENS];
    for (int i = 0; i < OPENS; i++)
        ids[i] = wc_open_send(&c, &(struct mfs_open_req){ f, MFS_O_RDWR });
    assert_ok(result(IN_ORDER(write, HOW(0), .fh = fh, .offset = 3, .body = bytes_of("def"))));
    assert_ok(CALL(recalled, n.serial));
    for (int i = 0; i < OPENS; i++)
        assert_ok(wc_open_wait(&c, ids[i], &rep.open));
    assert_int_equal(fx_stat("f").st_size, 6);
}

/* A wrong count of what it was told has run out: from the past, and from the future. */
TEST(test_wrong_expiries)
{
    assert_error(result(IN_ORDER(mkdir, HOW(.node = number(1), .expiries = 7), ROOT,
                                 bytes_of("a"), 0755, 0)),
                 ESTALE);
    assert_error(result(IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("b"), 0755, 0)),
                 ECANCELED);
    assert_ok(
        result(IN_ORDER(getattr, HOW(.is_waited = true, .expiries = UINT32_MAX), ROOT, 0)));
}

/* ---- writes of which the server has parts already ---- */

enum { C = MFS_CHUNK_BYTES, BIG = 3 * C };
static uint8_t big[BIG], parts_space[MFS_PUT_PARTS_MAX * MFS_PUT_PART_BYTES + 1];
static struct wr parts_w;

static void make_big(void)
{
    for (size_t i = 0; i < BIG; i++)
        big[i] = (uint8_t)((i * 31 >> 9) + i / C + i);
    int fd = open(fx_path("big"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, big, BIG), BIG);
    if (fx_user)
        assert_int_equal(fchown(fd, fx_user, fx_user), 0);
    close(fd);
    parts_w = wr_of(parts_space, sizeof parts_space);
}

static void add_part(size_t len, uint64_t fh, uint64_t offset, const uint8_t *what)
{
    struct mfs_put_part x = { .len_bytes = (uint32_t)len, .fh = fh, .offset = offset };
    if (fh)
        mfs_chunk_name_of(&x.name, what, len);
    mfs_put_part_put(&parts_w, &x);
}

static struct bytes parts(void)
{
    struct bytes all = { parts_space, (uint32_t)wr_len(&parts_w) };
    parts_w = wr_of(parts_space, sizeof parts_space);
    return all;
}

static void has(const char *name, const uint8_t *what, size_t len)
{
    static uint8_t is[BIG + 1];
    int fd = open(fx_path(name), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, is, sizeof is), len);
    close(fd);
    assert_memory_equal(is, what, len);
}

static uint64_t wanted(void)
{
    struct rd body;
    struct mfs_wanted_notice n;
    do
        assert_ok(wc_notice(&c, SOON_MS, &body));
    while (c.last.head.notice != MFS_NOTICE_wanted);
    assert_ok(mfs_wanted_notice_get(&body, &n));
    return n.request;
}

/* Parts by name from a file that is open, and by their bytes. */
TEST(test_put)
{
    make_big();
    uint64_t from = fx_open("big", MFS_O_RDONLY), to = fx_create("copy", 0644);
    add_part(C, from, 2 * C, big + 2 * C);
    add_part(5, 0, 0, NULL);
    add_part(C, from, 0, big);
    assert_ok(result(IN_ORDER(put, HOW(0), to, 0, MFS_O_WHOLE, parts(), bytes_of("right"))));
    static uint8_t all[2 * C + 5];
    memcpy(all, big + 2 * C, C);
    memcpy(all + C, "right", 5);
    memcpy(all + C + 5, big, C);
    has("copy", all, sizeof all);
}

/* What isn't there is asked for; all that comes after it in the order waits, so that what is written last is what stays. */
TEST(test_put_is_asked_for)
{
    make_big();
    uint64_t from = fx_open("big", MFS_O_RDONLY), to = fx_create("copy", 0644);
    memset(big + C, 7, C); /* the file is not so */
    add_part(C, from, 0, big);
    add_part(5, 0, 0, NULL);
    add_part(C, from, C, big + C);
    uint64_t put = IN_ORDER(put, HOW(0), to, 0, MFS_O_WHOLE, parts(), bytes_of("right"));
    uint64_t later = IN_ORDER(write, HOW(0), to, 3, MFS_O_WHOLE, bytes_of("later"));
    assert_int_equal(wanted(), put);
    assert_int_equal(wc_wait(&c, later, NOT_MS, &(struct rd){ 0 }), -ETIMEDOUT);
    assert_int_equal(fx_stat("copy").st_size, 0);
    static uint8_t both[2 * C];
    memcpy(both, big, 2 * C);
    assert_error(CALL(supply, put + 1, fx_bytes(both, sizeof both)), ESTALE);
    assert_error(CALL(supply, put, fx_bytes(both, sizeof both - 1)), EINVAL);
    assert_ok(CALL(supply, put, fx_bytes(both, sizeof both)));
    assert_ok(result(put));
    assert_ok(result(later));
    assert_error(CALL(supply, put, fx_bytes(both, sizeof both)), ESTALE);
    static uint8_t all[2 * C + 5];
    memcpy(all, big, C);
    memcpy(all + C, "right", 5);
    memcpy(all + C + 5, big + C, C);
    memcpy(all + 3, "later", 5);
    /* By the client: a program here would have to wait for it. */
    assert_ok(CALL(read, to, 0, sizeof all + 1));
    assert_int_equal(rep.read.body.len, sizeof all);
    assert_memory_equal(rep.read.body.ptr, all, sizeof all);
    /* Files that aren't open, or not for reading, or end before. */
    uint64_t bad[] = { from + 1000, to, from };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        add_part(C, bad[i], i == 2 ? BIG - 10 : 0, big);
        put = IN_ORDER(put, HOW(0), to, 0, MFS_O_WHOLE, parts(), bytes_of(""));
        if (i == 1) { /* what was put there is there */
            assert_ok(result(put));
            continue;
        }
        assert_int_equal(wanted(), put);
        assert_ok(CALL(supply, put, fx_bytes(big, C)));
        assert_ok(result(put));
    }
    memcpy(all, big, C);
    has("copy", all, sizeof all);
}

TEST(test_put_that_makes_no_sense)
{
    make_big();
    uint64_t from = fx_open("big", MFS_O_RDONLY), to = fx_create("copy", 0644);
    add_part(C, from, 0, big);
    assert_error(CALL(put, to, 0, MFS_O_WHOLE, parts(), bytes_of("")), EINVAL);
    add_part(C, from, 0, big);
    assert_error(result(IN_ORDER(put, HOW(.is_waited = true), to, 0, 0, parts(), bytes_of(""))),
                 EINVAL);
    struct bytes none = { parts_space, 0 };
    assert_error(result(IN_ORDER(put, HOW(0), to, 0, MFS_O_WHOLE, none, bytes_of(""))), EINVAL);
    add_part(5, 0, 0, NULL);
    assert_error(result(IN_ORDER(put, HOW(.is_anew = true), to, 0, MFS_O_WHOLE, parts(),
                                 bytes_of("four"))),
                 EINVAL);
    add_part(C + 1, from, 0, big);
    assert_error(
        result(IN_ORDER(put, HOW(.is_anew = true), to, 0, MFS_O_WHOLE, parts(), bytes_of(""))),
        EINVAL);
    for (int i = 0; i < 9; i++)
        add_part(C, from, 0, big);
    assert_error(
        result(IN_ORDER(put, HOW(.is_anew = true), to, 0, MFS_O_WHOLE, parts(), bytes_of(""))),
        EINVAL);
    assert_int_equal(fx_stat("copy").st_size, 0);
}

/* The client goes without supplying: nothing that came after is done, and the server ends. */
TEST(test_put_of_who_goes)
{
    make_big();
    uint64_t from = fx_open("big", MFS_O_RDONLY), to = fx_create("copy", 0644);
    memset(big, 7, C);
    add_part(C, from, 0, big);
    uint64_t put = IN_ORDER(put, HOW(0), to, 0, MFS_O_WHOLE, parts(), bytes_of(""));
    IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("after"), 0755, 0);
    assert_int_equal(wanted(), put);
    assert_ok(wc_stop(&c));
    assert_false(is_there("after"));
    assert_int_equal(fx_stat("copy").st_size, 0);
}

/* What is on the way when the broker dies is done at once: nobody else changes anything for so
 * long. */
TEST(test_broker_dies)
{
    assert_ok(result(IN_ORDER(mkdir, HOW(.node = number(1)), ROOT, bytes_of("a"), 0755, 0)));
    pid_t broker = broker_pid();
    assert_true(broker > 1 && broker != getpid());
    assert_return_code(kill(broker, SIGKILL), errno);
    expect_notice(&c, MFS_NOTICE_expired);
    expect_notice(&other, MFS_NOTICE_expired);
    uint64_t begun = clock_mono_ms();
    assert_ok(
        result(IN_ORDER(mkdir, HOW(.node = number(2)), number(1), bytes_of("b"), 0755, 0)));
    assert_ok(result(IN_ORDER(create, HOW(.node = number(3), .fh = number(4)), number(2),
                              bytes_of("f"), 0644, 0, MFS_O_RDWR)));
    assert_ok(result(IN_ORDER(write, HOW(0), .fh = number(4), .body = bytes_of("abc"))));
    assert_ok(result(
        IN_ORDER(rename, HOW(0), number(2), bytes_of("f"), number(1), bytes_of("g"), 0)));
    assert_in_range(clock_mono_ms() - begun, 0, LEASE_MS / 2);
    assert_int_equal(fx_stat("a/g").st_size, 3);
}

/* The client goes in the middle: a beginning of what it did is there. */
TEST(test_client_goes)
{
    enum { DIRS = 400 };
    char name[32];
    for (int i = 0; i < DIRS; i++)
        IN_ORDER(mkdir, HOW(.node = number((uint64_t)i + 1)),
                 i % 7 ? number((uint64_t)i) : ROOT, name_of(name, "d", i), 0755, 0);
    assert_ok(wc_stop(&c));
    int made = 0, after = 0;
    char path[400] = "";
    for (int i = 0; i < DIRS; i++) {
        name_of(name, "d", i);
        size_t used = i % 7 ? strlen(path) : 0;
        snprintf(path + used, sizeof path - used, "%s%s", used ? "/" : "", name);
        bool is = is_there(path);
        made += is && made == i;
        after += is && made < i;
    }
    assert_true(made > 0);
    assert_int_equal(after, 0);
}

#define ORDERED_TEST(fn) cmocka_unit_test_setup_teardown(fn, start_two, end_two)
#define ENDING_TEST(fn)  cmocka_unit_test_setup_teardown(fn, start_two, end_other)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ORDERED_TEST(test_many),
        ORDERED_TEST(test_numbers_twice),
        ORDERED_TEST(test_file_numbers_twice),
        ORDERED_TEST(test_numbers_of_nothing),
        ENDING_TEST(test_number_of_the_servers),
        ENDING_TEST(test_file_number_of_the_servers),
        ENDING_TEST(test_on_the_wrong_stream),
        ENDING_TEST(test_what_may_wait),
        ENDING_TEST(test_hello_in_order),
        ORDERED_TEST(test_unknown_operation),
        ORDERED_TEST(test_broken_order),
        ORDERED_TEST(test_waits_for_nobody),
        ORDERED_TEST(test_open_waits_for_nobody),
        ORDERED_TEST(test_leases_have_run_out),
        ORDERED_TEST(test_leases_have_run_out_elsewhere),
        ORDERED_TEST(test_silent_alone),
        ORDERED_TEST(test_wrong_expiries),
        ORDERED_TEST(test_broker_dies),
        ENDING_TEST(test_client_goes),
        ORDERED_TEST(test_put),
        ORDERED_TEST(test_put_is_asked_for),
        ORDERED_TEST(test_put_that_makes_no_sense),
        ENDING_TEST(test_put_of_who_goes),
    };
    return fx_run("server_ordered", tests, ARRAY_LEN(tests));
}
