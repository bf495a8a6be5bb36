/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_member.c: a file server whose broker has died, and what may become of the process that shall find another one:
 * operations wait for it, not longer than they may, and go on without. */
#include "tests/lib/unit.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mrcfs/broker/member.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GRACE_MS = 50, SOON_MS = 2000 };

static struct {
    struct mfs_member member;
    int broker, finder; /* the other ends */
    unsigned broken, joined; /* written by the member's thread, under its lock */
} world;

static void on_asked(void *ctx UNUSED, struct mfs_token *t)
{
    mfs_member_close(&world.member, t);
}

static enum mfs_drained on_drained(void *ctx UNUSED, struct mfs_token *t UNUSED)
{
    return MFS_DRAINED_GIVE;
}

static void on_forget(void *ctx UNUSED, struct mfs_token *t UNUSED) {}

static void on_broken(void *ctx UNUSED)
{
    world.broken++;
}

static void on_joined(void *ctx UNUSED)
{
    world.joined++;
}

static int no_tick(void *ctx UNUSED)
{
    return -1;
}

static int set_up(void **state UNUSED)
{
    int broker[2], finder[2];
    if (fd_socketpair(broker) < 0 || fd_socketpair(finder) < 0)
        return -1;
    world.broker = broker[1];
    world.finder = finder[1];
    world.broken = world.joined = 0;
    struct mfs_member_opts o = { .fd = broker[0],
                                 .has_finder = true,
                                 .finder_fd = finder[0],
                                 .grace_ms = GRACE_MS,
                                 .asked = on_asked,
                                 .drained = on_drained,
                                 .forget = on_forget,
                                 .broken = on_broken,
                                 .joined = on_joined,
                                 .tick = no_tick };
    return mfs_member_start(&world.member, &o);
}

static int tear_down(void **state UNUSED)
{
    mfs_member_stop(&world.member);
    fd_close(&world.broker);
    fd_close(&world.finder);
    return 0;
}

/* The member has asked its finder. */
static void expect_asked(int within_ms)
{
    struct pollfd pf = { .fd = world.finder, .events = POLLIN };
    char byte;
    assert_int_equal(poll(&pf, 1, within_ms), 1);
    assert_int_equal(read(world.finder, &byte, 1), 1);
}

static unsigned read_locked(const unsigned *what)
{
    pthread_mutex_lock(&world.member.mu);
    unsigned value = *what;
    pthread_mutex_unlock(&world.member.mu);
    return value;
}

/* A change of a file, from another thread, as the server's workers make them. */
struct change {
    pthread_t thread;
    uint64_t took_ms;
    int rc;
    bool is_bare;
};

static void *make_change(void *arg)
{
    struct change *c = arg;
    struct mfs_use u = { .key = { 1, 7 }, .mode = MFS_LEASE_EXCLUSIVE };
    uint64_t begun = clock_mono_ms();
    c->rc = mfs_member_use(&world.member, &u);
    c->took_ms = clock_mono_ms() - begun;
    c->is_bare = u.is_bare;
    mfs_member_put(&world.member, &u);
    return NULL;
}

static void begin(struct change *c)
{
    assert_int_equal(pthread_create(&c->thread, NULL, make_change, c), 0);
}

static void expect_made_without(struct change *c, uint64_t from_ms, uint64_t to_ms)
{
    assert_int_equal(pthread_join(c->thread, NULL), 0);
    assert_int_equal(c->rc, 0);
    assert_true(c->is_bare);
    assert_in_range(c->took_ms, from_ms, to_ms);
}

TEST(test_finder_dies_when_asked)
{
    struct change c;
    fd_close(&world.broker);
    expect_asked(SOON_MS);
    begin(&c);
    fd_close(&world.finder);
    expect_made_without(&c, 0, SOON_MS);
    assert_int_equal(read_locked(&world.broken), 1);
    assert_int_equal(read_locked(&world.joined), 0);
}

TEST(test_finder_was_dead_before)
{
    struct change c;
    fd_close(&world.finder);
    fd_close(&world.broker);
    begin(&c);
    expect_made_without(&c, 0, SOON_MS);
    assert_int_equal(read_locked(&world.joined), 0);
}

TEST(test_finder_finds_nothing)
{
    struct change c;
    fd_close(&world.broker);
    expect_asked(SOON_MS);
    begin(&c);
    assert_int_equal(write(world.finder, "", 1), 1); /* without a descriptor */
    expect_made_without(&c, 0, SOON_MS);
    assert_int_equal(read_locked(&world.joined), 0);
}

TEST(test_finder_is_silent)
{
    struct change c;
    fd_close(&world.broker);
    expect_asked(SOON_MS);
    begin(&c);
    expect_made_without(&c, MFS_MEMBER_SHUT_MS / 2, MFS_MEMBER_SHUT_MS + SOON_MS);
    assert_int_equal(read_locked(&world.joined), 0);
}

TEST(test_finder_finds_one_that_dies_at_once)
{
    int pair[2];
    struct change c;
    fd_close(&world.broker);
    expect_asked(SOON_MS);
    assert_ok(fd_socketpair(pair));
    assert_ok(fd_send(world.finder, pair[0]));
    close(pair[0]);
    close(pair[1]);
    expect_asked(SOON_MS); /* and another is looked for */
    assert_int_equal(read_locked(&world.broken), 2);
    assert_int_equal(read_locked(&world.joined), 1);
    begin(&c);
    fd_close(&world.finder);
    expect_made_without(&c, 0, SOON_MS);
}

#define MEMBER_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMBER_TEST(test_finder_dies_when_asked),
        MEMBER_TEST(test_finder_was_dead_before),
        MEMBER_TEST(test_finder_finds_nothing),
        MEMBER_TEST(test_finder_is_silent),
        MEMBER_TEST(test_finder_finds_one_that_dies_at_once),
    };
    return cmocka_run_group_tests_name("member", tests, NULL, NULL);
}
