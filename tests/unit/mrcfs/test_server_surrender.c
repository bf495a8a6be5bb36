/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_surrender.c: locks that a client has kept itself, and gives to its file server
 * before somebody else gets the file; or can't any more. */
#include "tests/lib/mfs_fixture.h"

#include "common/sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LEASE_MS = 1500,
    SOON_MS = 10000,
    NOT_MS = 150,
    OWNER = 77,
};

static char meeting[64];
static uint64_t file, fh;

static int start(void **state UNUSED)
{
    fx_make_dir();
    snprintf(meeting, sizeof meeting, "/tmp/mfs-meet-XXXXXX");
    assert_non_null(mkdtemp(meeting));
    struct mfs_export x = { fx_dir, false };
    struct mfs_serve_opts o = {
        .exports = &x, .export_count = 1, .has_broker = true, .lease_ms = LEASE_MS
    };
    struct err e = { "" };
    if (mfs_broker_connect(meeting, &o.broker_fd, &e) < 0)
        fail_msg("%s", e.text);
    assert_ok(wc_fork(&c, &o, fx_user));
    close(o.broker_fd);
    c.features = MFS_FEATURE_LEASES;
    c.keeps_notices = true;
    assert_ok(wc_greet(&c));
    assert_ok(CALL(renew, 0));
    assert_ok(CALL(create, ROOT, bytes_of("f"), 0666, 0, MFS_O_RDWR));
    file = rep.create.entry.node;
    fh = rep.create.fh;
    assert_int_equal(rep.create.entry.attr.flags & MFS_ATTR_ALONE, MFS_ATTR_ALONE);
    return 0;
}

static int end(void **state UNUSED)
{
    char path[128];
    assert_ok(wc_stop(&c));
    fx_remove_dir();
    snprintf(path, sizeof path, "%s/leases.sock", meeting);
    unlink(path);
    snprintf(path, sizeof path, "%s/leases.lock", meeting);
    unlink(path);
    rmdir(meeting);
    return 0;
}

#define SURRENDER_TEST(fn) cmocka_unit_test_setup_teardown(fn, start, end)

/* A program here that opens the file for reading and writing, and says what keeps it from
 * locking. */
struct program {
    pid_t pid;
    int answer_fd;
};

enum { FREE = 'f', RECORD = 'r', FLOCK = 'l', BOTH = 'b' };

static struct program start_program(void)
{
    struct program p;
    int fds[2];
    assert_return_code(pipe2(fds, O_CLOEXEC), errno);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        int fd = open(fx_path("f"), O_RDWR | O_CLOEXEC);
        struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1 };
        bool is_record = fcntl(fd, F_SETLK, &fl) < 0;
        bool is_flock = flock(fd, LOCK_EX | LOCK_NB) < 0;
        char answer = fd < 0                  ? 'n'
                      : is_record && is_flock ? BOTH
                      : is_record             ? RECORD
                      : is_flock              ? FLOCK
                                              : FREE;
        _exit(write(fds[1], &answer, 1) != 1);
    }
    close(fds[1]);
    p.answer_fd = fds[0];
    return p;
}

static bool has_answered(const struct program *p, int timeout_ms)
{
    struct pollfd pf = { .fd = p->answer_fd, .events = POLLIN };
    return poll(&pf, 1, timeout_ms) > 0;
}

static char answer_of(struct program *p)
{
    char answer = 0;
    int status;
    assert_true(has_answered(p, SOON_MS));
    assert_int_equal(read(p->answer_fd, &answer, 1), 1);
    close(p->answer_fd);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return answer;
}

static uint64_t recall_serial(void)
{
    struct rd body;
    struct mfs_recall_notice n;
    do
        assert_ok(wc_notice(&c, SOON_MS, &body));
    while (c.last.head.notice != MFS_NOTICE_recall);
    assert_ok(mfs_recall_notice_get(&body, &n));
    assert_int_equal(n.node, file);
    return n.serial;
}

static struct mfs_lock_rec record_lock(uint64_t first, uint64_t last, uint8_t type)
{
    return (struct mfs_lock_rec){
        .fh = fh, .owner = OWNER, .start = first, .end = last, .pid = 4, .type = type
    };
}

static int surrender(const struct mfs_lock_rec *locks, size_t count)
{
    uint8_t room[1024];
    struct wr w = wr_of(room, sizeof room);
    for (size_t i = 0; i < count; i++)
        mfs_lock_rec_put(&w, &locks[i]);
    return CALL(surrender, { room, (uint32_t)wr_len(&w) });
}

static int write_locked(void)
{
    return CALL(write, fh, 0, MFS_O_LOCKED, bytes_of("under a lock"));
}

