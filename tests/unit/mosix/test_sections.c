/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_sections.c: an image's sections by themselves and in their order. */
#include "tests/lib/unit.h"

#include "tests/unit/mosix/image_fixture.h"

static uint8_t space[MX_SECTION_MAX], again[MX_SECTION_MAX];

static struct mx_section_head encode(const struct mx_sec *s, uint8_t *to)
{
    struct wr w = wr_of(to, MX_SECTION_MAX);
    mx_sec_put(&w, s);
    assert_false(w.is_full);
    return (struct mx_section_head){ (uint16_t)s->number, mx_section_version(s->number),
                                     (uint32_t)wr_len(&w) };
}

TEST(each_section_is_read_as_it_was_written)
{
    struct mx_sec all[MX_SECTIONS_END], got;
    unsigned count = image_fixture(all);
    assert_int_equal(count, MX_SECTIONS_END - 1);
    for (unsigned i = 0; i < count; i++) {
        struct mx_section_head h = encode(&all[i], space);
        assert_ok(mx_sec_get(&h, (struct bytes){ space, h.len_bytes }, &got));
        struct mx_section_head h2 = encode(&got, again);
        assert_int_equal(h.len_bytes, h2.len_bytes);
        assert_memory_equal(space, again, h.len_bytes);
        /* No byte less, no byte more. */
        for (uint32_t cut = 0; cut < h.len_bytes; cut += cut < 200 ? 1 : 97) {
            struct mx_section_head short_head = { h.number, h.version, cut };
            assert_error(mx_sec_get(&short_head, (struct bytes){ space, cut }, &got), EPROTO);
        }
        struct mx_section_head long_head = { h.number, h.version, h.len_bytes + 1 };
        assert_error(mx_sec_get(&long_head, (struct bytes){ space, h.len_bytes + 1 }, &got),
                     EPROTO);
    }
}

TEST(unknown_numbers_and_versions_are_named_so)
{
    struct mx_section_head h = { MX_SECTIONS_END, 1, 0 };
    struct mx_sec got;
    assert_error(mx_sec_get(&h, (struct bytes){ space, 0 }, &got), ENOTSUP);
    h = (struct mx_section_head){ MX_SEC_timers, 2, 48 };
    assert_error(mx_sec_get(&h, (struct bytes){ space, 48 }, &got), ENOTSUP);
    assert_string_equal(mx_section_name(MX_SECTIONS_END), "unknown");
    uint8_t head[MX_SECTION_HEAD_BYTES];
    struct wr w = wr_of(head, sizeof head);
    mx_section_head_put(&w, &(struct mx_section_head){ 3, 1, MX_SECTION_MAX + 1 });
    struct rd r = rd_of(head, sizeof head);
    assert_error(mx_section_head_get(&r, &h), EPROTO);
}

/* Version 1 ended before what is said since version 2. */
TEST(sections_of_older_versions_are_read)
{
    struct mx_sec all[MX_SECTIONS_END], got;
    unsigned count = image_fixture(all), seen = 0;
    for (unsigned i = 0; i < count; i++) {
        if (all[i].number != MX_SEC_process && all[i].number != MX_SEC_round)
            continue;
        struct mx_section_head h = encode(&all[i], space);
        assert_ok(mx_sec_get(&h, (struct bytes){ space, h.len_bytes }, &got));
        uint64_t mono_ns = got.number == MX_SEC_process ? got.process.mono_ns : got.round.mono_ns;
        struct mx_section_head older = { h.number, 1, h.len_bytes - 8 };
        assert_ok(mx_sec_get(&older, (struct bytes){ space, older.len_bytes }, &got));
        assert_true(mono_ns == (got.number == MX_SEC_process ? got.process.mono_ns : got.round.mono_ns));
        assert_true((got.number == MX_SEC_process ? got.process.boot_ns : got.round.boot_ns) == 0);
        older.version = 0;
        assert_error(mx_sec_get(&older, (struct bytes){ space, older.len_bytes }, &got), ENOTSUP);
        seen++;
    }
    assert_int_equal(seen, 2);
}

static int get_changed(struct mx_sec *s)
{
    struct mx_sec got;
    struct mx_section_head h = encode(s, space);
    return mx_sec_get(&h, (struct bytes){ space, h.len_bytes }, &got);
}

