/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_client_fetch.c: the file client's reads by way of its cache of chunks, with a server
 * that may lie. */
#include "tests/lib/mfs_client_fixture.h"

#include "common/sys/clock.h"
#include "mrcfs/chunkstore.h"
#include "mrcfs/client/chunks.h"
#include "mrcfs/client/client.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 300000, PART = 32768, WAIT_MS = 10000 };

static char dir[] = "/tmp/test-fetch-XXXXXX";
static uint8_t contents[MFS_CHUNK_BYTES];
static struct mfs_chunk_name name;
static uint64_t kernel_fh;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)type;
    (void)f;
    return remove(path);
}

static void put_chunk(void)
{
    struct mfs_store *s;
    struct mfs_store_opts o = { .dir = dir };
    assert_ok(mfs_store_open(&o, &s, NULL));
    assert_ok(mfs_store_add(s, &name, contents, sizeof contents));
    mfs_store_close(s);
}

static void open_file(void)
{
    uint8_t room[256];
    struct rd body;
    struct mfs_attr a = { .ino = 9, .mode = S_IFREG | 0644, .nlink = 1, .size = SIZE };
    struct wr w = wr_of(room, sizeof room);
    uint64_t unique = cx_ask(FUSE_LOOKUP, 1, "name", 5);
    mfs_entry_put(&w, &(struct mfs_entry){ .node = 7, .attr = a });
    cx_reply(cx_message(&body).id, 0, room, wr_len(&w));
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    struct fuse_open_in o = { .flags = O_RDONLY };
    struct fuse_open_out out;
    unique = cx_ask(FUSE_OPEN, 7, &o, sizeof o);
    w = wr_of(room, sizeof room);
    mfs_open_rep_put(&w, &(struct mfs_open_rep){ .fh = 33, .attr = a });
    cx_reply(cx_message(&body).id, 0, room, wr_len(&w));
    assert_int_equal(cx_answer(unique, &out, sizeof out), 0);
    kernel_fh = out.fh;
}

static int start_with(bool has_chunk)
{
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    for (size_t i = 0; i < sizeof contents; i++)
        contents[i] = (uint8_t)(i * 7 >> 4);
    mfs_chunk_name_of(&name, contents, sizeof contents);
    if (has_chunk)
        put_chunk();
    cx_start(&(struct cx_opts){ .cache_dir = dir });
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (!mfs_chunks_is_on(cx.client->chunks) && clock_mono_ms() < until)
        usleep(1000);
    assert_true(mfs_chunks_is_on(cx.client->chunks));
    open_file();
    return 0;
}

static int start_full(void **state UNUSED)
{
    return start_with(true);
}

static int start_empty(void **state UNUSED)
{
    return start_with(false);
}

