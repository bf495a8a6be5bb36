/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_hostile.c: a client that wants out of its exports, to see what is hidden, or to
 * break the server. */
#include "tests/lib/mfs_fixture.h"

#include "common/base/wire_errors.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mrcfs/server/hide.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- out of the export ---- */

TEST(test_no_way_up)
{
    static const char *const bad[] = { "",     ".",    "..",  "/",  "a/b",          "../..",
                                       "/etc", "a/..", "./a", "a/", "../etc/passwd" };
    assert_return_code(mkdir(fx_path("a"), 0777), errno);
    assert_return_code(chmod(fx_path("a"), 0777), errno);
    uint64_t a = fx_node("a");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct bytes name = bytes_of(bad[i]);
        assert_error(CALL(lookup, ROOT, name), EINVAL);
        assert_error(CALL(lookup, a, name), EINVAL);
        assert_error(CALL(create, ROOT, name, 0644, 0, MFS_O_RDWR), EINVAL);
        assert_error(CALL(mkdir, ROOT, name, 0755, 0), EINVAL);
        assert_error(CALL(mknod, ROOT, name, S_IFREG | 0644, 0, 0, 0), EINVAL);
        assert_error(CALL(symlink, ROOT, name, bytes_of("x")), EINVAL);
        assert_error(CALL(unlink, ROOT, name), EINVAL);
        assert_error(CALL(rmdir, ROOT, name), EINVAL);
        assert_error(CALL(link, a, ROOT, name), EINVAL);
        assert_error(CALL(rename, ROOT, name, ROOT, bytes_of("n"), 0), EINVAL);
        assert_error(CALL(rename, ROOT, bytes_of("a"), ROOT, name, 0), EINVAL);
    }
    struct bytes with_nul = fx_bytes("a\0b", 3);
    assert_error(CALL(lookup, ROOT, with_nul), EINVAL);
    assert_error(CALL(symlink, ROOT, bytes_of("l"), with_nul), EINVAL);
    assert_error(CALL(setxattr, a, with_nul, bytes_of("v"), 0), EINVAL);
}

TEST(test_links_lead_nowhere)
{
    assert_return_code(symlink("/etc", fx_path("etc")), errno);
    assert_return_code(symlink("../../../../../../etc", fx_path("up")), errno);
    assert_return_code(symlink("/proc/self/root", fx_path("magic")), errno);
    static const char *const links[] = { "etc", "up", "magic" };
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        uint64_t l = fx_node(links[i]);
        assert_error(CALL(lookup, l, bytes_of("passwd")), ENOTDIR);
        assert_error(CALL(open, l, 0), ELOOP);
        assert_error(CALL(opendir, l), ENOTDIR);
        assert_error(CALL(create, l, bytes_of("x"), 0644, 0, MFS_O_RDWR), ENOTDIR);
        assert_error(CALL(mkdir, l, bytes_of("x"), 0755, 0), ENOTDIR);
        assert_error(CALL(setattr, l, 0, MFS_SET_SIZE, { .size = 0 }), EINVAL);
    }
}

/* /proc as an export: its magic links are links like any other. */
TEST(test_magic_links)
{
    assert_ok(wc_stop(&c));
    struct mfs_export x = { "/proc", true };
    fx_serve(&(struct mfs_serve_opts){ .exports = &x, .export_count = 1 });
    char pid[16];
    snprintf(pid, sizeof pid, "%d", c.server);
    uint64_t dir = fx_node(pid);
    static const char *const magic[] = { "root", "cwd", "exe" };
    for (size_t i = 0; i < ARRAY_LEN(magic); i++) {
        int rc = CALL(lookup, dir, bytes_of(magic[i]));
        if (rc < 0)
            continue;
        uint64_t l = rep.lookup.entry.node;
        assert_int_equal(rep.lookup.entry.attr.mode & S_IFMT, S_IFLNK);
        assert_error(CALL(lookup, l, bytes_of("etc")), ENOTDIR);
        assert_error(CALL(open, l, 0), ELOOP);
    }
    assert_ok(CALL(lookup, dir, bytes_of("fd")));
    if (CALL(lookup, rep.lookup.entry.node, bytes_of("0")) == 0)
        assert_error(CALL(open, rep.lookup.entry.node, 0), ELOOP);
}

