/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_chunks.c: the pure parts of chunks: records, parts, what the other side has, gathering.
 */
#include "tests/lib/unit.h"

#include "mrcfs/chunks/chunk.h"
#include "mrcfs/chunks/gather.h"
#include "mrcfs/chunks/naming.h"
#include "mrcfs/chunks/put.h"
#include "mrcfs/chunks/set.h"

#include <stdlib.h>

static struct mfs_chunk_name name_of(uint8_t seed)
{
    struct mfs_chunk_name n;
    memset(n.bytes, seed, sizeof n.bytes);
    return n;
}

TEST(records_come_back)
{
    uint8_t wire[MFS_CHUNK_REC_BYTES];
    struct mfs_chunk_rec x = { MFS_CHUNK_NAMED | MFS_CHUNK_KNOWN, 77, name_of(3) }, y;
    struct wr w = wr_of(wire, sizeof wire);
    mfs_chunk_rec_put(&w, &x);
    assert_int_equal(wr_len(&w), sizeof wire);
    struct rd r = rd_of(wire, sizeof wire);
    assert_ok(mfs_chunk_rec_get(&r, &y));
    assert_int_equal(y.flags, x.flags);
    assert_int_equal(y.len_bytes, 77);
    assert_memory_equal(&y.name, &x.name, sizeof x.name);
    assert_int_equal(mfs_chunk_tag(&y.name), 0x03030303);
    for (size_t cut = 0; cut < sizeof wire; cut++) {
        r = rd_of(wire, cut);
        assert_error(mfs_chunk_rec_get(&r, &y), EPROTO);
    }
}

TEST(nonsense_is_refused)
{
    const struct mfs_chunk_rec bad[] = {
        { MFS_CHUNK_NAMED, 0, { { 0 } } }, { MFS_CHUNK_NAMED, MFS_CHUNK_BYTES + 1, { { 0 } } },
        { MFS_CHUNK_KNOWN, 5, { { 0 } } }, { MFS_CHUNK_AHEAD | MFS_CHUNK_NAMED, 5, { { 0 } } },
        { 1 << 3, 5, { { 0 } } },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint8_t wire[MFS_CHUNK_REC_BYTES];
        struct mfs_chunk_rec y;
        struct wr w = wr_of(wire, sizeof wire);
        mfs_chunk_rec_put(&w, &bad[i]);
        struct rd r = rd_of(wire, sizeof wire);
        assert_error(mfs_chunk_rec_get(&r, &y), EPROTO);
    }
}

TEST(parts_of_ranges)
{
    enum { C = MFS_CHUNK_BYTES };
    size_t first;
    assert_int_equal(mfs_chunk_part(0, C, 0, 100, &first), 100);
    assert_int_equal(first, 0);
    assert_int_equal(mfs_chunk_part(0, C, C - 10, 100, &first), 10);
    assert_int_equal(first, C - 10);
    assert_int_equal(mfs_chunk_part(1, C, C - 10, 100, &first), 90);
    assert_int_equal(first, 0);
    assert_int_equal(mfs_chunk_part(1, 50, C - 10, 100, &first), 50); /* the file ends */
    assert_int_equal(mfs_chunk_part(1, 50, C + 50, 100, &first), 0);
    assert_int_equal(mfs_chunk_part(1, 50, C + 70, 100, &first), 0);
}

TEST(the_set_is_what_was_put_in)
{
    struct mfs_chunk_set *s = calloc(1, sizeof *s);
    uint8_t *is_in = calloc(1, 1 << 16);
    uint32_t x = 7, count = 0;
    assert_true(s && is_in);
    /* Few different tags, many of them in neighbouring slots: gaps are closed all the time. */
    for (int i = 0; i < 400000; i++) {
        x = x * 1664525u + 1013904223u;
        uint32_t key = x >> 20, tag = (key + 1) * 40503u;
        if (x >> 8 & 1) {
            assert_true(mfs_chunk_set_add(s, tag));
            count += !is_in[key];
            is_in[key] = 1;
        } else {
            mfs_chunk_set_remove(s, tag);
            count -= is_in[key];
            is_in[key] = 0;
        }
        assert_int_equal(s->count, count);
        if (i % 1000 == 0)
            for (uint32_t k = 0; k < 4096; k++)
                assert_int_equal(mfs_chunk_set_has(s, (k + 1) * 40503u), is_in[k]);
    }
    free(is_in);
    free(s);
}

