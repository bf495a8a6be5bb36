/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_leases.c: two file servers of one directory, and a broker: what their clients may
 * believe, and that changes wait until nobody believes otherwise. */
#include "tests/lib/mfs_fixture.h"

#include "common/sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LEASE_MS = 1500,
    SOON_MS = 10000, /* what must come comes within this */
    NOT_MS = 150,    /* what must not come has not come after this */
};

static struct wc other; /* the second client */
static char meeting[64];
static bool finds_broker;

static void start_one(struct wc *w, uint32_t features)
{
    struct mfs_export x = { fx_dir, false };
    struct mfs_serve_opts o = {
        .exports = &x,
        .export_count = 1,
        .has_broker = true,
        .finds_broker = finds_broker,
        .broker_dir = meeting,
        .lease_ms = LEASE_MS
    };
    struct err e = { "" };
    if (mfs_broker_connect(meeting, &o.broker_fd, &e) < 0)
        fail_msg("%s", e.text);
    assert_ok(wc_fork(w, &o, fx_user));
    close(o.broker_fd);
    w->features = features;
    w->keeps_notices = true;
    assert_ok(wc_greet(w));
    assert_int_equal(w->server_features & MFS_FEATURE_LEASES, features & MFS_FEATURE_LEASES);
}

static void renew(struct wc *w)
{
    assert_ok(ON(w, renew, 0));
    assert_int_equal(rep.renew.lease_ms, LEASE_MS);
}

static int start_two(void **state UNUSED)
{
    fx_make_dir();
    snprintf(meeting, sizeof meeting, "/tmp/mfs-meet-XXXXXX");
    assert_non_null(mkdtemp(meeting));
    start_one(&c, MFS_FEATURE_LEASES);
    start_one(&other, MFS_FEATURE_LEASES);
    renew(&c);
    renew(&other);
    return 0;
}

static int end_two(void **state UNUSED)
{
    char path[128];
    assert_ok(wc_stop(&c));
    assert_ok(wc_stop(&other));
    fx_remove_dir();
    /* The broker is still there for a moment, and ends without them. */
    snprintf(path, sizeof path, "%s/leases.sock", meeting);
    unlink(path);
    snprintf(path, sizeof path, "%s/leases.lock", meeting);
    unlink(path);
    snprintf(path, sizeof path, "%s/log", meeting);
    unlink(path);
    rmdir(meeting);
    return 0;
}

#define LEASE_TEST(fn) cmocka_unit_test_setup_teardown(fn, start_two, end_two)

/* The next notice but for what is told is of this kind. */
static struct rd next_notice(struct wc *w, unsigned notice)
{
    struct rd body;
    do
        assert_ok(wc_notice(w, SOON_MS, &body));
    while (w->last.head.notice == MFS_NOTICE_told && notice != MFS_NOTICE_told);
    assert_int_equal(w->last.head.notice, notice);
    return body;
}

/* The next notice is a recall of node; returns its number. */
static uint64_t recall_of(struct wc *w, uint64_t node)
{
    struct rd body = next_notice(w, MFS_NOTICE_recall);
    struct mfs_recall_notice n;
    assert_ok(mfs_recall_notice_get(&body, &n));
    assert_int_equal(n.node, node);
    return n.serial;
}

static void nothing_comes(struct wc *w)
{
    struct rd body;
    assert_int_equal(wc_notice(w, NOT_MS, &body), -ETIMEDOUT);
}

static void nothing_comes_that_is(struct wc *w, unsigned notice)
{
    struct rd body;
    while (wc_notice(w, NOT_MS, &body) == 0)
        assert_int_not_equal(w->last.head.notice, notice);
}

/* A request of w that must not be answered yet. */
static void is_not_answered(struct wc *w, uint64_t id)
{
    struct rd body;
    assert_int_equal(wc_wait(w, id, NOT_MS, &body), -ETIMEDOUT);
}

static uint64_t look(struct wc *w, const char *name)
{
    assert_ok(ON(w, lookup, ROOT, bytes_of(name)));
    return rep.lookup.entry.node;
}

/* The same where another client may have put off changes of names. */
static uint64_t look_over(struct wc *w, struct wc *from, const char *name)
{
    uint64_t id = wc_lookup_send(w, &(struct mfs_lookup_req){ ROOT, bytes_of(name) });
    struct rd body;
    struct mfs_recall_notice n;
    do /* it hears of what was made here, too */
        assert_ok(wc_notice(from, SOON_MS, &body));
    while (from->last.head.notice != MFS_NOTICE_recall);
    assert_ok(mfs_recall_notice_get(&body, &n));
    assert_int_equal(n.node, ROOT);
    is_not_answered(w, id);
    assert_ok(ON(from, recalled, n.serial));
    assert_ok(wc_lookup_wait(w, id, &rep.lookup));
    return rep.lookup.entry.node;
}