TEST(what_makes_no_sense_is_refused)
{
    struct mx_sec all[MX_SECTIONS_END], s;
    image_fixture(all);
#define REFUSED(which, change)                                                                 \
    for (s.number = 0; s.number == 0;) {                                                       \
        for (unsigned i = 0; i < MX_SECTIONS_END - 1; i++)                                     \
            if (all[i].number == (which))                                                      \
                s = all[i];                                                                    \
        assert_ok(get_changed(&s));                                                            \
        change;                                                                                \
        assert_error(get_changed(&s), EPROTO);                                                 \
    }
    REFUSED(MX_SEC_process, s.process.page_bytes = 8192)
    REFUSED(MX_SEC_process, s.process.vdso.len = 31)
    REFUSED(MX_SEC_mapping, s.mapping.end = s.mapping.start)
    REFUSED(MX_SEC_mapping, s.mapping.start++)
    REFUSED(MX_SEC_mapping, s.mapping.end = 0x800000000000)
    REFUSED(MX_SEC_mapping, s.mapping.prot = 8)
    REFUSED(MX_SEC_mapping, s.mapping.kind = MX_MAP_KINDS)
    REFUSED(MX_SEC_pages, s.pages.start = UINT64_MAX - 4095)
    REFUSED(MX_SEC_pages, s.pages.body.len = 4097)
    REFUSED(MX_SEC_registers, s.registers.general.len--)
    REFUSED(MX_SEC_registers, s.registers.xstate.len = 0)
    REFUSED(MX_SEC_signals, s.signals.pending.len = 127)
    REFUSED(MX_SEC_thread, s.thread.robust_bytes = 65)
    REFUSED(MX_SEC_layout, s.layout.brk = 0)
    REFUSED(MX_SEC_setting, s.setting.cwd = bytes_of("tmp"))
    REFUSED(MX_SEC_descriptor, s.descriptor.path.len = 0)
    REFUSED(MX_SEC_descriptor, s.descriptor.same_as = 4)
    REFUSED(MX_SEC_sibling, s.sibling.tid = 0)
    REFUSED(MX_SEC_sibling, s.sibling.tid = 0x80000000)
    REFUSED(MX_SEC_sibling, s.sibling.comm = bytes_of("sixteen letters."))
    REFUSED(MX_SEC_sibling, s.sibling.general.len++)
    REFUSED(MX_SEC_sibling, s.sibling.xstate.len = 575)
    REFUSED(MX_SEC_sibling, s.sibling.pending.len = 127)
    REFUSED(MX_SEC_sibling, s.sibling.policy = 4)
    REFUSED(MX_SEC_sibling, s.sibling.policy = 6)
    REFUSED(MX_SEC_sibling, s.sibling.priority = 100)
    REFUSED(MX_SEC_sibling, s.sibling.nice = -21)
    REFUSED(MX_SEC_posix_timers, s.posix_timers.list.len = 0)
    REFUSED(MX_SEC_posix_timers, s.posix_timers.list.len--)
    REFUSED(MX_SEC_posix_timers,
            (s.posix_timers.list.ptr += 4, s.posix_timers.list.len -= MX_POSIX_TIMER_BYTES)) /* the clock is no id */
    REFUSED(MX_SEC_object, s.object.number = 2)
    REFUSED(MX_SEC_object, s.object.same_as = 5)
    REFUSED(MX_SEC_object, s.object.same_as = 2)
    REFUSED(MX_SEC_object, s.object.flags = 2)
    REFUSED(MX_SEC_object, s.object.kind = MX_OBJECT_KINDS)
    REFUSED(MX_SEC_object, s.object.kind = MX_OBJECT_EVENT)
    REFUSED(MX_SEC_object, s.object.kind = MX_OBJECT_EPOLL)
    REFUSED(MX_SEC_barriers, s.barriers.registered = 0)
    REFUSED(MX_SEC_end, s.end.sum.len = 0)
    REFUSED(MX_SEC_round, s.round.number = 0)
    REFUSED(MX_SEC_round, s.round.is_last = 2)
    REFUSED(MX_SEC_gone, s.gone.end = s.gone.start)
    REFUSED(MX_SEC_packed, s.packed.bytes = 4097)
    REFUSED(MX_SEC_packed, s.packed.bytes = MX_PAGES_BODY_MAX + 4096)
    REFUSED(MX_SEC_packed, s.packed.body.len = 0)
    REFUSED(MX_SEC_scattered, s.scattered.bytes = 4096)
    REFUSED(MX_SEC_scattered, s.scattered.places.len = MX_PLACE_BYTES)
    REFUSED(MX_SEC_scattered, s.scattered.places.len--)
    REFUSED(MX_SEC_scattered, s.scattered.body.len = 0)
    REFUSED(MX_SEC_scattered, s.scattered.places.ptr++; s.scattered.places.len -= 16)
#undef REFUSED
}