static atomic_bool is_swapping;

/* A program on the head that turns a directory into a link out and back, all the time. */
static void *swap_main(void *arg)
{
    (void)arg;
    char real[128], link[128], name[128];
    snprintf(real, sizeof real, "%s/real", fx_dir);
    snprintf(link, sizeof link, "%s/link", fx_dir);
    snprintf(name, sizeof name, "%s/name", fx_dir);
    while (atomic_load(&is_swapping)) {
        rename(real, name);
        rename(name, real);
        rename(link, name);
        rename(name, link);
    }
    return NULL;
}

TEST(test_swapped_links)
{
    char outside[] = "/tmp/mfs-outside-XXXXXX", path[64];
    assert_non_null(mkdtemp(outside));
    assert_return_code(chmod(outside, 0777), errno);
    snprintf(path, sizeof path, "%s/secret", outside);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(write(fd, "secret", 6), 6);
    close(fd);
    assert_return_code(chmod(path, 0666), errno);
    assert_return_code(mkdir(fx_path("real"), 0777), errno);
    assert_return_code(chmod(fx_path("real"), 0777), errno);
    fx_put("real/secret", "public");
    assert_return_code(symlink(outside, fx_path("link")), errno);
    pthread_t swapper;
    atomic_store(&is_swapping, true);
    assert_int_equal(pthread_create(&swapper, NULL, swap_main, NULL), 0);
    unsigned found = 0, links = 0;
    for (int i = 0; i < 3000; i++) {
        if (CALL(lookup, ROOT, bytes_of("name")) < 0)
            continue;
        uint64_t n = rep.lookup.entry.node;
        int rc = CALL(lookup, n, bytes_of("secret"));
        links += rc == -ENOTDIR;
        if (rc == 0 && CALL(open, rep.lookup.entry.node, MFS_O_RDWR) == 0) {
            uint64_t fh = rep.open.fh;
            fx_assert_text(fh, 0, "public");
            assert_ok(CALL(release, fh));
            found++;
        }
        rc = CALL(create, n, bytes_of("made"), 0644, 0, MFS_O_RDWR);
        if (rc == 0)
            assert_ok(CALL(release, rep.create.fh));
    }
    atomic_store(&is_swapping, false);
    pthread_join(swapper, NULL);
    print_message("%u times the directory, %u times the link\n", found, links);
    snprintf(path, sizeof path, "%s/made", outside);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/secret", outside);
    unlink(path);
    rmdir(outside);
}

/* Landlock, where there is one, holds even for a server that has been talked into something;
 * here: what it serves works under it, and nothing else can be opened through /proc. */
TEST(test_moved_out)
{
    assert_return_code(mkdir(fx_path("a"), 0777), errno);
    fx_put("a/f", "text");
    uint64_t a = fx_node("a"), f = fx_node_in(a, "f");
    char elsewhere[128];
    snprintf(elsewhere, sizeof elsewhere, "%s-moved", fx_dir);
    assert_return_code(rename(fx_path("a"), elsewhere), errno);
    /* Moved out of the export on the head: what is known may still be looked at, ".." is not
     * there to go on from. */
    assert_error(CALL(lookup, a, bytes_of("..")), EINVAL);
    int rc = CALL(open, f, 0);
    assert_true(rc == 0 || rc == -EACCES);
    assert_return_code(rename(elsewhere, fx_path("a")), errno);
    assert_ok(CALL(open, f, 0));
}

/* ---- hidden names ---- */

static void serve_hiding(const char *const *hide, size_t hide_count, const char *const *show,
                         size_t show_count)
{
    static struct mfs_export x;
    x = (struct mfs_export){ fx_dir, false };
    assert_ok(wc_stop(&c));
    fx_serve(&(struct mfs_serve_opts){ .exports = &x,
                                       .export_count = 1,
                                       .hide = hide,
                                       .hide_count = hide_count,
                                       .show = show,
                                       .show_count = show_count });
}

