/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_locks.c: record locks and flock through the file server: among its own owners,
 * with programs on the head, with other servers; waiting, cancelling, deadlock. */
#include "tests/lib/mfs_fixture.h"

#include "mrcfs/server/held.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RD = MFS_LOCK_RD, WR = MFS_LOCK_WR, UN = MFS_LOCK_UN };
#define TO_END UINT64_MAX

/* Pid of an owner's process, as these tests number them. */
static uint32_t pid_of(uint64_t owner)
{
    return (uint32_t)(1000 + owner);
}

static int set(uint64_t fh, uint64_t owner, uint8_t type, uint64_t start, uint64_t end)
{
    return CALL(setlk, fh, owner, type, start, end, pid_of(owner), 0);
}

static uint64_t set_waiting(uint64_t fh, uint64_t owner, uint8_t type, uint64_t start,
                            uint64_t end)
{
    return SEND(setlk, fh, owner, type, start, end, pid_of(owner), 1);
}

/* A request is being waited for: nothing came though the server answers others. */
static void assert_waiting(uint64_t id)
{
    struct rd body;
    for (int i = 0; i < 3; i++)
        assert_ok(CALL(getattr, ROOT, 0));
    assert_int_equal(wc_wait(&c, id, 30, &body), -ETIMEDOUT);
}

static void assert_in_the_way(uint64_t fh, uint64_t owner, uint8_t type, uint64_t start,
                              uint64_t end, struct mfs_getlk_rep expected)
{
    assert_ok(CALL(getlk, fh, owner, type, start, end, pid_of(owner)));
    assert_int_equal(rep.getlk.type, expected.type);
    if (expected.type == UN)
        return;
    assert_int_equal(rep.getlk.start, expected.start);
    assert_int_equal(rep.getlk.end, expected.end);
    assert_int_equal(rep.getlk.pid, expected.pid);
}

/* ---- a program on the head ---- */

struct head_program {
    pid_t pid;
    int to;
    int from;
};

/* Carries out single letters: r, w lock bytes 0 to 9 (waiting), u unlocks, s, e, n flock
 * shared, exclusive, none (waiting); answers each with 0 or the errno. */
static void head_main(const char *path, int in, int out)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char what;
    while (read(in, &what, 1) == 1) {
        struct flock fl = { .l_type = what == 'r'   ? F_RDLCK
                                      : what == 'w' ? F_WRLCK
                                                    : F_UNLCK,
                            .l_len = 10 };
        int rc = strchr("rwu", what) ? fcntl(fd, F_SETLKW, &fl)
                                     : flock(fd, what == 's'   ? LOCK_SH
                                                 : what == 'e' ? LOCK_EX
                                                               : LOCK_UN);
        char answer = (char)(rc < 0 ? errno : 0);
        if (write(out, &answer, 1) != 1)
            break;
    }
    _exit(0);
}

