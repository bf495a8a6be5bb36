/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_server_fetch.c: reads for a client that keeps chunks. */
#include "tests/lib/mfs_fixture.h"

#include "mrcfs/chunks/chunk.h"
#include "mrcfs/chunkstore.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { C = MFS_CHUNK_BYTES, LAST = 5000, BIG = 5 * C + LAST };

static uint8_t contents[BIG];

/* An answer, taken apart. */
static struct {
    uint16_t count;
    struct mfs_chunk_rec recs[80];
    struct bytes body;
} got;

static void take(void)
{
    struct rd r = rd_of(rep.fetch.body.ptr, rep.fetch.body.len);
    assert_ok(get_u16(&r, &got.count));
    assert_true(got.count <= ARRAY_LEN(got.recs));
    for (unsigned i = 0; i < got.count; i++)
        assert_ok(mfs_chunk_rec_get(&r, &got.recs[i]));
    got.body = (struct bytes){ r.at, (uint32_t)rd_left(&r) };
}

static const struct bytes none = { (const uint8_t *)"", 0 };

static void fetch(uint64_t fh, uint64_t offset, uint32_t size, uint32_t ahead)
{
    assert_ok(CALL(fetch, fh, offset, size, ahead, none, none));
    take();
}

static void restart(uint32_t features)
{
    struct mfs_export x = { fx_dir, false };
    struct mfs_serve_opts o = { .exports = &x, .export_count = 1 };
    assert_ok(wc_stop(&c));
    assert_ok(wc_fork(&c, &o, fx_user));
    c.features = features;
    assert_ok(wc_greet(&c));
    c.features = 0;
}

static uint64_t open_big(void)
{
    for (size_t i = 0; i < BIG; i++)
        contents[i] = (uint8_t)((i * 31 >> 9) + i / C);
    int fd = open(fx_path("big"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, contents, BIG), BIG);
    if (fx_user)
        assert_int_equal(fchown(fd, fx_user, fx_user), 0);
    close(fd);
    restart(MFS_FEATURE_CHUNKS);
    assert_int_equal(c.server_features & MFS_FEATURE_CHUNKS, MFS_FEATURE_CHUNKS);
    return fx_open("big", MFS_O_RDONLY);
}

static struct mfs_chunk_name name_of(unsigned index)
{
    struct mfs_chunk_name n;
    size_t len = index == 5 ? LAST : C;
    mfs_chunk_name_of(&n, contents + (size_t)index * C, len);
    return n;
}

static uint8_t tags[80 * MFS_CHUNK_TAG_BYTES];

/* The client says that it has chunks first to end, or not any more. */
static void tell(uint64_t fh, unsigned first, unsigned end, bool is_gone)
{
    uint32_t len = 0;
    for (unsigned i = first; i < end; i++, len += MFS_CHUNK_TAG_BYTES) {
        struct mfs_chunk_name n = name_of(i);
        memcpy(tags + len, n.bytes, MFS_CHUNK_TAG_BYTES);
    }
    struct bytes told = { tags, len };
    assert_ok(CALL(fetch, fh, BIG, 1, 0, is_gone ? none : told, is_gone ? told : none));
    take();
    assert_int_equal(got.count, 0); /* behind the end */
}

TEST(test_names_come_with_what_is_sent)
{
    uint64_t fh = open_big();
    fetch(fh, C - 10, 30, 64);
    assert_int_equal(got.count, 2); /* nothing ahead of what the client hasn't got */
    assert_int_equal(got.body.len, 30);
    assert_memory_equal(got.body.ptr, contents + C - 10, 30);
    for (unsigned i = 0; i < 2; i++) {
        struct mfs_chunk_name n = name_of(i);
        assert_int_equal(got.recs[i].flags, MFS_CHUNK_NAMED);
        assert_int_equal(got.recs[i].len_bytes, C);
        assert_memory_equal(&got.recs[i].name, &n, sizeof n);
    }
    fetch(fh, 4 * C + 5, 10 * C, 0); /* over the end */
    assert_int_equal(got.count, 2);
    assert_int_equal(got.recs[1].len_bytes, LAST);
    assert_int_equal(got.body.len, C - 5 + LAST);
    assert_memory_equal(got.body.ptr, contents + 4 * C + 5, got.body.len);
}

