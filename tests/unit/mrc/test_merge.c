/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_merge.c: two directories shown as one: what is seen, where writes go, and that the
 * target stays as it was. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "mrc/agent/merge.h"
#include "mrc/agent/record.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/test-merge-XXXXXX";
static int head, target;
static struct merge *m;

static void put(int at, const char *path, const char *text)
{
    AUTO_FD fd = openat(at, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_ok(fd);
    assert_ok(fd_write_full(fd, text, strlen(text)));
}

static void put_merged(const char *path, int flags, const char *text)
{
    enum merge_side side;
    AUTO_FD fd = merge_open(m, path, O_WRONLY | flags, 0644, &side);
    assert_ok(fd);
    assert_int_equal(side, MERGE_HEAD);
    assert_ok(fd_write_full(fd, text, strlen(text)));
}

static void check_text(int fd, const char *expected)
{
    char text[256];
    assert_ok(fd);
    ssize_t n = fd_read_full(fd, text, sizeof text - 1);
    assert_ok(n);
    text[n] = 0;
    close(fd);
    assert_string_equal(text, expected);
}

static void check(const char *path, const char *expected)
{
    enum merge_side side;
    check_text(merge_open(m, path, O_RDONLY, 0, &side), expected);
}

static void check_head(const char *path, const char *expected)
{
    check_text(openat(head, path, O_RDONLY | O_CLOEXEC), expected);
}

static void check_gone(const char *path)
{
    struct stat st;
    assert_error(merge_find(m, path, &st), ENOENT);
}

static bool on_head(const char *path)
{
    struct stat st;
    return fstatat(head, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int add_name(void *ctx, const char *name, const struct stat *st)
{
    (void)st;
    char *text = ctx;
    if (name[0] != '.')
        snprintf(text + strlen(text), 256 - strlen(text), "%s ", name);
    return 0;
}

/* The names of one side come in any order: at most one of each here. */
static void check_list(const char *path, const char *expected)
{
    char text[256] = "";
    assert_ok(merge_list(m, path, add_name, text));
    assert_string_equal(text, expected);
}

/* both: on both sides; h: the head's; t: the target's; sub: on both, with h and t in it; only:
 * the target's, with x in it; mine: the head's, with y in it. */
static int set_up(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir) || chdir(dir) < 0 || mkdir("head", 0755) < 0 || mkdir("target", 0755) < 0)
        return -1;
    head = open("head", O_PATH | O_DIRECTORY | O_CLOEXEC);
    target = open("target", O_PATH | O_DIRECTORY | O_CLOEXEC);
    put(head, "both", "head");
    put(target, "both", "target");
    mkdirat(head, "sub", 0755);
    mkdirat(target, "sub", 0700);
    put(head, "sub/h", "sub h");
    put(target, "sub/t", "sub t");
    put(target, "t", "target's");
    mkdirat(target, "only", 0750);
    put(target, "only/x", "x");
    mkdirat(head, "mine", 0755);
    put(head, "mine/y", "y");
    symlinkat("t", target, "link");
    return merge_new(head, target, &m);
}

static int tear_down(void **state)
{
    (void)state;
    /* Whatever was done, the target is as before. */
    check_text(openat(target, "both", O_RDONLY), "target");
    check_text(openat(target, "sub/t", O_RDONLY), "sub t");
    check_text(openat(target, "t", O_RDONLY), "target's");
    check_text(openat(target, "only/x", O_RDONLY), "x");
    char text[16] = "";
    assert_int_equal(readlinkat(target, "link", text, sizeof text), 1);
    merge_free(m);
    m = NULL;
    close(head);
    close(target);
    return tree_remove(AT_FDCWD, dir);
}

TEST(head_comes_first)
{
    struct stat st;
    check("/both", "head");
    check("/t", "target's");
    check("/sub/h", "sub h");
    check("/sub/t", "sub t");
    check("/only/x", "x");
    assert_int_equal(merge_find(m, "/", &st), MERGE_HEAD);
    assert_int_equal(merge_find(m, "/only", &st), MERGE_TARGET);
    check_gone("/nothing");
    check_gone("/t/below");
    check_gone("/nothing/below");
    check_list("/only", "x ");
    check_list("/sub", "h t ");
    assert_error(merge_list(m, "/t", add_name, NULL), ENOTDIR);
    char text[PATH_MAX];
    assert_int_equal(merge_readlink(m, "/link", text, sizeof text), 1);
    assert_false(on_head("t"));
}

TEST(inode_numbers_differ)
{
    struct stat a, b;
    assert_ok(merge_find(m, "/both", &a));
    assert_ok(merge_find(m, "/t", &b));
    assert_int_equal(a.st_ino >> 62, 0);
    assert_int_equal(b.st_ino >> 62, 1);
    enum merge_side side;
    AUTO_FD fd = merge_open(m, "/t", O_RDONLY, 0, &side);
    assert_ok(merge_fstat(fd, side, &a));
    assert_int_equal(a.st_ino, b.st_ino);
}

TEST(writing_copies_to_the_head)
{
    put_merged("/t", O_APPEND, " and more");
    check("/t", "target's and more");
    check_head("t", "target's and more");
    put_merged("/only/x", O_TRUNC, "new");
    check_head("only/x", "new");
    struct stat st;
    assert_ok(fstatat(head, "only", &st, 0));
    assert_int_equal(st.st_mode & 07777, 0750);
    put_merged("/only/z", O_CREAT, "z");
    check_head("only/z", "z");
    check("/only/z", "z");
}

TEST(create_exclusively)
{
    enum merge_side side;
    assert_error(merge_open(m, "/t", O_WRONLY | O_CREAT | O_EXCL, 0644, &side), EEXIST);
    assert_error(merge_open(m, "/no/file", O_WRONLY | O_CREAT, 0644, &side), ENOENT);
    assert_error(merge_open(m, "/t/file", O_WRONLY | O_CREAT, 0644, &side), ENOTDIR);
    put_merged("/fresh", O_CREAT | O_EXCL, "fresh");
    check_head("fresh", "fresh");
}

TEST(attributes_copy_too)
{
    struct stat st;
    assert_ok(merge_chmod(m, "/t", 0600));
    check_head("t", "target's");
    assert_ok(merge_find(m, "/t", &st));
    assert_int_equal(st.st_mode & 07777, 0600);
    const struct timespec times[2] = { { 1, 0 }, { 1000000000, 5 } };
    assert_ok(merge_utimens(m, "/sub/t", times));
    assert_ok(fstatat(head, "sub/t", &st, 0));
    assert_int_equal(st.st_mtim.tv_sec, 1000000000);
    assert_ok(merge_chmod(m, "/only", 0700));
    check("/only/x", "x");
    assert_false(on_head("only/x"));
}

TEST(times_and_modes_survive_the_copy)
{
    struct stat before, after;
    const struct timespec times[2] = { { 7, 0 }, { 77, 0 } };
    assert_ok(utimensat(target, "t", times, 0));
    assert_ok(fchmodat(target, "t", 0640, 0));
    assert_ok(merge_find(m, "/t", &before));
    assert_ok(merge_copy_up(m, "/t", true));
    assert_int_equal(merge_find(m, "/t", &after), MERGE_HEAD);
    assert_int_equal(after.st_mtim.tv_sec, 77);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_size, before.st_size);
}

