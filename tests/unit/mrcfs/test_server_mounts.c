/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_mounts.c: the file server on file systems mounted for the purpose: full ones,
 * several in one export; and its confinement. Runs in a mount namespace of its own; exits 77
 * where there can be none. */
#include "tests/lib/mfs_fixture.h"

#include "mrcfs/server/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77 };

static int mount_tmpfs(const char *path, const char *options)
{
    return mount("tmpfs", path, "tmpfs", 0, options) < 0 ? -errno : 0;
}

static int start_on_tmpfs(void **state UNUSED)
{
    char options[64];
    fx_make_dir();
    snprintf(options, sizeof options, "size=256k,mode=0777");
    assert_ok(mount_tmpfs(fx_dir, options));
    struct mfs_export x = { fx_dir, false };
    fx_serve(&(struct mfs_serve_opts){ .exports = &x, .export_count = 1 });
    return 0;
}

static int end_on_tmpfs(void **state UNUSED)
{
    assert_ok(wc_stop(&c));
    umount2(fx_path("other"), MNT_DETACH);
    assert_return_code(umount2(fx_dir, MNT_DETACH), errno);
    fx_remove_dir();
    return 0;
}

TEST(test_full)
{
    static uint8_t block[64 * 1024];
    uint64_t fh = fx_create("f", 0644);
    uint64_t at = 0;
    int rc;
    while ((rc = CALL(write, fh, at, 0, { block, sizeof block })) == 0 && rep.write.written)
        at += rep.write.written;
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(fx_stat("f").st_size, at);
    assert_true(at > 0 && at <= 256 * 1024);
    assert_error(CALL(fallocate, fh, 0, at, sizeof block), ENOSPC);
    assert_error(CALL(write, fh, at, MFS_O_APPEND, { block, sizeof block }), ENOSPC);
    assert_ok(CALL(statfs, ROOT));
    assert_int_equal(rep.statfs.bfree, 0);
    /* Room again: it goes on. */
    assert_ok(CALL(setattr, rep.create.entry.node, fh, MFS_SET_SIZE, { .size = 0 }));
    assert_ok(CALL(write, fh, 0, 0, { block, sizeof block }));
    assert_int_equal(rep.write.written, sizeof block);
}

TEST(test_no_inodes)
{
    assert_return_code(mkdir(fx_path("other"), 0777), errno);
    assert_ok(mount_tmpfs(fx_path("other"), "nr_inodes=4,mode=0777"));
    uint64_t other = fx_node("other");
    int rc = 0;
    char name[16];
    for (int i = 0; rc == 0 && i < 10; i++) {
        snprintf(name, sizeof name, "%d", i);
        rc = CALL(mkdir, other, bytes_of(name), 0755, 0);
    }
    assert_int_equal(rc, -ENOSPC);
}

/* One export, two file systems: a number that both use stands for different files. */
TEST(test_inode_numbers)
{
    assert_return_code(mkdir(fx_path("other"), 0777), errno);
    assert_ok(mount_tmpfs(fx_path("other"), "mode=0777"));
    uint64_t other = fx_node("other"), ino = rep.lookup.entry.attr.ino;
    char name[16];
    uint64_t seen[40];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "f%d", i);
        assert_ok(CALL(mknod, ROOT, bytes_of(name), S_IFREG | 0644, 0, 0, 0));
        seen[i] = rep.mknod.entry.attr.ino;
        assert_int_equal(seen[i], fx_stat(name).st_ino);
        assert_ok(CALL(mknod, other, bytes_of(name), S_IFREG | 0644, 0, 0, 0));
        seen[20 + i] = rep.mknod.entry.attr.ino;
        assert_true(rep.mknod.entry.attr.ino != ino);
    }
    for (int i = 0; i < 40; i++)
        for (int k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
    /* The listing says the same. */
    assert_ok(CALL(opendir, other));
    assert_ok(CALL(readdir, rep.opendir.fh, 0, 65536, 1));
    struct rd r = rd_of(rep.readdir.entries.ptr, rep.readdir.entries.len);
    struct mfs_dirent d;
    while (rd_left(&r)) {
        assert_ok(mfs_dirent_get(&r, &d));
        if (d.has_entry)
            assert_int_equal(d.ino, d.entry.attr.ino);
    }
    assert_ok(CALL(releasedir, rep.opendir.fh));
    /* Between them nothing is renamed or linked, but data are copied. */
    assert_error(CALL(rename, ROOT, bytes_of("f0"), other, bytes_of("g"), 0), EXDEV);
    assert_error(CALL(link, fx_node("f0"), other, bytes_of("g")), EXDEV);
    fx_put("f0", "text");
    uint64_t in = fx_open("f0", MFS_O_RDONLY);
    assert_ok(CALL(create, other, bytes_of("copy"), 0644, 0, MFS_O_RDWR));
    assert_ok(CALL(copy_file_range, in, 0, rep.create.fh, 0, 100));
    assert_int_equal(rep.copy_file_range.copied, 4);
    fx_assert_text(rep.create.fh, 0, "text");
    assert_error(CALL(rmdir, ROOT, bytes_of("other")), EBUSY);
}