/* What was made here is heard of late; afterwards nothing of it is on its way to w. */
static void settle(struct wc *w)
{
    struct rd body;
    struct mfs_recall_notice n;
    while (wc_notice(w, NOT_MS, &body) == 0)
        if (w->last.head.notice == MFS_NOTICE_recall) {
            assert_ok(mfs_recall_notice_get(&body, &n));
            assert_ok(ON(w, recalled, n.serial));
        }
}

TEST(test_granted_and_recalled)
{
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    assert_int_equal(rep.lookup.entry.valid_ms, LEASE_MS);
    assert_int_equal(rep.lookup.entry.attr.valid_ms, LEASE_MS);
    /* Who only looks takes nothing from others. */
    uint64_t f2 = look(&other, "f");
    assert_int_equal(rep.lookup.entry.attr.valid_ms, LEASE_MS);
    nothing_comes(&c);

    uint64_t id = wc_setattr_send(
        &other, &(struct mfs_setattr_req){ .node = f2, .valid = MFS_SET_SIZE, .attr.size = 1 });
    uint64_t serial = recall_of(&c, f);
    is_not_answered(&other, id);
    assert_int_equal(fx_stat("f").st_size, 3);
    assert_ok(CALL(recalled, serial));
    assert_ok(wc_setattr_wait(&other, id, &rep.setattr));
    assert_int_equal(rep.setattr.attr.size, 1);
    assert_int_equal(rep.setattr.attr.valid_ms, LEASE_MS);

    /* Looking now waits for the other one to let others look too, which takes no recall: it
     * need not forget. */
    assert_ok(CALL(getattr, f, 0));
    assert_int_equal(rep.getattr.attr.size, 1);
    /* That the file changed, it may hear late of, as of any program here. */
    nothing_comes_that_is(&c, MFS_NOTICE_recall);
}

TEST(test_names)
{
    assert_error(CALL(lookup, ROOT, bytes_of("new")), ENOENT);
    assert_int_equal(rep.lookup.entry.valid_ms, LEASE_MS);
    uint64_t id =
        wc_mkdir_send(&other, &(struct mfs_mkdir_req){ ROOT, bytes_of("new"), 0755, 0 });
    uint64_t serial = recall_of(&c, ROOT);
    is_not_answered(&other, id);
    assert_ok(CALL(recalled, serial));
    assert_ok(wc_mkdir_wait(&other, id, &rep.mkdir));
    assert_int_equal(rep.mkdir.entry.attr.valid_ms, LEASE_MS);

    /* A file that loses its name, and the directory. */
    fx_put("f", "");
    uint64_t f = look_over(&c, &other, "f");
    settle(&c);
    assert_int_equal(look(&c, "f"), f);
    look(&other, "f");
    id = wc_unlink_send(&other, &(struct mfs_unlink_req){ ROOT, bytes_of("f") });
    for (int i = 0; i < 2; i++) {
        struct rd body;
        struct mfs_recall_notice n;
        do
            assert_ok(wc_notice(&c, SOON_MS, &body));
        while (c.last.head.notice != MFS_NOTICE_recall);
        assert_ok(mfs_recall_notice_get(&body, &n));
        assert_true(n.node == f || n.node == ROOT);
        is_not_answered(&other, id);
        assert_ok(CALL(recalled, n.serial));
    }
    assert_ok(wc_unlink_wait(&other, id, &rep.unlink));
    assert_error(CALL(lookup, ROOT, bytes_of("f")), ENOENT);
}

TEST(test_silent_client)
{
    fx_put("f", "abc");
    look(&c, "f");
    uint64_t f2 = look(&other, "f");
    uint64_t begun = clock_mono_ms();
    assert_ok(ON(&other, setattr, .node = f2, .valid = MFS_SET_SIZE, .attr.size = 1));
    uint64_t took = clock_mono_ms() - begun;
    assert_in_range(took, LEASE_MS / 2, LEASE_MS + 4000);
    /* It is told, after the recall, that nothing holds any more. */
    struct rd body;
    assert_ok(wc_notice(&c, SOON_MS, &body));
    assert_int_equal(c.last.head.notice, MFS_NOTICE_recall);
    assert_ok(wc_notice(&c, SOON_MS, &body));
    assert_int_equal(c.last.head.notice, MFS_NOTICE_expired);
    /* Without a lease nothing is granted, and nobody waits for it. */
    look(&c, "f");
    assert_int_equal(rep.lookup.entry.valid_ms, 0);
    assert_int_equal(rep.lookup.entry.attr.valid_ms, 0);
    begun = clock_mono_ms();
    assert_ok(ON(&other, setattr, .node = f2, .valid = MFS_SET_SIZE, .attr.size = 2));
    assert_in_range(clock_mono_ms() - begun, 0, LEASE_MS / 2);
    renew(&c);
    look(&c, "f");
    assert_int_equal(rep.lookup.entry.attr.valid_ms, LEASE_MS);
}

