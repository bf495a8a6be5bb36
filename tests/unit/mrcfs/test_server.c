/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server.c: the file server's operations on names, contents, attributes and directories,
 * asked over its streams, checked against the directory itself. */
#include "tests/lib/mfs_fixture.h"

#include "mrcfs/ids.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* ---- contents ---- */

static int put(uint64_t fh, uint64_t offset, const char *text)
{
    int rc = CALL(write, fh, offset, 0, bytes_of(text));
    return rc < 0 ? rc : (int)rep.write.written;
}

static void assert_text(uint64_t fh, uint64_t offset, const char *text)
{
    assert_ok(CALL(read, fh, offset, (uint32_t)strlen(text) + 10));
    assert_int_equal(rep.read.body.len, strlen(text));
    assert_memory_equal(rep.read.body.ptr, text, strlen(text));
}

TEST(test_read_write)
{
    uint64_t fh = fx_create("a", 0640);
    assert_int_equal(fx_stat("a").st_mode, S_IFREG | 0640);
    assert_int_equal(rep.create.entry.attr.ino, fx_stat("a").st_ino);
    assert_int_equal(put(fh, 0, "hello"), 5);
    assert_int_equal(put(fh, 3, "pers"), 4);
    assert_text(fh, 0, "helpers");
    assert_text(fh, 4, "ers");
    assert_text(fh, 100, "");
    assert_ok(CALL(getattr, rep.create.entry.node, fh));
    assert_int_equal(rep.getattr.attr.size, 7);

    uint64_t ro = fx_open("a", MFS_O_RDONLY);
    assert_error(put(ro, 0, "x"), EBADF);
    uint64_t wo = fx_open("a", MFS_O_WRONLY);
    assert_error(CALL(read, wo, 0, 1), EBADF);
    assert_error(CALL(read, 999, 0, 1), EBADF);
    assert_error(CALL(read, fh, UINT64_MAX, 1), EINVAL);
    assert_error(put(fh, (uint64_t)INT64_MAX + 1, "x"), EINVAL);
    assert_ok(CALL(release, ro));
    assert_error(CALL(release, ro), EBADF);
    assert_error(CALL(read, ro, 0, 1), EBADF);

    uint64_t cut = fx_open("a", MFS_O_RDWR | MFS_O_TRUNC);
    assert_int_equal(rep.open.attr.size, 0);
    assert_text(cut, 0, "");
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
    assert_int_equal(put(fh, 5ull << 30, "far"), 3);
    assert_text(fh, 5ull << 30, "far");
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
    assert_int_equal(put(rep.create.fh, 0, "abc"), 3);
    assert_ok(CALL(create, ROOT, bytes_of("a"), 0666, 0, MFS_O_RDWR));
    assert_int_equal(rep.create.entry.node, node);
    assert_text(rep.create.fh, 0, "abc");
    assert_int_equal(fx_stat("a").st_mode & 07777, 0640);
    assert_ok(CALL(create, ROOT, bytes_of("a"), 0666, 0, MFS_O_RDWR | MFS_O_TRUNC));
    assert_text(rep.create.fh, 0, "");

    /* The maker may write a file that nobody may. */
    assert_ok(CALL(create, ROOT, bytes_of("none"), 0, 0, MFS_O_RDWR));
    assert_int_equal(put(rep.create.fh, 0, "abc"), 3);
    assert_text(rep.create.fh, 0, "abc");
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
    assert_text(fx_open("log", 0), 0, "ONE two three");
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
        char text[RECORD + 1];
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
    assert_int_equal(put(fh, 0, "still"), 5);
    assert_text(fh, 0, "still");
    assert_ok(CALL(getattr, node, 0));
    assert_int_equal(rep.getattr.attr.nlink, 0);
    assert_int_equal(rep.getattr.attr.size, 5);
    assert_ok(CALL(setattr, node, fh, MFS_SET_SIZE, { .size = 2 }));
    assert_text(fh, 0, "st");
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
    assert_int_equal(put(fh, 0, "later"), 5);
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
    assert_int_equal(put(fh, 8192, "gone"), 4);
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
    assert_int_equal(put(fh, 4094, "abcd"), 2); /* what fits */
    assert_error(put(fh, 4096, "cd"), EFBIG);   /* and the reason at once after */
    assert_error(CALL(setattr, rep.create.entry.node, fh, MFS_SET_SIZE, { .size = 5000 }),
                 EFBIG);
    assert_int_equal(fx_stat("f").st_size, 4096);
}

/* ---- names ---- */

TEST(test_lookup)
{
    fx_put("a", "abc");
    uint64_t a = fx_node("a");
    struct stat st = fx_stat("a");
    const struct mfs_attr *at = &rep.lookup.entry.attr;
    assert_int_equal(at->ino, st.st_ino);
    assert_int_equal(at->mode, st.st_mode);
    assert_int_equal(at->nlink, 1);
    assert_int_equal(at->size, 3);
    assert_int_equal(at->mtime_sec, st.st_mtim.tv_sec);
    assert_int_equal(at->mtime_nsec, st.st_mtim.tv_nsec);
    assert_int_equal(at->flags & MFS_ATTR_RECENT, MFS_ATTR_RECENT);
    assert_int_equal(fx_node("a"), a);
    assert_error(CALL(lookup, ROOT, bytes_of("b")), ENOENT);
    assert_error(CALL(lookup, a, bytes_of("b")), ENOTDIR);
    assert_error(CALL(lookup, 12345, bytes_of("b")), ESTALE);

    /* Hard links are one node. */
    assert_ok(CALL(link, a, ROOT, bytes_of("a2")));
    assert_int_equal(rep.link.entry.node, a);
    assert_int_equal(rep.link.entry.attr.nlink, 2);
    assert_int_equal(fx_node("a2"), a);
    /* It was looked up four times: it goes with the last one. */
    wc_forget(&c, a, 3);
    assert_ok(CALL(getattr, a, 0));
    wc_forget(&c, a, 1);
    assert_error(CALL(getattr, a, 0), ESTALE);
    assert_true(fx_node("a") != a);
    wc_forget(&c, 77777, 1);
    wc_forget(&c, ROOT, 1000);
    assert_ok(CALL(getattr, ROOT, 0));
}