static bool is_listed(uint64_t dir, const char *name)
{
    assert_ok(CALL(opendir, dir));
    assert_ok(CALL(readdir, rep.opendir.fh, 0, 65536, 1));
    bool is_there = false;
    struct rd r = rd_of(rep.readdir.entries.ptr, rep.readdir.entries.len);
    struct mfs_dirent d;
    while (rd_left(&r)) {
        assert_ok(mfs_dirent_get(&r, &d));
        is_there =
            is_there || (d.name.len == strlen(name) && !memcmp(d.name.ptr, name, d.name.len));
    }
    assert_ok(CALL(releasedir, rep.opendir.fh));
    return is_there;
}

static void assert_hidden(uint64_t dir, const char *name, uint64_t other_file)
{
    struct bytes n = bytes_of(name);
    assert_error(CALL(lookup, dir, n), ENOENT);
    assert_false(is_listed(dir, name));
    assert_error(CALL(create, dir, n, 0644, 0, MFS_O_RDWR), EACCES);
    assert_error(CALL(mkdir, dir, n, 0755, 0), EACCES);
    assert_error(CALL(mknod, dir, n, S_IFREG | 0644, 0, 0, 0), EACCES);
    assert_error(CALL(symlink, dir, n, bytes_of("x")), EACCES);
    assert_error(CALL(link, other_file, dir, n), EACCES);
    assert_error(CALL(unlink, dir, n), ENOENT);
    assert_error(CALL(rmdir, dir, n), ENOENT);
    assert_error(CALL(rename, dir, n, ROOT, bytes_of("out"), 0), ENOENT);
    assert_error(CALL(rename, ROOT, bytes_of("plain"), dir, n, 0), EACCES);
    assert_error(CALL(rename, ROOT, bytes_of("plain"), dir, n, MFS_RENAME_EXCHANGE), ENOENT);
}

TEST(test_hidden_paths)
{
    char ssh[128], token[128], shown[128];
    snprintf(ssh, sizeof ssh, "%s/.ssh", fx_dir);
    snprintf(token, sizeof token, "%s/.config/cloud/token", fx_dir);
    snprintf(shown, sizeof shown, "%s/.ssh/config", fx_dir);
    assert_return_code(mkdir(fx_path(".ssh"), 0755), errno);
    assert_return_code(mkdir(fx_path(".config"), 0777), errno);
    assert_return_code(mkdir(fx_path(".config/cloud"), 0777), errno);
    assert_return_code(chmod(fx_path(".config"), 0777), errno);
    assert_return_code(chmod(fx_path(".config/cloud"), 0777), errno);
    fx_put(".ssh/id", "key");
    fx_put(".ssh/config", "Host *");
    fx_put(".config/cloud/token", "t");
    fx_put("plain", "");
    const char *const hide[] = { ssh, token }, *const show[] = { shown };
    serve_hiding(hide, 2, NULL, 0);
    uint64_t plain = fx_node("plain"), config = fx_node(".config");
    uint64_t cloud = fx_node_in(config, "cloud");
    assert_hidden(ROOT, ".ssh", plain);
    assert_hidden(cloud, "token", plain);
    assert_ok(CALL(create, ROOT, bytes_of("token"), 0644, 0, MFS_O_RDWR));
    /* Moving what is above a hidden path would show it. */
    assert_error(CALL(rename, ROOT, bytes_of(".config"), ROOT, bytes_of("c"), 0), EACCES);
    assert_error(CALL(rename, config, bytes_of("cloud"), ROOT, bytes_of("c"), 0), EACCES);
    assert_ok(CALL(mkdir, ROOT, bytes_of("d"), 0777, 0));
    assert_error(
        CALL(rename, ROOT, bytes_of("d"), ROOT, bytes_of(".config"), MFS_RENAME_EXCHANGE),
        EACCES);
    assert_ok(CALL(rename, ROOT, bytes_of("d"), config, bytes_of("e"), 0));

    serve_hiding(hide, 2, show, 1);
    uint64_t dot_ssh = fx_node(".ssh");
    plain = fx_node("plain");
    assert_true(is_listed(ROOT, ".ssh"));
    assert_true(is_listed(dot_ssh, "config"));
    assert_hidden(dot_ssh, "id", plain);
    assert_hidden(dot_ssh, "anything", plain);
    assert_ok(CALL(open, fx_node_in(dot_ssh, "config"), 0));
    assert_ok(CALL(link, plain, ROOT, bytes_of("plain2")));
}

