/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_talk.c: heads of frames, whole, cut and wrong; frames over a socket whose other end
 * doesn't read. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "mosix-core/deputy/link.h"

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
TEST(nobody_waits)
{
    enum { FRAMES = 20 };
    static uint8_t body[MX_FRAME_MAX - MX_TALK_HEAD_BYTES];
    int pair[2];
    struct mx_link a, b;
    struct mx_talk_frame f;
    unsigned got_a = 0, got_b = 0;
    assert_ok(fd_socketpair(pair));
    assert_ok(mx_link_init(&a, pair[0]));
    assert_ok(mx_link_init(&b, pair[1]));
    for (unsigned i = 0; i < FRAMES; i++) {
        body[0] = (uint8_t)i;
        put_raw(mx_link_begin(&a, MX_TALK_CALL, i), body, sizeof body);
        assert_ok(mx_link_send(&a));
        put_raw(mx_link_begin(&b, MX_TALK_ANSWER, i), body, sizeof body);
        assert_ok(mx_link_send(&b));
    }
    for (unsigned turn = 0; turn < 100000 && (got_a < FRAMES || got_b < FRAMES); turn++) {
        assert_ok(mx_link_flush(&a));
        assert_ok(mx_link_flush(&b));
        assert_ok(mx_link_fill(&a));
        assert_ok(mx_link_fill(&b));
        while (mx_link_next(&a, &f) > 0) {
            assert_int_equal(f.body.at[0], got_a);
            assert_int_equal(rd_left(&f.body), sizeof body);
            got_a++;
        }
        while (mx_link_next(&b, &f) > 0)
            assert_int_equal(f.who, got_b++);
    }
    assert_int_equal(got_a + got_b, 2 * FRAMES);
    assert_int_equal(mx_link_wants(&a), POLLIN);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < 200; i++) { /* a peer that never reads */
        put_raw(mx_link_begin(&a, MX_TALK_CALL, i), body, sizeof body);
        rc = mx_link_send(&a);
    }
    assert_error(rc, ENOSPC);
    close(pair[1]);
    rc = 0;
    for (unsigned turn = 0; rc == 0 && turn < 10; turn++)
        rc = mx_link_fill(&a);
    assert_true(rc == -EPIPE || rc == -ECONNRESET);
    assert_true(mx_link_flush(&a) < 0);
    mx_link_fini(&a);
    mx_link_fini(&b);
    close(pair[0]);
}

UNIT_MAIN(cmocka_unit_test(frames), cmocka_unit_test(nobody_waits))