static int end(void **state)
{
    cx_end(state);
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t ask_read(uint64_t offset, uint32_t size)
{
    struct fuse_read_in in = { .fh = kernel_fh, .offset = offset, .size = size };
    return cx_ask(FUSE_READ, 7, &in, sizeof in);
}

/* What the client asks the server now. */
static uint64_t expect_fetch(struct mfs_fetch_req *q)
{
    struct rd body;
    struct mfs_head h = cx_message(&body);
    assert_int_equal(h.op, MFS_OP_fetch);
    assert_ok(mfs_fetch_req_get(&body, q));
    return h.id;
}

static void reply_fetch(uint64_t id, const struct mfs_chunk_rec *recs, uint16_t count,
                        const uint8_t *bytes, size_t len)
{
    uint8_t room[8000], message[8100];
    struct wr w = wr_of(room, sizeof room), m = wr_of(message, sizeof message);
    put_u16(&w, count);
    for (unsigned i = 0; i < count; i++)
        mfs_chunk_rec_put(&w, &recs[i]);
    put_raw(&w, bytes, len);
    mfs_fetch_rep_put(&m, &(struct mfs_fetch_rep){ { room, (uint32_t)wr_len(&w) } });
    assert_false(m.is_full);
    cx_reply(id, 0, message, wr_len(&m));
}

/* Turns until the client says something to the kernel, or to the server. */
static void wait_for_something(void)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    uint8_t byte;
    while (recv(cx.kernel, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 &&
           recv(cx.meta, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && clock_mono_ms() < until) {
        usleep(1000);
        cx_turn();
    }
}

static struct mfs_chunk_rec known(uint32_t len)
{
    return (struct mfs_chunk_rec){ MFS_CHUNK_NAMED | MFS_CHUNK_KNOWN, len, name };
}

TEST(what_is_here_is_read_here)
{
    struct mfs_fetch_req q;
    static uint8_t got[PART];
    uint64_t unique = ask_read(0, PART);
    uint64_t id = expect_fetch(&q);
    assert_int_equal(q.have.len, MFS_CHUNK_TAG_BYTES); /* what there is was told */
    assert_memory_equal(q.have.ptr, name.bytes, MFS_CHUNK_TAG_BYTES);
    struct mfs_chunk_rec x = known(MFS_CHUNK_BYTES);
    reply_fetch(id, &x, 1, NULL, 0);
    wait_for_something();
    assert_int_equal(cx_answer(unique, got, sizeof got), 0);
    assert_memory_equal(got, contents, sizeof got);
    unique = ask_read(PART, PART);
    id = expect_fetch(&q);
    assert_int_equal(q.have.len, 0); /* once */
    reply_fetch(id, &x, 1, NULL, 0);
    wait_for_something();
    assert_int_equal(cx_answer(unique, got, sizeof got), 0);
    assert_memory_equal(got, contents + PART, sizeof got);
    struct mfs_stats stats;
    mfs_client_stats(cx.client, &stats);
    assert_int_equal(stats.chunk_bytes_used, 2 * PART);
}

/* The client asks again, saying what is gone, and then in the usual way. */
static void expect_third_time(uint64_t unique)
{
    struct mfs_fetch_req q;
    static uint8_t got[1000], room[2000];
    struct rd body;
    wait_for_something();
    uint64_t id = expect_fetch(&q);
    assert_int_equal(q.gone.len, MFS_CHUNK_TAG_BYTES);
    assert_memory_equal(q.gone.ptr, name.bytes, MFS_CHUNK_TAG_BYTES);
    struct mfs_chunk_rec x = known(MFS_CHUNK_BYTES);
    reply_fetch(id, &x, 1, NULL, 0); /* it insists */
    wait_for_something();
    struct mfs_head h = cx_message(&body);
    assert_int_equal(h.op, MFS_OP_read);
    memset(got, 'x', sizeof got);
    struct wr w = wr_of(room, sizeof room);
    mfs_read_rep_put(&w, &(struct mfs_read_rep){ { got, sizeof got } });
    cx_reply(h.id, 0, room, wr_len(&w));
    memset(got, 0, sizeof got);
    assert_int_equal(cx_answer(unique, got, sizeof got), 0);
    assert_int_equal(got[999], 'x');
}

TEST(a_server_that_names_what_is_not_here)
{
    struct mfs_fetch_req q;
    uint64_t unique = ask_read(0, PART);
    uint64_t id = expect_fetch(&q);
    assert_int_equal(q.have.len, 0);
    struct mfs_chunk_rec x = known(MFS_CHUNK_BYTES);
    reply_fetch(id, &x, 1, NULL, 0);
    expect_third_time(unique);
    assert_int_equal(cx.lost_count, 0);
}

TEST(a_chunk_of_another_length)
{
    struct mfs_fetch_req q;
    uint64_t unique = ask_read(0, PART);
    uint64_t id = expect_fetch(&q);
    struct mfs_chunk_rec x = known(MFS_CHUNK_BYTES - 1);
    reply_fetch(id, &x, 1, NULL, 0);
    wait_for_something();
    id = expect_fetch(&q);
    x = known(MFS_CHUNK_BYTES); /* as it is */
    reply_fetch(id, &x, 1, NULL, 0);
    wait_for_something();
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    assert_int_equal(cx.lost_count, 0);
}

TEST(damage_is_not_passed_on)
{
    char command[256];
    snprintf(command, sizeof command,
             "for f in %s/chunks/*/*; do echo x | dd of=$f bs=1 seek=100000 conv=notrunc "
             "status=none; done",
             dir);
    assert_int_equal(system(command), 0);
    struct mfs_fetch_req q;
    uint64_t unique = ask_read(0, PART);
    uint64_t id = expect_fetch(&q);
    struct mfs_chunk_rec x = known(MFS_CHUNK_BYTES);
    reply_fetch(id, &x, 1, NULL, 0);
    expect_third_time(unique);
}

TEST(what_comes_is_kept)
{
    /* A file's last chunk of 5,000 bytes, in two parts. */
    struct mfs_fetch_req q;
    uint8_t got[5000];
    struct mfs_chunk_rec x = { MFS_CHUNK_NAMED, 5000, { { 0 } } };
    mfs_chunk_name_of(&x.name, contents, 5000);
    uint64_t unique = ask_read(0, 4096);
    uint64_t id = expect_fetch(&q);
    assert_int_equal(q.size, 4096);
    reply_fetch(id, &x, 1, contents, 4096);
    assert_int_equal(cx_answer(unique, got, 4096), 0);
    unique = ask_read(4096, 4096);
    id = expect_fetch(&q);
    reply_fetch(id, &x, 1, contents + 4096, 904);
    assert_int_equal(cx_answer(unique, got, 904), 0);
    assert_memory_equal(got, contents + 4096, 904);
    struct mfs_stats stats = { 0 };
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (!stats.chunks_kept && clock_mono_ms() < until) {
        usleep(1000);
        mfs_client_stats(cx.client, &stats);
    }
    assert_int_equal(stats.chunks_kept, 1);
    unique = ask_read(8192, 4096);
    id = expect_fetch(&q);
    assert_int_equal(q.have.len, MFS_CHUNK_TAG_BYTES);
    assert_memory_equal(q.have.ptr, x.name.bytes, MFS_CHUNK_TAG_BYTES);
    reply_fetch(id, NULL, 0, NULL, 0); /* the end */
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
}

TEST(what_is_wrongly_named_is_not_kept)
{
    struct mfs_fetch_req q;
    struct mfs_chunk_rec x = { MFS_CHUNK_NAMED, 4000, { { 1 } } };
    uint64_t unique = ask_read(0, PART);
    reply_fetch(expect_fetch(&q), &x, 1, contents, 4000);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    /* One that is right comes after it. */
    mfs_chunk_name_of(&x.name, contents, 4000);
    unique = ask_read(PART, 1);
    struct rd body;
    struct mfs_head h = cx_message(&body);
    if (h.op != MFS_OP_fetch) /* it does not go on where the last one ended */
        fail_msg("op %u", h.op);
    reply_fetch(h.id, NULL, 0, NULL, 0);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    unique = ask_read(0, PART);
    reply_fetch(expect_fetch(&q), &x, 1, contents, 4000);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
    struct mfs_stats stats = { 0 };
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (!stats.chunks_kept && clock_mono_ms() < until) {
        usleep(1000);
        mfs_client_stats(cx.client, &stats);
    }
    assert_int_equal(stats.chunks_kept, 1);
}

TEST(small_reads_here_and_there_and_small_files_are_as_ever)
{
    struct rd body;
    uint64_t unique = ask_read(50000, 4096);
    struct mfs_head h = cx_message(&body);
    assert_int_equal(h.op, MFS_OP_read);
    uint8_t room[8] = { 0 };
    cx_reply(h.id, 0, room, 4);
    assert_int_equal(cx_answer(unique, NULL, 0), 0);
}

static struct mfs_chunk_rec recs[12];

TEST(malformed_answers_end_the_connection)
{
    for (int kind = 0; kind < 7; kind++) {
        struct mfs_fetch_req q;
        if (kind) {
            end(NULL);
            start_empty(NULL);
        }
        for (size_t i = 0; i < ARRAY_LEN(recs); i++)
            recs[i] = known(MFS_CHUNK_BYTES);
        uint64_t unique = ask_read(0, PART);
        uint64_t id = expect_fetch(&q);
        switch (kind) {
        case 0: reply_fetch(id, recs, 2, NULL, 0); break;     /* beyond the range */
        case 1: reply_fetch(id, recs, 1, contents, 1); break; /* bytes left over */
        case 2:
            recs[0].flags = 0;
            reply_fetch(id, recs, 1, contents, 5);
            break; /* too few */
        case 3:
            recs[0].flags |= MFS_CHUNK_AHEAD;
            reply_fetch(id, recs, 1, NULL, 0);
            break;
        case 4:
            recs[0].len_bytes = 7;
            recs[1].flags |= MFS_CHUNK_AHEAD;
            reply_fetch(id, recs, 2, NULL, 0);
            break; /* after the end */
        case 5: cx_reply(id, 0, contents, 1); break;
        case 6:
            recs[0].len_bytes = 0;
            reply_fetch(id, recs, 1, NULL, 0);
            break;
        default: break;
        }
        assert_int_equal(cx.lost_count, 1);
        assert_int_equal(cx_answer(unique, NULL, 0), EIO);
    }
}

#define FULL(fn)  cmocka_unit_test_setup_teardown(fn, start_full, end)
#define EMPTY(fn) cmocka_unit_test_setup_teardown(fn, start_empty, end)
UNIT_MAIN(FULL(what_is_here_is_read_here), EMPTY(a_server_that_names_what_is_not_here),
          FULL(a_chunk_of_another_length), FULL(damage_is_not_passed_on),
          EMPTY(what_comes_is_kept), EMPTY(what_is_wrongly_named_is_not_kept),
          EMPTY(small_reads_here_and_there_and_small_files_are_as_ever),
          EMPTY(malformed_answers_end_the_connection))
