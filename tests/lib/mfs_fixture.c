/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mfs_fixture.c: a server of a fresh directory and a client of it. */
#include "tests/lib/mfs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fx_rep rep;
struct wc c;
char fx_dir[64];
uid_t fx_user;

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                      struct FTW *at UNUSED)
{
    return remove(path);
}

void fx_make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(fx_dir, sizeof fx_dir, "%s/mfs-XXXXXX", tmp && strlen(tmp) < 48 ? tmp : "/tmp");
    assert_non_null(mkdtemp(fx_dir));
    if (fx_user)
        assert_return_code(chown(fx_dir, fx_user, fx_user), errno);
}

void fx_remove_dir(void)
{
    nftw(fx_dir, remove_one, 64, FTW_DEPTH | FTW_PHYS);
    assert_int_not_equal(access(fx_dir, F_OK), 0);
}

void fx_serve(const struct mfs_serve_opts *o)
{
    assert_ok(wc_start(&c, o, fx_user));
}

int fx_start(void **state UNUSED)
{
    fx_make_dir();
    struct mfs_export x = { fx_dir, false };
    fx_serve(&(struct mfs_serve_opts){ .exports = &x, .export_count = 1 });
    return 0;
}

int fx_end(void **state UNUSED)
{
    assert_ok(wc_stop(&c));
    fx_remove_dir();
    return 0;
}

const char *fx_path(const char *name)
{
    static char paths[4][8192];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", fx_dir, name);
    return path;
}

struct bytes fx_bytes(const void *ptr, size_t len)
{
    return (struct bytes){ ptr, (uint32_t)len };
}

void fx_put(const char *name, const char *text)
{
    int fd = open(fx_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    if (fx_user)
        assert_return_code(fchown(fd, fx_user, fx_user), errno);
    close(fd);
}

struct stat fx_stat(const char *name)
{
    struct stat st;
    assert_return_code(lstat(fx_path(name), &st), errno);
    return st;
}

uint64_t fx_node_in(uint64_t dir, const char *name)
{
    assert_ok(CALL(lookup, dir, bytes_of(name)));
    assert_true(rep.lookup.entry.node != 0);
    return rep.lookup.entry.node;
}

uint64_t fx_create(const char *name, uint32_t mode)
{
    assert_ok(CALL(create, ROOT, bytes_of(name), mode, 0, MFS_O_RDWR));
    return rep.create.fh;
}

uint64_t fx_open(const char *name, uint32_t oflags)
{
    assert_ok(CALL(open, fx_node(name), oflags));
    return rep.open.fh;
}

int fx_write(uint64_t fh, uint64_t offset, const char *text)
{
    int rc = CALL(write, fh, offset, 0, bytes_of(text));
    return rc < 0 ? rc : (int)rep.write.written;
}

void fx_assert_text(uint64_t fh, uint64_t offset, const char *text)
{
    assert_ok(CALL(read, fh, offset, (uint32_t)strlen(text) + 10));
    assert_int_equal(rep.read.body.len, strlen(text));
    assert_memory_equal(rep.read.body.ptr, text, strlen(text));
}

bool fx_is_privileged(void)
{
    return c.server_features & MFS_FEATURE_PRIVILEGED;
}

int fx_run(const char *name, const struct CMUnitTest *tests, size_t count)
{
    int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    if (geteuid() == 0) {
        printf("once more, the server as user %d\n", ORDINARY_USER);
        fx_user = ORDINARY_USER;
        failed += _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    }
    return failed;
}