/* In a child: what a confined process may do. Returns the line that failed, or 0. */
static int confined(bool *has_landlock)
{
    struct err note = { "" };
    struct mfs_confined_dir dirs[2];
    if (mkdir("rw", 0777) < 0 || mkdir("rw/a", 0777) < 0 || mkdir("ro", 0777) < 0 ||
        close(open("ro/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0666)) < 0 ||
        close(open("out", O_CREAT | O_WRONLY | O_CLOEXEC, 0777)) < 0)
        return __LINE__;
    dirs[0] = (struct mfs_confined_dir){ open("rw", O_PATH | O_CLOEXEC), false };
    dirs[1] = (struct mfs_confined_dir){ open("ro", O_PATH | O_CLOEXEC), true };
    int proc = open("/proc/self/fd", O_RDONLY | O_CLOEXEC);
    int out = open("out", O_PATH | O_CLOEXEC);
    int rc = mfs_confine(dirs, 2, &note);
    *has_landlock = rc > 0;
    if (rc <= 0)
        return rc < 0 ? __LINE__ : 0;
    /* Inside everything goes, between directories too. */
    int fd = open("rw/f", O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0 || ftruncate(fd, 10) < 0 || rename("rw/f", "rw/a/g") < 0 ||
        link("rw/a/g", "rw/h") < 0 || symlink("x", "rw/l") < 0 || mkfifo("rw/p", 0600) < 0 ||
        mkdir("rw/d", 0700) < 0 || rmdir("rw/d") < 0 || unlink("rw/h") < 0)
        return __LINE__;
    int tmp = open("rw", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char name[16];
    snprintf(name, sizeof name, "%d", tmp);
    if (tmp < 0 || linkat(proc, name, dirs[0].fd, "t", AT_SYMLINK_FOLLOW) < 0)
        return __LINE__;
    int again = openat(dirs[0].fd, "t", O_PATH | O_CLOEXEC);
    snprintf(name, sizeof name, "%d", again);
    if (openat(proc, name, O_RDWR | O_CLOEXEC) < 0)
        return __LINE__;
    /* Read-only is. */
    if (open("ro/f", O_RDONLY | O_CLOEXEC) < 0 || open("ro/f", O_WRONLY | O_CLOEXEC) >= 0 ||
        errno != EACCES || mkdir("ro/d", 0700) == 0 || unlink("ro/f") == 0 ||
        rename("ro/f", "rw/f") == 0)
        return __LINE__;
    /* Outside there is nothing, not through a descriptor from before either. */
    snprintf(name, sizeof name, "%d", out);
    if (open("out", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES ||
        openat(proc, name, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES ||
        open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || unlink("out") == 0 ||
        mkdir("new", 0700) == 0 || rename("rw/t", "t") == 0)
        return __LINE__;
    char *const argv[] = { (char *)"true", NULL };
    execv("/bin/true", argv);
    return errno == EACCES ? 0 : __LINE__;
}

TEST(test_confinement)
{
    int status, report[2];
    unsigned char word[2];
    assert_return_code(pipe(report), errno);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool has_landlock = false;
        int line = chdir(fx_dir) < 0 ? __LINE__ : confined(&has_landlock);
        unsigned char w[2] = { (unsigned char)has_landlock, (unsigned char)(line > 0) };
        if (line)
            fprintf(stderr, "test_server_mounts.c:%d: %s\n", line, strerror(errno));
        _exit(write(report[1], w, 2) != 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(report[0], word, 2), 2);
    close(report[0]);
    close(report[1]);
    assert_int_equal(word[1], 0);
    if (!word[0])
        print_message("this kernel has no Landlock: only that it is done without was tested\n");
}

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
    return n < 0 ? -errno : 0;
}

/* A mount namespace of our own, as root of a user namespace if we are not root. */
static int enter_namespace(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    char map[64];
    if (unshare(CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0)) < 0)
        return -errno;
    if (uid) {
        write_text("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", uid);
        if (write_text("/proc/self/uid_map", map) < 0)
            return -EPERM;
        snprintf(map, sizeof map, "0 %u 1", gid);
        if (write_text("/proc/self/gid_map", map) < 0)
            return -EPERM;
    }
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full, start_on_tmpfs, end_on_tmpfs),
        cmocka_unit_test_setup_teardown(test_no_inodes, start_on_tmpfs, end_on_tmpfs),
        cmocka_unit_test_setup_teardown(test_inode_numbers, start_on_tmpfs, end_on_tmpfs),
        FX_TEST(test_confinement),
    };
    int rc = enter_namespace();
    if (rc < 0) {
        printf("SKIP: no mount namespace here: %s\n", strerror(-rc));
        return SKIPPED;
    }
    return cmocka_run_group_tests_name("server_mounts", tests, NULL, NULL);
}