TEST(test_names_of_any_bytes)
{
    char name[300];
    for (int b = 1; b < 256; b++) {
        if (b == '/')
            continue;
        snprintf(name, sizeof name, "n%c", b);
        assert_ok(CALL(mkdir, ROOT, bytes_of(name), 0755, 0));
        assert_int_equal(fx_node(name), rep.mkdir.entry.node);
        assert_ok(CALL(rmdir, ROOT, bytes_of(name)));
    }
    memset(name, 'x', sizeof name);
    assert_ok(CALL(create, ROOT, fx_bytes(name, 255), 0644, 0, MFS_O_RDWR));
    assert_ok(CALL(lookup, ROOT, fx_bytes(name, 255)));
    assert_error(CALL(lookup, ROOT, fx_bytes(name, 256)), ENAMETOOLONG);
    assert_error(CALL(create, ROOT, fx_bytes(name, 256), 0644, 0, MFS_O_RDWR), ENAMETOOLONG);
    static const char long_name[MFS_NAME_MAX + 1] = { 'x' };
    assert_error(CALL(lookup, ROOT, fx_bytes(long_name, sizeof long_name)), ENAMETOOLONG);
}

TEST(test_directories)
{
    assert_ok(CALL(mkdir, ROOT, bytes_of("d"), 01777, 022));
    uint64_t d = rep.mkdir.entry.node;
    assert_int_equal(fx_stat("d").st_mode, S_IFDIR | 01755);
    assert_error(CALL(mkdir, ROOT, bytes_of("d"), 0777, 0), EEXIST);
    assert_ok(CALL(mkdir, d, bytes_of("e"), 0777, 0));
    assert_error(CALL(rmdir, ROOT, bytes_of("d")), ENOTEMPTY);
    assert_error(CALL(unlink, d, bytes_of("e")), EISDIR);
    assert_ok(CALL(rmdir, d, bytes_of("e")));
    assert_error(CALL(rmdir, d, bytes_of("e")), ENOENT);
    fx_put("f", "");
    assert_error(CALL(rmdir, ROOT, bytes_of("f")), ENOTDIR);
    assert_error(CALL(link, d, ROOT, bytes_of("d2")), EPERM);
    /* A removed directory that is still known. */
    assert_ok(CALL(opendir, d));
    assert_ok(CALL(rmdir, ROOT, bytes_of("d")));
    assert_ok(CALL(getattr, d, 0));
    assert_int_equal(rep.getattr.attr.nlink, 0);
    assert_error(CALL(mkdir, d, bytes_of("x"), 0777, 0), ENOENT);
    assert_ok(CALL(readdir, rep.opendir.fh, 0, 4096, 0));
    assert_ok(CALL(releasedir, rep.opendir.fh));
}

TEST(test_links)
{
    char longest[MFS_TARGET_MAX + 1];
    memset(longest, 't', sizeof longest);
    assert_ok(CALL(symlink, ROOT, bytes_of("l"), bytes_of("../out of\nhere")));
    uint64_t l = rep.symlink.entry.node;
    assert_int_equal(rep.symlink.entry.attr.mode & S_IFMT, S_IFLNK);
    assert_ok(CALL(readlink, l));
    assert_int_equal(rep.readlink.target.len, 14);
    assert_memory_equal(rep.readlink.target.ptr, "../out of\nhere", 14);
    assert_error(CALL(symlink, ROOT, bytes_of("l"), bytes_of("x")), EEXIST);
    assert_error(CALL(symlink, ROOT, bytes_of("m"), bytes_of("")), ENOENT);
    assert_error(
        CALL(symlink, ROOT, bytes_of("m"), { (const uint8_t *)longest, sizeof longest }),
        ENAMETOOLONG);
    assert_ok(CALL(symlink, ROOT, bytes_of("m"), { (const uint8_t *)longest, MFS_TARGET_MAX }));
    assert_ok(CALL(readlink, rep.symlink.entry.node));
    assert_int_equal(rep.readlink.target.len, MFS_TARGET_MAX);
    assert_error(CALL(readlink, ROOT), EINVAL);
    assert_error(CALL(open, l, 0), ELOOP);
    assert_error(CALL(lookup, l, bytes_of("passwd")), ENOTDIR);
    /* A hard link to the symbolic link itself. */
    assert_ok(CALL(link, l, ROOT, bytes_of("l2")));
    assert_int_equal(rep.link.entry.node, l);
    assert_error(CALL(link, l, ROOT, bytes_of("l2")), EEXIST);
}

