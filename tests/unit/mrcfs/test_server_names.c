/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_names.c: the file server's operations on names and special files. */
#include "tests/lib/mfs_fixture.h"

#include <errno.h>
#include <stdio.h>

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
    fx_assert_text(fh, 0, "mine");
    assert_int_equal(fx_write(fh, 4, "!"), 1);
    assert_ok(CALL(getattr, f, 0));
    assert_int_equal(rep.getattr.attr.size, 5);
    assert_ok(CALL(open, f, 0));
    fx_assert_text(rep.open.fh, 0, "mine!");
    assert_ok(CALL(create, d, bytes_of("new"), 0644, 0, MFS_O_RDWR));
    assert_int_equal(fx_stat("elsewhere/new").st_size, 0);
    assert_true(fx_node("d") != d);
}

/* walk: the names' lengths and bytes, as the request has them. */
static struct bytes names_of(const char *const *names, size_t count)
{
    static uint8_t room[4096];
    struct wr w = wr_of(room, sizeof room);
    for (size_t i = 0; i < count; i++)
        put_bytes(&w, bytes_of(names[i]));
    assert_false(w.is_full);
    return (struct bytes){ room, (uint32_t)wr_len(&w) };
}

TEST(test_walk)
{
    static const char *const names[] = { "d", "e", "f" };
    static const char *const many[MFS_WALK_MAX + 1] = { "d", "d", "d", "d", "d", "d",
                                                        "d", "d", "d", "d", "d", "d",
                                                        "d", "d", "d", "d", "d" };
    assert_ok(CALL(mkdir, ROOT, bytes_of("d"), 0777, 0));
    assert_ok(CALL(mkdir, rep.mkdir.entry.node, bytes_of("e"), 0777, 0));
    fx_put("d/e/x", "");
    uint64_t id = SEND(walk, ROOT, 4096, names_of(names, 2));
    c.last_id += 3;
    assert_ok(AWAIT(lookup, id + 1));
    uint64_t d = rep.lookup.entry.node;
    assert_int_equal(d, fx_node("d"));
    assert_ok(AWAIT(lookup, id + 2));
    assert_int_equal(rep.lookup.entry.node, fx_node_in(d, "e"));
    assert_ok(AWAIT(list, id + 3));
    assert_true(rep.list.is_eof && rep.list.entries.len > 0);
    assert_ok(AWAIT(walk, id));
    /* The last one is absent, or no directory: the list is not asked for. */
    id = SEND(walk, ROOT, 4096, names_of(names, 3));
    c.last_id += 4;
    assert_ok(AWAIT(lookup, id + 1));
    assert_ok(AWAIT(lookup, id + 2));
    assert_error(AWAIT(lookup, id + 3), ENOENT);
    assert_error(AWAIT(list, id + 4), ECANCELED);
    assert_ok(AWAIT(walk, id));
    fx_put("d/e/f", "");
    id = SEND(walk, ROOT, 4096, names_of(names, 3));
    c.last_id += 4;
    assert_ok(AWAIT(lookup, id + 3));
    assert_error(AWAIT(list, id + 4), ENOTDIR);
    /* The first one: nothing after it. */
    id = SEND(walk, ROOT, 0, names_of(names + 1, 2));
    c.last_id += 2;
    assert_error(AWAIT(lookup, id + 1), ENOENT);
    assert_error(AWAIT(lookup, id + 2), ECANCELED);
    assert_ok(AWAIT(walk, id));
    /* No names that could lead out of the tree, nor too many. */
    static const char *const dots[] = { "d", "..", ".." };
    id = SEND(walk, ROOT, 0, names_of(dots, 3));
    c.last_id += 3;
    assert_ok(AWAIT(lookup, id + 1));
    assert_error(AWAIT(lookup, id + 2), EINVAL);
    assert_error(AWAIT(lookup, id + 3), ECANCELED);
    assert_error(CALL(walk, ROOT, 0, names_of(many, MFS_WALK_MAX + 1)), EINVAL);
    assert_error(CALL(walk, ROOT, 0, fx_bytes("\xff\0\0\0a", 5)), EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(test_lookup),
        FX_TEST(test_names_of_any_bytes),
        FX_TEST(test_directories),
        FX_TEST(test_links),
        FX_TEST(test_special_files),
        FX_TEST(test_rename),
        FX_TEST(test_rename_on_the_head),
        FX_TEST(test_walk),
    };
    return fx_run("server_names", tests, ARRAY_LEN(tests));
}
