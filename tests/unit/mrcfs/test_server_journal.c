/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_journal.c: a file server that takes the place of one that was killed, by the journal of what that had told: the same
 * files have the same numbers, others are stale, and no number means another file than before; also when the journal was cut or
 * changed. */
#include "tests/lib/mfs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHANGES = 150, JOURNAL_BYTES = 1 << 16 };

static const char text_a[] = "text of a", text_b[] = "text of b", text_other[] = "something else";
static int journal = -1;
static uint64_t node_sub, fh_a, fh_b, fh_gone, fh_closed, fh_in_sub, fh_dir;

static void serve(void)
{
    struct mfs_export x = { fx_dir, false };
    fx_serve(&(struct mfs_serve_opts){ .exports = &x, .export_count = 1, .has_journal = true, .journal_fd = journal });
}

/* What a first server tells, and what is done to its files while there is none. */
static int start(void **state UNUSED)
{
    fx_make_dir();
    journal = memfd_create("journal", MFD_CLOEXEC);
    assert_true(journal >= 0);
    assert_int_equal(mkdir(fx_path("sub"), 0777), 0);
    fx_put("a", text_a);
    fx_put("b", text_b);
    fx_put("gone", text_other);
    fx_put("sub/in", text_b);
    serve();
    node_sub = fx_node("sub");
    fh_a = fx_open("a", MFS_O_RDONLY);
    fh_b = fx_open("b", MFS_O_RDWR);
    fh_gone = fx_open("gone", MFS_O_RDONLY);
    fh_closed = fx_open("a", MFS_O_RDONLY);
    assert_ok(CALL(release, fh_closed));
    assert_ok(CALL(open, fx_node_in(node_sub, "in"), MFS_O_RDONLY));
    fh_in_sub = rep.open.fh;
    assert_ok(CALL(opendir, node_sub));
    fh_dir = rep.opendir.fh;
    assert_ok(wc_stop(&c));
    assert_int_equal(rename(fx_path("b"), fx_path("elsewhere")), 0);
    fx_put("b", text_other);
    assert_int_equal(unlink(fx_path("gone")), 0);
    return 0;
}

static int end(void **state UNUSED)
{
    close(journal);
    fx_remove_dir();
    return 0;
}

/* What the open file reads: its length, or -errno. */
static int read_of(uint64_t fh)
{
    int rc = CALL(read, fh, 0, 100);
    return rc < 0 ? rc : (int)rep.read.body.len;
}

static void assert_reads(uint64_t fh, const char *text)
{
    assert_int_equal(read_of(fh), strlen(text));
    assert_memory_equal(rep.read.body.ptr, text, strlen(text));
}

static void test_goes_on(void **state UNUSED)
{
    for (int round = 0; round < 3; round++) {
        serve();
        assert_reads(fh_a, text_a);
        assert_reads(fh_in_sub, text_b);
        assert_int_equal(read_of(fh_b), -ESTALE);
        assert_int_equal(read_of(fh_gone), -ESTALE);
        assert_int_equal(read_of(fh_closed), -ESTALE);
        assert_ok(CALL(lookup, node_sub, bytes_of("in")));
        assert_ok(CALL(readdir, fh_dir, 0, 4096, 0));
        /* Numbers are of this server's own range. */
        uint64_t fh = fx_open("b", MFS_O_RDONLY), node = fx_node("b");
        assert_true(fh > fh_dir && fh >> 40 == (uint64_t)round + 1);
        assert_true(node > node_sub && node >> 40 == 1); /* what the second one gave, the third knows */
        assert_reads(fh, text_other);
        assert_ok(CALL(release, fh));
        assert_ok(wc_stop(&c));
    }
}

static size_t journal_bytes(uint8_t *to)
{
    ssize_t n = pread(journal, to, JOURNAL_BYTES, 0);
    assert_true(n > 0);
    return (size_t)n;
}

static void set_journal(const uint8_t *from, size_t len)
{
    assert_int_equal(ftruncate(journal, 0), 0);
    assert_int_equal(pwrite(journal, from, len, 0), len);
}

/* Whatever is left of it: a number means what it meant, or nothing. */
static void assert_true_or_stale(void)
{
    static const struct {
        uint64_t *fh;
        const char *text; /* NULL: nothing any more */
    } files[] = { { &fh_a, text_a }, { &fh_in_sub, text_b }, { &fh_b, NULL }, { &fh_gone, NULL } };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        int len = read_of(*files[i].fh);
        if (len < 0)
            assert_true(len == -ESTALE || len == -EBADF);
        else
            assert_true(files[i].text && (size_t)len == strlen(files[i].text) && !memcmp(rep.read.body.ptr, files[i].text, (size_t)len));
    }
}

static void test_cut(void **state UNUSED)
{
    static uint8_t whole[JOURNAL_BYTES];
    size_t len = journal_bytes(whole), first = *(uint32_t *)(void *)whole;
    for (size_t cut = first; cut <= len; cut += 13) { /* the first record is on disk before anything is told */
        set_journal(whole, cut);
        serve();
        assert_true_or_stale();
        assert_true(fx_open("b", MFS_O_RDONLY) >> 40 == 1);
        assert_ok(wc_stop(&c));
    }
}

static void test_changed(void **state UNUSED)
{
    static uint8_t whole[JOURNAL_BYTES], changed[JOURNAL_BYTES];
    size_t len = journal_bytes(whole), first = *(uint32_t *)(void *)whole;
    unsigned seed = 4;
    for (int i = 0; i < CHANGES; i++) {
        memcpy(changed, whole, len);
        for (int n = rand_r(&seed) % 4; n >= 0; n--)
            changed[first + (unsigned)rand_r(&seed) % (len - first)] = (uint8_t)rand_r(&seed);
        set_journal(changed, len);
        serve();
        assert_true_or_stale();
        assert_ok(wc_stop(&c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_goes_on, start, end),
        cmocka_unit_test_setup_teardown(test_cut, start, end),
        cmocka_unit_test_setup_teardown(test_changed, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
