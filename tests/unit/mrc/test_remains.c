/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_remains.c: which processes are left of jobs that are over. */
#include "tests/lib/unit.h"

#include "mrc/agent/remains.h"

enum { SSHD = 500, SYSTEMD = 1, OWN = 900 };

#define AGENT(pid, parent, adopted) { pid, parent, true, false, adopted, REMAINS_PLAIN }
#define LOST(pid, phase) { pid, SYSTEMD, true, false, true, phase }
#define JOB(pid, parent) { pid, parent, false, true, false, REMAINS_PLAIN }
#define OTHER(pid, parent) { pid, parent, false, false, false, REMAINS_PLAIN }

#define JUDGE(r, ...)                                                                          \
    struct remains r;                                                                          \
    do {                                                                                       \
        const struct remains_proc list_[] = { __VA_ARGS__ };                                   \
        remains_judge(list_, ARRAY_LEN(list_), OWN, &r);                                       \
    } while (0)

TEST(nothing)
{
    struct remains r;
    remains_judge(NULL, 0, OWN, &r);
    assert_int_equal(r.live + r.alone + r.stray, 0);
    assert_int_equal(r.first, 0);
}

TEST(the_one_that_asks_is_left_out)
{
    JUDGE(r, AGENT(OWN, SSHD, false), AGENT(901, OWN, false), JOB(902, 901), OTHER(10, SSHD));
    assert_int_equal(r.live + r.alone + r.stray, 0);
}

/* Builder and supervisor are forks of their agent; what they started is in its view. */
TEST(a_running_job_is_one)
{
    JUDGE(r, AGENT(10, SSHD, false), AGENT(11, 10, false), AGENT(12, 11, false), JOB(13, 12), JOB(14, 13));
    assert_int_equal(r.live, 1);
    assert_int_equal(r.alone + r.stray, 0);
}

TEST(an_agent_whose_connection_has_gone)
{
    JUDGE(r, AGENT(10, SSHD, false), AGENT(20, SYSTEMD, true), AGENT(21, 20, false), JOB(22, 21));
    assert_int_equal(r.live, 1);
    assert_int_equal(r.alone, 1);
    assert_int_equal(r.stray, 0);
    assert_int_equal(r.first, 20);
}

/* Neither is left over: the one waits for its head, the other's head has come back by another connection. */
TEST(agents_of_sessions_that_resume)
{
    JUDGE(r, LOST(20, REMAINS_WAITS), AGENT(21, 20, false), JOB(22, 21), LOST(30, REMAINS_RESUMED), JOB(31, 30));
    assert_int_equal(r.live, 1);
    assert_int_equal(r.away, 1);
    assert_int_equal(r.first_away, 20);
    assert_int_equal(r.alone + r.stray, 0);
    assert_int_equal(r.first, 0);
}

TEST(a_process_of_no_agent)
{
    JUDGE(r, OTHER(5, SSHD), JOB(30, SYSTEMD), JOB(31, 30));
    assert_int_equal(r.stray, 2);
    assert_int_equal(r.first, 30);
}

/* /proc is read while processes come and go: parents may be missing, or go round. */
TEST(torn_list)
{
    JUDGE(r, JOB(40, 41), JOB(41, 40), OTHER(42, 42), AGENT(43, 43, false));
    assert_int_equal(r.stray, 2);
    assert_int_equal(r.live, 1);
}

UNIT_MAIN(cmocka_unit_test(nothing), cmocka_unit_test(the_one_that_asks_is_left_out),
          cmocka_unit_test(a_running_job_is_one), cmocka_unit_test(an_agent_whose_connection_has_gone),
          cmocka_unit_test(agents_of_sessions_that_resume), cmocka_unit_test(a_process_of_no_agent), cmocka_unit_test(torn_list))