TEST(test_special_files)
{
    assert_ok(CALL(mknod, ROOT, bytes_of("fifo"), S_IFIFO | 0640, 022, 0, 0));
    assert_int_equal(fx_stat("fifo").st_mode, S_IFIFO | 0640);
    uint64_t fifo = rep.mknod.entry.node;
    assert_error(CALL(open, fifo, MFS_O_RDONLY), ENXIO); /* and does not wait for a writer */
    assert_error(CALL(create, ROOT, bytes_of("fifo"), 0666, 0, MFS_O_WRONLY), ENXIO);
    assert_error(CALL(setattr, fifo, 0, MFS_SET_SIZE, { .size = 0 }), EINVAL);
    assert_ok(CALL(setattr, fifo, 0, MFS_SET_MODE, { .mode = 0600 }));
    assert_ok(CALL(mknod, ROOT, bytes_of("sock"), S_IFSOCK | 0666, 022, 0, 0));
    assert_int_equal(fx_stat("sock").st_mode, S_IFSOCK | 0644);
    assert_ok(CALL(mknod, ROOT, bytes_of("plain"), S_IFREG | 0666, 022, 0, 0));
    assert_int_equal(fx_stat("plain").st_mode, S_IFREG | 0644);
    assert_error(CALL(mknod, ROOT, bytes_of("plain"), S_IFREG | 0666, 022, 0, 0), EEXIST);
    int rc = CALL(mknod, ROOT, bytes_of("null"), S_IFCHR | 0666, 0, 1, 3);
    if (rc == -EPERM && !fx_is_privileged())
        return;
    assert_ok(rc);
    assert_int_equal(rep.mknod.entry.attr.rdev_major, 1);
    assert_int_equal(rep.mknod.entry.attr.rdev_minor, 3);
    assert_error(CALL(open, rep.mknod.entry.node, MFS_O_RDWR), ENXIO);
    assert_error(CALL(create, ROOT, bytes_of("null"), 0666, 0, MFS_O_RDWR), ENXIO);
}

TEST(test_rename)
{
    fx_put("a", "A");
    fx_put("b", "B");
    assert_ok(CALL(mkdir, ROOT, bytes_of("d"), 0777, 0));
    uint64_t d = rep.mkdir.entry.node, a = fx_node("a"), b = fx_node("b");
    assert_error(CALL(rename, ROOT, bytes_of("a"), ROOT, bytes_of("b"), MFS_RENAME_NOREPLACE),
                 EEXIST);
    assert_ok(CALL(rename, ROOT, bytes_of("a"), ROOT, bytes_of("b"), MFS_RENAME_EXCHANGE));
    assert_int_equal(fx_node("a"), b);
    assert_int_equal(fx_node("b"), a);
    assert_ok(CALL(rename, ROOT, bytes_of("b"), d, bytes_of("moved"), 0)); /* a */
    assert_int_equal(fx_node_in(d, "moved"), a);
    assert_error(CALL(lookup, ROOT, bytes_of("b")), ENOENT);
    assert_ok(CALL(rename, d, bytes_of("moved"), ROOT, bytes_of("a"), 0));
    assert_int_equal(fx_node("a"), a);
    assert_ok(CALL(getattr, b, 0)); /* replaced, but still known */
    assert_int_equal(rep.getattr.attr.nlink, 0);
    assert_error(CALL(rename, ROOT, bytes_of("no"), ROOT, bytes_of("x"), 0), ENOENT);
    assert_error(CALL(rename, ROOT, bytes_of("d"), d, bytes_of("in"), 0), EINVAL);
    assert_error(CALL(rename, ROOT, bytes_of("a"), ROOT, bytes_of("d"), 0), EISDIR);
    assert_error(CALL(rename, ROOT, bytes_of("d"), ROOT, bytes_of("a"), 0), ENOTDIR);
    assert_error(CALL(rename, ROOT, bytes_of("a"), ROOT, bytes_of("c"), 1u << 8), EINVAL);
    fx_put("d/x", "");
    assert_ok(CALL(mkdir, ROOT, bytes_of("e"), 0777, 0));
    assert_error(CALL(rename, ROOT, bytes_of("e"), ROOT, bytes_of("d"), 0), ENOTEMPTY);
}

TEST(test_rename_on_the_head)
{
    assert_return_code(mkdir(fx_path("d"), 0777), errno);
    assert_return_code(chmod(fx_path("d"), 0777), errno);
    fx_put("d/f", "mine");
    uint64_t d = fx_node("d"), f = fx_node_in(d, "f");
    assert_ok(CALL(open, f, MFS_O_RDWR));
    uint64_t fh = rep.open.fh;
    assert_return_code(rename(fx_path("d"), fx_path("elsewhere")), errno);
    assert_return_code(mkdir(fx_path("d"), 0777), errno);
    fx_put("d/f", "other");
    assert_text(fh, 0, "mine");
    assert_int_equal(put(fh, 4, "!"), 1);
    assert_ok(CALL(getattr, f, 0));
    assert_int_equal(rep.getattr.attr.size, 5);
    assert_ok(CALL(open, f, 0));
    assert_text(rep.open.fh, 0, "mine!");
    assert_ok(CALL(create, d, bytes_of("new"), 0644, 0, MFS_O_RDWR));
    assert_int_equal(fx_stat("elsewhere/new").st_size, 0);
    assert_true(fx_node("d") != d);
}

/* ---- attributes ---- */