TEST(the_set_is_bounded)
{
    struct mfs_chunk_set *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (uint32_t i = 1; i <= MFS_CHUNK_SET_MAX; i++)
        assert_true(mfs_chunk_set_add(s, i));
    assert_false(mfs_chunk_set_add(s, MFS_CHUNK_SET_MAX + 1));
    assert_true(mfs_chunk_set_add(s, 5)); /* is in */
    assert_false(mfs_chunk_set_has(s, MFS_CHUNK_SET_MAX + 1));
    mfs_chunk_set_remove(s, 5);
    assert_true(mfs_chunk_set_add(s, MFS_CHUNK_SET_MAX + 1));
    assert_true(mfs_chunk_set_add(s, 0)); /* never in */
    assert_false(mfs_chunk_set_has(s, 0));
    mfs_chunk_set_remove(s, 0);
    free(s);
}

TEST(names_where_they_may_save_something)
{
    enum { SLOW = 12500000, FAST = 500000000 };
    struct mfs_naming n = { 0 };
    unsigned named = 0;
    /* On most wires: always. */
    for (int i = 0; i < 100; i++) {
        assert_int_equal(mfs_naming_choose(&n, SLOW, i & 1), MFS_NAME_ALL);
        mfs_naming_saw(&n, 0, 8);
    }
    /* On fast ones never for who has nothing, now and then while little of it is there, and
     * always while much is. */
    assert_int_equal(mfs_naming_choose(&n, FAST, false), MFS_NAME_NONE);
    for (int i = 0; i < 160; i++) {
        enum mfs_naming_choice c = mfs_naming_choose(&n, FAST, true);
        assert_int_not_equal(c, MFS_NAME_ALL);
        named += c == MFS_NAME_KNOWN;
        if (c == MFS_NAME_KNOWN)
            mfs_naming_saw(&n, 0, 8);
    }
    assert_true(named >= 8 && named <= 12);
    for (int i = 0; i < 10; i++)
        mfs_naming_saw(&n, 8, 8);
    for (int i = 0; i < 10; i++)
        assert_int_equal(mfs_naming_choose(&n, FAST, true), MFS_NAME_KNOWN);
    mfs_naming_saw(&n, 0, 0);
}

static uint8_t contents[MFS_CHUNK_BYTES];

TEST(parts_become_whole)
{
    struct mfs_gather *g = calloc(1, sizeof *g);
    assert_non_null(g);
    for (size_t i = 0; i < sizeof contents; i++)
        contents[i] = (uint8_t)(i * 7 >> 3);
    struct mfs_chunk_rec x = { MFS_CHUNK_NAMED, MFS_CHUNK_BYTES, name_of(1) };
    const uint8_t *whole = mfs_gather_add(g, &x, 0, contents, sizeof contents);
    assert_memory_equal(whole, contents, sizeof contents);

    /* As the kernel reads ahead: 16, 32, 64 KiB, not aligned to chunks. */
    const size_t cuts[] = { 0, 16384, 49152, 114688, sizeof contents };
    for (size_t i = 0; i + 1 < ARRAY_LEN(cuts); i++) {
        whole = mfs_gather_add(g, &x, cuts[i], contents + cuts[i], cuts[i + 1] - cuts[i]);
        assert_int_equal(whole != NULL, i + 2 == ARRAY_LEN(cuts));
    }
    assert_memory_equal(whole, contents, sizeof contents);

    x.len_bytes = 5001; /* the last of a file */
    assert_null(mfs_gather_add(g, &x, 4096, contents + 4096, 905));
    whole = mfs_gather_add(g, &x, 0, contents, 4096);
    assert_memory_equal(whole, contents, 5001);

    /* Half pages don't count, and nothing may be out of bounds. */
    assert_null(mfs_gather_add(g, &x, 0, contents, 4000));
    assert_null(mfs_gather_add(g, &x, 4000, contents + 4000, 1001));
    assert_null(mfs_gather_add(g, &x, 5000, contents, 2));
    assert_null(mfs_gather_add(g, &x, 6000, contents, 1));
    free(g);
}

