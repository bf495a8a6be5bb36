/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_migrate.c: the phases of a move and the states of a place, one event at a time; what
 * happens in all orders is tests/sim/migrate_sim.c's. */
#include "tests/lib/unit.h"

#include "mosix-core/plan/migrate.h"

#include <stdio.h>

/* ---- the home ---- */

static struct mx_migrate home;
static struct mx_migrate_out did;
static int64_t now_ms;
static uint32_t report_number;

static void begin(void)
{
    now_ms = 1000;
    report_number = 0;
    mx_migrate_init(&home, now_ms);
}

static int say(enum mx_migrate_event what, uint32_t place)
{
    return mx_migrate_step(
        &home, &(struct mx_migrate_in){ .what = what, .now_ms = now_ms, .place = place }, &did);
}

static void tell(uint32_t place, enum mx_is is, enum mx_why why, uint32_t left_ms)
{
    struct mx_report r = { .number = ++report_number,
                           .obeyed = UINT32_MAX,
                           .move = home.move,
                           .is = is,
                           .why = why,
                           .stamp_ms = now_ms + 77,
                           .progress = report_number,
                           .left_ms = left_ms };
    struct mx_migrate_in in = {
        .what = MX_MIG_REPORT, .now_ms = now_ms, .place = place, .report = &r
    };
    assert_ok(mx_migrate_step(&home, &in, &did));
}

/* Phase and orders as text: "copying 0:copy 1:build". */
static void expect(const char *wanted)
{
    char text[200];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", mx_phase_text(home.phase));
    for (unsigned i = 0; i < did.order_count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %u:%s", did.orders[i].place,
                                 mx_want_text(did.orders[i].order.want));
    assert_string_equal(text, wanted);
}

static void until_committing(void)
{
    assert_ok(say(MX_MIG_MOVE, 1));
    expect("asking 1:build");
    tell(1, MX_IS_BUILDING, 0, 0);
    expect("copying 0:copy");
    tell(0, MX_IS_COPYING, 0, 5000);
    expect("copying");
    tell(0, MX_IS_COPYING, 0, MX_FREEZE_AIM_MS);
    expect("freezing 0:freeze");
    tell(0, MX_IS_FROZEN, 0, 0);
    expect("freezing");
    tell(1, MX_IS_READY, 0, 0);
    expect("committing 1:run");
    assert_int_equal(did.orders[0].order.stamp_ms, now_ms + 77);
}

TEST(moves_out)
{
    begin();
    assert_true(mx_migrate_serves(&home, MX_HOME));
    until_committing();
    assert_false(mx_migrate_serves(&home, MX_HOME) || mx_migrate_serves(&home, 1));
    tell(1, MX_IS_RUNNING, 0, 0);
    expect("settled 0:drop");
    assert_true(did.has_moved && !did.has_failed);
    assert_true(mx_migrate_serves(&home, 1) && !mx_migrate_serves(&home, MX_HOME));
}

TEST(a_destination_that_refuses_leaves_all_as_it_was)
{
    begin();
    assert_ok(say(MX_MIG_MOVE, 1));
    tell(1, MX_IS_NONE, MX_WHY_NO_ROOM, 0);
    expect("rolling-back 1:drop");
    tell(0, MX_IS_RUNNING, 0, 0);
    expect("settled");
    assert_true(did.has_failed && did.why == MX_WHY_NO_ROOM);
}

TEST(a_source_that_cannot_be_read_goes_on)
{
    begin();
    assert_ok(say(MX_MIG_MOVE, 1));
    tell(1, MX_IS_BUILDING, 0, 0);
    tell(0, MX_IS_RUNNING, MX_WHY_REFUSED, 0);
    expect("rolling-back 0:run 1:drop");
    tell(0, MX_IS_RUNNING, MX_WHY_REFUSED, 0);
    expect("settled");
    assert_true(did.has_failed && did.why == MX_WHY_REFUSED);
}

TEST(leave_that_was_given_must_run_out_first)
{
    begin();
    until_committing();
    int64_t ready_ms = now_ms;
    now_ms += MX_COMMIT_MS;
    assert_ok(say(MX_MIG_TICK, 0));
    expect("revoking 0:freeze 1:drop");
    now_ms = ready_ms + MX_LEASE_MS + MX_LEASE_SLACK_MS - 1;
    assert_ok(say(MX_MIG_TICK, 0));
    assert_int_equal(home.phase, MX_REVOKING);
    now_ms++;
    assert_ok(say(MX_MIG_TICK, 0));
    assert_int_equal(home.phase, MX_ROLLING_BACK);
}

TEST(a_destination_that_has_dropped_it_need_not_be_waited_for)
{
    begin();
    until_committing();
    assert_ok(say(MX_MIG_CUT, 1));
    expect("revoking 1:drop");
    tell(1, MX_IS_RUNNING, 0, 0); /* too late */
    expect("revoking");
    tell(1, MX_IS_NONE, 0, 0);
    expect("rolling-back 0:run");
}