TEST(test_setattr)
{
    fx_put("f", "0123456789");
    uint64_t f = fx_node("f");
    assert_ok(CALL(setattr, f, 0, MFS_SET_MODE, { .mode = 06751 }));
    assert_int_equal(fx_stat("f").st_mode & 07777, 06751);
    assert_int_equal(rep.setattr.attr.mode & 07777, 06751);
    assert_ok(CALL(setattr, f, 0, MFS_SET_SIZE, { .size = 4 }));
    assert_int_equal(fx_stat("f").st_size, 4);
    assert_ok(CALL(setattr, f, 0, MFS_SET_SIZE, { .size = 1ull << 33 }));
    assert_int_equal(fx_stat("f").st_size, 1ull << 33);
    assert_error(CALL(setattr, ROOT, 0, MFS_SET_SIZE, { .size = 4 }), EISDIR);
    assert_error(CALL(setattr, f, 0, MFS_SET_SIZE, { .size = UINT64_MAX }), EINVAL);
    assert_error(CALL(setattr, f, 0, 1u << 20, { 0 }), EINVAL);

    /* An open file may be cut though its mode no longer allows it. */
    uint64_t rw = fx_open("f", MFS_O_RDWR), ro = fx_open("f", MFS_O_RDONLY);
    assert_ok(CALL(setattr, f, 0, MFS_SET_MODE, { .mode = 0 }));
    assert_ok(CALL(setattr, f, rw, MFS_SET_SIZE, { .size = 7 }));
    assert_int_equal(fx_stat("f").st_size, 7);
    if (fx_user) {
        assert_error(CALL(setattr, f, 0, MFS_SET_SIZE, { .size = 1 }), EACCES);
        assert_error(CALL(setattr, f, ro, MFS_SET_SIZE, { .size = 1 }), EACCES);
        assert_error(CALL(open, f, 0), EACCES);
        assert_error(CALL(access, f, MFS_ACCESS_R), EACCES);
    }
    assert_error(CALL(setattr, ROOT, rw, MFS_SET_SIZE, { .size = 1 }), EBADF);
    assert_ok(CALL(access, f, 0));
    assert_error(CALL(access, f, 8), EINVAL);
}

TEST(test_times)
{
    fx_put("f", "");
    uint64_t f = fx_node("f");
    assert_ok(CALL(setattr, f, 0, MFS_SET_ATIME | MFS_SET_MTIME,
                   { .atime_sec = 1000000001,
                     .atime_nsec = 123456789,
                     .mtime_sec = -5,
                     .mtime_nsec = 999999999 }));
    struct stat st = fx_stat("f");
    assert_int_equal(st.st_atim.tv_sec, 1000000001);
    assert_int_equal(st.st_atim.tv_nsec, 123456789);
    assert_int_equal(st.st_mtim.tv_sec, -5);
    assert_int_equal(st.st_mtim.tv_nsec, 999999999);
    assert_int_equal(rep.setattr.attr.mtime_sec, -5);
    assert_ok(CALL(setattr, f, 0, MFS_SET_MTIME, { .mtime_sec = 7 }));
    st = fx_stat("f");
    assert_int_equal(st.st_atim.tv_sec, 1000000001); /* left alone */
    assert_int_equal(st.st_mtim.tv_sec, 7);
    assert_int_equal(st.st_mtim.tv_nsec, 0);
    assert_ok(CALL(setattr, f, 0, MFS_SET_ATIME_NOW, { 0 }));
    st = fx_stat("f");
    assert_true(st.st_atim.tv_sec >= time(NULL) - 60);
    assert_int_equal(st.st_mtim.tv_sec, 7);
    assert_error(CALL(setattr, f, 0, MFS_SET_MTIME, { .mtime_nsec = 1000000000 }), EINVAL);
    assert_error(CALL(setattr, f, 0, MFS_SET_MTIME, { .mtime_nsec = UTIME_NOW }), EINVAL);

    assert_ok(CALL(symlink, ROOT, bytes_of("l"), bytes_of("f")));
    uint64_t l = rep.symlink.entry.node;
    assert_ok(CALL(setattr, l, 0, MFS_SET_MTIME, { .mtime_sec = 99 }));
    assert_int_equal(fx_stat("l").st_mtim.tv_sec, 99);
    assert_int_equal(fx_stat("f").st_mtim.tv_sec, 7);
    assert_error(CALL(setattr, l, 0, MFS_SET_MODE, { .mode = 0600 }), EOPNOTSUPP);
}

TEST(test_owners)
{
    fx_put("f", "");
    uint64_t f = fx_node("f");
    assert_int_equal(rep.lookup.entry.attr.uid, getuid()); /* the server's own user is ours */
    if (!fx_is_privileged()) {
        assert_error(CALL(setattr, f, 0, MFS_SET_UID, { .uid = 4321 }), EPERM);
        assert_ok(CALL(setattr, f, 0, MFS_SET_UID | MFS_SET_GID,
                       { .uid = getuid(), .gid = getgid() }));
        return;
    }
    assert_ok(CALL(setattr, f, 0, MFS_SET_UID | MFS_SET_GID, { .uid = 4321, .gid = 4322 }));
    assert_int_equal(fx_stat("f").st_uid, 4321);
    assert_int_equal(fx_stat("f").st_gid, 4322);
    assert_int_equal(rep.setattr.attr.uid, 4321);
    assert_ok(CALL(setattr, f, 0, MFS_SET_GID, { .gid = 5 }));
    assert_int_equal(fx_stat("f").st_uid, 4321);
    assert_int_equal(fx_stat("f").st_gid, 5);
    assert_error(CALL(setattr, f, 0, MFS_SET_UID, { .uid = UINT32_MAX }), EINVAL);
    assert_ok(CALL(symlink, ROOT, bytes_of("l"), bytes_of("f")));
    assert_ok(CALL(setattr, rep.symlink.entry.node, 0, MFS_SET_UID, { .uid = 77 }));
    assert_int_equal(fx_stat("l").st_uid, 77);
    assert_int_equal(fx_stat("f").st_uid, 4321);
}

