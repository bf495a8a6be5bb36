/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_packed.c: compressed messages of and for the file server. */
#include "tests/lib/mfs_fixture.h"

#include "common/sys/mem.h"
#include "mrcfs/packer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BIG = 512 << 10 };

static void start(uint32_t features)
{
    struct mfs_export x = { fx_dir, false };
    struct mfs_serve_opts o = { .exports = &x, .export_count = 1 };
    assert_ok(wc_fork(&c, &o, fx_user));
    c.features = features;
    assert_ok(wc_greet(&c));
    c.features = 0;
}

static void restart(uint32_t features)
{
    assert_ok(wc_stop(&c));
    start(features);
}

static void put_big(const char *name, bool is_noise)
{
    AUTO_FREE char *text = malloc(BIG + 1);
    assert_non_null(text);
    uint32_t x = 1;
    for (size_t i = 0; i < BIG; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = is_noise ? (char)(1 + (x >> 24) % 255) : "a line of words, "[i % 17];
    }
    text[BIG] = 0;
    fx_put(name, text);
}

/* The kind of the next answer as it came. */
static uint8_t read_kind(uint64_t fh, size_t *len)
{
    struct rd body;
    uint64_t id = SEND(read, fh, 0, BIG);
    assert_ok(wc_wait(&c, id, WC_TIMEOUT_MS, &body));
    *len = c.last.len;
    return c.last.head.kind;
}

TEST(test_answers_are_packed)
{
    put_big("text", false);
    put_big("noise", true);
    restart(MFS_FEATURE_PACKS | MFS_FEATURE_PACKS_ALWAYS);
    assert_int_equal(c.server_features & MFS_FEATURE_PACKS, MFS_FEATURE_PACKS);
    size_t len;
    uint64_t fh = fx_open("text", MFS_O_RDONLY);
    assert_int_equal(read_kind(fh, &len), MFS_PACKED);
    assert_true(len < BIG / 10);
    assert_int_equal(c.last.stream, 1); /* where it would have come otherwise */

    uint8_t *plain;
    struct mfs_head h;
    struct mfs_read_rep p;
    struct rd r = rd_of(c.last.memory, c.last.len);
    assert_ok(mfs_head_get(&r, &h));
    assert_ok(mfs_unpack(&r, h.plain_bytes, &plain));
    r = rd_of(plain, h.plain_bytes);
    uint64_t id = h.id;
    assert_ok(mfs_head_get(&r, &h));
    assert_int_equal(h.kind, MFS_REPLY);
    assert_int_equal(h.id, id);
    assert_ok(mfs_read_rep_get(&r, &p));
    assert_int_equal(p.body.len, BIG);
    assert_memory_equal(p.body.ptr, "a line of words, a line", 23);
    assert_memory_equal(p.body.ptr + BIG - 17, "a line of words, a line" + BIG % 17,
                        17 - BIG % 17);
    free(plain);

    assert_int_equal(read_kind(fx_open("noise", MFS_O_RDONLY), &len), MFS_REPLY);
    assert_true(len > BIG);
}

TEST(test_nobody_who_can_t_is_sent_packed_messages)
{
    size_t len;
    put_big("text", false);
    assert_int_equal(c.server_features & MFS_FEATURE_PACKS, 0);
    assert_int_equal(read_kind(fx_open("text", MFS_O_RDONLY), &len), MFS_REPLY);
}

/* Sends a write of BIG bytes packed, as it is or once more around itself. Returns its id. */
static uint64_t send_packed_write(uint64_t fh, bool is_twice)
{
    struct mfs_packer packer = { 0 };
    AUTO_FREE uint8_t *body = malloc(BIG), *message = malloc(2 * BIG),
                      *packed = malloc(mfs_packer_room(2 * BIG)),
                      *again = malloc(mfs_packer_room(2 * BIG));
    assert_true(body && message && packed && again);
    memset(body, 'x', BIG);
    uint64_t id = ++c.last_id;
    struct wr w = wr_of(message, 2 * BIG);
    mfs_message_begin(
        &w,
        &(struct mfs_head){
            .kind = MFS_REQUEST, .id = id, .op = MFS_OP_write, .uid = c.uid, .gid = c.gid });
    mfs_write_req_put(&w, &(struct mfs_write_req){ fh, 0, MFS_O_RDWR, { body, BIG } });
    mfs_message_end(&w, 0);
    mfs_packer_init(&packer, MFS_PACK_YES);
    size_t len = mfs_packer_pack(&packer, message, wr_len(&w), packed);
    assert_true(len && len < BIG / 50);
    size_t again_len = mfs_packer_pack(&packer, packed, len, again);
    mfs_packer_fini(&packer);
    assert_true(again_len);
    assert_ok(wc_raw(&c, 1, is_twice ? again : packed, is_twice ? again_len : len));
    return id;
}

TEST(test_requests_may_be_packed)
{
    restart(MFS_FEATURE_PACKS);
    uint64_t fh = fx_create("f", 0644);
    assert_ok(AWAIT(write, send_packed_write(fh, false)));
    assert_int_equal(rep.write.written, BIG);
    assert_int_equal(fx_stat("f").st_size, BIG);
    fx_assert_text(fh, BIG - 3, "xxx");
}

/* The server hung up, as after a malformed message. */
static void assert_refused(void)
{
    struct rd body;
    assert_error(wc_wait(&c, 0, WC_TIMEOUT_MS, &body), ECONNRESET);
    assert_error(wc_stop(&c), EPROTO);
    start(0);
}

TEST(test_packed_without_agreement)
{
    uint64_t id = send_packed_write(fx_create("f", 0644), false);
    (void)id;
    assert_refused();
}

TEST(test_one_in_another)
{
    restart(MFS_FEATURE_PACKS);
    uint64_t id = send_packed_write(fx_create("f", 0644), true);
    (void)id;
    assert_refused();
}

TEST(test_broken_ones)
{
    restart(MFS_FEATURE_PACKS);
    static const uint8_t nonsense[] = "\x20\x4e\0\0this was never packed by anybody";
    assert_ok(wc_send(&c, 1,
                      &(struct mfs_head){ .kind = MFS_PACKED, .id = 5, .plain_bytes = 20000 },
                      nonsense, sizeof nonsense));
    assert_refused();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(test_answers_are_packed),
        FX_TEST(test_nobody_who_can_t_is_sent_packed_messages),
        FX_TEST(test_requests_may_be_packed),
        FX_TEST(test_packed_without_agreement),
        FX_TEST(test_one_in_another),
        FX_TEST(test_broken_ones),
    };
    return fx_run("packed", tests, ARRAY_LEN(tests));
}
