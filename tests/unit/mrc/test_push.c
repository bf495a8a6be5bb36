/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_push.c: the reading half of the upload's dialogue, whatever the pieces that it comes in;
 * the command line; cksum. The shell's half is in tests/net/mrc-push.sh. */
#include "tests/lib/unit.h"

#include "mrc/push.h"

#include <stdio.h>
#include <stdlib.h>

#define NONCE "0123456789abcdef"
#define MARK  "mrc-push-" NONCE " "

/* Feeds text in pieces; writes the events and what the reader learned. used: bytes taken. */
static void feed(const char *text, size_t len, size_t piece, char *events, size_t size,
                 size_t *used)
{
    struct mrc_push_reader r;
    mrc_push_reader_init(&r, NONCE);
    size_t at = 0, n = 0;
    events[0] = 0;
    while (at < len) {
        size_t take = len - at < piece ? len - at : piece, got;
        enum mrc_push_event event = mrc_push_feed(&r, (const uint8_t *)text + at, take, &got);
        assert_true(got <= take);
        at += got;
        if (event == MRC_PUSH_MORE) {
            assert_int_equal(got, take);
            continue;
        }
        n += (size_t)snprintf(events + n, size - n, "%s",
                              event == MRC_PUSH_NEED    ? "need "
                              : event == MRC_PUSH_BAD   ? "bad "
                              : event == MRC_PUSH_FAIL  ? "fail "
                              : event == MRC_PUSH_AGENT ? "agent "
                                                        : "noisy ");
        if (event == MRC_PUSH_NEED)
            n += (size_t)snprintf(events + n, size - n, "%s,%d,%s ", r.arch, r.is_gzip_there,
                                  r.place);
        if (event == MRC_PUSH_BAD)
            n += (size_t)snprintf(events + n, size - n, "%s ", r.place);
        if (event == MRC_PUSH_AGENT || event == MRC_PUSH_NOISY)
            break;
    }
    if (!strstr(events, "agent "))
        n += (size_t)snprintf(events + n, size - n, "| %s", r.words);
    assert_true(n < size);
    *used = at;
}

static void expect(const char *text, size_t len, const char *events, size_t used)
{
    char got[4096];
    size_t taken;
    for (size_t piece = 1; piece <= len; piece++) {
        feed(text, len, piece, got, sizeof got, &taken);
        assert_string_equal(got, events);
        assert_int_equal(taken, used);
    }
}
#define EXPECT(text, events, behind)                                                           \
    expect(text, sizeof(text) - 1, events, sizeof(text) - 1 - (behind))

TEST(warm)
{
    EXPECT(MRC_AGENT_MAGIC "session", "agent ", 7);
    EXPECT("Welcome!\nYou have mail" MRC_AGENT_MAGIC "\n\001", "agent ", 2);
    EXPECT("\n\001mrc-agent-stream-" MRC_AGENT_MAGIC "x", "agent ", 1);
}

TEST(cold)
{
    EXPECT("hello " MARK "need x86_64 gz /home/a b/.cache/mrc\n" MRC_AGENT_MAGIC "s",
           "need x86_64,1,/home/a b/.cache/mrc agent ", 1);
    EXPECT(MARK "need riscv64 plain /x\n" MARK "bad /x: No space left\n" MARK "fail\n",
           "need riscv64,0,/x bad /x: No space left fail | ", 0);
}

TEST(foreign_bytes)
{
    EXPECT("mrc-push-0000000000000000 need x gz /\n", "| mrc-push-0000000000000000 need x gz /",
           0);
    EXPECT(MARK "\n" MARK "unknown\n" MARK "need\n", "need ,0, | ", 0);
    EXPECT(MARK "need \033[31m gz a\001b\377\n", "need ?[31m,1,a?b\377 | ", 0);
    EXPECT("\033]0;title\007last\001words\n", "| ]0;titlelastwords", 0);
    EXPECT("first\nsecond\n\n", "| second", 0);
}

TEST(long_lines_and_noise_are_bounded)
{
    static char text[MRC_PUSH_NOISE_MAX + 100], events[8192];
    size_t used;
    memset(text, 'x', sizeof text);
    memcpy(text, MARK "need a gz ", sizeof MARK "need a gz " - 1);
    text[5000] = '\n';
    feed(text, 5001, 1000, events, sizeof events, &used);
    assert_true(strlen(events) < MRC_PUSH_LINE_MAX + 64);
    memset(text, 'x', sizeof text);
    feed(text, sizeof text, 4096, events, sizeof events, &used);
    assert_has(events, "noisy");
    assert_int_equal(used, MRC_PUSH_NOISE_MAX);
}

static struct mrc_agents agents = { .count = 1 };

TEST(command_passes_every_login_shell)
{
    struct mrc_agent_file *f = &agents.file[0];
    snprintf(f->arch, sizeof f->arch, "x86_64");
    memset(f->hash, 'a', 64);
    struct mrc_push_opts o = { .agents = &agents, .agent_args = "--stdio -v" };
    char text[MRC_PUSH_COMMAND_BYTES], nonce[MRC_PUSH_NONCE_BYTES], again[MRC_PUSH_NONCE_BYTES];
    struct err e = { 0 };
    assert_ok(mrc_push_command(text, sizeof text, nonce, &o, &e));
    assert_int_equal(strlen(nonce), 16);
    assert_has(text, nonce);
    assert_has(text, f->hash);
    assert_has(text, "--stdio -v");
    assert_null(strpbrk(text, "\\!\n\r"));
    const char *quote = strchr(text, '\'');
    assert_int_equal(memcmp(text, "exec sh -c '", 12), 0);
    assert_ptr_equal(strchr(quote + 1, '\''), text + strlen(text) - 1);
    assert_ok(mrc_push_command(text, sizeof text, again, &o, &e));
    assert_string_not_equal(nonce, again);
    assert_error(mrc_push_command(text, 500, nonce, &o, &e), ENAMETOOLONG);
}

TEST(arguments_that_can_not_be_passed)
{
    static const char *const dirs[] = { "relative", "",      "/a'b", "/a\"b", "/$HOME",
                                        "/a`b`",    "/a\\b", "/a!b", "/a\nb", "/a;b" };
    char text[MRC_PUSH_COMMAND_BYTES], nonce[MRC_PUSH_NONCE_BYTES];
    struct err e = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        struct mrc_push_opts o = { .agents = &agents, .cache_dir = dirs[i] };
        assert_error(mrc_push_command(text, sizeof text, nonce, &o, &e), EINVAL);
    }
    struct mrc_push_opts o = { .agents = &agents, .agent_args = "; rm -rf /" };
    assert_error(mrc_push_command(text, sizeof text, nonce, &o, &e), EINVAL);
    o = (struct mrc_push_opts){ .agents = &agents, .cache_dir = "/a b/c" };
    assert_ok(mrc_push_command(text, sizeof text, nonce, &o, &e));
}

UNIT_MAIN(cmocka_unit_test(warm), cmocka_unit_test(cold), cmocka_unit_test(foreign_bytes),
          cmocka_unit_test(long_lines_and_noise_are_bounded),
          cmocka_unit_test(command_passes_every_login_shell),
          cmocka_unit_test(arguments_that_can_not_be_passed))