/* Root's server acts as each caller. */
TEST(test_callers)
{
    if (!fx_is_privileged())
        return;
    assert_return_code(chmod(fx_dir, 01777), errno);
    c.uid = 4321;
    c.gid = 4322;
    assert_ok(CALL(create, ROOT, bytes_of("theirs"), 06777, 0, MFS_O_RDWR));
    uint64_t theirs = rep.create.entry.node, fh = rep.create.fh;
    assert_int_equal(fx_stat("theirs").st_uid, 4321);
    assert_int_equal(fx_stat("theirs").st_gid, 4322);
    assert_int_equal(rep.create.entry.attr.uid, 4321);
    assert_ok(CALL(mkdir, ROOT, bytes_of("dir"), 0777, 0));
    uint64_t dir = rep.mkdir.entry.node;
    assert_ok(CALL(setattr, dir, 0, MFS_SET_MODE, { .mode = 02777 }));
    assert_ok(CALL(symlink, ROOT, bytes_of("l"), bytes_of("f")));
    assert_int_equal(fx_stat("l").st_uid, 4321);
    assert_error(CALL(mknod, ROOT, bytes_of("dev"), S_IFCHR | 0600, 0, 1, 3), EPERM);
    assert_error(CALL(setattr, theirs, 0, MFS_SET_UID, { .uid = 1 }), EPERM);
    assert_error(CALL(setxattr, theirs, bytes_of("trusted.x"), bytes_of("v"), 0), EPERM);
    /* A group that the client's kernel knows the caller to be in. */
    assert_ok(CALL(setattr, theirs, 0, MFS_SET_GID, { .gid = 99 }));
    assert_int_equal(fx_stat("theirs").st_gid, 99);
    assert_ok(CALL(setattr, theirs, 0, MFS_SET_MODE, { .mode = 02755 }));
    assert_int_equal(fx_stat("theirs").st_mode & 07777, 02755);

    c.uid = 5555;
    c.gid = 5556;
    assert_error(CALL(setattr, theirs, 0, MFS_SET_MODE, { .mode = 0 }), EPERM);
    assert_error(CALL(setattr, theirs, 0, MFS_SET_MTIME, { .mtime_sec = 0 }), EPERM);
    assert_error(CALL(unlink, ROOT, bytes_of("theirs")), EPERM); /* sticky directory */
    assert_error(CALL(rename, ROOT, bytes_of("theirs"), ROOT, bytes_of("x"), 0), EPERM);
    /* Another user's write takes set-id away. */
    assert_int_equal(put(fh, 0, "x"), 1);
    assert_int_equal(fx_stat("theirs").st_mode & 07000, 02000 & fx_stat("theirs").st_mode);
    assert_ok(CALL(create, dir, bytes_of("in"), 0644, 0, MFS_O_RDWR));
    assert_int_equal(fx_stat("dir/in").st_uid, 5555);
    assert_int_equal(fx_stat("dir/in").st_gid, 4322); /* of the set-group-id directory */

    c.uid = c.gid = 0;
    assert_ok(CALL(setattr, theirs, 0, MFS_SET_MODE, { .mode = 0644 }));
    assert_ok(CALL(create, ROOT, bytes_of("ours"), 0644, 0, MFS_O_RDWR));
    assert_int_equal(fx_stat("ours").st_uid, 0);
    assert_ok(CALL(setxattr, theirs, bytes_of("trusted.x"), bytes_of("v"), 0));
}

TEST(test_set_id_falls)
{
    if (!fx_is_privileged())
        return;
    uint64_t fh = fx_create("f", 0777);
    uint64_t f = rep.create.entry.node;
    assert_ok(CALL(setattr, f, 0, MFS_SET_MODE, { .mode = 06777 }));
    assert_int_equal(put(fh, 0, "x"), 1);
    assert_int_equal(fx_stat("f").st_mode & 07777, 06777); /* root may */
    c.uid = 4321;
    assert_int_equal(put(fh, 0, "x"), 1);
    assert_int_equal(fx_stat("f").st_mode & 07777, 0777);
    c.uid = 0;
}