/* The same things by other paths: a link on the way, a second export, a hard link. */
TEST(test_hidden_otherwise_reached)
{
    char netrc[128], cloud[128], keys[128], inner[128];
    snprintf(netrc, sizeof netrc, "%s/.netrc", fx_dir);
    snprintf(cloud, sizeof cloud, "%s/.config/cloud", fx_dir);
    snprintf(keys, sizeof keys, "%s/.keys", fx_dir);
    snprintf(inner, sizeof inner, "%s/dotfiles", fx_dir);
    static const char *const dirs[] = { "dotfiles", "dotfiles/config", "dotfiles/config/cloud",
                                        "dotfiles/keys" };
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        assert_return_code(mkdir(fx_path(dirs[i]), 0777), errno);
        assert_return_code(chmod(fx_path(dirs[i]), 0777), errno);
    }
    assert_return_code(symlink("dotfiles/config", fx_path(".config")), errno);
    assert_return_code(symlink("dotfiles/keys", fx_path(".keys")), errno);
    fx_put("dotfiles/config/cloud/token", "t");
    fx_put("dotfiles/keys/id", "k");
    fx_put(".netrc", "secret");
    fx_put("plain", "");
    assert_return_code(link(netrc, fx_path("dotfiles/netrc")), errno);
    const char *const hide[] = { netrc, cloud, keys };
    struct mfs_export x[2] = { { fx_dir, false }, { inner, false } };
    assert_ok(wc_stop(&c));
    fx_serve(&(struct mfs_serve_opts){
        .exports = x, .export_count = 2, .hide = hide, .hide_count = 3 });
    uint64_t dotfiles[2] = { fx_node("dotfiles"), 2 };
    for (size_t i = 0; i < ARRAY_LEN(dotfiles); i++) {
        uint64_t config = fx_node_in(dotfiles[i], "config");
        static const char *const names[] = { "keys", "netrc" };
        assert_error(CALL(lookup, config, bytes_of("cloud")), ENOENT);
        assert_error(CALL(rename, config, bytes_of("cloud"), config, bytes_of("c"), 0), ENOENT);
        assert_false(is_listed(config, "cloud"));
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            struct bytes n = bytes_of(names[k]);
            assert_error(CALL(lookup, dotfiles[i], n), ENOENT);
            assert_error(CALL(create, dotfiles[i], n, 0644, 0, MFS_O_RDWR), EACCES);
            assert_error(CALL(unlink, dotfiles[i], n), ENOENT);
            assert_error(CALL(rename, dotfiles[i], n, dotfiles[i], bytes_of("x"), 0), ENOENT);
            assert_false(is_listed(dotfiles[i], names[k]));
        }
    }
    /* Made anew on the head: by the path, and by the link on its way. */
    assert_return_code(unlink(netrc), errno);
    fx_put(".netrc", "new");
    assert_hidden(ROOT, ".netrc", fx_node("plain"));
    /* The inode number of what went is not taken for it. */
    assert_return_code(unlink(fx_path("dotfiles/netrc")), errno);
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "new%d", i);
        assert_ok(CALL(create, ROOT, bytes_of(name), 0644, 0, MFS_O_RDWR));
    }
    assert_return_code(rename(fx_path("dotfiles/config/cloud"), fx_path("old")), errno);
    assert_return_code(mkdir(fx_path("dotfiles/config/cloud"), 0777), errno);
    assert_error(CALL(lookup, fx_node_in(2, "config"), bytes_of("cloud")), ENOENT);
    assert_error(CALL(mkdir, fx_node_in(2, "config"), bytes_of("cloud"), 0777, 0), EACCES);
}

