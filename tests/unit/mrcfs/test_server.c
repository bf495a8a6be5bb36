/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server.c: the file server's operations on open files' contents, and its exports,
 * asked over its streams, checked against the directory itself. */
#include "tests/lib/mfs_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(test_read_write)
{
    uint64_t fh = fx_create("a", 0640);
    assert_int_equal(fx_stat("a").st_mode, S_IFREG | 0640);
    assert_int_equal(rep.create.entry.attr.ino, fx_stat("a").st_ino);
    assert_int_equal(fx_write(fh, 0, "hello"), 5);
    assert_int_equal(fx_write(fh, 3, "pers"), 4);
    fx_assert_text(fh, 0, "helpers");
    fx_assert_text(fh, 4, "ers");
    fx_assert_text(fh, 100, "");
    assert_ok(CALL(getattr, rep.create.entry.node, fh));
    assert_int_equal(rep.getattr.attr.size, 7);

    uint64_t ro = fx_open("a", MFS_O_RDONLY);
    assert_error(fx_write(ro, 0, "x"), EBADF);
    uint64_t wo = fx_open("a", MFS_O_WRONLY);
    assert_error(CALL(read, wo, 0, 1), EBADF);
    assert_error(CALL(read, 999, 0, 1), EBADF);
    assert_error(CALL(read, fh, UINT64_MAX, 1), EINVAL);
    assert_error(fx_write(fh, (uint64_t)INT64_MAX + 1, "x"), EINVAL);
    assert_ok(CALL(release, ro));
    assert_error(CALL(release, ro), EBADF);
    assert_error(CALL(read, ro, 0, 1), EBADF);

    uint64_t cut = fx_open("a", MFS_O_RDWR | MFS_O_TRUNC);
    assert_int_equal(rep.open.attr.size, 0);
    fx_assert_text(cut, 0, "");
    assert_error(CALL(open, ROOT, MFS_O_RDONLY), EISDIR);
    assert_error(CALL(open, 4711, MFS_O_RDONLY), ESTALE);
    assert_error(CALL(open, fx_node("a"), 1u << 30), EINVAL);
}

TEST(test_big_messages)
{
    static uint8_t block[MFS_DATA_MAX];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(i * 31 >> 8);
    uint64_t fh = fx_create("big", 0644);
    assert_ok(CALL(write, fh, 0, 0, { block, sizeof block }));
    assert_int_equal(rep.write.written, sizeof block);
    assert_int_equal(c.last.stream, 0);
    assert_ok(CALL(read, fh, 0, sizeof block));
    assert_int_equal(c.last.stream, 1); /* large data comes on the bulk stream */
    assert_int_equal(rep.read.body.len, sizeof block);
    assert_memory_equal(rep.read.body.ptr, block, sizeof block);
    assert_ok(CALL(read, fh, 0, UINT32_MAX)); /* never more than a message holds */
    assert_int_equal(rep.read.body.len, sizeof block);

    /* Beyond 4 GiB, sparse. */
    assert_int_equal(fx_write(fh, 5ull << 30, "far"), 3);
    fx_assert_text(fh, 5ull << 30, "far");
    assert_int_equal(fx_stat("big").st_size, (5ull << 30) + 3);
    assert_ok(CALL(lseek, fh, 2 << 20, MFS_SEEK_DATA));
    assert_true(rep.lseek.offset <= 5ull << 30 && rep.lseek.offset > 2 << 20);
    assert_ok(CALL(lseek, fh, 0, MFS_SEEK_HOLE));
    assert_int_equal(rep.lseek.offset, sizeof block);
    assert_error(CALL(lseek, fh, 6ull << 30, MFS_SEEK_DATA), ENXIO);
    assert_error(CALL(lseek, fh, UINT64_MAX, MFS_SEEK_DATA), ENXIO);
    assert_error(CALL(lseek, fh, 0, 0), EINVAL);
}

