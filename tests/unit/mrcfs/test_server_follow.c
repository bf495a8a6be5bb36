/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_follow.c: a server that shows symbolic links as what they lead to. */
#include "tests/lib/mfs_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void serve_following(const char *const *hide, size_t hide_count)
{
    static struct mfs_export x;
    x = (struct mfs_export){ fx_dir, false };
    assert_ok(wc_stop(&c));
    fx_serve(&(struct mfs_serve_opts){ .exports = &x,
                                       .export_count = 1,
                                       .hide = hide,
                                       .hide_count = hide_count,
                                       .follows_links = true });
}

static void make_dir(const char *name)
{
    assert_return_code(mkdir(fx_path(name), 0777), errno);
    assert_return_code(chmod(fx_path(name), 0777), errno);
}

static void make_link(const char *target, const char *name)
{
    assert_return_code(symlink(target, fx_path(name)), errno);
}

static uint32_t type_of(uint64_t dir, const char *name)
{
    assert_ok(CALL(lookup, dir, bytes_of(name)));
    return rep.lookup.entry.attr.mode & S_IFMT;
}

static void assert_read(uint64_t dir, const char *name, const char *text)
{
    assert_ok(CALL(open, fx_node_in(dir, name), 0));
    uint64_t fh = rep.open.fh;
    fx_assert_text(fh, 0, text);
    assert_ok(CALL(release, fh));
}

TEST(test_files)
{
    make_dir("d");
    make_dir("d/e");
    fx_put("f", "file");
    fx_put("d/g", "in d");
    make_link("f", "l");
    make_link("l", "l2");
    make_link("../f", "d/up");
    make_link("d/../d/./e/..//g", "winding");
    make_link("../../l2", "d/e/two");
    serve_following(NULL, 0);
    uint64_t f = fx_node("f"), d = fx_node("d"), e = fx_node_in(d, "e");
    /* As hard links: one node. */
    assert_int_equal(fx_node("l"), f);
    assert_int_equal(rep.lookup.entry.attr.ino, fx_stat("f").st_ino);
    assert_int_equal(rep.lookup.entry.valid_ms, 0);
    assert_int_equal(fx_node("l2"), f);
    assert_int_equal(fx_node_in(d, "up"), f);
    assert_int_equal(fx_node_in(e, "two"), f);
    assert_read(ROOT, "winding", "in d");
    assert_error(CALL(readlink, f), EINVAL);
    /* A link that becomes another, or a file. */
    assert_return_code(unlink(fx_path("l")), errno);
    make_link("d/g", "l");
    assert_read(ROOT, "l2", "in d");
    assert_return_code(unlink(fx_path("l")), errno);
    fx_put("l", "itself");
    assert_read(ROOT, "l2", "itself");
}

TEST(test_what_stays_a_link)
{
    char parent[128];
    make_dir("d");
    make_dir("d/e");
    fx_put("f", "file");
    make_link("nowhere", "dangling");
    make_link("b", "a");
    make_link("a", "b");
    make_link("own", "own");
    make_link(".", "here");
    make_link("..", "d/up");
    make_link("../../d", "d/e/upper");
    make_link("f/", "slash");
    make_link("f/x", "beneath");
    make_link("/etc/passwd", "passwd");
    make_link("../../../../../../etc/passwd", "out");
    make_link("d/../../../etc", "out2");
    snprintf(parent, sizeof parent, "%s/../%s/f", fx_dir, strrchr(fx_dir, '/') + 1);
    make_link(parent, "out and in");
    snprintf(parent, sizeof parent, "%sx", fx_dir);
    make_link(parent, "neighbour");
    serve_following(NULL, 0);
    static const char *const names[] = { "dangling", "a",   "own",  "here",      "beneath",
                                         "passwd",   "out", "out2", "neighbour", "out and in" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (type_of(ROOT, names[i]) != S_IFLNK)
            fail_msg("'%s' is no link", names[i]);
        assert_int_equal(rep.lookup.entry.valid_ms, 0);
    }
    uint64_t d = fx_node("d"), e = fx_node_in(d, "e");
    assert_int_equal(type_of(d, "up"), S_IFLNK);
    assert_int_equal(type_of(e, "upper"), S_IFLNK);
    assert_ok(CALL(readlink, fx_node("dangling")));
    assert_int_equal(rep.readlink.target.len, 7);
    /* Then it leads somewhere, and then not. */
    fx_put("nowhere", "now");
    assert_read(ROOT, "dangling", "now");
    assert_return_code(unlink(fx_path("nowhere")), errno);
    assert_int_equal(type_of(ROOT, "dangling"), S_IFLNK);
}

