/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_fixture.c: one sensible section of each number.
 * Must not know: which test. */
#include "tests/unit/mosix/image_fixture.h"

#include <string.h>

unsigned image_fixture(struct mx_sec sections[MX_SECTIONS_END])
{
    static uint8_t zeros[MX_XSTATE_MAX], pages[2 * 4096];
    static uint8_t places[2 * MX_PLACE_BYTES];
    struct wr w = wr_of(places, sizeof places);
    for (uint64_t at = 0x16000; at < 0x1a000; at += 0x2000) {
        put_u64(&w, at);
        put_u64(&w, at + 4096);
    }
    static uint8_t timers[2 * MX_POSIX_TIMER_BYTES];
    w = wr_of(timers, sizeof timers);
    for (uint32_t id = 3; id < 5; id++) {
        put_u32(&w, id);
        put_u32(&w, 1);
        put_u32(&w, 10);
        put_u32(&w, 0);
        put_u64(&w, 77);
        put_u64(&w, 1000);
        put_u64(&w, 2000);
    }
    const struct bytes sum = { zeros, MX_SECTION_SUM_BYTES };
    memset(pages, 'p', sizeof pages);
    struct mx_sec all[] = {
        { .number = MX_SEC_process,
          .process = { 1234, 4096, 99, bytes_of("6.18"), sum, bytes_of("counter"), 101 } },
        { .number = MX_SEC_round, .round = { 1, 1, 99, 100 } },
        { .number = MX_SEC_registers,
          .registers = { 5, { zeros, MX_GENERAL_BYTES }, { zeros, 832 } } },
        { .number = MX_SEC_signals,
          .signals = { { zeros, MX_SIGNALS * MX_ACTION_BYTES },
                       { zeros, 128 },
                       { zeros, 0 },
                       0,
                       2,
                       0 } },
        { .number = MX_SEC_timers, .timers = { 1, 2, 3, 4, 5, 6 } },
        { .number = MX_SEC_thread, .thread = { 0x1000, 0x2000, 24, 0x3000, 32, 0x53053053 } },
        { .number = MX_SEC_layout,
          .layout = { 1, 2, 3, 4, 0x5000, 0x6000, 7, 8, 9, 10, 11, { zeros, 32 } } },
        { .number = MX_SEC_setting,
          .setting = { 022, bytes_of("/tmp"), { zeros, MX_LIMITS * 16 } } },
        { .number = MX_SEC_descriptor,
          .descriptor = { 3, 3, MX_FD_FILE, 0, 1, 10, 20, 30, 40, 50, 60,
                          bytes_of("/etc/passwd") } },
        { .number = MX_SEC_sibling,
          .sibling = { 1235,
                       bytes_of("worker"),
                       5,
                       { zeros, MX_GENERAL_BYTES },
                       { zeros, 832 },
                       { zeros, 128 },
                       0x7000,
                       0,
                       8192,
                       0x1000,
                       0x2000,
                       24,
                       0x3000,
                       32,
                       0x53053053,
                       1,
                       3,
                       0,
                       19 } },
        { .number = MX_SEC_barriers, .barriers = { 1 << 4 } },
        { .number = MX_SEC_object,
          .object = { 4, 4, MX_OBJECT_PIPE, 1, 1, 77, 65536, { pages, 10 } } },
        { .number = MX_SEC_posix_timers, .posix_timers = { { timers, sizeof timers } } },
        { .number = MX_SEC_mapping,
          .mapping = { 0x10000, 0x20000, 5, MX_MAP_MEMORY, MX_ATTR_NORESERVE, 0,
                       bytes_of("/bin/x") } },
        { .number = MX_SEC_pages, .pages = { 0x11000, { pages, sizeof pages } } },
        { .number = MX_SEC_gone, .gone = { 0x10000, 0x11000 } },
        { .number = MX_SEC_packed, .packed = { 0x13000, 8192, { pages, 100 } } },
        { .number = MX_SEC_scattered,
          .scattered = { 8192, { places, sizeof places }, { pages, sizeof pages } } },
        { .number = MX_SEC_end, .end = { 18, sum } },
    };
    memcpy(sections, all, sizeof all);
    return ARRAY_LEN(all);
}