TEST(the_oldest_makes_room)
{
    struct mfs_gather *g = calloc(1, sizeof *g);
    assert_non_null(g);
    struct mfs_chunk_rec x = { MFS_CHUNK_NAMED, 8192, name_of(0) };
    for (uint8_t i = 0; i <= MFS_GATHER_MAX; i++) {
        x.name = name_of(i);
        assert_null(mfs_gather_add(g, &x, 0, contents, 4096));
    }
    x.name = name_of(0); /* has lost its part */
    assert_null(mfs_gather_add(g, &x, 4096, contents + 4096, 4096));
    x.name = name_of(MFS_GATHER_MAX);
    assert_non_null(mfs_gather_add(g, &x, 4096, contents + 4096, 4096));
    free(g);
}

static struct bytes parts_of(uint8_t *wire, const struct mfs_put_part *x, size_t count)
{
    struct wr w = wr_of(wire, MFS_PUT_PARTS_MAX * 2 * MFS_PUT_PART_BYTES);
    for (size_t i = 0; i < count; i++)
        mfs_put_part_put(&w, &x[i]);
    return (struct bytes){ wire, (uint32_t)wr_len(&w) };
}

TEST(parts_of_a_put)
{
    static uint8_t wire[MFS_PUT_PARTS_MAX * 2 * MFS_PUT_PART_BYTES];
    struct mfs_put_part x[MFS_PUT_PARTS_MAX + 1] = { { 100, 0, 0, name_of(0) },
                                                     { MFS_CHUNK_BYTES, 7, 5, name_of(1) },
                                                     { 1, 0, 0, name_of(0) } };
    size_t total, named;
    assert_int_equal(mfs_put_check(parts_of(wire, x, 3), 101, 1 << 20, &total, &named), 3);
    assert_int_equal(total, 101 + MFS_CHUNK_BYTES);
    assert_int_equal(named, MFS_CHUNK_BYTES);
    struct mfs_put_part y;
    struct rd r = rd_of(wire + MFS_PUT_PART_BYTES, MFS_PUT_PART_BYTES);
    assert_ok(mfs_put_part_get(&r, &y));
    assert_true(y.fh == 7 && y.offset == 5 && y.len_bytes == MFS_CHUNK_BYTES);
    assert_memory_equal(y.name.bytes, x[1].name.bytes, sizeof y.name.bytes);
    /* Another body, more than may be, a part too many, cut, empty. */
    assert_error(mfs_put_check(parts_of(wire, x, 3), 100, 1 << 20, &total, &named), EPROTO);
    assert_error(mfs_put_check(parts_of(wire, x, 3), 101, MFS_CHUNK_BYTES, &total, &named),
                 EPROTO);
    struct bytes all = parts_of(wire, x, 3);
    all.len--;
    assert_error(mfs_put_check(all, 101, 1 << 20, &total, &named), EPROTO);
    all.len = 0;
    assert_error(mfs_put_check(all, 0, 1 << 20, &total, &named), EPROTO);
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        x[i] = (struct mfs_put_part){ 1, 0, 0, name_of(0) };
    assert_int_equal(mfs_put_check(parts_of(wire, x, 20), 20, 1 << 20, &total, &named), 20);
    assert_error(mfs_put_check(parts_of(wire, x, 21), 21, 1 << 20, &total, &named), EPROTO);
    /* No length, a chunk too long, an end that is none. */
    x[0] = (struct mfs_put_part){ 0, 7, 0, name_of(0) };
    assert_error(mfs_put_check(parts_of(wire, x, 1), 0, 1 << 20, &total, &named), EPROTO);
    x[0].len_bytes = MFS_CHUNK_BYTES + 1;
    assert_error(mfs_put_check(parts_of(wire, x, 1), 0, 1 << 20, &total, &named), EPROTO);
    x[0] = (struct mfs_put_part){ 1, 7, INT64_MAX, name_of(0) };
    assert_error(mfs_put_check(parts_of(wire, x, 1), 0, 1 << 20, &total, &named), EPROTO);
}