TEST(test_client_that_does_not_answer)
{
    fx_put("f", "abc");
    look(&c, "f");
    uint64_t f2 = look(&other, "f");
    uint64_t begun = clock_mono_ms();
    uint64_t id = wc_setattr_send(
        &other, &(struct mfs_setattr_req){ .node = f2, .valid = MFS_SET_SIZE, .attr.size = 1 });
    /* It is alive, but never answers. */
    struct rd body;
    while (wc_wait(&other, id, 100, &body) == -ETIMEDOUT) {
        assert_in_range(clock_mono_ms() - begun, 0, 4 * LEASE_MS + 5000);
        assert_ok(CALL(renew, 0));
    }
    assert_true(clock_mono_ms() - begun >= 2 * LEASE_MS);
}

TEST(test_own_writes_while_recalled)
{
    assert_ok(CALL(create, ROOT, bytes_of("f"), 0666, 0, MFS_O_RDWR));
    uint64_t f = rep.create.entry.node, fh = rep.create.fh;
    assert_int_equal(rep.create.entry.attr.valid_ms, LEASE_MS);
    assert_int_equal(fx_write(fh, 0, "first"), 5);
    /* It may have put off writes: whoever looks waits for them. */
    uint64_t id = wc_lookup_send(&other, &(struct mfs_lookup_req){ ROOT, bytes_of("f") });
    assert_ok(CALL(recalled, recall_of(&c, ROOT)));
    assert_ok(CALL(recalled, recall_of(&c, f)));
    assert_ok(wc_lookup_wait(&other, id, &rep.lookup));
    uint64_t f2 = rep.lookup.entry.node;
    assert_int_equal(rep.lookup.entry.attr.size, 5);
    fx_assert_text(fh, 0, "first");
    id = wc_setattr_send(
        &other, &(struct mfs_setattr_req){ .node = f2, .valid = MFS_SET_SIZE, .attr.size = 1 });
    uint64_t serial = recall_of(&c, f);
    /* What the client must write before it forgets, and read. */
    assert_int_equal(fx_write(fh, 5, " second"), 7);
    fx_assert_text(fh, 0, "first second");
    is_not_answered(&other, id);
    assert_ok(CALL(recalled, serial));
    /* It has seen the file meanwhile: once more. */
    assert_ok(CALL(recalled, recall_of(&c, f)));
    assert_ok(wc_setattr_wait(&other, id, &rep.setattr));
    assert_int_equal(fx_stat("f").st_size, 1);
    fx_assert_text(fh, 0, "f");
}

/* Both change each other's files at once, with recalls in both directions. */
TEST(test_crossing)
{
    fx_put("a", "");
    fx_put("b", "");
    uint64_t a1 = look(&c, "a"), b1 = look(&c, "b"), a2 = look(&other, "a"),
             b2 = look(&other, "b");
    struct mfs_setattr_req q = { .valid = MFS_SET_MODE, .attr.mode = 0640 };
    for (int i = 0; i < 20; i++) {
        uint64_t ids[2][2];
        q.node = a1;
        ids[0][0] = wc_setattr_send(&c, &q);
        q.node = b2;
        ids[1][0] = wc_setattr_send(&other, &q);
        q.node = b1;
        ids[0][1] = wc_setattr_send(&c, &q);
        q.node = a2;
        ids[1][1] = wc_setattr_send(&other, &q);
        struct wc *both[2] = { &c, &other };
        unsigned left = 4;
        bool is_answered[2][2] = { { false } };
        uint64_t begun = clock_mono_ms();
        while (left) {
            assert_in_range(clock_mono_ms() - begun, 0, SOON_MS);
            for (int k = 0; k < 4; k++) {
                struct wc *w = both[k / 2];
                struct rd body;
                struct mfs_recall_notice n;
                if (wc_notice(w, 1, &body) == 0 && w->last.head.notice == MFS_NOTICE_recall) {
                    assert_ok(mfs_recall_notice_get(&body, &n));
                    assert_ok(ON(w, recalled, n.serial));
                }
                if (!is_answered[k / 2][k % 2] &&
                    wc_wait(w, ids[k / 2][k % 2], 1, &body) == 0) {
                    assert_int_equal(w->last.head.error, 0);
                    is_answered[k / 2][k % 2] = true;
                    left--;
                }
            }
        }
    }
}

