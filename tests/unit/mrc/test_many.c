/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_many.c: names of several hosts, and what several jobs print. */
#include "tests/lib/unit.h"

#include "mrc/hostset.h"
#include "mrc/manyout.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* The names of a text, with blanks between; "" and an errno value if it is refused. */
static int names(const char *text, char *out, size_t room)
{
    struct mrc_hostset h = { 0 };
    struct err e = { "" };
    int rc = mrc_hostset_add(&h, text, &e);
    size_t len = 0;
    out[0] = 0;
    for (size_t i = 0; rc == 0 && i < h.count && len < room; i++)
        len += (size_t)snprintf(out + len, room - len, "%s%s", i ? " " : "", h.names[i]);
    mrc_hostset_fini(&h);
    assert_true((rc == 0) == !e.text[0]);
    return rc;
}

TEST(test_names)
{
    static const struct {
        const char *text, *names;
    } rows[] = {
        { "a", "a" },
        { "b,a , b\nc", "b a c" },
        { "n[1-3]", "n1 n2 n3" },
        { "n[1-3,7].x", "n1.x n2.x n3.x n7.x" },
        { "n[08-11]", "n08 n09 n10 n11" },
        { "u@r[1-2]n[1-2]:2222", "u@r1n1:2222 u@r1n2:2222 u@r2n1:2222 u@r2n2:2222" },
        { "[::1]:22,[fe80::2]", "[::1]:22 [fe80::2]" },
        { "[1-2]", "1 2" },
        { "# none\na # and this\n\n b", "a b" },
        { " ,, ", "" },
    };
    char got[512];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_ok(names(rows[i].text, got, sizeof got));
        assert_string_equal(got, rows[i].names);
    }
}

TEST(test_names_refused)
{
    static const char *const rows[] = { "n[]",   "n[3-1]", "n[1-2", "n[-]", "n[1-]",
                                        "n[,1]", "n[1,]",  "n[1--2]", "n[1234567890]" };
    char got[64];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_error(names(rows[i], got, sizeof got), EINVAL);
    assert_error(names("n[1-4097]", got, sizeof got), E2BIG);
    assert_error(names("n[1-999999999][1-999999999]", got, sizeof got), E2BIG);
    char longest[2 * MRC_HOSTS_NAME_MAX];
    memset(longest, 'h', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_error(names(longest, got, sizeof got), E2BIG);
}

struct printed {
    struct mrc_manyout *m;
    int fds[2];
    char text[4096];
};

static char first[] = "a", second[] = "bb", third[] = "c";
static char *const hosts[] = { first, second, third };

static void open_printed(struct printed *p, enum mrc_manyout_mode mode)
{
    for (int i = 0; i < 2; i++)
        assert_ok(p->fds[i] = open("/tmp", O_TMPFILE | O_RDWR, 0600));
    assert_ok(mrc_manyout_new(mode, hosts, ARRAY_LEN(hosts), p->fds, &p->m));
}

static const char *text_of(struct printed *p, int which)
{
    ssize_t len = pread(p->fds[which], p->text, sizeof p->text - 1, 0);
    assert_ok(len);
    p->text[len] = 0;
    return p->text;
}

static void close_printed(struct printed *p)
{
    mrc_manyout_free(p->m);
    close(p->fds[0]);
    close(p->fds[1]);
}

static void add(struct printed *p, size_t host, int which, const char *text)
{
    assert_true(mrc_manyout_accepts(p->m, host));
    assert_ok(mrc_manyout_add(p->m, host, which, text, strlen(text)));
}

TEST(test_lines)
{
    struct printed p;
    open_printed(&p, MRC_MANYOUT_PREFIX);
    add(&p, 0, 0, "one\ntw");
    add(&p, 1, 0, "eins\n");
    add(&p, 0, 1, "error\n");
    add(&p, 0, 0, "o\n\nend");
    assert_string_equal(text_of(&p, 0), "a: one\nbb: eins\na: two\na: \n");
    assert_string_equal(text_of(&p, 1), "a: error\n");
    assert_ok(mrc_manyout_end(p.m, 0));
    assert_string_equal(text_of(&p, 0), "a: one\nbb: eins\na: two\na: \na: end\n");
    close_printed(&p);
}

/* A line without an end is shown in parts, and nothing of it is lost. */
TEST(test_long_line)
{
    struct printed p;
    open_printed(&p, MRC_MANYOUT_PREFIX);
    static char text[MRC_MANYOUT_LINE_MAX + 10], got[2 * MRC_MANYOUT_LINE_MAX];
    memset(text, 'x', sizeof text);
    assert_ok(mrc_manyout_add(p.m, 0, 0, text, sizeof text));
    assert_ok(mrc_manyout_end(p.m, 0));
    ssize_t len = pread(p.fds[0], got, sizeof got, 0);
    assert_int_equal(len, sizeof text + 2 * strlen("a: \n"));
    assert_memory_equal(got + MRC_MANYOUT_LINE_MAX + 3, "\na: xxxxxxxxxx\n", 15);
    close_printed(&p);
}

TEST(test_order)
{
    struct printed p;
    open_printed(&p, MRC_MANYOUT_ORDER);
    add(&p, 2, 0, "c1\n");
    add(&p, 1, 0, "b1\n");
    add(&p, 1, 1, "be\n");
    add(&p, 0, 0, "a1\n");
    assert_string_equal(text_of(&p, 0), "a1\n");
    assert_ok(mrc_manyout_end(p.m, 2));
    assert_ok(mrc_manyout_end(p.m, 0));
    assert_string_equal(text_of(&p, 0), "a1\nb1\n");
    assert_string_equal(text_of(&p, 1), "be\n");
    add(&p, 1, 0, "b2\n");
    assert_ok(mrc_manyout_end(p.m, 1));
    assert_string_equal(text_of(&p, 0), "a1\nb1\nb2\nc1\n");
    close_printed(&p);
}

/* No room for what has to wait: it is held, and comes out whole in its turn. */
TEST(test_order_without_room)
{
    struct printed p;
    struct rlimit none = { 2, 0 }, before;
    open_printed(&p, MRC_MANYOUT_ORDER);
    assert_ok(getrlimit(RLIMIT_FSIZE, &before));
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_ok(setrlimit(RLIMIT_FSIZE, &none));
    assert_ok(mrc_manyout_add(p.m, 1, 0, "b123\n", 5));
    assert_ok(setrlimit(RLIMIT_FSIZE, &before));
    assert_false(mrc_manyout_accepts(p.m, 1));
    assert_true(mrc_manyout_accepts(p.m, 2));
    add(&p, 0, 0, "a\n");
    assert_ok(mrc_manyout_end(p.m, 0));
    assert_true(mrc_manyout_accepts(p.m, 1));
    add(&p, 1, 0, "b4\n");
    assert_ok(mrc_manyout_end(p.m, 1));
    assert_string_equal(text_of(&p, 0), "a\nb123\nb4\n");
    close_printed(&p);
}

UNIT_MAIN(cmocka_unit_test(test_names), cmocka_unit_test(test_names_refused),
          cmocka_unit_test(test_lines), cmocka_unit_test(test_long_line),
          cmocka_unit_test(test_order), cmocka_unit_test(test_order_without_room))