static void assert_piece(uint64_t run_end, uint64_t offset, size_t len, enum mfs_put_way way,
                         size_t want)
{
    struct mfs_put_piece x = mfs_put_piece_of(run_end, offset, len);
    assert_int_equal(x.way, way);
    assert_int_equal(x.len_bytes, want);
}

/* Runs begin and end where chunks do; what can be named by itself, or can't become a chunk, is
 * sent. */
TEST(small_writes_become_chunks)
{
    const uint64_t none = UINT64_MAX, one = MFS_CHUNK_BYTES;
    assert_piece(none, 0, 1, MFS_PUT_BEGIN, 1);
    assert_piece(1, 1, 4096, MFS_PUT_JOIN, 4096);
    assert_piece(none, 1, 4096, MFS_PUT_SEND, 4096);
    assert_piece(5, 1, 4096, MFS_PUT_SEND, 4096);
    assert_piece(one - 1, one - 1, 4096, MFS_PUT_JOIN, 1);
    assert_piece(none, one - 1, 4096, MFS_PUT_SEND, 1);
    assert_piece(one, one, 4095, MFS_PUT_BEGIN, 4095);
    assert_piece(none, 0, one - 1, MFS_PUT_BEGIN, one - 1);
    assert_piece(none, 0, one, MFS_PUT_SEND, one);
    assert_piece(none, 7 * one, 3 * one + 5, MFS_PUT_SEND, 3 * one);
    assert_piece(100, 100, 3 * one, MFS_PUT_JOIN, one - 100);
}

TEST(what_was_seen_is_found)
{
    struct mfs_seen_table *t = calloc(1, sizeof *t);
    uint8_t *some = calloc(1, MFS_CHUNK_BYTES);
    assert_non_null(t);
    assert_non_null(some);
    /* All of the shortest is within bounds; contents that differ at the end, or in length, are
     * others. */
    uint64_t sample = mfs_seen_sample(some, MFS_SEEN_FROM);
    assert_true(sample && sample != mfs_seen_sample(some, MFS_SEEN_FROM + 1));
    assert_null(mfs_seen_find(t, sample, MFS_SEEN_FROM));
    mfs_seen_add(t, &(struct mfs_seen_chunk){ sample, 3, 4, MFS_SEEN_FROM, name_of(5) });
    assert_int_equal(mfs_seen_find(t, sample, MFS_SEEN_FROM)->node, 3);
    assert_null(mfs_seen_find(t, sample, MFS_SEEN_FROM + 1));
    some[MFS_SEEN_FROM - 1] = 1;
    assert_true(sample != mfs_seen_sample(some, MFS_SEEN_FROM));
    /* The same contents seen elsewhere: there. */
    mfs_seen_add(t, &(struct mfs_seen_chunk){ sample, 8, 9, MFS_SEEN_FROM, name_of(5) });
    assert_int_equal(mfs_seen_find(t, sample, MFS_SEEN_FROM)->node, 8);
    /* Of more than fit, the newest stay. */
    for (uint64_t i = 1; i <= 4 * MFS_SEEN_MAX; i++)
        mfs_seen_add(
            t, &(struct mfs_seen_chunk){ i * 0x9e3779b97f4a7c15u, i, 0, 5000, name_of(1) });
    unsigned found = 0;
    for (uint64_t i = 4 * MFS_SEEN_MAX; i > 3 * MFS_SEEN_MAX; i--) {
        const struct mfs_seen_chunk *x = mfs_seen_find(t, i * 0x9e3779b97f4a7c15u, 5000);
        found += x && x->node == i;
    }
    assert_in_range(found, MFS_SEEN_MAX / 2, MFS_SEEN_MAX);
    free(some);
    free(t);
}

UNIT_MAIN(cmocka_unit_test(parts_of_a_put), cmocka_unit_test(small_writes_become_chunks),
          cmocka_unit_test(what_was_seen_is_found), cmocka_unit_test(records_come_back),
          cmocka_unit_test(nonsense_is_refused), cmocka_unit_test(parts_of_ranges),
          cmocka_unit_test(the_set_is_what_was_put_in),
          cmocka_unit_test(names_where_they_may_save_something),
          cmocka_unit_test(the_set_is_bounded), cmocka_unit_test(parts_become_whole),
          cmocka_unit_test(the_oldest_makes_room))