TEST(test_what_the_client_has_is_only_named)
{
    uint64_t fh = open_big();
    tell(fh, 0, 6, false);
    fetch(fh, 100, C, 0);
    assert_int_equal(got.count, 2);
    assert_int_equal(got.recs[0].flags, MFS_CHUNK_NAMED | MFS_CHUNK_KNOWN);
    assert_int_equal(got.body.len, 0);
    assert_int_equal(c.last.stream, 0); /* small */
    tell(fh, 1, 2, true);
    fetch(fh, 100, C, 0);
    assert_int_equal(got.recs[0].flags, MFS_CHUNK_NAMED | MFS_CHUNK_KNOWN);
    assert_int_equal(got.recs[1].flags, MFS_CHUNK_NAMED);
    assert_int_equal(got.body.len, 100);
    assert_memory_equal(got.body.ptr, contents + C, 100);
}

TEST(test_names_ahead)
{
    uint64_t fh = open_big();
    tell(fh, 0, 6, false);
    fetch(fh, 0, 10, 2);
    assert_int_equal(got.count, 3);
    assert_int_equal(got.recs[0].flags, MFS_CHUNK_NAMED | MFS_CHUNK_KNOWN);
    assert_int_equal(got.recs[2].flags, MFS_CHUNK_NAMED | MFS_CHUNK_KNOWN | MFS_CHUNK_AHEAD);
    fetch(fh, 0, 10, UINT32_MAX); /* to the end */
    assert_int_equal(got.count, 6);
    assert_int_equal(got.recs[5].len_bytes, LAST);
    tell(fh, 3, 4, true);
    fetch(fh, 0, 10, 64); /* as far as the client has them */
    assert_int_equal(got.count, 3);
}

TEST(test_a_change_is_another_name)
{
    uint64_t fh = open_big();
    tell(fh, 0, 6, false);
    int fd = open(fx_path("big"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "!", 1, C + 7), 1);
    fetch(fh, 0, 3 * C, 0);
    assert_int_equal(got.recs[0].flags, MFS_CHUNK_NAMED | MFS_CHUNK_KNOWN);
    assert_int_equal(got.recs[1].flags, MFS_CHUNK_NAMED);
    assert_int_equal(got.recs[2].flags, MFS_CHUNK_NAMED | MFS_CHUNK_KNOWN);
    assert_int_equal(got.body.len, C);
    assert_int_equal(got.body.ptr[7], '!');
    assert_int_equal(ftruncate(fd, C), 0);
    fetch(fh, 0, 3 * C, 0);
    assert_int_equal(got.count, 1);
    fetch(fh, C, 5, 0);
    assert_int_equal(got.count, 0);
    close(fd);
}

TEST(test_nonsense)
{
    uint64_t fh = open_big();
    struct bytes odd = { tags, 7 };
    assert_error(CALL(fetch, fh, 0, 10, 0, odd, none), EINVAL);
    assert_error(CALL(fetch, fh, 0, 10, 0, none, odd), EINVAL);
    assert_error(CALL(fetch, fh, UINT64_MAX, 10, 0, none, none), EINVAL);
    assert_error(CALL(fetch, fh, 0, 0, 0, none, none), EINVAL);
    assert_error(CALL(fetch, 999, 0, 10, 0, none, none), EBADF);
    fetch(fh, 0, UINT32_MAX, UINT32_MAX);
    assert_int_equal(got.body.len, BIG);
    fetch(fh, INT64_MAX, 100, 0);
    assert_int_equal(got.count, 0);
    assert_ok(CALL(opendir, ROOT));
    assert_true(CALL(fetch, rep.opendir.fh, 0, 10, 0, none, none) < 0);
    uint64_t wo = fx_open("big", MFS_O_WRONLY);
    assert_error(CALL(fetch, wo, 0, 10, 0, none, none), EBADF);

    /* More tags than the server remembers: it goes on. */
    static uint8_t many[200000 * MFS_CHUNK_TAG_BYTES];
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = (uint8_t)(i * 2654435761u >> 11);
    assert_ok(CALL(fetch, fh, 0, 10, 0, { many, sizeof many }, none));
    take();
    assert_int_equal(got.count, 1);
    restart(0);
    fh = fx_open("big", MFS_O_RDONLY);
    assert_error(CALL(fetch, fh, 0, 10, 0, none, none), EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(test_names_come_with_what_is_sent),
        FX_TEST(test_what_the_client_has_is_only_named),
        FX_TEST(test_names_ahead),
        FX_TEST(test_a_change_is_another_name),
        FX_TEST(test_nonsense),
    };
    return fx_run("fetch", tests, ARRAY_LEN(tests));
}
