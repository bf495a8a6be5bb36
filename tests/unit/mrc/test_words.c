/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_words.c: which line of a program's words tells why it failed; how long words wait. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mrc/words.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char *picked(const char *text)
{
    static char why[MRC_WORDS_WHY_BYTES];
    static struct mrc_words_tail t;
    t.len = 0;
    for (size_t i = 0; i < strlen(text); i++)
        mrc_words_keep(&t, text + i, 1);
    mrc_words_pick(&t, why);
    return why;
}

TEST(the_reason)
{
    assert_string_equal(picked(""), "");
    assert_string_equal(picked("\n \n\r\n"), "");
    assert_string_equal(picked("sh: 1: x: not found\n"), "sh: 1: x: not found");
    assert_string_equal(picked("no newline"), "no newline");
    assert_string_equal(picked("a banner\r\nbob@h: Permission denied (publickey).\r\n"),
                        "bob@h: Permission denied (publickey).");
    assert_string_equal(picked("channel 0: open failed: connect failed: Connection refused\r\n"
                               "stdio forwarding failed\r\n"),
                        "channel 0: open failed: connect failed: Connection refused");
    assert_string_equal(picked("/c: line 3: Bad configuration option: foo\r\n"
                               "/c: terminating, 1 bad configuration options\r\n"),
                        "/c: line 3: Bad configuration option: foo");
    assert_string_equal(picked("@@@@@@\n@ WARNING! @\n@@@@@@\nHost key for h has changed.\n"
                               "Host key verification failed.\n"),
                        "Host key for h has changed.");
    assert_string_equal(picked("Host key verification failed.\r\n"),
                        "Host key verification failed.");
    assert_string_equal(picked("unknown option -- Q\nusage: ssh [-46]\n     destination\n"),
                        "unknown option -- Q");
    assert_string_equal(picked("usage: only\n"), "usage: only");
    assert_string_equal(picked("\x1b[31mred\x7f\n"), "?[31mred?");
}

TEST(long_words)
{
    static struct mrc_words_tail t;
    static char big[3 * MRC_WORDS_TAIL_MAX];
    char why[MRC_WORDS_WHY_BYTES];
    memset(big, 'x', sizeof big);
    t.len = 0;
    mrc_words_keep(&t, big, sizeof big);
    assert_int_equal(t.len, MRC_WORDS_TAIL_MAX - 1);
    mrc_words_pick(&t, why);
    assert_int_equal(strlen(why), MRC_WORDS_WHY_BYTES - 1);
    mrc_words_keep(&t, "\nlast\n", 6);
    assert_int_equal(t.len, MRC_WORDS_TAIL_MAX - 1);
    mrc_words_pick(&t, why);
    assert_string_equal(why, "last");
    for (size_t i = 0; i < 10; i++)
        mrc_words_keep(&t, big, 1000);
    assert_int_equal(t.len, MRC_WORDS_TAIL_MAX - 1);
    assert_int_equal(strlen(t.text), t.len);
}

/* Standard error into a pipe, for what is shown. */
struct shown {
    struct mrc_words w;
    int from, saved;
};

static void begin(struct shown *s)
{
    int pair[2];
    assert_ok(fd_pipe(pair));
    s->from = pair[0];
    s->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(s->saved >= 0 && dup2(pair[1], STDERR_FILENO) >= 0);
    close(pair[1]);
    assert_ok(fd_set_nonblock(s->from, true));
    assert_ok(mrc_words_open(&s->w));
}

static void end(struct shown *s)
{
    mrc_words_close(&s->w);
    dup2(s->saved, STDERR_FILENO);
    close(s->saved);
    close(s->from);
}

static long shown_bytes(struct shown *s)
{
    char piece[65536];
    long n = fd_read(s->from, piece, sizeof piece);
    return n < 0 ? 0 : n;
}