TEST(sections_come_in_order)
{
    struct mx_sec all[MX_SECTIONS_END];
    unsigned count = image_fixture(all);
    struct mx_image_order o;
    mx_image_order_init(&o);
    assert_error(mx_image_order_take(&o, &all[1]), EPROTO); /* process is the first */
    for (unsigned i = 0; i < count; i++) {
        assert_ok(mx_image_order_take(&o, &all[i]));
        if (i + 1 < count)
            assert_error(mx_image_order_take(&o, &all[i]), EPROTO); /* a second time */
    }
    assert_true(o.is_complete);
    assert_error(mx_image_order_take(&o, &all[count - 1]), EPROTO);
    /* Nothing may be missing but pages and descriptors. */
    for (unsigned left_out = 0; left_out + 1 < count; left_out++) {
        bool may =
            all[left_out].number == MX_SEC_pages || all[left_out].number == MX_SEC_descriptor ||
            all[left_out].number == MX_SEC_packed || all[left_out].number == MX_SEC_scattered ||
            all[left_out].number == MX_SEC_gone || all[left_out].number == MX_SEC_sibling ||
            all[left_out].number == MX_SEC_object || all[left_out].number == MX_SEC_barriers ||
            all[left_out].number == MX_SEC_posix_timers;
        int rc = 0;
        mx_image_order_init(&o);
        for (unsigned i = 0; rc == 0 && i < count; i++) {
            struct mx_sec s = all[i];
            if (s.number == MX_SEC_end)
                s.end.sections--;
            if (i != left_out)
                rc = mx_image_order_take(&o, &s);
        }
        assert_int_equal(rc, may ? 0 : -EPROTO);
    }
}

TEST(threads_have_numbers_of_their_own)
{
    struct mx_sec all[MX_SECTIONS_END], s;
    unsigned count = image_fixture(all);
    struct mx_image_order o;
    for (unsigned i = 0; i < count; i++)
        if (all[i].number == MX_SEC_sibling)
            s = all[i];
    mx_image_order_init(&o);
    assert_ok(mx_image_order_take(&o, &all[0]));
    s.sibling.tid = all[0].process.pid; /* the first has it */
    assert_error(mx_image_order_take(&o, &s), EPROTO);
    for (s.sibling.tid = 2000; s.sibling.tid < 2000 + MX_THREADS_MAX - 1; s.sibling.tid++)
        assert_ok(mx_image_order_take(&o, &s));
    assert_error(mx_image_order_take(&o, &s), EPROTO); /* too many */
    mx_image_order_init(&o);
    assert_ok(mx_image_order_take(&o, &all[0]));
    assert_ok(mx_image_order_take(&o, &s));
    s.sibling.tid--;
    assert_error(mx_image_order_take(&o, &s), EPROTO); /* not in order */
}

static const struct mx_sec *numbered(const struct mx_sec *all, enum mx_section number)
{
    while (all->number != number)
        all++;
    return all;
}

