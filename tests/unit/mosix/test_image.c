/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_image.c: images as streams: whole, cut short, changed at each byte, with sections left
 * out or exchanged. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "mosix-core/image/image.h"
#include "tests/unit/mosix/image_fixture.h"

#include <sys/mman.h>
#include <unistd.h>

static uint8_t whole[64 << 10];
static size_t whole_len, starts[MX_SECTIONS_END + 1]; /* where each section begins */

static int memory_file(const void *ptr, size_t len)
{
    int fd = memfd_create("image", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(fd_write_full(fd, ptr, len));
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void write_whole(void)
{
    struct mx_sec all[MX_SECTIONS_END];
    unsigned count = image_fixture(all);
    struct mx_image_writer w;
    struct err e = { "" };
    AUTO_FD fd = memory_file("", 0);
    assert_ok(mx_image_writer_init(&w, fd, &e));
    for (unsigned i = 0; i + 1 < count; i++) {
        starts[i] = (size_t)lseek(fd, 0, SEEK_CUR);
        assert_ok(mx_image_write(&w, &all[i], &e));
    }
    starts[count - 1] = (size_t)lseek(fd, 0, SEEK_CUR);
    assert_ok(mx_image_write_end(&w, &e));
    assert_int_equal(lseek(fd, 0, SEEK_CUR), w.written_bytes);
    mx_image_writer_fini(&w);
    lseek(fd, 0, SEEK_SET);
    whole_len = (size_t)fd_read_full(fd, whole, sizeof whole);
    starts[count] = whole_len;
}

/* Returns the sections up to the end, or the error. */
static int read_image(const uint8_t *ptr, size_t len, struct err *e)
{
    struct mx_image_reader r;
    struct mx_sec s;
    AUTO_FD fd = memory_file(ptr, len);
    int count = 0, rc = mx_image_reader_init(&r, fd, e);
    while (rc >= 0 && (rc = mx_image_read(&r, &s, e)) > 0)
        count++;
    mx_image_reader_fini(&r);
    return rc < 0 ? rc : count;
}

TEST(a_whole_image_is_read)
{
    struct err e = { "" };
    write_whole();
    assert_int_equal(read_image(whole, whole_len, &e), MX_SECTIONS_END - 1);
}

TEST(one_cut_anywhere_is_refused)
{
    write_whole();
    for (size_t len = 0; len < whole_len; len += len % 1000 < 300 ? 1 : 61) {
        struct err e = { "" };
        assert_error(read_image(whole, len, &e), EPROTO);
        assert_has(e.text, "ends too early");
    }
}

TEST(one_changed_anywhere_is_refused)
{
    static uint8_t changed[sizeof whole];
    write_whole();
    for (size_t at = 0; at < whole_len; at += at < 400 ? 1 : 37) {
        struct err e = { "" };
        memcpy(changed, whole, whole_len);
        changed[at] ^= (uint8_t)(1u << at % 8);
        assert_true(read_image(changed, whole_len, &e) < 0);
        assert_true(e.text[0]);
    }
}

/* Each checksum is right then, but not that of the whole. */
TEST(one_with_a_section_exchanged_is_refused)
{
    static uint8_t changed[sizeof whole];
    struct mx_sec all[MX_SECTIONS_END];
    unsigned count = image_fixture(all);
    struct err e = { "" };
    write_whole();
    /* timers and thread, which may come in either order */
    size_t a = starts[4], b = starts[5], c = starts[6];
    assert_int_equal(all[4].number, MX_SEC_timers);
    memcpy(changed, whole, whole_len);
    memcpy(changed + a, whole + b, c - b);
    memcpy(changed + a + (c - b), whole + a, b - a);
    assert_error(read_image(changed, whole_len, &e), EPROTO);
    assert_has(e.text, "missing or exchanged");
    /* the one that may be missing */
    a = starts[8];
    b = starts[9];
    assert_int_equal(all[8].number, MX_SEC_descriptor);
    memcpy(changed, whole, a);
    memcpy(changed + a, whole + b, whole_len - b);
    assert_error(read_image(changed, whole_len - (b - a), &e), EPROTO);
    assert_true(count > 8);
}

TEST(what_is_no_image_is_named_so)
{
    struct err e = { "" };
    assert_error(read_image((const uint8_t *)"#!/bin/sh\nexit 0\n", 17, &e), EPROTO);
    assert_has(e.text, "not an image");
    write_whole();
    whole[8] = MX_IMAGE_FORMAT + 1;
    assert_error(read_image(whole, whole_len, &e), ENOTSUP);
    assert_has(e.text, "format 2");
}

TEST(held_sections_are_written_later)
{
    struct mx_sec all[MX_SECTIONS_END];
    struct mx_image_writer w;
    struct err e = { "" };
    image_fixture(all);
    AUTO_FD fd = memory_file("", 0);
    assert_ok(mx_image_writer_init(&w, fd, &e));
    off_t before = lseek(fd, 0, SEEK_CUR);
    mx_image_hold(&w);
    assert_ok(mx_image_write(&w, &all[0], &e));
    assert_int_equal(lseek(fd, 0, SEEK_CUR), before);
    assert_ok(mx_image_flush(&w, &e));
    assert_int_equal(lseek(fd, 0, SEEK_CUR), w.written_bytes);
    mx_image_writer_fini(&w);
}

UNIT_MAIN(cmocka_unit_test(a_whole_image_is_read),
          cmocka_unit_test(one_cut_anywhere_is_refused),
          cmocka_unit_test(one_changed_anywhere_is_refused),
          cmocka_unit_test(one_with_a_section_exchanged_is_refused),
          cmocka_unit_test(what_is_no_image_is_named_so),
          cmocka_unit_test(held_sections_are_written_later))
