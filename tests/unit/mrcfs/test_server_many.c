/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_many.c: directories as the file server reads them, and large amounts of
 * everything. */
#include "tests/lib/mfs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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
    fx_assert_text(rep.open.fh, 0, "12345");
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
        assert_int_equal(fx_write(fhs[i], 0, name), strlen(name));
    }
    for (int i = 0; i < FILES; i += 7) {
        snprintf(name, sizeof name, "%d", i);
        fx_assert_text(fhs[i], 0, name);
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
        fx_assert_text(rep.open.fh, 0, "");
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
    assert_int_equal(fx_write(rep.create.fh, 0, "deep"), 4);
    assert_ok(CALL(unlink, at, bytes_of("f")));
    /* Taken apart from the top, for the clean-up's sake. */
    for (int i = 0; i < DEEP; i++) {
        assert_return_code(rename(fx_path("d"), fx_path("x")), errno);
        if (i + 1 < DEEP)
            assert_return_code(rename(fx_path("x/d"), fx_path("d")), errno);
        assert_return_code(rmdir(fx_path("x")), errno);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(test_100000_entries),  FX_TEST(test_readdir), FX_TEST(test_10000_open_files),
        FX_TEST(test_few_descriptors), FX_TEST(test_deep),
    };
    return fx_run("server_many", tests, ARRAY_LEN(tests));
}