TEST(test_listing)
{
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        fx_put(name, "");
    }
    assert_ok(CALL(opendir, ROOT));
    assert_ok(CALL(readdir, rep.opendir.fh, 0, 65536, true));
    struct rd r = rd_of(rep.readdir.entries.ptr, rep.readdir.entries.len);
    struct mfs_dirent d;
    uint64_t node = 0;
    int count = 0;
    while (rd_left(&r)) {
        assert_ok(mfs_dirent_get(&r, &d));
        if (!d.has_entry)
            continue;
        assert_int_equal(d.entry.valid_ms, LEASE_MS);
        assert_int_equal(d.entry.attr.valid_ms, LEASE_MS);
        node = d.entry.node;
        count++;
    }
    assert_int_equal(count, 20);
    assert_ok(CALL(getattr, node, 0));
    assert_int_equal(rep.getattr.attr.valid_ms, LEASE_MS);
}

/* A client that takes no part only looks, and waits for those who do. */
TEST(test_strict_client)
{
    static struct wc strict;
    fx_put("f", "abc");
    start_one(&strict, 0);
    uint64_t f = look(&strict, "f");
    assert_int_equal(rep.lookup.entry.attr.valid_ms, 0);
    assert_error(ON(&strict, lookup, ROOT, bytes_of("no")), ENOENT);
    uint64_t mine = look(&c, "f");
    uint64_t id = wc_setattr_send(
        &strict, &(struct mfs_setattr_req){ .node = f, .valid = MFS_SET_SIZE, .attr.size = 1 });
    uint64_t serial = recall_of(&c, mine);
    is_not_answered(&strict, id);
    assert_ok(CALL(recalled, serial));
    assert_ok(wc_setattr_wait(&strict, id, &rep.setattr));
    assert_ok(wc_stop(&strict));
}

static struct mfs_told_notice told(struct wc *w, uint64_t node)
{
    struct rd body = next_notice(w, MFS_NOTICE_told);
    struct mfs_told_notice n;
    assert_ok(mfs_told_notice_get(&body, &n));
    assert_int_equal(n.node, node);
    return n;
}

/* What the client does itself is no news for it, but for what it can't know. */
TEST(test_own_changes)
{
    assert_ok(CALL(getattr, ROOT, 0));
    assert_int_equal(rep.getattr.attr.valid_ms, LEASE_MS);
    assert_ok(CALL(create, ROOT, bytes_of("f"), 0666, 0, MFS_O_RDWR));
    uint64_t f = rep.create.entry.node, fh = rep.create.fh;
    assert_int_equal(rep.create.entry.valid_ms, LEASE_MS);
    assert_int_equal(rep.create.entry.attr.valid_ms, LEASE_MS);
    struct mfs_told_notice n = told(&c, ROOT);
    assert_int_equal(n.attr.valid_ms, LEASE_MS);
    assert_int_equal(n.attr.mtime_nsec, fx_stat("").st_mtim.tv_nsec);
    for (int i = 0; i < 10; i++)
        assert_int_equal(fx_write(fh, (uint64_t)i, "x"), 1);
    nothing_comes(&c);
    assert_ok(CALL(flush, fh, 0));
    n = told(&c, f);
    assert_int_equal(n.attr.size, 10);
    assert_int_equal(n.attr.valid_ms, LEASE_MS);
    assert_ok(CALL(release, fh));
    assert_ok(CALL(setattr, .node = f, .valid = MFS_SET_MODE, .attr.mode = 0600));
    nothing_comes(&c);
    assert_ok(CALL(rename, ROOT, bytes_of("f"), ROOT, bytes_of("g"), 0));
    told(&c, ROOT);
    told(&c, f);
    assert_ok(CALL(unlink, ROOT, bytes_of("g")));
    told(&c, ROOT);
    n = told(&c, f);
    assert_int_equal(n.attr.nlink, 0);
    assert_error(CALL(mkdir, f, bytes_of("x"), 0700, 0), ENOTDIR);
    assert_ok(CALL(mkdir, ROOT, bytes_of("d"), 0700, 0));
    told(&c, ROOT);
    assert_error(CALL(mkdir, ROOT, bytes_of("d"), 0700, 0), EEXIST);
    nothing_comes(&c);
}