static struct head_program head_start(const char *name)
{
    int to[2], from[2];
    const char *path = fx_path(name);
    assert_return_code(pipe(to), errno);
    assert_return_code(pipe(from), errno);
    struct head_program p = { fork(), to[1], from[0] };
    if (p.pid == 0) {
        close(to[1]);
        head_main(path, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    return p;
}

static void head_ask(struct head_program *p, char what)
{
    assert_int_equal(write(p->to, &what, 1), 1);
}

static int head_answer(struct head_program *p, int timeout_ms)
{
    char answer;
    struct pollfd pfd = { p->from, POLLIN, 0 };
    if (poll(&pfd, 1, timeout_ms) != 1)
        return -ETIMEDOUT;
    assert_int_equal(read(p->from, &answer, 1), 1);
    return answer;
}

static void head_do(struct head_program *p, char what)
{
    head_ask(p, what);
    assert_int_equal(head_answer(p, WC_TIMEOUT_MS), 0);
}

static void head_stop(struct head_program *p)
{
    int status;
    close(p->to);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    close(p->from);
}

/* ---- record locks ---- */

TEST(test_conflicts)
{
    uint64_t fh = fx_create("f", 0644), fh2 = fx_open("f", MFS_O_RDWR);
    assert_ok(set(fh, 1, WR, 10, 19));
    assert_error(set(fh, 2, RD, 15, 30), EAGAIN);
    assert_error(set(fh2, 2, WR, 0, TO_END), EAGAIN);
    assert_ok(set(fh2, 2, WR, 0, 9));
    assert_ok(set(fh2, 2, WR, 20, TO_END));
    assert_ok(set(fh2, 1, WR, 12, 14)); /* the same owner, another open file */
    assert_in_the_way(fh2, 2, WR, 5, 100, (struct mfs_getlk_rep){ WR, 10, 19, pid_of(1) });
    assert_in_the_way(fh, 1, RD, 0, TO_END, (struct mfs_getlk_rep){ WR, 0, 9, pid_of(2) });
    assert_in_the_way(fh, 3, RD, 25, 26, (struct mfs_getlk_rep){ WR, 20, TO_END, pid_of(2) });
    assert_in_the_way(fh, 1, WR, 10, 19, (struct mfs_getlk_rep){ UN });
    assert_ok(set(fh, 1, UN, 12, 13));
    assert_ok(set(fh, 2, RD, 12, 13));
    assert_in_the_way(fh, 3, WR, 14, 14, (struct mfs_getlk_rep){ WR, 14, 19, pid_of(1) });
    assert_ok(set(fh, 1, RD, 14, 19)); /* down to shared */
    assert_ok(set(fh, 3, RD, 14, 19));
    assert_error(set(fh, 1, WR, 14, 19), EAGAIN);
    assert_ok(set(fh, 9, UN, 0, TO_END)); /* who has none can still unlock */

    assert_error(set(fh, 0, WR, 0, 0), EINVAL);
    assert_error(set(fh, 1, 7, 0, 0), EINVAL);
    assert_error(set(fh, 1, WR, 5, 4), EINVAL);
    assert_error(set(fh, 1, WR, (uint64_t)INT64_MAX + 1, TO_END), EINVAL);
    assert_error(set(4711, 1, WR, 0, 0), EBADF);
    uint64_t ro = fx_open("f", MFS_O_RDONLY), wo = fx_open("f", MFS_O_WRONLY);
    assert_error(set(ro, 4, WR, 1000, 1000), EBADF);
    assert_error(set(wo, 4, RD, 1000, 1000), EBADF);
}

TEST(test_waiting)
{
    uint64_t fh = fx_create("f", 0644);
    assert_ok(set(fh, 1, WR, 0, TO_END));
    uint64_t second = set_waiting(fh, 2, RD, 0, 9), third = set_waiting(fh, 3, RD, 5, 6);
    assert_waiting(second);
    assert_waiting(third);
    assert_ok(set(fh, 1, UN, 0, 6));
    assert_ok(AWAIT(setlk, third));
    assert_waiting(second);
    assert_ok(set(fh, 1, UN, 7, TO_END));
    assert_ok(AWAIT(setlk, second));
    assert_ok(set(fh, 3, UN, 0, TO_END));
    assert_in_the_way(fh, 1, WR, 0, 9, (struct mfs_getlk_rep){ RD, 0, 9, pid_of(2) });
}

/* An owner with two threads: while one waits, the other goes on. */
TEST(test_owner_waits_and_works)
{
    uint64_t fh = fx_create("f", 0644);
    assert_ok(set(fh, 1, WR, 0, 0));
    assert_ok(set(fh, 2, WR, 1, 1));
    uint64_t one = set_waiting(fh, 2, WR, 0, 0), two = set_waiting(fh, 2, WR, 0, 5);
    assert_waiting(one);
    assert_ok(set(fh, 2, WR, 7, 7));
    assert_ok(set(fh, 2, UN, 1, 1));
    assert_ok(set(fh, 1, WR, 1, 1));
    assert_ok(set(fh, 1, UN, 0, TO_END));
    assert_ok(AWAIT(setlk, one));
    assert_ok(AWAIT(setlk, two));
}

TEST(test_cancel)
{
    uint64_t fh = fx_create("f", 0644);
    assert_ok(set(fh, 1, WR, 0, TO_END));
    for (int i = 0; i < 50; i++) {
        uint64_t id = set_waiting(fh, 2, WR, 0, 0);
        if (i % 3 == 0)
            assert_waiting(id);
        wc_cancel(&c, id);
        assert_error(AWAIT(setlk, id), EINTR);
    }
    wc_cancel(&c, 999999);
    wc_cancel(&c, 0);
    uint64_t id = set_waiting(fh, 2, WR, 0, 0);
    assert_ok(set(fh, 1, UN, 0, TO_END));
    assert_ok(AWAIT(setlk, id));
    wc_cancel(&c, id); /* too late: nothing happens */
    assert_error(set(fh, 1, WR, 0, 0), EAGAIN);
}

TEST(test_deadlock)
{
    uint64_t fh = fx_create("f", 0644), other = fx_create("g", 0644);
    assert_ok(set(fh, 1, WR, 0, 0));
    assert_ok(set(other, 2, WR, 0, 0));
    uint64_t first = set_waiting(other, 1, WR, 0, 0);
    assert_waiting(first);
    assert_error(CALL(setlk, fh, 2, WR, 0, 0, pid_of(2), 1), EDEADLK);
    assert_ok(set(other, 2, UN, 0, 0));
    assert_ok(AWAIT(setlk, first));
}

TEST(test_released_by_closing)
{
    uint64_t a = fx_create("f", 0644), b = fx_open("f", MFS_O_RDWR);
    uint64_t other = fx_create("g", 0644);
    assert_ok(set(a, 1, WR, 0, 5));
    assert_ok(set(b, 1, WR, 8, 9));
    assert_ok(set(other, 1, WR, 0, 0));
    assert_ok(set(a, 2, WR, 20, 20));
    /* Closing any descriptor of the file ends its owner's locks on it, and on no other file. */
    assert_ok(CALL(flush, b, 1));
    assert_ok(set(a, 3, WR, 0, 9));
    assert_error(set(a, 3, WR, 20, 20), EAGAIN);
    assert_error(set(other, 3, WR, 0, 0), EAGAIN);
    assert_in_the_way(other, 3, WR, 0, 0, (struct mfs_getlk_rep){ WR, 0, 0, pid_of(1) });
    /* Taken anew after the close; the late release of the closed file leaves it alone. */
    assert_ok(CALL(flush, a, 3));
    assert_ok(set(b, 1, WR, 0, 5));
    assert_ok(CALL(release, a));
    assert_error(set(b, 3, WR, 0, 5), EAGAIN);
    /* An open file's own locks (OFD) go with it. */
    uint64_t d = fx_open("f", MFS_O_RDWR);
    assert_ok(set(d, 77, WR, 100, 100));
    assert_error(set(b, 3, WR, 100, 100), EAGAIN);
    assert_ok(CALL(release, d));
    assert_ok(set(b, 3, WR, 100, 100));
}

TEST(test_with_head_programs)
{
    uint64_t fh = fx_create("f", 0666);
    assert_return_code(chmod(fx_path("f"), 0666), errno);
    struct head_program p = head_start("f");
    head_do(&p, 'w');
    assert_error(set(fh, 1, RD, 3, 3), EAGAIN);
    assert_in_the_way(fh, 1, WR, 0, 100, (struct mfs_getlk_rep){ WR, 0, 9, (uint32_t)p.pid });
    uint64_t id = set_waiting(fh, 1, WR, 0, 9);
    assert_waiting(id);
    head_do(&p, 'u');
    assert_ok(AWAIT(setlk, id));
    head_ask(&p, 'w');
    assert_int_equal(head_answer(&p, 50), -ETIMEDOUT);
    assert_ok(CALL(flush, fh, 1));
    assert_int_equal(head_answer(&p, WC_TIMEOUT_MS), 0);
    head_stop(&p);
    assert_ok(set(fh, 1, WR, 0, 9));
}

TEST(test_client_gone)
{
    fx_create("f", 0666);
    assert_return_code(chmod(fx_path("f"), 0666), errno);
    static struct wc other;
    struct mfs_export x = { fx_dir, false };
    assert_ok(wc_start(&other, &(struct mfs_serve_opts){ .exports = &x, .export_count = 1 },
                       fx_user));
    assert_ok(ON(&other, lookup, ROOT, bytes_of("f")));
    assert_ok(ON(&other, open, rep.lookup.entry.node, MFS_O_RDWR));
    uint64_t theirs = rep.open.fh, ours = fx_open("f", MFS_O_RDWR);
    assert_ok(ON(&other, setlk, theirs, 1, WR, 0, TO_END, 1, 0));
    assert_ok(ON(&other, flock, theirs, WR, 0));
    assert_error(set(ours, 1, WR, 0, 0), EAGAIN); /* two servers conflict */
    assert_error(CALL(flock, ours, RD, 0), EAGAIN);
    uint64_t id = set_waiting(ours, 1, WR, 0, 0), id2 = SEND(flock, ours, WR, 1);
    assert_waiting(id);
    assert_waiting(id2);
    /* Waits of the one that goes must not keep its server. */
    uint64_t ignored =
        wc_setlk_send(&other, &(struct mfs_setlk_req){ theirs, 2, WR, 0, 5, 1, 1 });
    assert_true(ignored != 0);
    assert_ok(wc_stop(&other));
    assert_ok(AWAIT(setlk, id));
    assert_ok(AWAIT(flock, id2));
}

TEST(test_many_owners)
{
    enum { OWNERS = 300 };
    uint64_t fh = fx_create("f", 0644), ids[OWNERS];
    assert_ok(set(fh, 1, WR, 0, TO_END));
    for (uint64_t i = 0; i < OWNERS; i++)
        ids[i] = set_waiting(fh, 100 + i, WR, 0, 0);
    assert_waiting(ids[0]);
    assert_ok(set(fh, 1, UN, 0, TO_END));
    /* One after the other, in some order: whoever has it gives it on. */
    for (unsigned done = 0; done < OWNERS; done++) {
        struct rd body;
        assert_ok(wc_wait(&c, 0, WC_TIMEOUT_MS, &body));
        assert_int_equal(c.last.head.error, 0);
        uint64_t i = 0;
        while (i < OWNERS && ids[i] != c.last.head.id)
            i++;
        assert_true(i < OWNERS);
        assert_ok(CALL(flush, fh, 100 + i));
    }
    assert_in_the_way(fh, 1, WR, 0, TO_END, (struct mfs_getlk_rep){ UN });
}

TEST(test_lock_after_rename_and_chmod)
{
    uint64_t fh = fx_create("f", 0644);
    assert_ok(CALL(setattr, rep.create.entry.node, 0, MFS_SET_MODE, { .mode = 0 }));
    assert_ok(CALL(unlink, ROOT, bytes_of("f")));
    assert_ok(set(fh, 1, WR, 0, 5));
    assert_error(set(fh, 2, WR, 0, 5), EAGAIN);
}

/* ---- flock ---- */

TEST(test_flock)
{
    uint64_t a = fx_create("f", 0666), b = fx_open("f", MFS_O_RDONLY);
    assert_return_code(chmod(fx_path("f"), 0666), errno);
    assert_ok(CALL(flock, a, RD, 0));
    assert_ok(CALL(flock, b, RD, 0));
    assert_error(CALL(flock, a, WR, 0), EAGAIN);
    assert_ok(CALL(flock, b, UN, 0));
    assert_ok(CALL(flock, a, WR, 0));
    uint64_t id = SEND(flock, b, WR, 1);
    assert_waiting(id);
    wc_cancel(&c, id);
    assert_error(AWAIT(flock, id), EINTR);
    id = SEND(flock, b, WR, 1);
    assert_waiting(id);
    assert_ok(CALL(release, a));
    assert_ok(AWAIT(flock, id));
    assert_error(CALL(flock, b, 9, 0), EINVAL);

    struct head_program p = head_start("f");
    head_ask(&p, 's');
    assert_int_equal(head_answer(&p, 50), -ETIMEDOUT);
    assert_ok(CALL(flock, b, UN, 0));
    assert_int_equal(head_answer(&p, WC_TIMEOUT_MS), 0);
    assert_error(CALL(flock, b, WR, 0), EAGAIN);
    head_stop(&p);
    assert_ok(CALL(flock, b, WR, 0));
    /* The two kinds do not meet. */
    uint64_t d = fx_open("f", MFS_O_RDWR);
    assert_ok(set(d, 1, WR, 0, TO_END));
}

/* An open that waits until a program on the head gives up its lease holds up nothing else, even
 * if there are more of them than workers at first. */
TEST(test_opens_that_wait)
{
    enum { OPENS = 12 };
    fx_put("f", "");
    uint64_t f = fx_node("f"), ids[OPENS];
    struct rd body;
    int fd = open(fx_path("f"), O_RDWR | O_CLOEXEC);
    signal(SIGIO, SIG_IGN);
    if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
        print_message("no leases on %s: not tested\n", fx_dir);
        close(fd);
        return;
    }
    for (int i = 0; i < OPENS; i++)
        ids[i] = SEND(open, f, MFS_O_RDWR);
    for (int i = 0; i < 5; i++)
        assert_ok(CALL(getattr, ROOT, 0));
    assert_int_equal(wc_wait(&c, ids[0], 30, &body), -ETIMEDOUT);
    assert_ok(CALL(mkdir, ROOT, bytes_of("d"), 0755, 0));
    assert_return_code(fcntl(fd, F_SETLEASE, F_UNLCK), errno);
    for (int i = 0; i < OPENS; i++)
        assert_ok(AWAIT(open, ids[i]));
    close(fd);
}

/* ---- the shadow ---- */

static void hold(struct mfs_held **list, uint8_t type, uint64_t start, uint64_t end)
{
    mfs_held_set(list,
                 &(struct mfs_held){
                     .dev = 1, .ino = 2, .start = start, .end = end, .pid = 7, .type = type });
}

TEST(test_held)
{
    enum { BYTES = 64 };
    struct mfs_held *list = NULL;
    uint8_t expected[BYTES] = { 0 };
    uint32_t seed = 1;
    /* Any sequence of locks against one byte each. */
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1103515245 + 12345;
        unsigned a = seed >> 8 & 63, b = seed >> 16 & 63;
        uint8_t type = (uint8_t)((seed >> 24) % 3);
        unsigned first = a < b ? a : b, last = a < b ? b : a;
        hold(&list, type, first, last == BYTES - 1 ? UINT64_MAX : last);
        memset(expected + first, type, last - first + 1);
        for (unsigned i = 0; i < BYTES; i++) {
            const struct mfs_held *h = mfs_held_find(
                list, &(struct mfs_held){ .dev = 1, .ino = 2, .start = i, .end = i });
            assert_int_equal(h ? h->type : UN, expected[i]);
        }
    }
    assert_null(mfs_held_find(list, &(struct mfs_held){ .dev = 1, .ino = 3, .end = 9 }));
    mfs_held_drop_file(&list, 1, 2);
    assert_null(list);
    hold(&list, WR, 0, UINT64_MAX);
    mfs_held_free(&list);
    assert_null(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(test_conflicts),
        FX_TEST(test_waiting),
        FX_TEST(test_owner_waits_and_works),
        FX_TEST(test_cancel),
        FX_TEST(test_deadlock),
        FX_TEST(test_released_by_closing),
        FX_TEST(test_with_head_programs),
        FX_TEST(test_client_gone),
        FX_TEST(test_many_owners),
        FX_TEST(test_lock_after_rename_and_chmod),
        FX_TEST(test_flock),
        FX_TEST(test_opens_that_wait),
        cmocka_unit_test(test_held),
    };
    return fx_run("server_locks", tests, ARRAY_LEN(tests));
}
