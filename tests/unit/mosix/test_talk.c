/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_talk.c: heads of frames, whole, cut and wrong; frames over a socket, plain or sealed,
 * whose other end doesn't read; connections that are given away. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "mosix-core/deputy/link.h"
#include "tests/unit/mosix/sealed_fixture.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

TEST(frames)
{
    uint8_t bytes[64];
    struct mx_talk_frame f;
    struct wr w = wr_of(bytes, sizeof bytes);
    mx_talk_begin(&w, MX_TALK_MASK, 77);
    put_u64(&w, 5);
    assert_ok(mx_talk_close(&w));
    uint32_t len = (uint32_t)wr_len(&w);
    for (uint32_t cut = 0; cut < len; cut++)
        assert_int_equal(mx_talk_next((struct bytes){ bytes, cut }, &f), 0);
    assert_int_equal(mx_talk_next((struct bytes){ bytes, sizeof bytes }, &f), len);
    assert_int_equal(f.kind, MX_TALK_MASK);
    assert_int_equal(f.who, 77);
    assert_int_equal(rd_left(&f.body), 8);
    bytes[4] = 200; /* no such kind */
    assert_error(mx_talk_next((struct bytes){ bytes, len }, &f), EPROTO);
    bytes[3] = 1; /* too long */
    assert_error(mx_talk_next((struct bytes){ bytes, len }, &f), EPROTO);
    w = wr_of(bytes, 12);
    mx_talk_begin(&w, MX_TALK_MASK, 77);
    put_u64(&w, 5);
    assert_error(mx_talk_close(&w), ENOSPC);
}

/* More than a socket holds, in both directions at once: nobody waits. */
static void send_both_ways(struct mx_link *a, struct mx_link *b)
{
    enum { FRAMES = 20 };
    static uint8_t body[MX_FRAME_MAX - MX_TALK_HEAD_BYTES];
    struct mx_talk_frame f;
    unsigned got_a = 0, got_b = 0;
    for (unsigned i = 0; i < FRAMES; i++) {
        body[0] = (uint8_t)i;
        put_raw(mx_link_begin(a, MX_TALK_CALL, i), body, sizeof body);
        assert_ok(mx_link_send(a));
        put_raw(mx_link_begin(b, MX_TALK_ANSWER, i), body, sizeof body);
        assert_ok(mx_link_send(b));
    }
    for (unsigned turn = 0; turn < 100000 && (got_a < FRAMES || got_b < FRAMES); turn++) {
        assert_ok(mx_link_flush(a));
        assert_ok(mx_link_flush(b));
        assert_ok(mx_link_fill(a));
        assert_ok(mx_link_fill(b));
        while (mx_link_next(a, &f) > 0) {
            assert_int_equal(f.body.at[0], got_a);
            assert_int_equal(rd_left(&f.body), sizeof body);
            got_a++;
        }
        while (mx_link_next(b, &f) > 0)
            assert_int_equal(f.who, got_b++);
    }
    assert_int_equal(got_a + got_b, 2 * FRAMES);
    assert_int_equal(mx_link_wants(a), POLLIN);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < 200; i++) { /* a peer that never reads */
        put_raw(mx_link_begin(a, MX_TALK_CALL, i), body, sizeof body);
        rc = mx_link_send(a);
    }
    assert_error(rc, ENOSPC);
}

static void end_of_peer(struct mx_link *a)
{
    int rc = 0;
    for (unsigned turn = 0; rc == 0 && turn < 10; turn++)
        rc = mx_link_fill(a);
    assert_true(rc == -EPIPE || rc == -ECONNRESET);
    assert_true(mx_link_flush(a) < 0);
}

TEST(nobody_waits)
{
    int pair[2];
    struct mx_link a, b;
    assert_ok(fd_socketpair(pair));
    assert_ok(mx_link_init(&a, pair[0], NULL));
    assert_ok(mx_link_init(&b, pair[1], NULL));
    send_both_ways(&a, &b);
    close(pair[1]);
    end_of_peer(&a);
    mx_link_fini(&a);
    mx_link_fini(&b);
    close(pair[0]);
}

TEST(nobody_waits_when_it_is_sealed)
{
    struct sealed_pair p;
    struct mx_link a, b;
    sealed_pair_make(&p);
    assert_ok(mx_link_init(&a, p.watch[0], p.ends[0]));
    assert_ok(mx_link_init(&b, p.watch[1], p.ends[1]));
    send_both_ways(&a, &b);
    mx_link_fini(&b);
    mx_sealed_free(p.ends[1]);
    p.ends[1] = NULL;
    end_of_peer(&a);
    mx_link_fini(&a);
    sealed_pair_end(&p);
}

/* A byte that is changed, a piece that is left out, one that is too long. */
TEST(false_pieces)
{
    for (unsigned kind = 0; kind < 3; kind++) {
        struct sealed_pair p;
        struct buf out, in;
        uint8_t text[100] = "some text";
        sealed_pair_make(&p);
        buf_init(&out, 4096);
        buf_init(&in, 4096);
        assert_ok(mx_sealed_put(p.ends[0], &out, text, sizeof text));
        size_t first = buf_len(&out);
        assert_ok(mx_sealed_put(p.ends[0], &out, text, sizeof text));
        uint8_t *at = out.ptr + out.head;
        if (kind == 0)
            at[first + 20] ^= 1;
        if (kind == 1)
            at += first;
        if (kind == 2)
            at[first + 3] = 1;
        assert_ok(fd_write_full(p.ends[0]->fd, at, buf_len(&out) - (kind == 1 ? first : 0)));
        assert_ok(mx_sealed_fill(p.ends[1]));
        assert_error(mx_sealed_open(p.ends[1], &in), EPROTO);
        assert_int_equal(buf_len(&in), kind == 1 ? 0 : sizeof text);
        buf_fini(&out);
        buf_fini(&in);
        sealed_pair_end(&p);
    }
}

/* Who has given a connection ends it by ending; who has none to give, too. */
TEST(givers_that_end)
{
    struct sealed_pair p;
    struct mx_sealed *none;
    struct mx_link a;
    int over[2];
    sealed_pair_make(&p);
    assert_ok(mx_link_init(&a, p.watch[0], p.ends[0]));
    assert_int_equal(mx_link_wait(&a, POLLOUT), POLLOUT);
    close(p.givers[0]);
    p.givers[0] = -1;
    assert_error(mx_link_wait(&a, POLLOUT), EPIPE);
    mx_link_fini(&a);
    sealed_pair_end(&p);
    assert_ok(fd_socketpair(over));
    close(over[0]);
    assert_error(mx_sealed_take(&none, over[1]), EPIPE);
    close(over[1]);
    assert_ok(fd_socketpair(over));
    assert_ok(fd_write_full(over[0], "no keys", 7));
    assert_error(mx_sealed_take(&none, over[1]), EPROTO);
    close(over[0]);
    close(over[1]);
}

UNIT_MAIN(cmocka_unit_test(frames), cmocka_unit_test(nobody_waits),
          cmocka_unit_test(nobody_waits_when_it_is_sealed), cmocka_unit_test(false_pieces),
          cmocka_unit_test(givers_that_end))
