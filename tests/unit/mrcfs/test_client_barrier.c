/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_barrier.c: what the end of a job waits for in a client that it shares with
 * others. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/base/wire_errors.h"
#include "common/sys/clock.h"
#include "mrcfs/client/client.h"

#include <unistd.h>

enum { SOON_MS = 5000 };

static int done_count;

static void on_done(void *ctx)
{
    ++*(int *)ctx;
}

static int start(void **state UNUSED)
{
    done_count = 0;
    cx_start(&(struct cx_opts){ 0 });
    return 0;
}

/* Its timers are zero or a few milliseconds. */
static void wait_done(int count)
{
    for (uint64_t until = clock_mono_ms() + SOON_MS;
         done_count < count && clock_mono_ms() < until;)
        cx_turn();
    assert_int_equal(done_count, count);
}

static void is_not_done(int count)
{
    for (uint64_t until = clock_mono_ms() + 50; clock_mono_ms() < until;)
        cx_turn();
    assert_int_equal(done_count, count);
}

/* A question of the kernel's that has reached the server; *unique: the kernel's number of it.
 */
static uint64_t ask(uint64_t *unique)
{
    struct rd body;
    *unique = cx_ask(FUSE_GETATTR, FUSE_ROOT_ID, &(struct fuse_getattr_in){ 0 },
                     sizeof(struct fuse_getattr_in));
    struct mfs_head h = cx_message(&body);
    assert_int_equal(h.op, MFS_OP_getattr);
    return h.id;
}

static void reply(uint64_t id, uint64_t unique)
{
    cx_reply(id, wire_error_from(-EIO), NULL, 0);
    cx_turn();
    assert_int_equal(cx_answer(unique, NULL, 0), EIO);
    assert_int_equal(cx.lost_count, 0);
}

TEST(test_nothing)
{
    struct mfs_barrier b;
    mfs_barrier_start(&b, cx.client, on_done, &done_count);
    wait_done(1);
    is_not_done(1); /* and not twice */
}

TEST(test_what_is_in_flight)
{
    struct mfs_barrier b;
    uint64_t one, two, later, id_one = ask(&one), id_two = ask(&two);
    mfs_barrier_start(&b, cx.client, on_done, &done_count);
    is_not_done(0);
    reply(id_two, two);
    is_not_done(0);
    /* Others' questions that come later don't hold it up for ever. */
    uint64_t id_later = ask(&later);
    reply(id_one, one);
    for (int i = 0; i < 8 && !done_count; i++) {
        uint64_t next, id_next = ask(&next);
        reply(id_later, later);
        id_later = id_next;
        later = next;
    }
    wait_done(1);
    reply(id_later, later);
    is_not_done(1);
}

TEST(test_several_at_once)
{
    struct mfs_barrier b[3];
    uint64_t one, id = ask(&one);
    for (size_t i = 0; i < ARRAY_LEN(b); i++)
        mfs_barrier_start(&b[i], cx.client, on_done, &done_count);
    is_not_done(0);
    mfs_barrier_drop(&b[1]); /* its job goes */
    reply(id, one);
    wait_done(2);
    is_not_done(2);
}

/* Who asked is gone before, while and after it could be done. */
TEST(test_dropped)
{
    struct mfs_barrier b;
    mfs_barrier_start(&b, cx.client, on_done, &done_count);
    mfs_barrier_drop(&b);
    uint64_t one, id = ask(&one);
    mfs_barrier_start(&b, cx.client, on_done, &done_count);
    cx_turn();
    mfs_barrier_drop(&b);
    reply(id, one);
    is_not_done(0);
}

/* Nothing more will be answered: nobody waits for that. */
TEST(test_server_is_lost)
{
    struct mfs_barrier b[2];
    uint64_t one;
    ask(&one);
    mfs_barrier_start(&b[0], cx.client, on_done, &done_count);
    is_not_done(0);
    close(cx.meta);
    cx.meta = -1;
    wait_done(1);
    mfs_barrier_start(&b[1], cx.client, on_done, &done_count);
    wait_done(2);
}

#define BARRIER_TEST(fn) cmocka_unit_test_setup_teardown(fn, start, cx_end)
UNIT_MAIN(BARRIER_TEST(test_nothing), BARRIER_TEST(test_what_is_in_flight),
          BARRIER_TEST(test_several_at_once), BARRIER_TEST(test_dropped),
          BARRIER_TEST(test_server_is_lost))