TEST(test_program_finds_the_locks)
{
    struct program p = start_program();
    uint64_t serial = recall_serial();
    assert_false(has_answered(&p, NOT_MS));
    assert_ok(write_locked());
    const struct mfs_lock_rec locks[] = {
        record_lock(0, 3, MFS_LOCK_RD),
        record_lock(4, UINT64_MAX, MFS_LOCK_WR),
        { .fh = fh, .end = UINT64_MAX, .type = MFS_LOCK_RD, .is_flock = 1 }
    };
    assert_ok(surrender(locks, ARRAY_LEN(locks)));
    assert_false(has_answered(&p, NOT_MS));
    assert_ok(CALL(recalled, serial));
    assert_int_equal(answer_of(&p), BOTH);
    assert_ok(write_locked()); /* it is held still, only elsewhere */
    /* They are its as others are. */
    assert_ok(CALL(getlk, fh, OWNER + 1, MFS_LOCK_WR, 0, 0, 5));
    assert_int_equal(rep.getlk.type, MFS_LOCK_RD);
    assert_int_equal(rep.getlk.end, 3);
    assert_int_equal(rep.getlk.pid, 4);
    assert_ok(CALL(setlk, fh, OWNER, MFS_LOCK_UN, 0, UINT64_MAX, 4, 0));
    p = start_program();
    assert_int_equal(answer_of(&p), FLOCK);
    assert_ok(CALL(release, fh));
    p = start_program();
    assert_int_equal(answer_of(&p), FREE);
}

/* Because one must be waited for: without anybody else having come. */
TEST(test_without_recall)
{
    const struct mfs_lock_rec lock = record_lock(5, 5, MFS_LOCK_WR);
    assert_ok(surrender(&lock, 1));
    assert_error(CALL(setlk, fh, OWNER + 1, MFS_LOCK_RD, 5, 5, 9, 0), EAGAIN);
    struct program p = start_program();
    uint64_t serial = recall_serial();
    assert_ok(CALL(recalled, serial));
    assert_int_equal(answer_of(&p), RECORD);
    assert_ok(write_locked());
}

/* Who is silent for too long has lost them, and can't do anything under them. */
TEST(test_too_late)
{
    struct program p = start_program();
    uint64_t serial = recall_serial();
    assert_int_equal(answer_of(&p), FREE);
    const struct mfs_lock_rec lock = record_lock(5, 5, MFS_LOCK_WR);
    assert_error(write_locked(), ESTALE);
    assert_error(CALL(setattr, .node = file, .fh = fh, .valid = MFS_SET_SIZE | MFS_SET_LOCKED),
                 ESTALE);
    assert_error(surrender(&lock, 1), ESTALE);
    assert_ok(CALL(recalled, serial));
    assert_error(surrender(&lock, 1), ESTALE);
    assert_error(write_locked(), ESTALE);
    assert_int_equal(fx_stat("f").st_size, 0);
    assert_int_equal(fx_write(fh, 0, "without"), 7);
    p = start_program();
    assert_int_equal(answer_of(&p), FREE);
}

/* Nobody came while it was silent: nothing is lost. */
TEST(test_leases_ran_out)
{
    /* The server finds out when it needs to: by a file that somebody else opens. */
    assert_ok(CALL(create, ROOT, bytes_of("g"), 0666, 0, MFS_O_RDWR));
    assert_int_equal(rep.create.entry.attr.flags & MFS_ATTR_ALONE, MFS_ATTR_ALONE);
    pid_t pid = fork();
    if (pid == 0)
        _exit(open(fx_path("g"), O_RDONLY | O_CLOEXEC) < 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    struct rd body;
    do
        assert_ok(wc_notice(&c, SOON_MS, &body));
    while (c.last.head.notice != MFS_NOTICE_expired);
    assert_ok(write_locked());
    const struct mfs_lock_rec lock = record_lock(5, 5, MFS_LOCK_WR);
    assert_ok(surrender(&lock, 1));
    struct program p = start_program();
    assert_int_equal(answer_of(&p), RECORD);
}

TEST(test_odd_requests)
{
    uint8_t room[MFS_LOCK_REC_BYTES] = { 0 };
    assert_error(CALL(surrender, { room, sizeof room - 1 }), EINVAL);
    struct mfs_lock_rec lock = record_lock(5, 5, MFS_LOCK_WR);
    lock.type = 9;
    assert_error(surrender(&lock, 1), EINVAL);
    lock.is_flock = 1;
    assert_error(surrender(&lock, 1), EINVAL);
    lock.fh = 4711; /* closed meanwhile */
    assert_ok(surrender(&lock, 1));
    static uint8_t many[(MFS_SURRENDER_MAX + 1) * MFS_LOCK_REC_BYTES];
    assert_error(CALL(surrender, { many, sizeof many }), EINVAL);
    /* A file that the client is not alone with. */
    fx_put("g", "");
    int here = open(fx_path("g"), O_RDWR | O_CLOEXEC);
    assert_return_code(here, errno);
    assert_ok(CALL(create, ROOT, bytes_of("g"), 0666, 0, MFS_O_RDWR));
    assert_int_equal(rep.create.entry.attr.flags & MFS_ATTR_ALONE, 0);
    lock = record_lock(5, 5, MFS_LOCK_WR);
    lock.fh = rep.create.fh;
    assert_error(surrender(&lock, 1), ESTALE);
    close(here);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SURRENDER_TEST(test_program_finds_the_locks),
        SURRENDER_TEST(test_without_recall),
        SURRENDER_TEST(test_too_late),
        SURRENDER_TEST(test_leases_ran_out),
        SURRENDER_TEST(test_odd_requests),
    };
    return fx_run("server_surrender", tests, ARRAY_LEN(tests));
}
