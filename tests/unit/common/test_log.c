/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_log.c: lines on standard error. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <unistd.h>

static int saved, pair[2];

static int begin(void **state UNUSED)
{
    saved = dup(STDERR_FILENO);
    assert_ok(fd_pipe(pair));
    dup2(pair[1], STDERR_FILENO);
    return 0;
}

static int end(void **state UNUSED)
{
    log_set_raw(0);
    dup2(saved, STDERR_FILENO);
    close(saved);
    fd_close(&pair[0]);
    fd_close(&pair[1]);
    return 0;
}

static const char *said(void)
{
    static char text[4096];
    assert_ok(fd_set_nonblock(pair[0], true));
    ssize_t n = fd_read(pair[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    return text;
}

TEST(levels)
{
    static const struct {
        enum log_level level;
        const char *expected;
    } table[] = { { LOG_QUIET, "t: e\n" },
                  { LOG_NORMAL, "t: e\nt: w\n" },
                  { LOG_VERBOSE, "t: e\nt: w\nt: v\n" },
                  { LOG_DEBUG, "t: e\nt: w\nt: v\nt: d\n" } };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        log_init("t", table[i].level);
        log_error("%s", "e");
        log_warn("%c", 'w');
        log_at(LOG_VERBOSE, "v");
        log_at(LOG_DEBUG, "d");
        assert_string_equal(said(), table[i].expected);
    }
}

TEST(raw_terminal)
{
    log_init("t", LOG_NORMAL);
    log_set_raw(1);
    errno = ENOENT;
    log_error("x");
    assert_int_equal(errno, ENOENT);
    assert_string_equal(said(), "t: x\r\n");
}

TEST(long_lines_end)
{
    char text[3000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = 0;
    log_init("t", LOG_NORMAL);
    log_set_raw(1);
    log_error("%s", text);
    const char *line = said();
    assert_true(strlen(line) <= 1200);
    assert_string_equal(line + strlen(line) - 3, "y\r\n");
}

#define WITH_PIPE(name) cmocka_unit_test_setup_teardown(name, begin, end)
UNIT_MAIN(WITH_PIPE(levels), WITH_PIPE(raw_terminal), WITH_PIPE(long_lines_end))