TEST(rounds_replace_each_other)
{
    struct mx_sec all[MX_SECTIONS_END], round, end;
    unsigned count = image_fixture(all);
    struct mx_image_order o;
    mx_image_order_init(&o);
    round = *numbered(all, MX_SEC_round);
    assert_ok(mx_image_order_take(&o, &all[0]));
    round.round = (struct mx_sec_round){ 2, 0, 1, 1 };
    assert_error(mx_image_order_take(&o, &round), EPROTO); /* one was left out */
    for (round.round.number = 1; round.round.number <= 3; round.round.number++) {
        assert_ok(mx_image_order_take(&o, &round));
        assert_error(mx_image_order_take(&o, &round), EPROTO);
        if (round.round.number != 2) /* else they are as they were */
            assert_ok(mx_image_order_take(&o, numbered(all, MX_SEC_mapping)));
        assert_ok(mx_image_order_take(&o, numbered(all, MX_SEC_pages)));
        assert_error(mx_image_order_take(&o, numbered(all, MX_SEC_mapping)), EPROTO);
        assert_error(mx_image_order_take(&o, numbered(all, MX_SEC_pages)), EPROTO);
        /* What it is besides memory is not known while it runs. */
        assert_error(mx_image_order_take(&o, numbered(all, MX_SEC_registers)), EPROTO);
        assert_error(mx_image_order_take(&o, numbered(all, MX_SEC_descriptor)), EPROTO);
    }
    round.round.is_last = 1;
    assert_ok(mx_image_order_take(&o, &round));
    round.round.number++;
    assert_error(mx_image_order_take(&o, &round), EPROTO); /* the last was the last */
    for (unsigned i = 0; i < count; i++) {
        bool is_once = all[i].number != MX_SEC_process && all[i].number != MX_SEC_round &&
                       all[i].number != MX_SEC_end;
        if (is_once)
            assert_ok(mx_image_order_take(&o, &all[i]));
    }
    end = *numbered(all, MX_SEC_end);
    end.end.sections = o.taken;
    assert_ok(mx_image_order_take(&o, &end));
}

TEST(an_image_without_its_last_round_has_no_end)
{
    struct mx_sec all[MX_SECTIONS_END];
    unsigned count = image_fixture(all);
    struct mx_image_order o;
    int rc = 0;
    mx_image_order_init(&o);
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        if (all[i].number == MX_SEC_round)
            all[i].round.is_last = 0;
        rc = mx_image_order_take(&o, &all[i]);
    }
    assert_int_equal(rc, -EPROTO);
    /* And outside of rounds nothing is gone. */
    mx_image_order_init(&o);
    assert_ok(mx_image_order_take(&o, numbered(all, MX_SEC_process)));
    assert_ok(mx_image_order_take(&o, numbered(all, MX_SEC_mapping)));
    assert_error(mx_image_order_take(&o, numbered(all, MX_SEC_gone)), EPROTO);
    assert_error(mx_image_order_take(&o, numbered(all, MX_SEC_round)), EPROTO);
}

TEST(a_mapping_is_found_by_a_range_inside)
{
    const struct mx_sec_mapping m[] = { { .start = 0x1000, .end = 0x3000 },
                                        { .start = 0x3000, .end = 0x4000 },
                                        { .start = 0x9000, .end = 0xa000 } };
    assert_ptr_equal(mx_mapping_find(m, 3, 0x1000, 0x3000), &m[0]);
    assert_ptr_equal(mx_mapping_find(m, 3, 0x3000, 0x4000), &m[1]);
    assert_ptr_equal(mx_mapping_find(m, 3, 0x9000, 0xa000), &m[2]);
    assert_null(mx_mapping_find(m, 3, 0x2000, 0x4000));
    assert_null(mx_mapping_find(m, 3, 0x4000, 0x5000));
    assert_null(mx_mapping_find(m, 3, 0x9000, 0xb000));
    assert_null(mx_mapping_find(m, 0, 0x9000, 0xa000));
}

UNIT_MAIN(cmocka_unit_test(each_section_is_read_as_it_was_written),
          cmocka_unit_test(sections_of_older_versions_are_read),
          cmocka_unit_test(unknown_numbers_and_versions_are_named_so),
          cmocka_unit_test(what_makes_no_sense_is_refused),
          cmocka_unit_test(threads_have_numbers_of_their_own),
          cmocka_unit_test(sections_come_in_order), cmocka_unit_test(rounds_replace_each_other),
          cmocka_unit_test(an_image_without_its_last_round_has_no_end),
          cmocka_unit_test(a_mapping_is_found_by_a_range_inside))
