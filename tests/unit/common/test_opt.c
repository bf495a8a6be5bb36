/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_opt.c: option tables. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "common/sys/opt.h"

#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { VIEW_HEAD = 1, VIEW_TARGET, VIEW_ALL };

struct options {
    const char *port;
    int verbosity;
    bool is_v4;
    long long limit;
    int view;
    struct opt_list list;
};

static const struct opt table[] = {
#define OPT_STRUCT struct options
#include "common/sys/opt_begin.h"
#include "tests/unit/common/test_opt.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    .name = "prog",
    .usage = "[options] host\n--list",
    .about = "Does things.",
    .options = table,
    .option_count = ARRAY_LEN(table),
};

static struct options got;
static struct err why;
static int first;

/* Parses the words up to NULL. */
static int parse(const char *word, ...)
{
    char *argv[32] = { (char *)"prog" };
    int argc = 1;
    va_list ap;
    va_start(ap, word);
    for (; word && argc < 31; word = va_arg(ap, const char *))
        argv[argc++] = (char *)word;
    va_end(ap);
    got = (struct options){ 0 };
    why = (struct err){ "" };
    first = -1;
    return opt_parse(&program, argc, argv, &got, &first, &why);
}

TEST(nothing_given)
{
    assert_int_equal(parse(NULL), 0);
    assert_int_equal(first, 1);
    assert_null(got.port);
}

TEST(each_kind)
{
    assert_int_equal(
        parse("-vv", "-4", "--port=22", "--limit", "17", "--view", "root", "host", "-v", NULL),
        0);
    assert_int_equal(got.verbosity, 2); /* not the -v behind the host */
    assert_true(got.is_v4);
    assert_string_equal(got.port, "22");
    assert_int_equal(got.limit, 17);
    assert_int_equal(got.view, 1);
    assert_int_equal(first, 8);
}

TEST(last_wins)
{
    assert_int_equal(parse("-p1", "-p", "2", "-v", "-q", "x", NULL), 0);
    assert_string_equal(got.port, "2");
    assert_int_equal(got.verbosity, -1);
}

TEST(list_keeps_order_and_kind)
{
    assert_int_equal(parse("--target", "/a", "--head=/b", "--all", "--target", "/c", NULL), 0);
    assert_int_equal(got.list.len, 4);
    assert_int_equal(got.list.items[0].id, VIEW_TARGET);
    assert_string_equal(got.list.items[0].arg, "/a");
    assert_int_equal(got.list.items[1].id, VIEW_HEAD);
    assert_string_equal(got.list.items[1].arg, "/b");
    assert_int_equal(got.list.items[2].id, VIEW_ALL);
    assert_null(got.list.items[2].arg);
    assert_int_equal(got.list.items[3].id, VIEW_TARGET);
    assert_string_equal(got.list.items[3].arg, "/c");
}

TEST(list_is_bounded)
{
    static char *argv[OPT_LIST_MAX + 3];
    argv[0] = (char *)"prog";
    for (int i = 1; i <= OPT_LIST_MAX + 1; i++)
        argv[i] = (char *)"--all";
    got = (struct options){ 0 };
    assert_ok(opt_parse(&program, OPT_LIST_MAX + 1, argv, &got, &first, &why));
    got = (struct options){ 0 };
    assert_error(opt_parse(&program, OPT_LIST_MAX + 2, argv, &got, &first, &why), ENOSPC);
    assert_has(why.text, "--all");
}

TEST(double_dash_ends_options)
{
    assert_int_equal(parse("-v", "--", "-p", NULL), 0);
    assert_int_equal(first, 3);
    assert_null(got.port);
}

TEST(mistakes_have_words)
{
    assert_error(parse("--frob", NULL), EINVAL);
    assert_has(why.text, "'--frob'");
    assert_error(parse("-vZ", NULL), EINVAL);
    assert_has(why.text, "'-Z'");
    assert_error(parse("-p", NULL), EINVAL);
    assert_has(why.text, "--port needs an argument (PORT)");
    assert_error(parse("--limit", NULL), EINVAL);
    assert_has(why.text, "--limit needs an argument");
    assert_error(parse("--verbose=3", NULL), EINVAL);
    assert_has(why.text, "--verbose takes no argument");
    assert_error(parse("--ver", NULL), EINVAL); /* verbose or version */
    assert_has(why.text, "'--ver'");
    assert_error(parse("--view", "roo", NULL), EINVAL);
    assert_has(why.text, "'roo' is not one of home|root");
    assert_error(parse("--view", "", NULL), EINVAL);
    assert_error(parse("--view", "home|root", NULL), EINVAL);
}

TEST(numbers_are_checked)
{
    static const char *const bad[] = { "",   "0",  "1001",
                                       "x",  "1x", " 1",
                                       "+1", "-1", "99999999999999999999" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_error(parse("--limit", bad[i], NULL), EINVAL);
        assert_has(why.text, "a whole number from 1 to 1000");
    }
    assert_int_equal(parse("--limit", "1000", NULL), 0);
    assert_int_equal(got.limit, 1000);
}

TEST(apply_by_name)
{
    struct options o = { 0 };
    assert_ok(opt_apply(&program, "port", "9", &o, &why));
    assert_string_equal(o.port, "9");
    assert_error(opt_apply(&program, "port", NULL, &o, &why), EINVAL);
    assert_error(opt_apply(&program, "all", "x", &o, &why), EINVAL);
    assert_error(opt_apply(&program, "nope", NULL, &o, &why), ENOENT);
    assert_error(opt_apply(&program, "limit", "x", &o, &why), EINVAL);
}

/* Runs parse with standard output in a pipe; text ends up NUL-terminated. */
static int parse_captured(const char *word, char *text, size_t size_bytes)
{
    int pair[2];
    assert_ok(fd_pipe(pair));
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(pair[1], STDOUT_FILENO);
    int rc = parse(word, NULL);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    fd_close(&pair[1]);
    ssize_t n = fd_read_full(pair[0], text, size_bytes - 1);
    assert_true(n >= 0);
    text[n] = 0;
    fd_close(&pair[0]);
    return rc;
}

TEST(help_shows_the_table)
{
    char text[8192];
    assert_int_equal(parse_captured("--help", text, sizeof text), OPT_DONE);
    assert_has(text, "Usage: prog [options] host\n       prog --list\nDoes things.\n");
    assert_has(text, "\nConnection:\n  -p, --port PORT           connect to this port\n");
    assert_has(text, "  -4                        IPv4 only\n");
    assert_has(text, "      --view home|root      what comes from where\n");
    assert_has(text, "\nView:\n");
    assert_has(text, "  -V, --version             print the version");
    assert_null(strstr(text, "secret"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 80);
}

TEST(version)
{
    char text[256];
    assert_int_equal(parse_captured("-V", text, sizeof text), OPT_DONE);
    assert_string_equal(text, "prog " PACKAGE_VERSION "\n");
    assert_int_equal(parse_captured("--version", text, sizeof text), OPT_DONE);
}

UNIT_MAIN(cmocka_unit_test(nothing_given), cmocka_unit_test(each_kind),
          cmocka_unit_test(last_wins), cmocka_unit_test(list_keeps_order_and_kind),
          cmocka_unit_test(list_is_bounded), cmocka_unit_test(double_dash_ends_options),
          cmocka_unit_test(mistakes_have_words), cmocka_unit_test(numbers_are_checked),
          cmocka_unit_test(apply_by_name), cmocka_unit_test(help_shows_the_table),
          cmocka_unit_test(version))
