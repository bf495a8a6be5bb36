/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_attr.c: the file server's operations on attributes, owners and extended
 * attributes. */
#include "tests/lib/mfs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

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
    assert_int_equal(fx_write(fh, 0, "x"), 1);
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
    assert_int_equal(fx_write(fh, 0, "x"), 1);
    assert_int_equal(fx_stat("f").st_mode & 07777, 06777); /* root may */
    c.uid = 4321;
    assert_int_equal(fx_write(fh, 0, "x"), 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(test_setattr),          FX_TEST(test_times),        FX_TEST(test_owners),
        FX_TEST(test_callers),          FX_TEST(test_set_id_falls), FX_TEST(test_xattr),
        FX_TEST(test_statfs_and_flags),
    };
    return fx_run("server_attr", tests, ARRAY_LEN(tests));
}