TEST(test_xattr)
{
    fx_put("f", "");
    uint64_t f = fx_node("f");
    static uint8_t value[5000] = { 1, 2, 3 };
    int rc = CALL(setxattr, f, bytes_of("user.a"), bytes_of("va"), 0);
    if (rc == -EOPNOTSUPP) {
        print_message("no user xattrs on %s: not tested\n", fx_dir);
        return;
    }
    assert_ok(rc);
    char text[16];
    assert_int_equal(getxattr(fx_path("f"), "user.a", text, sizeof text), 2);
    assert_ok(CALL(getxattr, f, bytes_of("user.a"), 0));
    assert_int_equal(rep.getxattr.length, 2);
    assert_int_equal(rep.getxattr.value.len, 0);
    assert_error(CALL(getxattr, f, bytes_of("user.a"), 1), ERANGE);
    assert_ok(CALL(getxattr, f, bytes_of("user.a"), 100));
    assert_int_equal(rep.getxattr.value.len, 2);
    assert_memory_equal(rep.getxattr.value.ptr, "va", 2);
    assert_error(CALL(getxattr, f, bytes_of("user.b"), 0), ENODATA);
    assert_error(CALL(setxattr, f, bytes_of("user.a"), bytes_of("x"), MFS_XATTR_CREATE),
                 EEXIST);
    assert_error(CALL(setxattr, f, bytes_of("user.b"), bytes_of("x"), MFS_XATTR_REPLACE),
                 ENODATA);
    assert_error(CALL(setxattr, f, bytes_of("user.b"), bytes_of("x"), 8), EINVAL);
    /* The empty value, and one that does not fit a small buffer. */
    assert_ok(CALL(setxattr, f, bytes_of("user.empty"), { value, 0 }, 0));
    assert_ok(CALL(getxattr, f, bytes_of("user.empty"), 10));
    assert_int_equal(rep.getxattr.value.len, 0);
    rc = CALL(setxattr, f, bytes_of("user.big"), { value, 3000 }, 0);
    if (rc == 0) {
        assert_ok(CALL(getxattr, f, bytes_of("user.big"), MFS_XATTR_SIZE_MAX));
        assert_int_equal(rep.getxattr.value.len, 3000);
        assert_ok(CALL(removexattr, f, bytes_of("user.big")));
    }
    static uint8_t huge[MFS_XATTR_SIZE_MAX + 1];
    assert_error(CALL(setxattr, f, bytes_of("user.h"), { huge, sizeof huge }, 0), E2BIG);
    char long_name[300];
    memset(long_name, 'n', sizeof long_name);
    memcpy(long_name, "user.", 5);
    assert_error(CALL(getxattr, f, { (uint8_t *)long_name, 256 }, 0), ERANGE);
    assert_error(CALL(getxattr, f, bytes_of(""), 0), ERANGE);
    assert_error(CALL(setxattr, f, bytes_of("nonsense"), bytes_of("x"), 0), EOPNOTSUPP);

    assert_ok(CALL(listxattr, f, 0));
    uint32_t length = rep.listxattr.length;
    assert_ok(CALL(listxattr, f, length));
    assert_int_equal(rep.listxattr.names.len, length);
    assert_non_null(memmem(rep.listxattr.names.ptr, length, "user.a", 7));
    assert_non_null(memmem(rep.listxattr.names.ptr, length, "user.empty", 11));
    assert_error(CALL(listxattr, f, length - 1), ERANGE);
    assert_ok(CALL(removexattr, f, bytes_of("user.a")));
    assert_error(CALL(removexattr, f, bytes_of("user.a")), ENODATA);

    assert_ok(CALL(symlink, ROOT, bytes_of("l"), bytes_of("f")));
    uint64_t l = rep.symlink.entry.node;
    assert_error(CALL(setxattr, l, bytes_of("user.a"), bytes_of("x"), 0), EPERM);
    assert_ok(CALL(listxattr, l, 0));
    if (fx_is_privileged()) {
        assert_ok(CALL(setxattr, l, bytes_of("trusted.t"), bytes_of("x"), 0));
        assert_int_equal(lgetxattr(fx_path("l"), "trusted.t", text, sizeof text), 1);
        assert_int_equal(getxattr(fx_path("f"), "trusted.t", text, sizeof text), -1);
    }
    assert_error(CALL(getxattr, f, bytes_of("security.selinux"), 100), ENODATA);
    assert_error(CALL(setxattr, f, bytes_of("security.selinux"), bytes_of("x"), 0), EOPNOTSUPP);
}

TEST(test_statfs_and_flags)
{
    struct statvfs v;
    assert_return_code(statvfs(fx_dir, &v), errno);
    assert_ok(CALL(statfs, ROOT));
    assert_int_equal(rep.statfs.bsize, v.f_bsize);
    assert_int_equal(rep.statfs.blocks, v.f_blocks);
    assert_int_equal(rep.statfs.namemax, v.f_namemax);

    fx_put("f", "");
    uint64_t f = fx_node("f");
    int fd = open(fx_path("f"), O_RDONLY | O_CLOEXEC);
    unsigned flags = 0;
    int expected = ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? -errno : 0;
    assert_int_equal(CALL(getflags, f), expected);
    if (expected == 0) {
        assert_int_equal(rep.getflags.iflags, flags);
        assert_ok(CALL(setflags, f, flags | FS_NODUMP_FL));
        assert_return_code(ioctl(fd, FS_IOC_GETFLAGS, &flags), errno);
        assert_true(flags & FS_NODUMP_FL);
    }
    close(fd);
    assert_ok(CALL(mknod, ROOT, bytes_of("fifo"), S_IFIFO | 0666, 0, 0, 0));
    assert_error(CALL(getflags, rep.mknod.entry.node), ENOTTY);
}

/* ---- directories ---- */

enum { MANY = 100000 };
static uint8_t seen[MANY];
static uint64_t cookies[MANY + 8];

/* Notes one readdir's entries; returns the last cookie. */
static uint64_t note_entries(uint64_t cookie, unsigned *count)
{
    struct rd r = rd_of(rep.readdir.entries.ptr, rep.readdir.entries.len);
    struct mfs_dirent d;
    while (rd_left(&r)) {
        assert_ok(mfs_dirent_get(&r, &d));
        cookie = d.next_cookie;
        char name[64];
        assert_ok(bytes_to_text(d.name, name, sizeof name));
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        int k = atoi(name + 1);
        assert_in_range(k, 0, MANY - 1);
        assert_int_equal(seen[k], 0);
        seen[k] = 1;
        cookies[(*count)++] = cookie;
    }
    return cookie;
}