TEST(test_create)
{
    assert_ok(CALL(create, ROOT, bytes_of("a"), 0666, 027, MFS_O_WRONLY | MFS_O_EXCL));
    assert_int_equal(fx_stat("a").st_mode & 07777, 0640);
    assert_error(CALL(create, ROOT, bytes_of("a"), 0666, 0, MFS_O_WRONLY | MFS_O_EXCL), EEXIST);
    uint64_t node = rep.create.entry.node;
    assert_int_equal(fx_write(rep.create.fh, 0, "abc"), 3);
    assert_ok(CALL(create, ROOT, bytes_of("a"), 0666, 0, MFS_O_RDWR));
    assert_int_equal(rep.create.entry.node, node);
    fx_assert_text(rep.create.fh, 0, "abc");
    assert_int_equal(fx_stat("a").st_mode & 07777, 0640);
    assert_ok(CALL(create, ROOT, bytes_of("a"), 0666, 0, MFS_O_RDWR | MFS_O_TRUNC));
    fx_assert_text(rep.create.fh, 0, "");

    /* The maker may write a file that nobody may. */
    assert_ok(CALL(create, ROOT, bytes_of("none"), 0, 0, MFS_O_RDWR));
    assert_int_equal(fx_write(rep.create.fh, 0, "abc"), 3);
    fx_assert_text(rep.create.fh, 0, "abc");
    /* Another umask with the next one. */
    assert_ok(CALL(create, ROOT, bytes_of("b"), 07777, 0, MFS_O_RDWR));
    assert_int_equal(fx_stat("b").st_mode & 0777, 0777);
    assert_ok(CALL(create, ROOT, bytes_of("c"), 0777, 0777, MFS_O_RDWR));
    assert_int_equal(fx_stat("c").st_mode & 0777, 0);

    assert_ok(CALL(mkdir, ROOT, bytes_of("d"), 0777, 022));
    assert_error(CALL(create, ROOT, bytes_of("d"), 0666, 0, MFS_O_RDWR), EISDIR);
    assert_ok(CALL(symlink, ROOT, bytes_of("l"), bytes_of("/etc/passwd")));
    /* The client's kernel shall look again and follow it in its own view. */
    assert_error(CALL(create, ROOT, bytes_of("l"), 0666, 0, MFS_O_RDWR), ESTALE);
    assert_error(CALL(create, fx_node("a"), bytes_of("x"), 0666, 0, MFS_O_RDWR), ENOTDIR);
}

TEST(test_default_acl)
{
    /* u::rwx g::rwx o::r-x as default; then the umask does not count. */
    static const uint8_t acl[] = {
        2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 4,   0,
        7, 0, 255, 255, 255, 255, 32, 0, 5,   0,   255, 255, 255, 255
    };
    assert_ok(CALL(mkdir, ROOT, bytes_of("d"), 0777, 022));
    uint64_t d = rep.mkdir.entry.node;
    int rc = CALL(setxattr, d, bytes_of("system.posix_acl_default"), { acl, sizeof acl }, 0);
    if (rc == -EOPNOTSUPP) {
        print_message("no ACLs on %s: not tested\n", fx_dir);
        return;
    }
    assert_ok(rc);
    assert_ok(CALL(create, d, bytes_of("f"), 0666, 077, MFS_O_RDWR));
    assert_int_equal(fx_stat("d/f").st_mode & 0777, 0664);
    assert_ok(CALL(mkdir, d, bytes_of("e"), 0777, 077));
    assert_int_equal(fx_stat("d/e").st_mode & 0777, 0775);
}

TEST(test_append)
{
    fx_put("log", "");
    uint64_t fh = fx_open("log", MFS_O_WRONLY | MFS_O_APPEND);
    assert_ok(CALL(write, fh, 0, MFS_O_WRONLY | MFS_O_APPEND, bytes_of("one ")));
    assert_ok(CALL(write, fh, 0, MFS_O_WRONLY | MFS_O_APPEND, bytes_of("two ")));
    /* fcntl took O_APPEND away, and gave it back. */
    assert_ok(CALL(write, fh, 0, MFS_O_WRONLY, bytes_of("ONE")));
    assert_ok(CALL(write, fh, 0, MFS_O_WRONLY | MFS_O_APPEND, bytes_of("three")));
    fx_assert_text(fx_open("log", 0), 0, "ONE two three");
}