TEST(removed_names_stay_removed)
{
    assert_ok(merge_unlink(m, "/t"));
    check_gone("/t");
    assert_error(merge_unlink(m, "/t"), ENOENT);
    assert_ok(merge_unlink(m, "/both")); /* not: the target's shows */
    check_gone("/both");
    assert_false(on_head("both"));
    put_merged("/t", O_CREAT | O_EXCL, "again");
    check("/t", "again");
    assert_ok(merge_unlink(m, "/t"));
    check_gone("/t");
    assert_error(merge_unlink(m, "/sub"), EISDIR);
}

TEST(removed_directories_hide_what_was_in_them)
{
    assert_error(merge_rmdir(m, "/only"), ENOTEMPTY);
    assert_ok(merge_unlink(m, "/only/x"));
    assert_ok(merge_rmdir(m, "/only"));
    check_gone("/only");
    check_gone("/only/x");
    assert_ok(merge_mkdir(m, "/only", 0755));
    check_list("/only", "");
    assert_error(merge_mkdir(m, "/only", 0755), EEXIST);
    assert_error(merge_mkdir(m, "/sub", 0755), EEXIST);
    assert_error(merge_rmdir(m, "/sub"), ENOTEMPTY);
    assert_ok(merge_unlink(m, "/sub/h"));
    assert_error(merge_rmdir(m, "/sub"), ENOTEMPTY);
    assert_ok(merge_unlink(m, "/sub/t"));
    assert_ok(merge_rmdir(m, "/sub"));
    check_gone("/sub");
    assert_false(on_head("sub"));
    assert_error(merge_rmdir(m, "/both"), ENOTDIR);
}

