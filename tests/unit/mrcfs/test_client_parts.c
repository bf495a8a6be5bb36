/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_parts.c: names, owners and mount options, which need no connection. */
#include "tests/lib/unit.h"

#include "mrcfs/client/acl.h"
#include "mrcfs/client/idmap.h"
#include "mrcfs/client/known.h"
#include "mrcfs/client/names.h"
#include "mrcfs/mountopts.h"
#include "mrcfs/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "...", "-", "\xff\n", ".a" };
    static const char *const bad[] = { "", "/", "a/b", "a/" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(mfs_name_is_valid(bytes_of(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(mfs_name_is_valid(bytes_of(bad[i])));
    assert_false(mfs_name_is_valid((struct bytes){ (const uint8_t *)"a\0b", 3 }));
    struct mfs_attr a = { .mode = S_IFREG | 0644 };
    assert_true(mfs_attr_is_valid(&a));
    a.mtime_nsec = 1000000000;
    assert_false(mfs_attr_is_valid(&a));
    a = (struct mfs_attr){ .mode = 0644 };
    assert_false(mfs_attr_is_valid(&a));
    a = (struct mfs_attr){ .mode = S_IFREG | 0200000 };
    assert_false(mfs_attr_is_valid(&a));
    a = (struct mfs_attr){ .mode = S_IFDIR, .size = UINT64_MAX };
    assert_false(mfs_attr_is_valid(&a));
}

static void test_known(void **state)
{
    (void)state;
    struct mfs_known_table t;
    assert_int_equal(mfs_known_table_init(&t), 0);
    for (uint64_t i = 1; i <= 10000; i++)
        assert_non_null(mfs_known_look_up(&t, i));
    for (uint64_t i = 1; i <= 10000; i += 2)
        assert_non_null(mfs_known_look_up(&t, i));
    for (uint64_t i = 1; i <= 10000; i++)
        mfs_known_forget(&t, i, 1);
    assert_int_equal(t.count, 5000);
    assert_null(mfs_known_find(&t, 2));
    assert_non_null(mfs_known_find(&t, 3));
    mfs_known_forget(&t, 3, 99); /* more than there is */
    assert_null(mfs_known_find(&t, 3));
    mfs_known_forget(&t, 123456, 1);
    mfs_known_table_fini(&t);
}

static char *file_with(const char *text)
{
    static char path[] = "/tmp/mrcfs-idmap-XXXXXX";
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static int load(struct mfs_idmap *m, const char *text, struct err *e)
{
    char *path = file_with(text);
    int rc = mfs_idmap_load(m, path, "/etc/passwd", e);
    unlink(path);
    return rc;
}

static void test_idmap(void **state)
{
    (void)state;
    struct mfs_idmap m = { 0 };
    struct err e = { "" };
    uint32_t there = 0;
    assert_int_equal(mfs_idmap_here(&m, 77), 77);
    assert_int_equal(mfs_idmap_there(&m, 77, &there), 0);
    assert_int_equal(there, 77);
    assert_int_equal(mfs_idmap_add(&m, 5, 1000), 0);
    assert_int_equal(load(&m, "# comment\n\nroot:2000\n", &e), 0);
    assert_int_equal(mfs_idmap_here(&m, 2000), 0);
    assert_int_equal(mfs_idmap_there(&m, 0, &there), 0);
    assert_int_equal(there, 2000);
    assert_int_equal(mfs_idmap_here(&m, 1000), 5);
    assert_int_equal(mfs_idmap_here(&m, 3), 3);
    m.is_strict = true;
    assert_int_equal(mfs_idmap_here(&m, 3), MFS_NOBODY);
    assert_int_equal(mfs_idmap_there(&m, 3, &there), -EPERM);
    assert_int_equal(load(&m, "root\n", &e), -EINVAL);
    assert_non_null(strstr(e.text, "line 1"));
    assert_int_equal(load(&m, "root:x\n", &e), -EINVAL);
    assert_int_equal(load(&m, "root:-1\n", &e), -EINVAL);
    assert_int_equal(load(&m, "root:4294967296\n", &e), -EINVAL);
    assert_int_equal(load(&m, "root:1\nno such user:1\n", &e), -ENOENT);
    assert_non_null(strstr(e.text, "line 2"));
    mfs_idmap_fini(&m);
}

static int parse(struct mfs_mount_opts *o, const char *text, struct err *e)
{
    static char kept[512];
    snprintf(kept, sizeof kept, "%s", text);
    mfs_mount_opts_init(o);
    return mfs_mount_opts_parse(o, kept, e);
}

static void test_mount_options(void **state)
{
    (void)state;
    struct mfs_mount_opts o;
    struct err e = { "" };
    assert_int_equal(parse(&o, "", &e), 0);
    assert_int_equal(o.flags, MS_NOSUID | MS_NODEV);
    assert_int_equal(parse(&o, "ro,noatime,dev,exec,,user,x-a.b=c,_netdev", &e), 0);
    assert_int_equal(o.flags, MS_RDONLY | MS_NOATIME | MS_NOSUID);
    assert_int_equal(parse(&o, "ro,rw", &e), 0);
    assert_int_equal(o.flags & MS_RDONLY, 0);
    assert_int_equal(
        parse(&o, "fsname=a\\,b\\\\c,uid=12,umask=027,idmap=file,nomap=ignore", &e), 0);
    assert_string_equal(o.fsname, "a,b\\c");
    assert_int_equal(o.uid, 12);
    assert_int_equal(o.gid, -1);
    assert_int_equal(o.umask, 027);
    assert_int_equal(o.idmap, MFS_IDMAP_FILE);
    assert_true(o.is_nomap_ignore);
    assert_int_equal(parse(&o, "IdentityFile=/a b,ServerAliveInterval=5", &e), 0);
    assert_int_equal(o.ssh_option_count, 2);
    assert_string_equal(o.ssh_options[0], "IdentityFile=/a b");
    assert_null(o.reconnect);
    assert_int_equal(parse(&o, "reconnect", &e), 0);
    assert_string_equal(o.reconnect, "");
    assert_int_equal(parse(&o, "reconnect=8h", &e), 0);
    assert_string_equal(o.reconnect, "8h");
    static const char *const bad[] = {
        "nonsense", "Nonsense", "umask=9", "uid=-1",  "uid=99999999999",    "uid",
        "fsname",   "idmap",    "idmap=x", "nomap=x", "transform_symlinks", "ro,password_stdin"
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        e.text[0] = 0;
        assert_int_equal(parse(&o, bad[i], &e), -EINVAL);
        assert_int_equal(strncmp(e.text, "-o ", 3), 0);
    }
}

static void test_sources(void **state)
{
    (void)state;
    static const struct {
        const char *text, *user, *host, *dir;
    } good[] = {
        { "h:", NULL, "h", "" },
        { "ann@h:d/e", "ann", "h", "d/e" },
        { "h:/a:b@c", NULL, "h", "/a:b@c" },
        { "[::1]:x", NULL, "::1", "x" },
        { "a@[fe80::1%eth0]:", "a", "fe80::1%eth0", "" },
        { "mrcfs#h:x", NULL, "h", "x" },
    };
    static const char *const bad[] = { "h",     "",      ":x",   "@h:",   "/a:b",
                                       "./a:b", "[::1]", "[::1", "-oX:y", "[]:x" };
    char text[64];
    struct mfs_source s;
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        snprintf(text, sizeof text, "%s", good[i].text);
        assert_int_equal(mfs_source_parse(text, &s, &e), 0);
        assert_string_equal(s.host, good[i].host);
        assert_string_equal(s.dir, good[i].dir);
        if (good[i].user)
            assert_string_equal(s.user, good[i].user);
        else
            assert_null(s.user);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text, "%s", bad[i]);
        assert_int_equal(mfs_source_parse(text, &s, &e), -EINVAL);
    }
}

static void test_acl(void **state)
{
    (void)state;
    enum { SIZE = 4 + 3 * 8 };
    const uint8_t none[4] = { 255, 255, 255, 255 };
    static const struct {
        uint16_t tag, perm;
    } is[3] = { { 1, 6 }, { 4, 5 }, { 0x20, 4 } };
    uint8_t acl[SIZE + 8];
    uint32_t mode = 0;
    struct wr w = wr_of(acl, sizeof acl);
    put_u32(&w, 2);
    for (size_t i = 0; i < ARRAY_LEN(is); i++) {
        put_u16(&w, is[i].tag);
        put_u16(&w, is[i].perm);
        put_raw(&w, none, sizeof none);
    }
    assert_true(mfs_acl_is_mode((struct bytes){ acl, SIZE }, &mode));
    assert_int_equal(mode, 0654);
    for (uint32_t len = 0; len < SIZE; len++)
        assert_false(mfs_acl_is_mode((struct bytes){ acl, len }, &mode));
    memset(acl + SIZE, 0, 8);
    assert_false(mfs_acl_is_mode((struct bytes){ acl, SIZE + 8 }, &mode)); /* one more entry */
    acl[4] = 2; /* a user by name */
    assert_false(mfs_acl_is_mode((struct bytes){ acl, SIZE }, &mode));
    acl[4] = 1;
    acl[6] = 8; /* no such permission */
    assert_false(mfs_acl_is_mode((struct bytes){ acl, SIZE }, &mode));
    acl[6] = 6;
    acl[0] = 3; /* another version */
    assert_false(mfs_acl_is_mode((struct bytes){ acl, SIZE }, &mode));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_known),
        cmocka_unit_test(test_idmap),   cmocka_unit_test(test_mount_options),
        cmocka_unit_test(test_sources), cmocka_unit_test(test_acl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
