/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_loop.c: the event loop. */
#include "tests/lib/unit.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/loop.h"

#include <stdio.h>
#include <unistd.h>

static struct loop *loop;
static char order[32]; /* what happened, a letter each */

static int setup(void **state UNUSED)
{
    order[0] = 0;
    return loop_new(&loop);
}

static int teardown(void **state UNUSED)
{
    loop_free(loop);
    return 0;
}

static void note(char letter)
{
    size_t len = strlen(order);
    assert_true(len < sizeof order - 1);
    order[len] = letter;
    order[len + 1] = 0;
}

static void on_timer(void *ctx)
{
    note(*(const char *)ctx);
}

static void on_stop(void *ctx UNUSED)
{
    note('.');
    loop_stop(loop, 42);
}

TEST(timers_in_order_of_time)
{
    struct loop_timer a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, end = { 0 };
    loop_timer_set(loop, &end, 40, on_stop, NULL);
    loop_timer_set(loop, &b, 20, on_timer, (char *)"b");
    loop_timer_set(loop, &c, 20, on_timer, (char *)"c"); /* same time: in order of setting */
    loop_timer_set(loop, &a, 0, on_timer, (char *)"a");
    loop_timer_set(loop, &d, 1, on_timer, (char *)"d");
    loop_timer_del(&d);
    uint64_t start = clock_mono_ms();
    assert_int_equal(loop_run(loop), 42);
    assert_string_equal(order, "abc.");
    uint64_t took = clock_mono_ms() - start;
    assert_true(took >= 39 && took < 5000);
}

TEST(setting_again_moves_a_timer)
{
    struct loop_timer a = { 0 }, end = { 0 };
    loop_timer_set(loop, &a, 1, on_timer, (char *)"x");
    loop_timer_set(loop, &end, 10, on_stop, NULL);
    loop_timer_set(loop, &a, 100000, on_timer, (char *)"y");
    assert_int_equal(loop_run(loop), 42);
    assert_string_equal(order, ".");
    loop_timer_del(&a);
}

static int pair[2];
static struct loop_fd watch, other;

static void on_readable(void *ctx, uint32_t events)
{
    char c;
    assert_true(events & EPOLLIN);
    assert_int_equal(fd_read(*(int *)ctx, &c, 1), 1);
    note(c);
    if (c == '.')
        loop_stop(loop, 7);
}

TEST(a_readable_descriptor)
{
    assert_ok(fd_socketpair(pair));
    assert_ok(loop_fd_add(loop, &watch, pair[0], EPOLLIN, on_readable, &pair[0]));
    assert_ok(fd_write_full(pair[1], "ab.", 3));
    assert_int_equal(loop_run(loop), 7);
    assert_string_equal(order, "ab.");
    /* Not asked for: not told. */
    loop_fd_set(&watch, 0);
    assert_ok(fd_write_full(pair[1], "c", 1));
    assert_ok(loop_turn(loop, 0));
    assert_string_equal(order, "ab.");
    loop_fd_set(&watch, EPOLLIN);
    assert_ok(loop_turn(loop, 0));
    assert_string_equal(order, "ab.c");
    loop_fd_del(&watch);
    loop_fd_del(&watch); /* again: nothing happens */
    assert_ok(fd_write_full(pair[1], "d", 1));
    assert_ok(loop_turn(loop, 0));
    assert_string_equal(order, "ab.c");
    fd_close(&pair[0]);
    fd_close(&pair[1]);
}

static void on_delete_both(void *ctx, uint32_t events UNUSED)
{
    note(*(const char *)ctx);
    loop_fd_del(&watch);
    loop_fd_del(&other);
}

/* Two descriptors are ready in one turn; the first callback deletes both watches. */
TEST(deleted_in_the_same_turn)
{
    assert_ok(fd_socketpair(pair));
    assert_ok(loop_fd_add(loop, &watch, pair[0], EPOLLOUT, on_delete_both, (char *)"x"));
    assert_ok(loop_fd_add(loop, &other, pair[1], EPOLLOUT, on_delete_both, (char *)"x"));
    assert_ok(loop_turn(loop, 0));
    assert_ok(loop_turn(loop, 0));
    assert_string_equal(order, "x");
    fd_close(&pair[0]);
    fd_close(&pair[1]);
}

/* epoll refuses regular files; the loop doesn't. */
TEST(a_regular_file)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    int fd = fileno(f);
    assert_ok(fd_write_full(fd, "xy.", 3));
    lseek(fd, 0, SEEK_SET);
    assert_ok(loop_fd_add(loop, &watch, fd, EPOLLIN, on_readable, &fd));
    assert_int_equal(loop_run(loop), 7);
    assert_string_equal(order, "xy.");
    loop_fd_del(&watch);
    assert_ok(loop_turn(loop, 0));
    assert_string_equal(order, "xy.");
    fclose(f);
}

static void on_hangup(void *ctx UNUSED, uint32_t events)
{
    note(events & EPOLLHUP ? 'h' : '?');
    loop_fd_del(&watch);
}

TEST(hang_up_is_told_only_where_something_is_waited_for)
{
    assert_ok(fd_socketpair(pair));
    assert_ok(loop_fd_add(loop, &watch, pair[0], 0, on_hangup, NULL));
    fd_close(&pair[1]);
    assert_ok(loop_turn(loop, 0));
    assert_int_equal(order[0], 0);
    loop_fd_set(&watch, EPOLLIN);
    assert_ok(loop_turn(loop, 1000));
    assert_string_equal(order, "h");
    fd_close(&pair[0]);
}

static void on_idle(void *ctx UNUSED)
{
    note('i');
}

TEST(wake_and_idle)
{
    loop_set_idle(loop, on_idle, NULL);
    loop_wake(loop);
    loop_wake(loop);
    assert_ok(loop_turn(loop, -1)); /* would hang without the wake-up */
    assert_string_equal(order, "ii"); /* before the wait and after the events */
    assert_ok(loop_turn(loop, 0));
    assert_string_equal(order, "iiii");
}

TEST(bad_descriptor)
{
    assert_error(loop_fd_add(loop, &watch, -1, EPOLLIN, on_readable, NULL), EBADF);
    loop_fd_del(&watch); /* was never added */
}

#define WITH_LOOP(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
UNIT_MAIN(WITH_LOOP(timers_in_order_of_time), WITH_LOOP(setting_again_moves_a_timer),
          WITH_LOOP(a_readable_descriptor), WITH_LOOP(deleted_in_the_same_turn),
          WITH_LOOP(a_regular_file), WITH_LOOP(hang_up_is_told_only_where_something_is_waited_for),
          WITH_LOOP(wake_and_idle), WITH_LOOP(bad_descriptor))