/* Programs here are seen after what they did. */
TEST(test_programs_here)
{
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    assert_ok(CALL(getattr, ROOT, 0));
    assert_return_code(chmod(fx_path("f"), 0600), errno);
    struct rd body = next_notice(&c, MFS_NOTICE_inval_node);
    struct mfs_inval_node_notice n;
    assert_ok(mfs_inval_node_notice_get(&body, &n));
    assert_int_equal(n.node, f);
    assert_return_code(rename(fx_path("f"), fx_path("g")), errno);
    bool is_name = false, is_dir = false;
    for (int i = 0; i < 8 && !(is_name && is_dir); i++) {
        struct mfs_inval_entry_notice e;
        assert_ok(wc_notice(&c, SOON_MS, &body));
        if (c.last.head.notice == MFS_NOTICE_inval_entry) {
            assert_ok(mfs_inval_entry_notice_get(&body, &e));
            assert_int_equal(e.node, ROOT);
            is_name = is_name || (e.name.len == 1 && e.name.ptr[0] == 'f');
        } else {
            assert_int_equal(c.last.head.notice, MFS_NOTICE_inval_node);
            assert_ok(mfs_inval_node_notice_get(&body, &n));
            is_dir = is_dir || n.node == ROOT;
        }
    }
    assert_true(is_name && is_dir);
    /* A change between two of our own is not taken for ours. */
    fx_put("h", "");
    int here = open(fx_path("h"), O_RDWR | O_CLOEXEC);
    assert_return_code(here, errno);
    uint64_t h = look(&c, "h");
    assert_ok(CALL(open, h, MFS_O_RDWR));
    uint64_t fh = rep.open.fh;
    assert_int_equal(rep.open.attr.flags & MFS_ATTR_ALONE, 0);
    assert_int_equal(fx_write(fh, 0, "ours"), 4);
    nothing_comes_that_is(&c, MFS_NOTICE_recall);
    assert_ok(CALL(getattr, h, 0));
    assert_int_equal(write(here, "theirs", 6), 6);
    close(here);
    assert_int_equal(fx_write(fh, 6, "ours"), 4);
    do { /* among those of the rename */
        assert_ok(wc_notice(&c, SOON_MS, &body));
        n.node = 0;
        if (c.last.head.notice == MFS_NOTICE_inval_node)
            assert_ok(mfs_inval_node_notice_get(&body, &n));
    } while (n.node != h);
}

/* A program of this computer that opens a file, with what is done. */
struct opener {
    pid_t pid;
    int done_fd;
};

static struct opener open_here(const char *name, int flags)
{
    struct opener w;
    int pipe_fds[2];
    assert_return_code(pipe2(pipe_fds, O_CLOEXEC), errno);
    w.pid = fork();
    assert_true(w.pid >= 0);
    if (w.pid == 0) {
        int fd = open(fx_path(name), flags | O_CLOEXEC);
        char done = fd >= 0 ? 'y' : 'n';
        if (fd >= 0 && (flags & O_ACCMODE) != O_RDONLY && write(fd, "local", 5) != 5)
            done = 'w';
        close(fd);
        _exit(write(pipe_fds[1], &done, 1) != 1);
    }
    close(pipe_fds[1]);
    w.done_fd = pipe_fds[0];
    return w;
}

static bool is_open_done(const struct opener *w, int timeout_ms)
{
    struct pollfd pf = { .fd = w->done_fd, .events = POLLIN };
    return poll(&pf, 1, timeout_ms) > 0;
}

static void finish_open_here(struct opener *w)
{
    char done = 0;
    int status;
    assert_true(is_open_done(w, SOON_MS));
    assert_int_equal(read(w->done_fd, &done, 1), 1);
    assert_int_equal(done, 'y');
    close(w->done_fd);
    assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
}

TEST(test_program_that_writes_waits)
{
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    assert_ok(CALL(open, f, MFS_O_RDONLY));
    uint64_t fh = rep.open.fh;
    assert_int_equal(rep.open.attr.flags & (MFS_ATTR_HELD | MFS_ATTR_ALONE), MFS_ATTR_HELD);
    /* Who reads does not wait. */
    struct opener w = open_here("f", O_RDONLY);
    finish_open_here(&w);
    w = open_here("f", O_WRONLY | O_TRUNC);
    uint64_t serial = recall_of(&c, f);
    assert_false(is_open_done(&w, NOT_MS));
    assert_int_equal(fx_stat("f").st_size, 3);
    fx_assert_text(fh, 0, "abc");
    assert_ok(CALL(recalled, serial));
    finish_open_here(&w);
    fx_assert_text(fh, 0, "local");
    /* Once more, with the other client's change instead. */
    assert_ok(CALL(open, f, MFS_O_RDONLY));
    assert_int_equal(rep.open.attr.flags & MFS_ATTR_HELD, MFS_ATTR_HELD);
    uint64_t f2 = look(&other, "f");
    uint64_t id = wc_open_send(&other, &(struct mfs_open_req){ f2, MFS_O_WRONLY });
    struct rd body;
    do /* after what the program did */
        assert_ok(wc_notice(&c, SOON_MS, &body));
    while (c.last.head.notice != MFS_NOTICE_recall);
    struct mfs_recall_notice n;
    assert_ok(mfs_recall_notice_get(&body, &n));
    is_not_answered(&other, id);
    assert_ok(CALL(recalled, n.serial));
    assert_ok(wc_open_wait(&other, id, &rep.open));
    /* We have it open as well. */
    assert_int_equal(rep.open.attr.flags & MFS_ATTR_ALONE, 0);
}