TEST(rename_files)
{
    assert_ok(merge_rename(m, "/t", "/only/t2", 0));
    check_gone("/t");
    check_head("only/t2", "target's");
    assert_ok(merge_rename(m, "/only/x", "/both", 0));
    check("/both", "x");
    check_gone("/only/x");
    assert_ok(merge_unlink(m, "/both"));
    check_gone("/both"); /* the target's doesn't come back */
    assert_error(merge_rename(m, "/sub/t", "/sub/h", RENAME_NOREPLACE), EEXIST);
    assert_error(merge_rename(m, "/sub/t", "/none/h", 0), ENOENT);
    assert_error(merge_rename(m, "/nothing", "/x", 0), ENOENT);
    assert_ok(merge_rename(m, "/sub/t", "/sub/h", RENAME_EXCHANGE));
    check("/sub/t", "sub h");
    check("/sub/h", "sub t");
    assert_error(merge_rename(m, "/sub/t", "/sub", 0), EISDIR);
    assert_ok(merge_rename(m, "/link", "/link2", 0));
    char text[8];
    assert_int_equal(merge_readlink(m, "/link2", text, sizeof text), 1);
}

TEST(rename_directories)
{
    assert_error(merge_rename(m, "/only", "/other", 0), EXDEV);
    assert_error(merge_rename(m, "/sub", "/other", 0), EXDEV);
    assert_error(merge_rename(m, "/mine", "/only", 0), ENOTEMPTY);
    assert_error(merge_rename(m, "/mine", "/t", 0), ENOTDIR);
    assert_ok(merge_rename(m, "/mine", "/ours", 0));
    check("/ours/y", "y");
    assert_ok(merge_unlink(m, "/only/x"));
    assert_ok(merge_rename(m, "/ours", "/only", 0));
    check_list("/only", "y ");
}

TEST(links_and_nodes)
{
    struct stat st;
    assert_ok(merge_link(m, "/t", "/only/hard"));
    assert_int_equal(merge_find(m, "/only/hard", &st), MERGE_HEAD);
    assert_int_equal(st.st_nlink, 2);
    assert_error(merge_link(m, "/t", "/both"), EEXIST);
    assert_error(merge_link(m, "/none", "/new"), ENOENT);
    assert_ok(merge_symlink(m, "/etc", "/only/soft"));
    assert_ok(merge_mknod(m, "/only/fifo", S_IFIFO | 0600, 0));
    assert_ok(merge_find(m, "/only/fifo", &st));
    assert_true(S_ISFIFO(st.st_mode));
    assert_error(merge_symlink(m, "x", "/t"), EEXIST);
}

/* A link on either side leads nobody out. */
TEST(links_are_not_followed_on_the_way)
{
    struct stat st;
    assert_ok(symlinkat("/", head, "out"));
    assert_ok(symlinkat("..", target, "up"));
    assert_error(merge_find(m, "/out/etc", &st), ENOENT);
    assert_error(merge_find(m, "/up/head", &st), ENOENT);
    enum merge_side side;
    assert_true(merge_open(m, "/out", O_RDONLY, 0, &side) < 0);
    assert_true(merge_open(m, "/out/new", O_WRONLY | O_CREAT, 0600, &side) < 0);
}

TEST(only_the_head)
{
    struct merge *alone;
    struct stat st;
    assert_ok(merge_new(head, -1, &alone));
    assert_int_equal(merge_find(alone, "/both", &st), MERGE_HEAD);
    assert_error(merge_find(alone, "/t", &st), ENOENT);
    assert_ok(merge_unlink(alone, "/both"));
    assert_ok(merge_rename(alone, "/mine", "/ours", 0));
    merge_free(alone);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

UNIT_MAIN(CASE(head_comes_first), CASE(inode_numbers_differ), CASE(writing_copies_to_the_head),
          CASE(create_exclusively), CASE(attributes_copy_too),
          CASE(times_and_modes_survive_the_copy), CASE(removed_names_stay_removed),
          CASE(removed_directories_hide_what_was_in_them), CASE(rename_files),
          CASE(rename_directories), CASE(links_and_nodes),
          CASE(links_are_not_followed_on_the_way), CASE(only_the_head))
