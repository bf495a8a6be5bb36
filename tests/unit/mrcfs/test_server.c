/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server.c: smoke. */
#include "tests/lib/mfs_wire_client.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>

TEST(test_smoke)
{
    static struct wc c;
    char dir[] = "/tmp/mfs-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct mfs_export x = { dir, false };
    struct mfs_serve_opts o = { .exports = &x, .export_count = 1 };
    assert_ok(wc_start(&c, &o, 0));
    struct mfs_create_rep cr;
    assert_ok(wc_create(&c, &(struct mfs_create_req){ 1, bytes_of("a"), 0644, 022, MFS_O_RDWR },
                        &cr));
    struct mfs_write_rep wr;
    assert_ok(wc_write(&c, &(struct mfs_write_req){ cr.fh, 0, 0, bytes_of("hello") }, &wr));
    assert_int_equal(wr.written, 5);
    struct mfs_read_rep rr;
    assert_ok(wc_read(&c, &(struct mfs_read_req){ cr.fh, 0, 100 }, &rr));
    assert_int_equal(rr.body.len, 5);
    assert_memory_equal(rr.body.ptr, "hello", 5);
    struct mfs_opendir_rep od;
    assert_ok(wc_opendir(&c, &(struct mfs_opendir_req){ 1 }, &od));
    struct mfs_readdir_rep rd;
    assert_ok(wc_readdir(&c, &(struct mfs_readdir_req){ od.fh, 0, 4096, 1 }, &rd));
    struct rd r = rd_of(rd.entries.ptr, rd.entries.len);
    struct mfs_dirent d;
    while (rd_left(&r)) {
        assert_ok(mfs_dirent_get(&r, &d));
        printf("%.*s %d node %lu\n", (int)d.name.len, d.name.ptr, d.type,
               (unsigned long)d.entry.node);
    }
    struct mfs_setlk_rep sl;
    assert_ok(wc_setlk(
        &c, &(struct mfs_setlk_req){ cr.fh, 7, MFS_LOCK_WR, 0, UINT64_MAX, 99, 1 }, &sl));
    struct mfs_getlk_rep gl;
    assert_ok(
        wc_getlk(&c, &(struct mfs_getlk_req){ cr.fh, 8, MFS_LOCK_WR, 0, UINT64_MAX, 98 }, &gl));
    assert_int_equal(gl.pid, 99);
    uint64_t id = wc_setlk_send(
        &c, &(struct mfs_setlk_req){ cr.fh, 8, MFS_LOCK_WR, 0, UINT64_MAX, 99, 1 });
    wc_cancel(&c, id);
    assert_error(wc_setlk_wait(&c, id, &sl), EINTR);
    assert_ok(wc_stop(&c));
}

UNIT_MAIN(cmocka_unit_test(test_smoke))
