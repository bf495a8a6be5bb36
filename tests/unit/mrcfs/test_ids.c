/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ids.c: users mapped by name between two sides. */
#include "mrcfs/ids.h"
#include "mrcfs/ops.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct mfs_names load(const char *text)
{
    char path[] = "/tmp/mfs-names-XXXXXX";
    int fd = mkstemp(path);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    struct mfs_names names;
    assert_ok(mfs_names_load(path, &names));
    unlink(path);
    return names;
}

static const char server_text[] = "root:x:0:0:root:/root:/bin/sh\n"
                                  "daemon:x:1:1::/:/bin/false\n"
                                  "nobody:x:65534:65534::/:/bin/false\n"
                                  "ann:x:1000:1000::/home/ann:/bin/sh\n"
                                  "bob:x:1001:1001::/home/bob:/bin/sh\n"
                                  "eve:x:1002:1002::/home/eve:/bin/sh\n"
                                  "\n# comment:x:7:\n+nis:x:8:\nbroken\nbad:x:nine:\nshort:x\n"
                                  "last:x:2000:";
static const char client_text[] = "root:x:0:0:root:/root:/bin/sh\n"
                                  "daemon:x:2:2::/:/bin/false\n"
                                  "nobody:x:65534:65534::/:/bin/false\n"
                                  "guest:x:1000:1000::/home/guest:/bin/sh\n"
                                  "bob:x:1500:1500::/home/bob:/bin/sh\n"
                                  "zoe:x:1002:1002::/home/zoe:/bin/sh\n";

static struct mfs_id_map make(uint32_t own_server, uint32_t own_client, bool is_single)
{
    struct mfs_names server = load(server_text), client = load(client_text);
    struct mfs_id_map m;
    struct mfs_id_map_opts o = { &server, &client, own_server, own_client, is_single };
    assert_ok(mfs_id_map_init(&m, &o));
    mfs_names_fini(&server);
    mfs_names_fini(&client);
    return m;
}

static void assert_to_server(const struct mfs_id_map *m, uint32_t client, int64_t expected)
{
    uint32_t server = 0;
    int rc = mfs_id_to_server(m, client, &server);
    if (expected < 0)
        assert_int_equal(rc, -EINVAL);
    else
        assert_int_equal(rc == 0 ? server : 99999999, expected);
}

TEST(test_load)
{
    struct mfs_names n = load(server_text);
    assert_int_equal(n.count, 7);
    assert_string_equal(n.list[6].text, "last");
    assert_int_equal(n.list[6].number, 2000);
    uint8_t wire[1024];
    struct wr w = wr_of(wire, sizeof wire);
    struct mfs_names back;
    mfs_names_put(&w, &n);
    assert_ok(mfs_names_get((struct bytes){ wire, (uint32_t)wr_len(&w) }, &back));
    assert_int_equal(back.count, n.count);
    for (size_t i = 0; i < n.count; i++) {
        assert_string_equal(back.list[i].text, n.list[i].text);
        assert_int_equal(back.list[i].number, n.list[i].number);
    }
    mfs_names_fini(&back);
    mfs_names_fini(&n);
    for (uint32_t cut = 1; cut < wr_len(&w); cut++) {
        int rc = mfs_names_get((struct bytes){ wire, cut }, &back);
        assert_true(rc == 0 || rc == -EPROTO);
        if (rc == 0)
            mfs_names_fini(&back);
    }
    assert_error(mfs_names_get((struct bytes){ (const uint8_t *)"\1\0\0\0\1\0\0\0", 9 }, &back),
                 EPROTO);
    assert_ok(mfs_names_load("/nonexistent/passwd", &n));
    assert_int_equal(n.count, 0);
    assert_error(mfs_names_load("/tmp", &n), EIO);
}

TEST(test_by_name)
{
    /* ann on the server is guest (1000) on the client. */
    struct mfs_id_map m = make(1000, 1000, false);
    static const struct {
        uint32_t server;
        uint32_t client;
        bool is_back;
    } pairs[] = {
        { 1000, 1000, true },             /* each one's own */
        { 0, 0, true },                   /* root by name */
        { 1, 2, true },                   /* daemon by name */
        { 1001, 1500, true },             /* bob by name */
        { 1002, MFS_NOBODY, false },      /* eve: her number is zoe's there */
        { 2000, 2000, true },             /* last: nobody's number there */
        { 4321, 4321, true },             /* unknown on both sides */
        { 1500, MFS_NOBODY, false },      /* unknown here, bob's number there */
        { MFS_NOBODY, MFS_NOBODY, true }, /* by name */
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        assert_int_equal(mfs_id_to_client(&m, pairs[i].server), pairs[i].client);
        if (pairs[i].is_back)
            assert_to_server(&m, pairs[i].client, pairs[i].server);
    }
    assert_to_server(&m, 1002, -1); /* zoe is not known here, and her number is eve's */
    assert_to_server(&m, 1001, -1); /* without a name there, bob here */
    for (uint32_t server = 0; server < 5000; server++) {
        uint32_t client = mfs_id_to_client(&m, server);
        if (client != MFS_NOBODY)
            assert_to_server(&m, client, server);
    }
    assert_to_server(&m, UINT32_MAX, -1);
    mfs_id_map_fini(&m);
}

TEST(test_own_is_only_own)
{
    /* The server is root, the client's user is bob there (1500). */
    struct mfs_id_map m = make(0, 1500, false);
    assert_int_equal(mfs_id_to_client(&m, 0), 1500);
    assert_to_server(&m, 1500, 0);
    assert_int_equal(mfs_id_to_client(&m, 1001), MFS_NOBODY); /* bob here is not bob there */
    assert_int_equal(mfs_id_to_client(&m, 1500), MFS_NOBODY);
    assert_to_server(&m, 0, -1); /* root there is not root here */
    mfs_id_map_fini(&m);
}

TEST(test_single)
{
    struct mfs_id_map m = make(1000, 77, true);
    assert_int_equal(mfs_id_to_client(&m, 1000), 77);
    assert_int_equal(mfs_id_to_client(&m, 0), MFS_NOBODY);
    assert_to_server(&m, 77, 1000);
    assert_to_server(&m, 0, -1);
    mfs_id_map_fini(&m);
}

TEST(test_no_names)
{
    struct mfs_names none = { 0 };
    struct mfs_id_map m;
    struct mfs_id_map_opts o = { &none, &none, 5, 6, false };
    assert_ok(mfs_id_map_init(&m, &o));
    assert_int_equal(mfs_id_to_client(&m, 5), 6);
    assert_int_equal(mfs_id_to_client(&m, 100), 100);
    assert_int_equal(mfs_id_to_client(&m, 6), MFS_NOBODY);
    assert_to_server(&m, 5, -1);
    assert_to_server(&m, 100, 100);
    mfs_id_map_fini(&m);
}

UNIT_MAIN(cmocka_unit_test(test_load), cmocka_unit_test(test_by_name),
          cmocka_unit_test(test_own_is_only_own), cmocka_unit_test(test_single),
          cmocka_unit_test(test_no_names))