TEST(test_program_waits_for_silent_client)
{
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    assert_ok(CALL(open, f, MFS_O_RDONLY));
    assert_int_equal(rep.open.attr.flags & MFS_ATTR_HELD, MFS_ATTR_HELD);
    uint64_t begun = clock_mono_ms();
    struct opener w = open_here("f", O_WRONLY);
    recall_of(&c, f);
    finish_open_here(&w);
    assert_in_range(clock_mono_ms() - begun, 0, LEASE_MS + 4000);
}

TEST(test_own_open_for_writing)
{
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    assert_ok(CALL(open, f, MFS_O_RDONLY));
    assert_int_equal(rep.open.attr.flags & MFS_ATTR_HELD, MFS_ATTR_HELD);
    uint64_t begun = clock_mono_ms();
    assert_ok(CALL(open, f, MFS_O_RDWR));
    assert_int_equal(fx_write(rep.open.fh, 0, "x"), 1);
    assert_ok(CALL(setattr, .node = f, .valid = MFS_SET_SIZE, .attr.size = 2));
    assert_ok(CALL(create, ROOT, bytes_of("f"), 0666, 0, MFS_O_RDWR | MFS_O_TRUNC));
    assert_in_range(clock_mono_ms() - begun, 0, LEASE_MS);
    nothing_comes_that_is(&c, MFS_NOTICE_recall);
}

TEST(test_alone)
{
    assert_ok(CALL(create, ROOT, bytes_of("f"), 0666, 0, MFS_O_RDWR));
    uint64_t f = rep.create.entry.node, fh = rep.create.fh;
    assert_int_equal(rep.create.entry.attr.flags & MFS_ATTR_ALONE, MFS_ATTR_ALONE);
    /* Even who only reads waits until what was put off is written. */
    struct opener w = open_here("f", O_RDONLY);
    uint64_t serial = recall_of(&c, f);
    assert_false(is_open_done(&w, NOT_MS));
    assert_int_equal(fx_write(fh, 0, "put off"), 7);
    assert_ok(CALL(recalled, serial));
    finish_open_here(&w);
    assert_ok(CALL(release, fh));

    assert_ok(CALL(open, f, MFS_O_RDWR));
    fh = rep.open.fh;
    assert_int_equal(rep.open.attr.flags & MFS_ATTR_ALONE, MFS_ATTR_ALONE);
    uint64_t id = wc_lookup_send(&other, &(struct mfs_lookup_req){ ROOT, bytes_of("f") });
    assert_ok(CALL(recalled, recall_of(&c, ROOT)));
    serial = recall_of(&c, f);
    is_not_answered(&other, id);
    assert_int_equal(fx_write(fh, 7, "!!"), 2);
    assert_ok(CALL(recalled, serial));
    assert_ok(wc_lookup_wait(&other, id, &rep.lookup));
    assert_int_equal(rep.lookup.entry.attr.size, 9);
    assert_int_equal(rep.lookup.entry.attr.valid_ms, LEASE_MS);
    assert_ok(CALL(release, fh));
}

/* However many operations wait for the other client, those that wait for nobody go on: the
 * other client may have to write before it can answer. */