TEST(test_100000_entries)
{
    char name[32];
    int dir = open(fx_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "f%d", i);
        assert_return_code(mknodat(dir, name, S_IFREG | 0644, 0), errno);
    }
    assert_ok(CALL(opendir, ROOT));
    uint64_t fh = rep.opendir.fh, cookie = 0;
    unsigned count = 0;
    memset(seen, 0, sizeof seen);
    do {
        assert_ok(CALL(readdir, fh, cookie, 65536, 0));
        cookie = note_entries(cookie, &count);
    } while (!rep.readdir.is_eof);
    assert_int_equal(count, MANY);

    /* From a cookie in the middle (telldir, seekdir) come the same ones as before, in another
     * open directory too. */
    assert_ok(CALL(opendir, ROOT));
    unsigned from = MANY / 3, again = 0;
    static uint64_t old[64];
    memcpy(old, cookies + from + 1, sizeof old);
    memset(seen, 0, sizeof seen);
    assert_ok(CALL(readdir, rep.opendir.fh, cookies[from], 4096, 0));
    note_entries(0, &again);
    assert_true(again > 64);
    assert_memory_equal(cookies, old, sizeof old);

    /* Removing while reading: every name is seen once. */
    memset(seen, 0, sizeof seen);
    cookie = 0;
    count = 0;
    do {
        assert_ok(CALL(readdir, fh, cookie, 8192, 0));
        unsigned before = count;
        cookie = note_entries(cookie, &count);
        if (before < count && before < 2000) {
            for (int k = 0; k < MANY; k++) {
                if (seen[k] != 1)
                    continue;
                snprintf(name, sizeof name, "f%d", k);
                if (unlinkat(dir, name, 0) == 0)
                    seen[k] = 2;
            }
        }
    } while (!rep.readdir.is_eof);
    assert_int_equal(count, MANY);
    assert_ok(CALL(releasedir, fh));
    close(dir);
}

TEST(test_readdir)
{
    fx_put("file", "12345");
    assert_return_code(mkdir(fx_path("dir"), 0755), errno);
    assert_return_code(symlink("x", fx_path("link")), errno);
    assert_ok(CALL(opendir, ROOT));
    uint64_t fh = rep.opendir.fh;
    assert_ok(CALL(readdir, fh, 0, 65536, 1));
    assert_true(rep.readdir.is_eof);
    struct rd r = rd_of(rep.readdir.entries.ptr, rep.readdir.entries.len);
    struct mfs_dirent d;
    unsigned count = 0;
    uint64_t file = 0;
    while (rd_left(&r)) {
        char name[64];
        assert_ok(mfs_dirent_get(&r, &d));
        assert_ok(bytes_to_text(d.name, name, sizeof name));
        count++;
        if (name[0] == '.') {
            assert_false(d.has_entry);
            continue;
        }
        struct stat st = fx_stat(name);
        assert_true(d.has_entry);
        assert_int_equal(d.ino, st.st_ino);
        assert_int_equal(d.type, st.st_mode >> 12);
        assert_int_equal(d.entry.attr.ino, st.st_ino);
        assert_int_equal(d.entry.attr.mode, st.st_mode);
        assert_int_equal(d.entry.attr.size, st.st_size);
        if (S_ISREG(st.st_mode))
            file = d.entry.node;
    }
    assert_int_equal(count, 5);
    /* The node was looked up once by that, and works. */
    assert_ok(CALL(open, file, 0));
    assert_text(rep.open.fh, 0, "12345");
    assert_ok(CALL(release, rep.open.fh));
    assert_int_equal(fx_node("file"), file);
    wc_forget(&c, file, 2);
    assert_error(CALL(getattr, file, 0), ESTALE);

    assert_error(CALL(readdir, fh, 0, 8, 0), EINVAL);
    /* Rewinding shows what is there now. */
    fx_put("new", "");
    assert_ok(CALL(readdir, fh, 0, 65536, 0));
    assert_non_null(memmem(rep.readdir.entries.ptr, rep.readdir.entries.len, "new", 3));
    /* One at a time. */
    uint64_t cookie = 0;
    for (count = 0;; count++) {
        assert_ok(CALL(readdir, fh, cookie, MFS_DIRENT_BYTES + 4, 0));
        if (rep.readdir.is_eof && !rep.readdir.entries.len)
            break;
        r = rd_of(rep.readdir.entries.ptr, rep.readdir.entries.len);
        assert_ok(mfs_dirent_get(&r, &d));
        cookie = d.next_cookie;
    }
    assert_int_equal(count, 6);
    assert_ok(CALL(fsyncdir, fh, 0));
    assert_error(CALL(read, fh, 0, 1), EISDIR);
    assert_error(CALL(release, fh), EISDIR);
    assert_ok(CALL(releasedir, fh));
    assert_error(CALL(readdir, fh, 0, 4096, 0), EBADF);
    assert_error(CALL(opendir, fx_node("file")), ENOTDIR);
    assert_error(CALL(readdir, fx_create("g", 0644), 0, 4096, 0), ENOTDIR);
}

/* ---- amounts ---- */

TEST(test_10000_open_files)
{
    enum { FILES = 10000 };
    static uint64_t fhs[FILES];
    struct rlimit r;
    assert_return_code(getrlimit(RLIMIT_NOFILE, &r), errno);
    if (r.rlim_max < 3 * FILES / 2) {
        print_message("descriptor limit %lu is too low: not tested\n",
                      (unsigned long)r.rlim_max);
        return;
    }
    char name[16];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%d", i);
        fhs[i] = fx_create(name, 0644);
        assert_int_equal(put(fhs[i], 0, name), strlen(name));
    }
    for (int i = 0; i < FILES; i += 7) {
        snprintf(name, sizeof name, "%d", i);
        assert_text(fhs[i], 0, name);
    }
}