TEST(words_wait)
{
    struct shown s;
    char why[MRC_WORDS_WHY_BYTES];
    begin(&s);
    assert_int_equal(mrc_words_timeout(&s.w), -1);
    assert_int_equal(mrc_words_poll(&s.w).fd, s.w.from);
    assert_int_equal(write(s.w.to, "because\n", 8), 8);
    mrc_words_look(&s.w, getpid());
    assert_int_equal(shown_bytes(&s), 0);
    assert_true(mrc_words_timeout(&s.w) > 0);
    assert_int_equal(mrc_words_poll(&s.w).fd, -1); /* or poll would not wait */
    mrc_words_why(&s.w, why);
    assert_string_equal(why, "because");
    assert_int_equal(shown_bytes(&s), 0);
    assert_int_equal(mrc_words_timeout(&s.w), -1);
    mrc_words_why(&s.w, why);
    assert_string_equal(why, ""); /* said once */
    end(&s);
}

TEST(words_that_waited_long_are_shown)
{
    struct shown s;
    char why[MRC_WORDS_WHY_BYTES];
    begin(&s);
    assert_int_equal(write(s.w.to, "queued\n", 7), 7);
    mrc_words_look(&s.w, getpid());
    assert_int_equal(shown_bytes(&s), 0);
    s.w.first_ms -= 60000;
    mrc_words_look(&s.w, getpid());
    assert_int_equal(shown_bytes(&s), 7);
    assert_int_equal(write(s.w.to, "failed\n", 7), 7);
    mrc_words_look(&s.w, getpid());
    assert_int_equal(shown_bytes(&s), 0);
    mrc_words_why(&s.w, why);
    assert_string_equal(why, "failed");
    end(&s);
}

TEST(many_words_are_shown)
{
    struct shown s;
    char big[10000];
    memset(big, 'y', sizeof big);
    begin(&s);
    assert_int_equal(write(s.w.to, big, sizeof big), sizeof big);
    mrc_words_look(&s.w, getpid());
    assert_int_equal(shown_bytes(&s), sizeof big);
    assert_int_equal(write(s.w.to, "z", 1), 1); /* and from now on at once */
    mrc_words_look(&s.w, getpid());
    assert_int_equal(shown_bytes(&s), 1);
    end(&s);
}

TEST(nobody_reads_what_is_shown)
{
    struct shown s;
    char big[4096];
    memset(big, 'y', sizeof big);
    begin(&s);
    s.w.is_open = true;
    for (int i = 0; i < 64; i++) { /* 256 KiB: more than both pipes hold */
        struct pollfd f = { s.w.to, POLLOUT, 0 };
        if (poll(&f, 1, 0) > 0)
            assert_int_equal(write(s.w.to, big, sizeof big), sizeof big);
        mrc_words_look(&s.w, getpid()); /* never blocks */
    }
    assert_int_equal(mrc_words_poll(&s.w).fd, STDERR_FILENO);
    assert_int_equal(mrc_words_poll(&s.w).events, POLLOUT);
    assert_true(shown_bytes(&s) > 0);
    mrc_words_look(&s.w, getpid());
    assert_true(shown_bytes(&s) > 0);
    end(&s);
}

TEST(the_last_words)
{
    struct shown s;
    char why[MRC_WORDS_WHY_BYTES];
    begin(&s);
    assert_int_equal(write(s.w.to, "first\nsecond\n", 13), 13);
    mrc_words_last(s.w.from, why);
    assert_string_equal(why, "second");
    assert_int_equal(write(s.w.to, "third\n", 6), 6);
    mrc_words_flush(s.w.from);
    assert_int_equal(shown_bytes(&s), 6);
    mrc_words_flush(s.w.from);
    assert_int_equal(shown_bytes(&s), 0);
    end(&s);
}

UNIT_MAIN(cmocka_unit_test(the_reason), cmocka_unit_test(long_words),
          cmocka_unit_test(words_wait), cmocka_unit_test(words_that_waited_long_are_shown),
          cmocka_unit_test(many_words_are_shown), cmocka_unit_test(nobody_reads_what_is_shown),
          cmocka_unit_test(the_last_words))