TEST(test_many_wait)
{
    enum { MANY = 600 };
    static uint64_t ids[MANY];
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    uint64_t mine = look(&other, "f");
    for (int i = 0; i < MANY; i++)
        ids[i] = wc_setattr_send(&c, &(struct mfs_setattr_req){ .node = f,
                                                                .valid = MFS_SET_SIZE,
                                                                .attr.size = (uint64_t)i });
    uint64_t serial = recall_of(&other, mine);
    for (int i = 0; i < 20; i++) {
        uint64_t begun = clock_mono_ms();
        char name[16];
        snprintf(name, sizeof name, "g%d", i);
        assert_error(CALL(lookup, ROOT, bytes_of(name)), ENOENT);
        assert_in_range(clock_mono_ms() - begun, 0, LEASE_MS / 2);
    }
    is_not_answered(&c, ids[MANY - 1]);
    assert_ok(ON(&other, recalled, serial));
    for (int i = 0; i < MANY; i++)
        assert_ok(wc_setattr_wait(&c, ids[i], &rep.setattr));
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

/* A token that is had is used without a word to the broker. */
TEST(test_broker_is_asked_once)
{
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    pid_t broker = broker_pid();
    assert_true(broker > 1 && broker != getpid());
    assert_return_code(kill(broker, SIGSTOP), errno);
    for (int i = 0; i < 100; i++) {
        assert_ok(CALL(lookup, ROOT, bytes_of("f")));
        assert_ok(CALL(getattr, f, 0));
    }
    assert_int_equal(rep.getattr.attr.valid_ms, LEASE_MS);
    assert_return_code(kill(broker, SIGCONT), errno);
}

TEST(test_broker_dies)
{
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    look(&other, "f");
    pid_t broker = broker_pid();
    assert_true(broker > 1 && broker != getpid());
    uint64_t begun = clock_mono_ms();
    assert_return_code(kill(broker, SIGKILL), errno);
    next_notice(&c, MFS_NOTICE_expired);
    next_notice(&other, MFS_NOTICE_expired);
    assert_ok(CALL(renew, 0));
    assert_int_equal(rep.renew.lease_ms, 0);
    /* It is looked at all the same; nothing is granted; changes wait until nobody can believe
     * what was granted before. */
    look(&c, "f");
    assert_int_equal(rep.lookup.entry.valid_ms, 0);
    assert_int_equal(rep.lookup.entry.attr.valid_ms, 0);
    uint64_t mode = wc_setattr_send(
        &c, &(struct mfs_setattr_req){ .node = f, .valid = MFS_SET_MODE, .attr.mode = 0600 });
    uint64_t size = wc_setattr_send(
        &c, &(struct mfs_setattr_req){ .node = f, .valid = MFS_SET_SIZE, .attr.size = 1 });
    uint64_t cut = wc_open_send(&c, &(struct mfs_open_req){ f, MFS_O_WRONLY | MFS_O_TRUNC });
    uint64_t name = wc_mkdir_send(&c, &(struct mfs_mkdir_req){ ROOT, bytes_of("d"), 0700, 0 });
    is_not_answered(&c, mode);
    is_not_answered(&c, size);
    is_not_answered(&c, cut);
    is_not_answered(&c, name);
    assert_in_range(clock_mono_ms() - begun, 0, LEASE_MS);
    assert_int_equal(fx_stat("f").st_mode & 0777, 0644);
    assert_int_equal(fx_stat("f").st_size, 3);
    assert_ok(wc_setattr_wait(&c, mode, &rep.setattr));
    assert_in_range(clock_mono_ms() - begun, LEASE_MS, LEASE_MS + SOON_MS);
    assert_ok(wc_setattr_wait(&c, size, &rep.setattr));
    assert_ok(wc_open_wait(&c, cut, &rep.open));
    assert_ok(wc_mkdir_wait(&c, name, &rep.mkdir));
    assert_int_equal(rep.mkdir.entry.valid_ms, 0);
}

static int start_two_that_find(void **state)
{
    finds_broker = true;
    int rc = start_two(state);
    finds_broker = false;
    return rc;
}

/* Asked until it is granted; returns when it was, in ms after begun. */
static uint64_t renewed_after(struct wc *w, uint64_t begun)
{
    do {
        assert_in_range(clock_mono_ms() - begun, 0, LEASE_MS + SOON_MS);
        poll(NULL, 0, 20);
        assert_ok(ON(w, renew, 0));
    } while (!rep.renew.lease_ms);
    return clock_mono_ms() - begun;
}

/* Another one takes its place: nothing is believed and nothing changed before what was believed is
 * over, then all is as before. A change that was asked for meanwhile is made by the new one. */
TEST(test_another_broker)
{
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    look(&other, "f");
    pid_t broker = broker_pid();
    uint64_t begun = clock_mono_ms();
    assert_return_code(kill(broker, SIGKILL), errno);
    next_notice(&c, MFS_NOTICE_expired);
    next_notice(&other, MFS_NOTICE_expired);
    uint64_t id = wc_mkdir_send(&c, &(struct mfs_mkdir_req){ ROOT, bytes_of("d"), 0700, 0 });
    look(&c, "f"); /* looked at all the same */
    assert_int_equal(rep.lookup.entry.valid_ms, 0);
    is_not_answered(&c, id);
    if (fx_user) { /* whoever may not go where the broker is stays without */
        assert_ok(wc_mkdir_wait(&c, id, &rep.mkdir));
        assert_ok(CALL(renew, 0));
        assert_int_equal(rep.renew.lease_ms, 0);
        look(&c, "f");
        assert_int_equal(rep.lookup.entry.valid_ms, 0);
        return;
    }
    assert_in_range(renewed_after(&c, begun), LEASE_MS, LEASE_MS + SOON_MS);
    renewed_after(&other, begun);
    assert_ok(wc_mkdir_wait(&c, id, &rep.mkdir));
    assert_in_range(clock_mono_ms() - begun, LEASE_MS, LEASE_MS + SOON_MS);
    assert_int_not_equal(broker_pid(), broker);
    /* They meet at it: what one believes is recalled before the other changes it. */
    renew(&c); /* what was granted first may be over by now */
    renew(&other);
    f = look(&c, "f");
    assert_int_equal(rep.lookup.entry.attr.valid_ms, LEASE_MS);
    uint64_t g = look(&other, "f");
    assert_int_equal(rep.lookup.entry.attr.valid_ms, LEASE_MS);
    id = wc_setattr_send(
        &other, &(struct mfs_setattr_req){ .node = g, .valid = MFS_SET_MODE, .attr.mode = 0640 });
    uint64_t serial = recall_of(&c, f);
    is_not_answered(&other, id);
    assert_ok(CALL(recalled, serial));
    assert_ok(wc_setattr_wait(&other, id, &rep.setattr));
    /* And once more. */
    begun = clock_mono_ms();
    assert_return_code(kill(broker_pid(), SIGKILL), errno);
    next_notice(&c, MFS_NOTICE_expired);
    assert_in_range(renewed_after(&c, begun), LEASE_MS, LEASE_MS + SOON_MS);
}

/* Operations that began without a broker end before another one is joined: here one that waits
 * for a program that doesn't let go of its file lease. */
TEST(test_another_broker_waits)
{
    if (fx_user)
        return;
    fx_put("f", "abc");
    uint64_t f = look(&c, "f");
    uint64_t begun = clock_mono_ms();
    assert_return_code(kill(broker_pid(), SIGKILL), errno);
    next_notice(&c, MFS_NOTICE_expired);
    int fd = open(fx_path("f"), O_RDWR | O_CLOEXEC);
    assert_return_code(fd, errno);
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGIO, &ignore, NULL);
    assert_return_code(fcntl(fd, F_SETLEASE, F_WRLCK), errno);
    uint64_t id = wc_open_send(&c, &(struct mfs_open_req){ f, MFS_O_RDONLY });
    while (clock_mono_ms() - begun < LEASE_MS + 1000 + 1000)
        poll(NULL, 0, 50);
    assert_ok(CALL(renew, 0));
    assert_int_equal(rep.renew.lease_ms, 0);
    is_not_answered(&c, id);
    assert_return_code(fcntl(fd, F_SETLEASE, F_UNLCK), errno);
    close(fd);
    assert_ok(wc_open_wait(&c, id, &rep.open));
    renewed_after(&c, begun);
}

