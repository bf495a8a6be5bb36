/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_gather.c: pages of many places become sections and are found in them again; when pages
 * are packed. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "common/sys/lzo.h"
#include "mosix-core/image/gather.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 400 };

static uint8_t memory[PAGES * PAGE], got[PAGES * PAGE], space[MX_PAGES_BODY_MAX];
static const uint64_t base = 0x10000000;

static void fill(bool is_random)
{
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof memory; i++) {
        x = x * 1664525 + 1013904223;
        memory[i] = is_random ? (uint8_t)(x >> 24) : (uint8_t)(i / 100);
    }
}

static void put(uint64_t start, const uint8_t *ptr, size_t len)
{
    assert_true(start >= base && start + len <= base + sizeof got);
    memcpy(got + (start - base), ptr, len);
}

/* Returns how many sections had pages. */
static unsigned read_back(int fd)
{
    struct mx_image_reader r;
    struct mx_sec s;
    struct err e = { "" };
    unsigned count = 0;
    uint64_t start, end;
    lseek(fd, 0, SEEK_SET);
    memset(got, 0, sizeof got);
    assert_ok(mx_image_reader_init(&r, fd, &e));
    r.order.seen = 1u << MX_SEC_process; /* of no interest here */
    while (mx_image_read(&r, &s, &e) > 0) {
        count++;
        if (s.number == MX_SEC_pages)
            put(s.pages.start, s.pages.body.ptr, s.pages.body.len);
        if (s.number == MX_SEC_packed) {
            assert_ok(lzo_unpack(s.packed.body.ptr, s.packed.body.len, space, s.packed.bytes));
            put(s.packed.start, space, s.packed.bytes);
        }
        if (s.number != MX_SEC_scattered)
            continue;
        const uint8_t *at = s.scattered.body.ptr;
        if (s.scattered.body.len < s.scattered.bytes) {
            assert_ok(lzo_unpack(at, s.scattered.body.len, space, s.scattered.bytes));
            at = space;
        }
        for (uint32_t i = 0; mx_scattered_place(&s.scattered, i, &start, &end); i++) {
            put(start, at, end - start);
            at += end - start;
        }
    }
    mx_image_reader_fini(&r);
    return count;
}

/* Every second page alone, then a long run, then two mappings that touch. */
static unsigned send_some(struct mx_pack *pack)
{
    struct mx_image_writer w;
    struct err e = { "" };
    struct mx_gather g = { .w = &w, .pack = pack };
    AUTO_FD fd = memfd_create("image", MFD_CLOEXEC);
    assert_ok(mx_image_writer_init(&w, fd, &e));
    for (size_t i = 0; i < 200; i += 2)
        assert_ok(mx_gather_add(&g, base + i * PAGE, memory + i * PAGE, PAGE, &e));
    assert_ok(mx_gather_add(&g, base + 300 * PAGE, memory + 300 * PAGE, 50 * PAGE, &e));
    assert_ok(mx_gather_add(&g, base + 398 * PAGE, memory + 398 * PAGE, PAGE, &e));
    mx_gather_apart(&g);
    assert_ok(mx_gather_add(&g, base + 399 * PAGE, memory + 399 * PAGE, PAGE, &e));
    assert_int_equal(g.places, 2);
    assert_ok(mx_gather_flush(&g, &e));
    assert_ok(mx_gather_flush(&g, &e)); /* nothing is left */
    mx_gather_fini(&g);
    mx_image_writer_fini(&w);
    return read_back(fd);
}

static void check_got(void)
{
    for (size_t i = 0; i < PAGES; i++) {
        bool is_sent = (i < 200 && i % 2 == 0) || (i >= 300 && i < 350) || i >= 398;
        static const uint8_t zero[PAGE];
        assert_memory_equal(got + i * PAGE, is_sent ? memory + i * PAGE : zero, PAGE);
    }
}

TEST(pages_of_many_places_are_few_sections)
{
    fill(true);
    assert_int_equal(send_some(NULL), 4); /* 64 and 36 pages, the run, the two */
    check_got();
}

TEST(they_are_packed_when_the_stream_is_waited_for)
{
    struct mx_pack p = { 0 };
    fill(false);
    send_some(&p);
    assert_int_equal(p.packed_bytes, 0);
    check_got();
    p.is_blocked = true;
    p.wire = 1; /* a very slow one */
    send_some(&p);
    assert_true(p.packed_bytes > 0);
    check_got();
    /* And not when packing would be what is waited for. */
    p.packed_bytes = 0;
    p.wire = UINT32_MAX;
    send_some(&p);
    assert_int_equal(p.packed_bytes, 0);
    mx_pack_fini(&p);
}

TEST(what_does_not_become_smaller_is_sent_as_it_is)
{
    struct mx_pack p = { .is_blocked = true, .wire = 1 };
    fill(true);
    send_some(&p);
    assert_int_equal(p.packed_bytes, 0);
    assert_true(p.skip > 0);
    check_got();
    mx_pack_fini(&p);
}

UNIT_MAIN(cmocka_unit_test(pages_of_many_places_are_few_sections),
          cmocka_unit_test(they_are_packed_when_the_stream_is_waited_for),
          cmocka_unit_test(what_does_not_become_smaller_is_sent_as_it_is))