TEST(test_hidden_patterns)
{
    const char *const hide[] = { "id_*", "*.key", ".netrc" }, *const show[] = { "id_*.pub" };
    assert_return_code(mkdir(fx_path("d"), 0777), errno);
    assert_return_code(chmod(fx_path("d"), 0777), errno);
    fx_put("d/id_rsa", "key");
    fx_put("d/id_rsa.pub", "public");
    fx_put("plain", "");
    fx_put(".netrc", "");
    serve_hiding(hide, 3, show, 1);
    uint64_t d = fx_node("d"), plain = fx_node("plain");
    assert_hidden(d, "id_rsa", plain);
    assert_hidden(d, "server.key", plain);
    assert_hidden(ROOT, ".netrc", plain);
    assert_true(is_listed(d, "id_rsa.pub"));
    assert_ok(CALL(open, fx_node_in(d, "id_rsa.pub"), 0));
    assert_ok(CALL(create, d, bytes_of("id"), 0644, 0, MFS_O_RDWR));
    /* A directory can carry a hidden file along; the name stays hidden there. */
    assert_ok(CALL(rename, ROOT, bytes_of("d"), ROOT, bytes_of("e"), 0));
    assert_hidden(d, "id_rsa", plain);
}

TEST(test_hide_rules)
{
    static const char *const hide[] = { "/home/ann/.ssh", "/home/ann/.config/x/y", "*.pem" };
    static const char *const show[] = { "/home/ann/.ssh/config", "ca.pem" };
    struct mfs_hide h;
    assert_ok(mfs_hide_init(&h, hide, 3, show, 2, NULL));
    static const struct {
        const char *dir, *name;
        bool is_hidden, is_above;
    } cases[] = {
        { "/home/ann", ".ssh", false, false }, /* the way to config */
        { "/home/ann/.ssh", "id", true, false },
        { "/home/ann/.ssh", "config", false, false },
        { "/home/ann/.ssh/config", "below", false, false },
        { "/home/ann/.ssh", "config2", true, false },
        { "/home/ann/.ssh2", "x", false, false },
        { "/home/ann", ".ssh2", false, false },
        { "/home/ann", ".config", false, true },
        { "/home/ann/.config", "x", false, true },
        { "/home/ann/.config/x", "y", true, false },
        { "/home/ann/.config/x/y", "z", true, false },
        { "/", "home", false, true },
        { "/", "hom", false, false },
        { "/home", "ann", false, true },
        { "/tmp", "a.pem", true, false },
        { "/tmp", "ca.pem", false, false },
        { "", "x.pem", true, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(mfs_hide_is_hidden(&h, cases[i].dir, cases[i].name),
                         cases[i].is_hidden);
        assert_int_equal(mfs_hide_is_above(&h, cases[i].dir, cases[i].name), cases[i].is_above);
    }
    static const char *const bad[] = {
        "", "a/b", "/", "/a/", "/a//b", "/a/../b", "/./a", "/.."
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e;
        assert_error(mfs_hide_init(&h, bad + i, 1, NULL, 0, &e), EINVAL);
        assert_has(e.text, "neither");
        assert_error(mfs_hide_init(&h, NULL, 0, bad + i, 1, &e), EINVAL);
    }
}

/* ---- breaking it ---- */

/* The server ends with the error, not before its time and not by a crash. */
static void assert_ends(int expected)
{
    struct rd body;
    int rc;
    while ((rc = wc_wait(&c, 0, WC_TIMEOUT_MS, &body)) == 0)
        ;
    assert_int_equal(rc, -ECONNRESET);
    assert_int_equal(wc_stop(&c), expected);
    struct mfs_export x = { fx_dir, false };
    fx_serve(&(struct mfs_serve_opts){ .exports = &x, .export_count = 1 });
}

static void raw_message(int stream, uint32_t length, const void *ptr, size_t len)
{
    uint8_t head[4];
    struct wr w = wr_of(head, sizeof head);
    put_u32(&w, length);
    assert_ok(wc_raw(&c, stream, head, sizeof head));
    if (len)
        assert_ok(wc_raw(&c, stream, ptr, len));
}

TEST(test_malformed)
{
    static const uint32_t lengths[] = {
        0, 1, MFS_MESSAGE_MIN - 1, MFS_MESSAGE_MAX + 1, INT32_MAX, UINT32_MAX
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(lengths); i++) {
        raw_message((int)(i % 2), lengths[i / 2], NULL, 0);
        assert_ends(-EPROTO);
    }
    uint8_t message[64] = { 0 };
    for (unsigned kind = 0; kind < 10; kind++) {
        if (kind == MFS_CANCEL)
            continue;
        message[0] = (uint8_t)kind;
        raw_message(0, kind == MFS_FORGET ? 20 : MFS_MESSAGE_MIN, message,
                    kind == MFS_FORGET ? 20 : MFS_MESSAGE_MIN);
        assert_ends(-EPROTO);
    }
    /* Every operation with too little and too much. */
    for (uint16_t op = MFS_OP_hello; op < MFS_OP_END; op++) {
        struct mfs_head h = { .kind = MFS_REQUEST, .id = 1, .op = op };
        static const uint8_t zeros[1024];
        assert_ok(wc_send(&c, op % 2, &h, zeros, op == MFS_OP_syncfs ? 7 : sizeof zeros));
        assert_ends(-EPROTO);
    }
    /* Only replies and notices can't be said by a client; what it does not know it says. */
    struct mfs_head unknown = { .kind = MFS_REQUEST, .id = 5, .op = 4000 };
    struct rd body;
    assert_ok(wc_send(&c, 0, &unknown, "anything", 8));
    assert_ok(wc_wait(&c, 5, WC_TIMEOUT_MS, &body));
    assert_int_equal(wire_error_to(c.last.head.error), -ENOSYS);
    assert_ok(CALL(getattr, ROOT, 0));
    assert_error(CALL(hello, MFS_VERSION, 0, { NULL, 0 }, { NULL, 0 }), ECONNRESET);
    assert_ends(-EPROTO);
}

TEST(test_first_message)
{
    struct mfs_export x = { fx_dir, false };
    struct mfs_serve_opts o = { .exports = &x, .export_count = 1 };
    struct rd body;
    assert_ok(wc_stop(&c));
    assert_ok(wc_fork(&c, &o, fx_user));
    assert_error(CALL(getattr, ROOT, 0), ECONNRESET); /* no greeting */
    assert_int_equal(wc_stop(&c), -EPROTO);
    assert_ok(wc_fork(&c, &o, fx_user));
    assert_error(CALL(hello, MFS_VERSION + 1, 0, { NULL, 0 }, { NULL, 0 }), EPROTO);
    assert_int_equal(wc_wait(&c, 0, WC_TIMEOUT_MS, &body), -ECONNRESET);
    assert_int_equal(wc_stop(&c), -EPROTO);
    assert_ok(wc_fork(&c, &o, fx_user));
    assert_error(CALL(hello, MFS_VERSION, 0, bytes_of("garbage"), { NULL, 0 }), ECONNRESET);
    assert_int_equal(wc_stop(&c), -EPROTO);
    assert_ok(wc_fork(&c, &o, fx_user));
    assert_ok(wc_stop(&c)); /* hung up at once: no failure */
    assert_ok(wc_fork(&c, &o, fx_user));
    assert_ok(wc_raw(&c, 0, "\x20\0\0\0\x01", 5)); /* and within the greeting */
    assert_int_equal(wc_stop(&c), -ECONNRESET);
    fx_serve(&o);
}

TEST(test_garbage)
{
    uint32_t seed = 12345;
    static uint8_t noise[4096];
    for (int round = 0; round < 150; round++) {
        /* Valid heads with noise behind, so that it gets far. */
        for (int i = 0; i < 40; i++) {
            uint32_t len;
            for (size_t k = 0; k < sizeof noise; k++) {
                seed = seed * 1664525 + 1013904223;
                noise[k] = (uint8_t)(seed >> 24);
            }
            len = seed % 200;
            struct mfs_head h = { .kind = (uint8_t)(round % 2 ? MFS_REQUEST : 1 + seed % 5),
                                  .id = (uint64_t)i,
                                  .op = (uint16_t)(seed >> 8) % MFS_OP_END };
            if (wc_send(&c, i % 2, &h, noise, len) < 0)
                break;
        }
        assert_ends(-EPROTO);
    }
}

/* Requests whose answers nobody reads: the server stops taking more, holds little, and goes on
 * when they are read. */
/* The same bytes once more: nothing that was let go comes back, and each request is answered by its number. */
TEST(test_replayed)
{
    fx_put("f", "abc");
    struct mfs_mkdir_req q = { ROOT, bytes_of("d"), 0700, 0 };
    uint64_t id = wc_mkdir_send(&c, &q);
    c.last_id = id - 1;
    assert_int_equal(wc_mkdir_send(&c, &q), id);
    int first = wc_mkdir_wait(&c, id, &rep.mkdir), second = wc_mkdir_wait(&c, id, &rep.mkdir);
    assert_int_equal(first + second, -EEXIST);
    assert_true(first == 0 || second == 0);
    uint64_t f = fx_node("f");
    assert_ok(CALL(open, f, MFS_O_RDWR));
    uint64_t fh = rep.open.fh;
    assert_ok(CALL(release, fh));
    assert_ok(CALL(open, f, MFS_O_RDWR));
    assert_int_not_equal(rep.open.fh, fh);
    assert_error(CALL(release, fh), EBADF);
    assert_error(CALL(read, fh, 0, 3), EBADF);
    assert_error(CALL(write, .fh = fh, .body = bytes_of("x")), EBADF);
    assert_ok(CALL(read, rep.open.fh, 0, 3));
    wc_forget(&c, f, 1); /* with it the open file is all that is left */
    wc_forget(&c, f, 1);
    assert_ok(CALL(getattr, ROOT, 0));
    assert_int_equal(fx_stat("f").st_size, 3);
}

TEST(test_flood)
{
    enum { REQUESTS = 10000 };
    static uint64_t ids[REQUESTS];
    uint64_t fh = fx_create("f", 0644);
    fx_put("f", "some text of a file");
    /* Small buffers, so that it is the server that is full. */
    pid_t writer = fork();
    if (writer == 0) {
        for (int i = 0; i < REQUESTS; i++) {
            ids[i] = i % 2 ? SEND(read, fh, 0, 100) : SEND(lookup, ROOT, bytes_of("f"));
            if (!ids[i])
                _exit(1);
        }
        _exit(0);
    }
    struct rd body;
    unsigned answers = 0;
    uint64_t until_ms = clock_mono_ms() + 200; /* first nobody reads */
    while (clock_mono_ms() < until_ms)
        assert_int_equal(access(fx_dir, F_OK), 0);
    for (; answers < REQUESTS; answers++) {
        assert_ok(wc_wait(&c, 0, WC_TIMEOUT_MS, &body));
        assert_int_equal(c.last.head.error, 0);
    }
    int status;
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_int_equal(status, 0);
    c.last_id += REQUESTS;
    assert_ok(CALL(getattr, ROOT, 0));
}

static long resident_kb(pid_t pid)
{
    char path[64];
    long pages = -1, rss = -1;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = fopen(path, "re");
    if (!f || fscanf(f, "%ld %ld", &pages, &rss) != 2)
        rss = -1;
    if (f)
        fclose(f);
    return rss * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Ten thousand reads of 1 MiB that nobody takes are 10 GB if the server is careless. A stat is
 * still answered. */
TEST(test_flood_of_data)
{
    enum { REQUESTS = 3000 };
    uint64_t fh = fx_create("f", 0644);
    assert_ok(CALL(setattr, rep.create.entry.node, fh, MFS_SET_SIZE, { .size = MFS_DATA_MAX }));
    for (int i = 0; i < REQUESTS; i++)
        assert_true(SEND(read, fh, 0, MFS_DATA_MAX) != 0);
    /* The bulk stream stays unread while small things go on. */
    int bulk = c.fds[1];
    c.fds[1] = -1;
    for (int i = 0; i < 200; i++)
        assert_ok(CALL(lookup, ROOT, bytes_of("f")));
    long kb = resident_kb(c.server);
    assert_true(kb > 0);
#ifndef __SANITIZE_ADDRESS__
    assert_true(kb < 100 * 1024);
#endif
    c.fds[1] = bulk;
    struct rd body;
    for (int i = 0; i < REQUESTS; i++) {
        assert_ok(wc_wait(&c, 0, WC_TIMEOUT_MS, &body));
        assert_int_equal(c.last.head.error, 0);
        assert_int_equal(c.last.len, 9 + 4 + 4 + MFS_DATA_MAX);
    }
}

TEST(test_client_dies)
{
    for (int round = 0; round < 20; round++) {
        uint64_t fh = fx_create("f", 0644);
        assert_ok(CALL(setlk, fh, 1, MFS_LOCK_WR, 0, 9, 1, 0));
        for (int i = 0; i < 50; i++) {
            assert_true(SEND(read, fh, 0, MFS_DATA_MAX) != 0);
            assert_true(SEND(setlk, fh, (uint64_t)(2 + i), MFS_LOCK_WR, 0, 9, 1, 1) != 0);
        }
        if (round % 2)
            assert_ok(wc_raw(&c, 0, "\x20\0\0\0\x01", 5)); /* within a message */
        int rc = wc_stop(&c);
        assert_true(rc == 0 || (round % 2 && rc == -ECONNRESET));
        struct mfs_export x = { fx_dir, false };
        fx_serve(&(struct mfs_serve_opts){ .exports = &x, .export_count = 1 });
    }
}

/* Half a message is an error if its stream ends, but not if the other one does: they come by ways
 * of their own, and that the client closes both can be seen on one first. */
TEST(test_ends_within_a_message)
{
    static const char half[] = "\x20\0\0\0\x01";
    for (size_t len = 1; len < sizeof half; len++) {
        for (int stream = 0; stream < 2; stream++) {
            assert_ok(wc_raw(&c, stream, half, len));
            assert_return_code(shutdown(c.fds[stream], SHUT_WR), errno);
            assert_ends(-ECONNRESET);
            assert_ok(wc_raw(&c, stream, half, len));
            assert_return_code(shutdown(c.fds[!stream], SHUT_WR), errno);
            assert_ends(0);
        }
    }
}

/* What was asked for before the hang-up is done, answers or not. */
TEST(test_hang_up_after_writes)
{
    enum { WRITES = 500 };
    uint64_t fh = fx_create("f", 0644);
    for (uint64_t i = 0; i < WRITES; i++)
        assert_true(SEND(write, fh, i * 4, 0, bytes_of("data")) != 0);
    assert_ok(wc_stop(&c));
    assert_int_equal(fx_stat("f").st_size, WRITES * 4);
    struct mfs_export x = { fx_dir, false };
    fx_serve(&(struct mfs_serve_opts){ .exports = &x, .export_count = 1 });
}

/* No operation holds up the others: more waits than there are workers, then a stat. */
TEST(test_pipelining)
{
    uint64_t fh = fx_create("f", 0644), other = fx_open("f", MFS_O_RDWR);
    assert_ok(CALL(setlk, fh, 1, MFS_LOCK_WR, 0, 9, 1, 0));
    assert_ok(CALL(flock, fh, MFS_LOCK_WR, 0));
    uint64_t ids[400];
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = i % 2 ? SEND(setlk, fh, 2 + i, MFS_LOCK_WR, 0, 9, 1, 1)
                       : SEND(flock, other, MFS_LOCK_WR, 1);
    assert_ok(CALL(getattr, ROOT, 0));
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        wc_cancel(&c, ids[i]);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        assert_error(AWAIT(setlk, ids[i]), EINTR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(test_no_way_up),
        FX_TEST(test_links_lead_nowhere),
        FX_TEST(test_magic_links),
        FX_TEST(test_swapped_links),
        FX_TEST(test_moved_out),
        FX_TEST(test_hidden_paths),
        FX_TEST(test_hidden_otherwise_reached),
        FX_TEST(test_hidden_patterns),
        cmocka_unit_test(test_hide_rules),
        FX_TEST(test_malformed),
        FX_TEST(test_first_message),
        FX_TEST(test_garbage),
        FX_TEST(test_replayed),
        FX_TEST(test_flood),
        FX_TEST(test_flood_of_data),
        FX_TEST(test_client_dies),
        FX_TEST(test_ends_within_a_message),
        FX_TEST(test_hang_up_after_writes),
        FX_TEST(test_pipelining),
    };
    return fx_run("server_hostile", tests, ARRAY_LEN(tests));
}