/* A client that hangs up believes nothing. */
TEST(test_hang_up)
{
    static struct wc third;
    fx_put("f", "abc");
    start_one(&third, MFS_FEATURE_LEASES);
    renew(&third);
    look(&third, "f");
    uint64_t f = look(&c, "f");
    uint64_t id = wc_setattr_send(
        &c, &(struct mfs_setattr_req){ .node = f, .valid = MFS_SET_SIZE, .attr.size = 1 });
    is_not_answered(&c, id);
    assert_ok(wc_stop(&third));
    assert_ok(wc_setattr_wait(&c, id, &rep.setattr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEASE_TEST(test_granted_and_recalled),
        LEASE_TEST(test_names),
        LEASE_TEST(test_silent_client),
        LEASE_TEST(test_client_that_does_not_answer),
        LEASE_TEST(test_own_writes_while_recalled),
        LEASE_TEST(test_crossing),
        LEASE_TEST(test_listing),
        LEASE_TEST(test_strict_client),
        LEASE_TEST(test_hang_up),
        LEASE_TEST(test_own_changes),
        LEASE_TEST(test_programs_here),
        LEASE_TEST(test_program_that_writes_waits),
        LEASE_TEST(test_program_waits_for_silent_client),
        LEASE_TEST(test_own_open_for_writing),
        LEASE_TEST(test_alone),
        LEASE_TEST(test_many_wait),
        LEASE_TEST(test_broker_is_asked_once),
        LEASE_TEST(test_broker_dies),
        cmocka_unit_test_setup_teardown(test_another_broker, start_two_that_find, end_two),
        cmocka_unit_test_setup_teardown(test_another_broker_waits, start_two_that_find, end_two),
    };
    return fx_run("server_leases", tests, ARRAY_LEN(tests));
}
