/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_packer.c: messages packed and unpacked; what a peer may send instead. */
#include "tests/lib/unit.h"

#include "common/sys/clock.h"
#include "common/sys/lzo.h"
#include "common/sys/mem.h"
#include "mrcfs/ops.h"
#include "mrcfs/packer.h"

#include <stdlib.h>

static uint8_t message[MFS_MESSAGE_MAX + 4];
static struct mfs_packer packer;

/* A write of body_bytes of text, or of noise. Returns its length. */
static size_t make(size_t body_bytes, bool is_noise)
{
    uint8_t *body = malloc(body_bytes + 1);
    assert_non_null(body);
    uint32_t x = 1;
    for (size_t i = 0; i < body_bytes; i++) {
        x = x * 1664525u + 1013904223u;
        body[i] =
            is_noise ? (uint8_t)(x >> 24) : (uint8_t)("some text "[i % 10] + (x < 1u << 26));
    }
    struct wr w = wr_of(message, sizeof message);
    mfs_message_begin(&w,
                      &(struct mfs_head){ .kind = MFS_REQUEST, .id = 77, .op = MFS_OP_write });
    mfs_write_req_put(&w, &(struct mfs_write_req){ 1, 2, 3, { body, (uint32_t)body_bytes } });
    mfs_message_end(&w, 0);
    free(body);
    assert_false(w.is_full);
    return wr_len(&w);
}

/* Packs it; 0: it does not pay. */
static size_t pack(size_t len, uint8_t **out)
{
    *out = malloc(mfs_packer_room(len));
    assert_non_null(*out);
    return mfs_packer_wants(&packer, len) ? mfs_packer_pack(&packer, message, len, *out) : 0;
}

/* packed holds exactly the message. */
static void assert_same(const uint8_t *packed, size_t packed_len, size_t len)
{
    struct mfs_head h;
    uint32_t length;
    uint8_t *plain;
    struct rd r = rd_of(packed, packed_len);
    assert_ok(get_u32(&r, &length));
    assert_int_equal(length, packed_len - 4);
    assert_ok(mfs_head_get(&r, &h));
    assert_int_equal(h.kind, MFS_PACKED);
    assert_int_equal(h.id, 77);
    assert_int_equal(h.plain_bytes, len - 4);
    assert_ok(mfs_unpack(&r, h.plain_bytes, &plain));
    assert_memory_equal(plain, message + 4, len - 4);
    free(plain);
}

TEST(every_length_comes_back)
{
    mfs_packer_init(&packer, MFS_PACK_YES);
    for (size_t bytes = 1; bytes <= MFS_DATA_MAX; bytes = bytes * 3 + 7) {
        uint8_t *packed;
        size_t len = make(bytes, false), packed_len = pack(len, &packed);
        assert_true(bytes < 600 || packed_len);
        if (packed_len) {
            assert_true(packed_len < len);
            assert_same(packed, packed_len, len);
        }
        free(packed);
    }
    size_t len = make(MFS_DATA_MAX, false);
    uint8_t *packed;
    size_t packed_len = pack(len, &packed);
    assert_true(packed_len < len / 2);
    assert_same(packed, packed_len, len);
    free(packed);
    mfs_packer_fini(&packer);
}

TEST(noise_stays_as_it_is)
{
    const enum mfs_pack_mode modes[] = { MFS_PACK_AUTO, MFS_PACK_YES };
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        mfs_packer_init(&packer, modes[i]);
        for (size_t bytes = 1000; bytes <= MFS_DATA_MAX; bytes *= 4) {
            uint8_t *packed;
            assert_int_equal(pack(make(bytes, true), &packed), 0);
            free(packed);
        }
        mfs_packer_fini(&packer);
    }
}

TEST(nothing_is_packed_before_it_was_agreed)
{
    struct mfs_packer none = { 0 };
    assert_false(mfs_packer_wants(&none, 1 << 20));
    mfs_packer_sent(&none, 1, clock_mono_us());
    mfs_packer_fini(&none);
}

TEST(what_is_malformed_is_refused)
{
    mfs_packer_init(&packer, MFS_PACK_YES);
    uint8_t *packed, *plain = NULL;
    size_t len = make(50000, false), packed_len = pack(len, &packed);
    assert_true(packed_len);
    struct mfs_head h;
    struct rd r = rd_of(packed + 4, packed_len - 4);
    assert_ok(mfs_head_get(&r, &h));
    const uint32_t wrong[] = { 0,
                               MFS_MESSAGE_MIN - 1,
                               h.plain_bytes - 1,
                               h.plain_bytes + 1,
                               MFS_MESSAGE_MAX + 1,
                               UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_error(mfs_unpack(&r, wrong[i], &plain), EPROTO);
    for (size_t cut = 0; cut < rd_left(&r); cut += 1 + cut / 8) {
        struct rd part = rd_of(r.at, cut);
        assert_error(mfs_unpack(&part, h.plain_bytes, &plain), EPROTO);
    }
    assert_null(plain);
    free(packed);
    mfs_packer_fini(&packer);
}

TEST(a_small_message_may_not_become_a_huge_one)
{
    /* A megabyte of zeros packs into a few kilobytes; as two, it is refused. */
    enum { TWO = 2 << 20 };
    AUTO_FREE uint8_t *zeros = calloc(1, TWO), *out = malloc(lzo_room(TWO)),
                      *work = malloc(lzo_work_bytes());
    uint8_t *plain = NULL;
    assert_true(zeros && out && work);
    long n = lzo_pack(work, zeros, TWO, out);
    assert_true(n > 0 && n < TWO / 100);
    struct rd r = rd_of(out, (size_t)n);
    assert_error(mfs_unpack(&r, TWO, &plain), EPROTO);
    assert_error(mfs_unpack(&r, MFS_MESSAGE_MAX, &plain), EPROTO);
    assert_null(plain);
}

UNIT_MAIN(cmocka_unit_test(every_length_comes_back), cmocka_unit_test(noise_stays_as_it_is),
          cmocka_unit_test(nothing_is_packed_before_it_was_agreed),
          cmocka_unit_test(what_is_malformed_is_refused),
          cmocka_unit_test(a_small_message_may_not_become_a_huge_one))