TEST(a_silent_host_ends_the_job)
{
    begin();
    until_committing();
    tell(1, MX_IS_RUNNING, 0, 0);
    now_ms += MX_PATIENCE_MS - 1;
    assert_ok(say(MX_MIG_TICK, 0));
    assert_false(did.has_ended);
    now_ms++;
    assert_ok(say(MX_MIG_TICK, 0));
    assert_true(did.has_ended && did.why == MX_WHY_SILENT);
    assert_error(say(MX_MIG_MOVE, 2), ESRCH);
}

TEST(one_move_at_a_time)
{
    begin();
    assert_error(say(MX_MIG_MOVE, MX_HOME), EALREADY);
    assert_ok(say(MX_MIG_MOVE, 1));
    assert_error(say(MX_MIG_MOVE, 2), EBUSY);
    assert_ok(say(MX_MIG_KILLED, 0));
    assert_true(did.has_ended && did.why == MX_WHY_KILLED);
    expect("over 0:drop 1:drop");
}

/* ---- a place ---- */

static struct mx_holder place;
static struct mx_holder_out done;
static uint32_t order_number;

static void order(enum mx_want want, int64_t stamp_ms)
{
    struct mx_order o = {
        .number = ++order_number, .move = 1, .want = want, .stamp_ms = stamp_ms
    };
    mx_holder_step(
        &place, &(struct mx_holder_in){ .what = MX_HOLD_ORDER, .now_ms = now_ms, .order = &o },
        &done);
}

static void happens(enum mx_holder_event what)
{
    mx_holder_step(&place, &(struct mx_holder_in){ .what = what, .now_ms = now_ms, .move = 1 },
                   &done);
}

static bool does(enum mx_holder_do what)
{
    for (unsigned i = 0; i < done.count; i++)
        if (done.actions[i] == what)
            return true;
    return false;
}

TEST(a_copy_runs_by_leave_only)
{
    now_ms = 50000;
    order_number = 0;
    mx_holder_init(&place, false, false);
    order(MX_WANT_RUN, 0);
    assert_int_equal(place.is, MX_IS_NONE);
    order(MX_WANT_BUILD, 0);
    assert_true(does(MX_DO_BUILD) && does(MX_DO_REPORT));
    order(MX_WANT_RUN, 0);
    assert_false(does(MX_DO_RUN)); /* not whole */
    happens(MX_HOLD_WHOLE);
    assert_int_equal(done.report.is, MX_IS_READY);
    order(MX_WANT_RUN, now_ms - MX_LEASE_MS);
    assert_false(does(MX_DO_RUN)); /* the order was too long on its way */
    order(MX_WANT_RUN, now_ms);
    assert_true(does(MX_DO_RUN));
    assert_true(done.wake_ms > 0 && done.wake_ms <= now_ms + MX_LEASE_MS);
    now_ms += MX_LEASE_MS;
    happens(MX_HOLD_TICK);
    assert_true(does(MX_DO_STOP));
    happens(MX_HOLD_STOPPED);
    assert_int_equal(place.is, MX_IS_FROZEN);
    assert_false(does(MX_DO_SEND_REST));
    order(MX_WANT_RUN, now_ms);
    assert_true(does(MX_DO_RUN)); /* the home is back */
    now_ms += MX_PATIENCE_MS;
    happens(MX_HOLD_TICK);
    assert_true(does(MX_DO_DROP));
    happens(MX_HOLD_DROPPED);
    assert_int_equal(done.report.is, MX_IS_NONE);
    assert_int_equal(done.report.why, MX_WHY_SILENT);
}

TEST(a_late_order_changes_nothing)
{
    now_ms = 50000;
    order_number = 10;
    mx_holder_init(&place, true, true);
    order(MX_WANT_COPY, 0);
    assert_true(does(MX_DO_COPY));
    order(MX_WANT_FREEZE, 0);
    assert_true(does(MX_DO_STOP));
    happens(MX_HOLD_STOPPED);
    assert_true(does(MX_DO_SEND_REST));
    order_number = 5;
    order(MX_WANT_RUN, 0);
    assert_int_equal(place.is, MX_IS_FROZEN);
    assert_int_equal(done.count, 0);
}

UNIT_MAIN(cmocka_unit_test(moves_out),
          cmocka_unit_test(a_destination_that_refuses_leaves_all_as_it_was),
          cmocka_unit_test(a_source_that_cannot_be_read_goes_on),
          cmocka_unit_test(leave_that_was_given_must_run_out_first),
          cmocka_unit_test(a_destination_that_has_dropped_it_need_not_be_waited_for),
          cmocka_unit_test(a_silent_host_ends_the_job), cmocka_unit_test(one_move_at_a_time),
          cmocka_unit_test(a_copy_runs_by_leave_only),
          cmocka_unit_test(a_late_order_changes_nothing))