TEST(test_absolute)
{
    char target[128];
    make_dir("d");
    fx_put("d/f", "file");
    snprintf(target, sizeof target, "%s/d/f", fx_dir);
    make_link(target, "l");
    snprintf(target, sizeof target, "%s", fx_dir);
    make_link(target, "root");
    serve_following(NULL, 0);
    assert_read(ROOT, "l", "file");
    assert_int_equal(type_of(ROOT, "root"), S_IFLNK); /* it lies in there */
}

/* Each way to a directory is a node of its own, with the same inode number. */
TEST(test_directories)
{
    make_dir("d");
    make_dir("d/sub");
    make_dir("other");
    fx_put("d/f", "file");
    fx_put("d/sub/g", "deep");
    make_link("d", "l");
    make_link("../d", "other/l");
    make_link("../l/sub", "other/sub");
    make_link("../other", "d/other");
    serve_following(NULL, 0);
    uint64_t d = fx_node("d"), sub = fx_node_in(d, "sub"), l = fx_node("l");
    assert_int_equal(rep.lookup.entry.attr.mode & S_IFMT, S_IFDIR);
    assert_int_equal(rep.lookup.entry.attr.ino, fx_stat("d").st_ino);
    assert_int_not_equal(l, d);
    assert_int_equal(fx_node("l"), l);
    assert_int_equal(fx_node("d"), d);
    uint64_t sub2 = fx_node_in(l, "sub");
    assert_int_not_equal(sub2, sub);
    assert_int_equal(fx_node_in(l, "sub"), sub2);
    assert_int_equal(fx_node_in(d, "sub"), sub);
    /* Files are one. */
    assert_int_equal(fx_node_in(l, "f"), fx_node_in(d, "f"));
    assert_int_equal(fx_node_in(sub2, "g"), fx_node_in(sub, "g"));
    assert_read(sub2, "g", "deep");
    uint64_t other = fx_node("other");
    uint64_t third = fx_node_in(other, "l");
    assert_true(third != l && third != d);
    assert_read(fx_node_in(other, "sub"), "g", "deep");
    /* In circles once: d/other/l would be d again. */
    uint64_t circle = fx_node_in(d, "other");
    assert_int_not_equal(circle, other);
    assert_int_equal(type_of(circle, "l"), S_IFLNK);
    /* other/l/other likewise, from the other side. */
    assert_int_equal(type_of(third, "other"), S_IFLNK);
    /* Written through one, read through the others. */
    assert_ok(CALL(create, l, bytes_of("new"), 0644, 0, MFS_O_RDWR));
    assert_int_equal(fx_write(rep.create.fh, 0, "new"), 3);
    assert_read(d, "new", "new");
    assert_ok(CALL(mkdir, l, bytes_of("m"), 0755, 0));
    assert_ok(CALL(rmdir, d, bytes_of("m")));
    assert_error(CALL(lookup, l, bytes_of("m")), ENOENT);
    /* Moved on the head: found all the same. */
    assert_return_code(rename(fx_path("d"), fx_path("d2")), errno);
    assert_read(sub2, "g", "deep");
    assert_int_equal(type_of(ROOT, "l"), S_IFLNK);
}

/* What names and removes acts on the link. */
TEST(test_the_link_itself)
{
    make_dir("d");
    fx_put("d/f", "file");
    make_link("d/f", "l");
    make_link("d", "ld");
    make_link("d", "ld2");
    serve_following(NULL, 0);
    uint64_t d = fx_node("d");
    assert_ok(CALL(unlink, ROOT, bytes_of("l")));
    assert_read(d, "f", "file");
    assert_error(CALL(rmdir, ROOT, bytes_of("ld")), ENOTDIR);
    assert_ok(CALL(rename, ROOT, bytes_of("ld"), ROOT, bytes_of("renamed"), 0));
    char text[16] = "";
    assert_return_code(readlink(fx_path("renamed"), text, sizeof text - 1), errno);
    assert_string_equal(text, "d");
    assert_ok(CALL(unlink, ROOT, bytes_of("ld2")));
    assert_int_equal(S_ISDIR(fx_stat("d").st_mode), true);
    /* What symlink makes is told as a link; by its name it is what it leads to. */
    assert_ok(CALL(symlink, ROOT, bytes_of("s"), bytes_of("d/f")));
    assert_int_equal(rep.symlink.entry.attr.mode & S_IFMT, S_IFLNK);
    assert_int_equal(rep.symlink.entry.valid_ms, 0);
    assert_read(ROOT, "s", "file");
}