static void limit_descriptors(rlim_t limit, struct rlimit *old)
{
    struct rlimit low = { limit, limit };
    assert_return_code(getrlimit(RLIMIT_NOFILE, old), errno);
    low.rlim_max = limit;
    assert_return_code(setrlimit(RLIMIT_NOFILE, &low), errno);
}

/* With few descriptors, thousands of nodes: they are found again. Runs in a child, which can't
 * raise its limit again. */
static int few_descriptors(void)
{
    enum { DIRS = 30, FILES = 100 };
    static uint64_t nodes[DIRS][FILES];
    struct mfs_export x = { fx_dir, false };
    struct rlimit old;
    char name[32];
    limit_descriptors(1100, &old);
    fx_serve(&(struct mfs_serve_opts){ .exports = &x, .export_count = 1 });
    for (int d = 0; d < DIRS; d++) {
        snprintf(name, sizeof name, "d%d", d);
        assert_ok(CALL(mkdir, ROOT, bytes_of(name), 0777, 0));
        uint64_t dir = rep.mkdir.entry.node;
        for (int f = 0; f < FILES; f++) {
            snprintf(name, sizeof name, "f%d", f);
            assert_ok(CALL(mknod, dir, bytes_of(name), S_IFREG | 0644, 0, 0, 0));
            nodes[d][f] = rep.mknod.entry.node;
        }
    }
    for (int d = 0; d < DIRS; d++) {
        for (int f = 0; f < FILES; f++) {
            assert_ok(CALL(getattr, nodes[d][f], 0));
            snprintf(name, sizeof name, "d%d/f%d", d, f);
            assert_int_equal(rep.getattr.attr.ino, fx_stat(name).st_ino);
        }
    }
    /* Renamed by us: still found. Replaced on the head behind our back: not taken for it. */
    assert_ok(CALL(rename, ROOT, bytes_of("d0"), ROOT, bytes_of("e0"), 0));
    assert_ok(CALL(getattr, nodes[0][5], 0));
    assert_return_code(unlink(fx_path("d1/f1")), errno);
    assert_return_code(symlink("/etc/passwd", fx_path("d1/f1")), errno);
    for (int f = 0; f < FILES; f++)
        assert_ok(CALL(getattr, nodes[20][f], 0));
    int rc = CALL(open, nodes[1][1], 0);
    assert_true(rc == -ESTALE || rc == 0); /* 0 if its descriptor happened to be open */
    if (rc == 0)
        assert_text(rep.open.fh, 0, "");
    assert_ok(wc_stop(&c));
    return 0;
}

TEST(test_few_descriptors)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        static struct wc fresh;
        c = fresh;
        few_descriptors();
        exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

TEST(test_deep)
{
    enum { DEEP = 3000 };
    uint64_t at = ROOT;
    for (int i = 0; i < DEEP; i++) {
        assert_ok(CALL(mkdir, at, bytes_of("d"), 0777, 0));
        at = rep.mkdir.entry.node;
    }
    assert_ok(CALL(create, at, bytes_of("f"), 0644, 0, MFS_O_RDWR));
    assert_int_equal(put(rep.create.fh, 0, "deep"), 4);
    assert_ok(CALL(unlink, at, bytes_of("f")));
    /* Taken apart from the top, for the clean-up's sake. */
    for (int i = 0; i < DEEP; i++) {
        assert_return_code(rename(fx_path("d"), fx_path("x")), errno);
        if (i + 1 < DEEP)
            assert_return_code(rename(fx_path("x/d"), fx_path("d")), errno);
        assert_return_code(rmdir(fx_path("x")), errno);
    }
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
    assert_text(fh, 0, "text");
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
    assert_error(put(fh, 0, "x"), EBADF);
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
        FX_TEST(test_read_write),
        FX_TEST(test_big_messages),
        FX_TEST(test_create),
        FX_TEST(test_default_acl),
        FX_TEST(test_append),
        FX_TEST(test_append_from_several),
        FX_TEST(test_unlinked),
        FX_TEST(test_tmpfile),
        FX_TEST(test_space),
        FX_TEST(test_copy_file_range),
        FX_TEST(test_size_limit),
        FX_TEST(test_lookup),
        FX_TEST(test_names_of_any_bytes),
        FX_TEST(test_directories),
        FX_TEST(test_links),
        FX_TEST(test_special_files),
        FX_TEST(test_rename),
        FX_TEST(test_rename_on_the_head),
        FX_TEST(test_setattr),
        FX_TEST(test_times),
        FX_TEST(test_owners),
        FX_TEST(test_callers),
        FX_TEST(test_set_id_falls),
        FX_TEST(test_xattr),
        FX_TEST(test_statfs_and_flags),
        FX_TEST(test_100000_entries),
        FX_TEST(test_readdir),
        FX_TEST(test_10000_open_files),
        FX_TEST(test_few_descriptors),
        FX_TEST(test_deep),
        FX_TEST(test_read_only),
        FX_TEST(test_greeting),
        FX_TEST(test_refused_options),
        FX_TEST(test_single_user),
    };
    return fx_run("server", tests, ARRAY_LEN(tests));
}
