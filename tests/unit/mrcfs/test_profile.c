/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_profile.c: profiles to bytes and back; what is none. */
#include "tests/lib/unit.h"

#include "mrcfs/profile/profile.h"

static uint8_t room[MFS_PROFILE_MAX];

static struct bytes text(const char *name)
{
    return bytes_of(name);
}

TEST(comes_back)
{
    const struct mfs_profile_entry in[] = {
        { MFS_PROFILE_ROOT, MFS_PROFILE_LIST, 0, text("/home/a") },
        { 0, 0, 0, text("lib") },
        { 1, MFS_PROFILE_OPEN, 3, text("x.py") },
        { 1, MFS_PROFILE_OPEN | MFS_PROFILE_LINK, MFS_PROFILE_OPENS_MAX - 1, text("y") },
        { MFS_PROFILE_ROOT, 0, 0, text("/") },
    };
    struct wr w = wr_of(room, sizeof room);
    size_t count = 0;
    mfs_profile_put_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(in); i++)
        assert_true(mfs_profile_put(&w, &count, &in[i]));
    struct bytes all = { room, (uint32_t)wr_len(&w) };
    assert_true(mfs_profile_is_valid(all));
    struct rd r = rd_of(all.ptr, all.len);
    assert_ok(mfs_profile_begin(&r));
    for (size_t i = 0; i < ARRAY_LEN(in); i++) {
        struct mfs_profile_entry e;
        assert_int_equal(mfs_profile_next(&r, i, &e), 1);
        assert_int_equal(e.parent, in[i].parent);
        assert_int_equal(e.flags, in[i].flags);
        assert_int_equal(e.turn, in[i].turn);
        assert_int_equal(e.name.len, in[i].name.len);
        assert_memory_equal(e.name.ptr, in[i].name.ptr, e.name.len);
    }
    for (uint32_t cut = 0; cut < all.len; cut++) { /* whole entries or nothing */
        bool is_end = mfs_profile_is_valid((struct bytes){ room, cut });
        size_t at = 5, i = 0;
        while (i < ARRAY_LEN(in) && at < cut)
            at += 7 + in[i++].name.len;
        assert_int_equal(is_end, cut >= 5 && at == cut);
    }
}

/* One entry, alone or after a root. */
static bool is_taken(bool after_root, uint16_t parent, uint8_t flags, uint16_t turn,
                     const char *name, uint16_t len)
{
    size_t count = 0;
    struct wr w = wr_of(room, sizeof room);
    const struct mfs_profile_entry root = { MFS_PROFILE_ROOT, 0, 0, text("/r") };
    mfs_profile_put_begin(&w);
    if (after_root)
        assert_true(mfs_profile_put(&w, &count, &root));
    put_u16(&w, parent);
    put_u8(&w, flags);
    put_u16(&w, turn);
    put_u16(&w, len);
    put_raw(&w, name, len);
    return mfs_profile_is_valid((struct bytes){ room, (uint32_t)wr_len(&w) });
}

TEST(refuses)
{
    assert_true(is_taken(true, 0, 7, 0, "a", 1));
    assert_false(is_taken(true, 0, 8, 0, "a", 1)); /* no such flag */
    assert_false(is_taken(true, 1, 0, 0, "a", 1)); /* itself */
    assert_false(is_taken(false, 0, 0, 0, "a", 1));
    assert_false(is_taken(true, 7, 0, 0, "a", 1));
    assert_false(is_taken(true, 0, 0, MFS_PROFILE_OPENS_MAX, "a", 1));
    assert_false(is_taken(true, 0, 0, 0, "", 0));
    assert_false(is_taken(true, 0, 0, 0, ".", 1));
    assert_false(is_taken(true, 0, 0, 0, "..", 2));
    assert_false(is_taken(true, 0, 0, 0, "../b", 4));
    assert_false(is_taken(true, 0, 0, 0, "a\0b", 3));
    assert_true(is_taken(true, 0, 0, 0, "...", 3));
    assert_false(is_taken(false, MFS_PROFILE_ROOT, 0, 0, "relative", 8));
    assert_false(is_taken(false, MFS_PROFILE_ROOT, 0, 0, "/a\0b", 4));
    assert_false(mfs_profile_is_valid((struct bytes){ NULL, 0 }));
    memcpy(room, "mrcp\2", 5); /* another version */
    assert_false(mfs_profile_is_valid((struct bytes){ room, 5 }));
}

TEST(is_bounded)
{
    size_t count = 0;
    struct wr w = wr_of(room, sizeof room);
    const struct mfs_profile_entry root = { MFS_PROFILE_ROOT, 0, 0, text("/r") };
    const struct mfs_profile_entry e = { 0, 0, 0, text("n") };
    mfs_profile_put_begin(&w);
    assert_true(mfs_profile_put(&w, &count, &root));
    while (mfs_profile_put(&w, &count, &e))
        continue;
    assert_int_equal(count, MFS_PROFILE_ENTRIES_MAX);
    assert_false(w.is_full);
    assert_true(mfs_profile_is_valid((struct bytes){ room, (uint32_t)wr_len(&w) }));
    put_u16(&w, 0); /* one more */
    put_u8(&w, 0);
    put_u16(&w, 0);
    put_u16(&w, 1);
    put_raw(&w, "n", 1);
    assert_false(mfs_profile_is_valid((struct bytes){ room, (uint32_t)wr_len(&w) }));
    w = wr_of(room, 20); /* what doesn't fit is left out */
    count = 0;
    mfs_profile_put_begin(&w);
    assert_true(mfs_profile_put(&w, &count, &root));
    assert_false(mfs_profile_put(&w, &count, &e));
    assert_false(w.is_full);
    assert_int_equal(count, 1);
}

UNIT_MAIN(cmocka_unit_test(comes_back), cmocka_unit_test(refuses), cmocka_unit_test(is_bounded))