TEST(test_hidden)
{
    char ssh[128], later[128];
    make_dir(".ssh");
    make_dir("d");
    make_dir("d/keys");
    fx_put(".ssh/id", "key");
    fx_put("d/keys/id_rsa", "key");
    fx_put("d/keys/public", "public");
    make_link(".ssh", "l");
    make_link(".ssh/id", "l2");
    make_link("../.ssh/id", "d/l");
    make_link("l2", "l3");
    make_link("d/keys/id_rsa", "pattern");
    make_link("d/keys", "keys");
    make_link("d", "around");
    make_link("d/later", "later");
    make_link("d/later/x", "later x");
    snprintf(ssh, sizeof ssh, "%s/.ssh", fx_dir);
    snprintf(later, sizeof later, "%s/d/later", fx_dir);
    const char *const hide[] = { ssh, "id_rsa*", later };
    serve_following(hide, ARRAY_LEN(hide));
    static const char *const names[] = { "l", "l2", "l3", "pattern" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (type_of(ROOT, names[i]) != S_IFLNK)
            fail_msg("'%s' leads to what is hidden", names[i]);
    uint64_t d = fx_node("d");
    assert_int_equal(type_of(d, "l"), S_IFLNK);
    uint64_t keys = fx_node("keys");
    assert_error(CALL(lookup, keys, bytes_of("id_rsa")), ENOENT);
    assert_error(CALL(create, keys, bytes_of("id_rsa2"), 0644, 0, MFS_O_RDWR), EACCES);
    assert_read(keys, "public", "public");
    /* Hidden by its path, and not there when serving began. */
    make_dir("d/later");
    fx_put("d/later/x", "secret");
    assert_int_equal(type_of(ROOT, "later"), S_IFLNK);
    assert_int_equal(type_of(ROOT, "later x"), S_IFLNK);
    assert_error(CALL(lookup, fx_node("around"), bytes_of("later")), ENOENT);
}

TEST(test_listed)
{
    make_dir("d");
    fx_put("f", "file");
    make_link("f", "file");
    make_link("d", "dir");
    make_link("none", "none");
    serve_following(NULL, 0);
    for (int is_plus = 0; is_plus < 2; is_plus++) {
        assert_ok(CALL(opendir, ROOT));
        uint64_t fh = rep.opendir.fh;
        assert_ok(CALL(readdir, fh, 0, 65536, (uint8_t)is_plus));
        struct rd r = rd_of(rep.readdir.entries.ptr, rep.readdir.entries.len);
        struct mfs_dirent e;
        int seen = 0;
        while (rd_left(&r)) {
            char name[MFS_NAME_MAX + 1];
            assert_ok(mfs_dirent_get(&r, &e));
            assert_ok(bytes_to_text(e.name, name, sizeof name));
            int wanted = !strcmp(name, "file")   ? DT_REG
                         : !strcmp(name, "dir")  ? DT_DIR
                         : !strcmp(name, "none") ? DT_LNK
                                                 : -1;
            if (wanted < 0)
                continue;
            seen++;
            assert_int_equal(e.type, is_plus ? wanted : DT_UNKNOWN);
            assert_int_equal(e.has_entry, is_plus);
            if (is_plus)
                assert_int_equal(IFTODT(e.entry.attr.mode), wanted);
        }
        assert_int_equal(seen, 3);
        assert_ok(CALL(releasedir, fh));
    }
}

/* More directories on the way than are kept, and more links. */
TEST(test_long_ways)
{
    char name[2048] = "", link[64], target[64];
    for (int i = 0; i < 140; i++) {
        memcpy(name + 2 * i, "d/", 3);
        name[2 * i + 1] = 0;
        make_dir(name);
        name[2 * i + 1] = '/';
    }
    name[2 * 140 - 1] = 0;
    make_link(name, "deep");
    name[2 * 100 - 1] = 0;
    make_link(name, "less deep");
    fx_put("f", "file");
    make_link("f", "l0");
    for (int i = 1; i < 45; i++) {
        snprintf(link, sizeof link, "l%d", i);
        snprintf(target, sizeof target, "l%d", i - 1);
        make_link(target, link);
    }
    serve_following(NULL, 0);
    assert_int_equal(type_of(ROOT, "deep"), S_IFLNK);
    assert_int_equal(type_of(ROOT, "less deep"), S_IFDIR);
    assert_int_equal(type_of(ROOT, "l39"), S_IFREG);
    assert_int_equal(type_of(ROOT, "l41"), S_IFLNK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(test_files),       FX_TEST(test_what_stays_a_link), FX_TEST(test_absolute),
        FX_TEST(test_directories), FX_TEST(test_the_link_itself),   FX_TEST(test_hidden),
        FX_TEST(test_listed),      FX_TEST(test_long_ways),
    };
    return fx_run("server_follow", tests, ARRAY_LEN(tests));
}