TEST(test_append_from_several)
{
    enum { CLIENTS = 3, RECORDS = 500, RECORD = 16 };
    fx_put("log", "");
    pid_t pids[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fflush(NULL);
        pids[i] = fork();
        if (pids[i])
            continue;
        static struct wc own;
        struct mfs_export x = { fx_dir, false };
        struct mfs_serve_opts o = { .exports = &x, .export_count = 1 };
        int bad = wc_start(&own, &o, fx_user) < 0 ||
                  ON(&own, lookup, ROOT, bytes_of("log")) < 0 ||
                  ON(&own, open, rep.lookup.entry.node, MFS_O_WRONLY | MFS_O_APPEND) < 0;
        uint64_t fh = rep.open.fh, ids[RECORDS];
        char text[64];
        for (int k = 0; k < RECORDS && !bad; k++) {
            snprintf(text, sizeof text, "client %d %6d\n", i, k);
            ids[k] = wc_write_send(
                &own, &(struct mfs_write_req){ fh, 0, MFS_O_APPEND, bytes_of(text) });
        }
        for (int k = 0; k < RECORDS && !bad; k++)
            bad = wc_write_wait(&own, ids[k], &rep.write) < 0 || rep.write.written != RECORD;
        _exit(bad || wc_stop(&own) < 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    FILE *f = fopen(fx_path("log"), "r");
    static bool seen[CLIENTS][RECORDS];
    memset(seen, 0, sizeof seen);
    int client, k, count = 0;
    while (fscanf(f, "client %d %d\n", &client, &k) == 2) {
        assert_in_range(client, 0, CLIENTS - 1);
        assert_in_range(k, 0, RECORDS - 1);
        assert_false(seen[client][k]);
        seen[client][k] = true;
        count++;
    }
    assert_int_equal(count, CLIENTS * RECORDS);
    fclose(f);
}

TEST(test_unlinked)
{
    uint64_t fh = fx_create("a", 0600);
    uint64_t node = rep.create.entry.node;
    assert_ok(CALL(unlink, ROOT, bytes_of("a")));
    assert_error(CALL(lookup, ROOT, bytes_of("a")), ENOENT);
    assert_int_equal(fx_write(fh, 0, "still"), 5);
    fx_assert_text(fh, 0, "still");
    assert_ok(CALL(getattr, node, 0));
    assert_int_equal(rep.getattr.attr.nlink, 0);
    assert_int_equal(rep.getattr.attr.size, 5);
    assert_ok(CALL(setattr, node, fh, MFS_SET_SIZE, { .size = 2 }));
    fx_assert_text(fh, 0, "st");
    assert_ok(CALL(open, node, MFS_O_RDONLY));
    assert_ok(CALL(release, rep.open.fh));
    assert_ok(CALL(flush, fh, 1));
    assert_ok(CALL(fsync, fh, 0));
    assert_ok(CALL(release, fh));
    wc_forget(&c, node, 1);
    assert_error(CALL(getattr, node, 0), ESTALE);
}

TEST(test_tmpfile)
{
    assert_ok(CALL(tmpfile, ROOT, 0644, 022, MFS_O_RDWR));
    uint64_t node = rep.tmpfile.entry.node, fh = rep.tmpfile.fh;
    assert_int_equal(rep.tmpfile.entry.attr.nlink, 0);
    assert_int_equal(fx_write(fh, 0, "later"), 5);
    assert_ok(CALL(link, node, ROOT, bytes_of("named")));
    assert_int_equal(rep.link.entry.node, node);
    assert_int_equal(fx_stat("named").st_size, 5);
    assert_int_equal(fx_node("named"), node);
    assert_ok(CALL(tmpfile, ROOT, 0600, 0, MFS_O_RDWR | MFS_O_EXCL));
    assert_error(CALL(link, rep.tmpfile.entry.node, ROOT, bytes_of("never")), ENOENT);
}

TEST(test_space)
{
    uint64_t fh = fx_create("f", 0644);
    assert_ok(CALL(fallocate, fh, 0, 0, 65536));
    assert_int_equal(fx_stat("f").st_size, 65536);
    assert_ok(CALL(fallocate, fh, MFS_FALLOC_KEEP_SIZE, 65536, 65536));
    assert_int_equal(fx_stat("f").st_size, 65536);
    assert_int_equal(fx_write(fh, 8192, "gone"), 4);
    assert_ok(CALL(fallocate, fh, MFS_FALLOC_PUNCH_HOLE | MFS_FALLOC_KEEP_SIZE, 8192, 4096));
    assert_ok(CALL(read, fh, 8192, 4));
    assert_memory_equal(rep.read.body.ptr, "\0\0\0\0", 4);
    assert_error(CALL(fallocate, fh, MFS_FALLOC_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
    assert_error(CALL(fallocate, fh, 1u << 20, 0, 10), EOPNOTSUPP);
    assert_error(CALL(fallocate, fh, 0, 0, 0), EINVAL);
    assert_error(CALL(fallocate, fh, 0, UINT64_MAX, 1), EINVAL);
    uint64_t ro = fx_open("f", 0);
    assert_error(CALL(fallocate, ro, 0, 0, 10), EBADF);
    assert_ok(CALL(syncfs, ROOT));
    assert_ok(CALL(fsync, fh, 1));
}

TEST(test_copy_file_range)
{
    fx_put("from", "0123456789");
    uint64_t in = fx_open("from", MFS_O_RDONLY), out = fx_create("to", 0644);
    assert_ok(CALL(copy_file_range, in, 2, out, 4, 5));
    assert_int_equal(rep.copy_file_range.copied, 5);
    assert_ok(CALL(read, out, 0, 20));
    assert_int_equal(rep.read.body.len, 9);
    assert_memory_equal(rep.read.body.ptr, "\0\0\0\00023456", 9);
    assert_ok(CALL(copy_file_range, in, 10, out, 0, 5));
    assert_int_equal(rep.copy_file_range.copied, 0);
    assert_error(CALL(copy_file_range, in, 0, in, 0, 5), EBADF);
    assert_error(CALL(copy_file_range, out, 0, out, 2, 5), EINVAL); /* they overlap */
    assert_error(CALL(copy_file_range, in, UINT64_MAX, out, 2, 5), EINVAL);
}

TEST(test_size_limit)
{
    struct mfs_export x = { fx_dir, false };
    struct rlimit old, small;
    assert_ok(wc_stop(&c));
    assert_return_code(getrlimit(RLIMIT_FSIZE, &old), errno);
    small = (struct rlimit){ 4096, old.rlim_max };
    assert_return_code(setrlimit(RLIMIT_FSIZE, &small), errno);
    int rc =
        wc_start(&c, &(struct mfs_serve_opts){ .exports = &x, .export_count = 1 }, fx_user);
    assert_return_code(setrlimit(RLIMIT_FSIZE, &old), errno);
    assert_ok(rc);
    uint64_t fh = fx_create("f", 0644);
    assert_int_equal(fx_write(fh, 4094, "abcd"), 2); /* what fits */
    assert_error(fx_write(fh, 4096, "cd"), EFBIG);   /* and the reason at once after */
    assert_error(CALL(setattr, rep.create.entry.node, fh, MFS_SET_SIZE, { .size = 5000 }),
                 EFBIG);
    assert_int_equal(fx_stat("f").st_size, 4096);
}

/* ---- exports ---- */

TEST(test_read_only)
{
    fx_put("f", "text");
    assert_ok(wc_stop(&c));
    struct mfs_export x[2] = { { fx_dir, true }, { fx_dir, false } };
    fx_serve(&(struct mfs_serve_opts){ .exports = x, .export_count = 2 });
    uint64_t f = fx_node("f");
    assert_ok(CALL(open, f, MFS_O_RDONLY));
    uint64_t fh = rep.open.fh;
    fx_assert_text(fh, 0, "text");
    assert_error(CALL(open, f, MFS_O_RDWR), EROFS);
    assert_error(CALL(open, f, MFS_O_RDONLY | MFS_O_TRUNC), EROFS);
    assert_error(CALL(create, ROOT, bytes_of("x"), 0644, 0, MFS_O_RDWR), EROFS);
    assert_error(CALL(tmpfile, ROOT, 0644, 0, MFS_O_RDWR), EROFS);
    assert_error(CALL(mkdir, ROOT, bytes_of("x"), 0755, 0), EROFS);
    assert_error(CALL(mknod, ROOT, bytes_of("x"), S_IFIFO | 0600, 0, 0, 0), EROFS);
    assert_error(CALL(symlink, ROOT, bytes_of("x"), bytes_of("y")), EROFS);
    assert_error(CALL(unlink, ROOT, bytes_of("f")), EROFS);
    assert_error(CALL(rmdir, ROOT, bytes_of("f")), EROFS);
    assert_error(CALL(rename, ROOT, bytes_of("f"), ROOT, bytes_of("g"), 0), EROFS);
    assert_error(CALL(link, f, ROOT, bytes_of("g")), EROFS);
    assert_error(CALL(setattr, f, 0, MFS_SET_MODE, { .mode = 0600 }), EROFS);
    assert_error(CALL(setattr, f, fh, MFS_SET_SIZE, { .size = 0 }), EROFS);
    assert_error(CALL(setxattr, f, bytes_of("user.a"), bytes_of("x"), 0), EROFS);
    assert_error(CALL(removexattr, f, bytes_of("user.a")), EROFS);
    assert_error(CALL(setflags, f, 0), EROFS);
    assert_error(CALL(access, f, MFS_ACCESS_W), EROFS);
    assert_error(CALL(fallocate, fh, 0, 0, 10), EBADF);
    assert_error(fx_write(fh, 0, "x"), EBADF);
    /* The other export can be written, but nothing moves between them. */
    assert_ok(CALL(create, 2, bytes_of("x"), 0644, 0, MFS_O_RDWR));
    assert_error(CALL(rename, 2, bytes_of("x"), ROOT, bytes_of("y"), 0), EROFS);
    assert_error(CALL(link, f, 2, bytes_of("y")), EROFS);
    assert_int_equal(fx_stat("f").st_size, 4);
}

TEST(test_greeting)
{
    struct mfs_export x[2] = { { fx_dir, true }, { "/tmp/", false } };
    struct mfs_serve_opts o = { .exports = x, .export_count = 2 };
    assert_ok(wc_stop(&c));
    assert_ok(wc_fork(&c, &o, fx_user));
    assert_ok(CALL(hello, MFS_VERSION, 0, { NULL, 0 }, { NULL, 0 }));
    assert_int_equal(rep.hello.version, MFS_VERSION);
    assert_int_equal(rep.hello.server_uid, fx_user ? fx_user : getuid());
    struct rd r = rd_of(rep.hello.exports.ptr, rep.hello.exports.len);
    struct mfs_export_rec e;
    assert_ok(mfs_export_rec_get(&r, &e));
    assert_int_equal(e.flags, MFS_EXPORT_RO);
    assert_int_equal(e.path.len, strlen(fx_dir));
    assert_ok(mfs_export_rec_get(&r, &e));
    assert_int_equal(e.flags, 0);
    assert_int_equal(e.path.len, 4); /* /tmp */
    assert_int_equal(rd_left(&r), 0);
    assert_ok(CALL(getattr, 1, 0));
    assert_ok(CALL(getattr, 2, 0));
    assert_error(CALL(getattr, 3, 0), ESTALE);
    assert_error(CALL(getattr, 0, 0), ESTALE);
}

TEST(test_refused_options)
{
    struct err e;
    struct mfs_export gone = { "/nonexistent/mfs", false }, relative = { "tmp", false };
    struct mfs_export file = { "/etc/passwd", false };
    const struct mfs_export *bad[] = { &gone, &relative, &file };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        static struct wc other;
        struct mfs_serve_opts o = { .exports = bad[i], .export_count = 1 };
        assert_int_equal(wc_start(&other, &o, fx_user), -ECONNRESET);
        assert_true(wc_stop(&other) < 0);
    }
    (void)e;
}

/* Owners as numbers, when the client maps them itself. */
TEST(test_numbers)
{
    struct mfs_export x = { fx_dir, false };
    struct mfs_serve_opts o = { .exports = &x, .export_count = 1 };
    if (geteuid() || fx_user)
        return;
    fx_put("f", "");
    assert_return_code(chown(fx_path("f"), 1, 2), errno); /* daemon, bin */
    assert_ok(wc_stop(&c));
    assert_ok(wc_fork(&c, &o, 0));
    c.features = MFS_FEATURE_NUMBERS;
    c.uid = c.gid = 1234;
    assert_ok(wc_greet(&c));
    uint64_t f = fx_node("f");
    assert_int_equal(rep.lookup.entry.attr.uid, 1);
    assert_int_equal(rep.lookup.entry.attr.gid, 2);
    assert_ok(CALL(setattr, f, 0, MFS_SET_UID | MFS_SET_GID, { .uid = 1234, .gid = 7 }));
    assert_int_equal(fx_stat("f").st_uid, 0); /* our own is the server's own */
    assert_int_equal(fx_stat("f").st_gid, 7);
}

TEST(test_single_user)
{
    if (geteuid() || fx_user)
        return;
    fx_put("foreign", "");
    fx_put("shared", "");
    assert_return_code(chown(fx_path("foreign"), 4321, 4321), errno);
    assert_return_code(chown(fx_path("shared"), 4321, 4321), errno);
    assert_return_code(chmod(fx_path("shared"), 0666), errno);
    assert_return_code(chmod(fx_dir, 0777), errno);
    assert_ok(wc_stop(&c));
    struct mfs_export x = { fx_dir, false };
    struct mfs_serve_opts o = { .exports = &x, .export_count = 1 };
    assert_ok(wc_fork(&c, &o, ORDINARY_USER));
    c.features = MFS_FEATURE_SINGLE_USER;
    assert_ok(wc_greet(&c));
    fx_node("foreign");
    assert_int_equal(rep.lookup.entry.attr.uid, MFS_NOBODY);
    assert_int_equal(rep.lookup.entry.attr.flags & MFS_ATTR_WRITABLE, 0);
    fx_node("shared");
    assert_int_equal(rep.lookup.entry.attr.uid, MFS_NOBODY);
    assert_int_equal(rep.lookup.entry.attr.flags & MFS_ATTR_WRITABLE, MFS_ATTR_WRITABLE);
    assert_ok(CALL(create, ROOT, bytes_of("own"), 0644, 0, MFS_O_RDWR));
    assert_int_equal(rep.create.entry.attr.uid, c.uid);
    assert_int_equal(rep.create.entry.attr.flags & MFS_ATTR_WRITABLE, 0);
    assert_error(CALL(setattr, rep.create.entry.node, 0, MFS_SET_UID, { .uid = 5 }), EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(test_read_write), FX_TEST(test_big_messages),
        FX_TEST(test_create),     FX_TEST(test_default_acl),
        FX_TEST(test_append),     FX_TEST(test_append_from_several),
        FX_TEST(test_unlinked),   FX_TEST(test_tmpfile),
        FX_TEST(test_space),      FX_TEST(test_copy_file_range),
        FX_TEST(test_size_limit), FX_TEST(test_read_only),
        FX_TEST(test_greeting),   FX_TEST(test_refused_options),
        FX_TEST(test_numbers),    FX_TEST(test_single_user),
    };
    return fx_run("server", tests, ARRAY_LEN(tests));
}
