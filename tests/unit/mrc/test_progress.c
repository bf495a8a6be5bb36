/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_progress.c: when the line that tells what a job waits for is there, and with which figures. */
#include "tests/lib/unit.h"

#include "mrc/progress.h"

static struct progress p;
static struct progress_look at;
static struct progress_line line;

static int begin(void **state UNUSED)
{
    p = (struct progress){ false };
    at = (struct progress_look){ .now_ms = 1000000, .is_allowed = true };
    line = (struct progress_line){ 0, 0 };
    progress_step(&p, &at, &line);
    return 0;
}

/* The next look, after so many bytes. */
static enum progress_order look(uint64_t bytes)
{
    at.now_ms += PROGRESS_LOOK_MS;
    at.sent_bytes += bytes;
    return progress_step(&p, &at, &line);
}

static enum progress_order looks(int count, uint64_t bytes)
{
    enum progress_order order = PROGRESS_NOTHING;
    for (int i = 0; i < count; i++)
        order = look(bytes);
    return order;
}

enum { SHOWN_AFTER = PROGRESS_WAIT_MS / PROGRESS_LOOK_MS + 1, PIECE = 100000 };

TEST(appears_after_a_while)
{
    assert_int_equal(looks(SHOWN_AFTER - 1, PIECE), PROGRESS_NOTHING);
    assert_int_equal(look(PIECE), PROGRESS_DRAW);
    assert_int_equal(line.bytes, SHOWN_AFTER * PIECE);
    assert_int_equal(line.rate, PIECE * 1000 / PROGRESS_LOOK_MS);
}

TEST(disappears_when_nothing_moves)
{
    assert_int_equal(looks(SHOWN_AFTER, PIECE), PROGRESS_DRAW);
    uint64_t shown = PROGRESS_QUIET_MS / PROGRESS_LOOK_MS - 1;
    assert_int_equal(looks((int)shown, 0), PROGRESS_DRAW);
    assert_int_equal(look(0), PROGRESS_ERASE);
    assert_int_equal(look(0), PROGRESS_NOTHING);
    /* And begins anew, with figures of its own. */
    assert_int_equal(looks(SHOWN_AFTER - 1, PIECE), PROGRESS_NOTHING);
    assert_int_equal(look(PIECE), PROGRESS_DRAW);
    assert_int_equal(line.bytes, SHOWN_AFTER * PIECE);
}

TEST(a_short_pause_is_none)
{
    assert_int_equal(looks(SHOWN_AFTER, PIECE), PROGRESS_DRAW);
    assert_int_equal(look(0), PROGRESS_DRAW);
    assert_int_equal(look(PIECE), PROGRESS_DRAW);
    assert_int_equal(line.bytes, (SHOWN_AFTER + 1) * PIECE);
    assert_true(line.rate < PIECE * 1000 / PROGRESS_LOOK_MS);
}

/* Names and attributes cross the wire all the time; over a slow wire so do a few bytes of contents. */
TEST(little_counts_only_while_more_waits)
{
    assert_int_equal(looks(20, PROGRESS_LEAST - 1), PROGRESS_NOTHING);
    at.unsent_bytes = 1;
    assert_int_equal(looks(SHOWN_AFTER, 1000), PROGRESS_DRAW);
    at.unsent_bytes = 0;
    assert_int_equal(looks(PROGRESS_QUIET_MS / PROGRESS_LOOK_MS, 1000), PROGRESS_ERASE);
}

/* Nothing moves although something waits: the link is dead, and the line would say nothing. */
TEST(waiting_without_a_byte)
{
    at.unsent_bytes = 1000000;
    assert_int_equal(looks(50, 0), PROGRESS_NOTHING);
}

TEST(a_job_that_prints_does_not_wait)
{
    for (int i = 0; i < 20; i++) {
        at.has_printed = true;
        assert_int_equal(look(PIECE), PROGRESS_NOTHING);
        at.has_printed = false;
        assert_int_equal(looks(2, PIECE), PROGRESS_NOTHING);
    }
    assert_int_equal(looks(SHOWN_AFTER, PIECE), PROGRESS_DRAW);
    /* Who printed has erased it. */
    progress_erased(&p);
    at.has_printed = true;
    assert_int_equal(look(PIECE), PROGRESS_NOTHING);
}

TEST(not_where_it_would_disturb)
{
    at.is_allowed = false;
    assert_int_equal(looks(20, PIECE), PROGRESS_NOTHING);
    at.is_allowed = true;
    assert_int_equal(look(PIECE), PROGRESS_DRAW);
    at.is_allowed = false;
    assert_int_equal(look(PIECE), PROGRESS_ERASE);
    assert_int_equal(look(PIECE), PROGRESS_NOTHING);
}

/* The job's view turned out to be another one, whose figures are smaller. */
TEST(figures_that_begin_anew)
{
    assert_int_equal(looks(SHOWN_AFTER, PIECE), PROGRESS_DRAW);
    at.sent_bytes = 0;
    looks(PROGRESS_QUIET_MS / PROGRESS_LOOK_MS, 0);
    assert_false(p.is_shown);
    assert_int_equal(looks(SHOWN_AFTER, PIECE), PROGRESS_DRAW);
    assert_int_equal(line.bytes, SHOWN_AFTER * PIECE);
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = { T(appears_after_a_while),
                                        T(disappears_when_nothing_moves),
                                        T(a_short_pause_is_none),
                                        T(little_counts_only_while_more_waits),
                                        T(waiting_without_a_byte),
                                        T(a_job_that_prints_does_not_wait),
                                        T(not_where_it_would_disturb),
                                        T(figures_that_begin_anew) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
