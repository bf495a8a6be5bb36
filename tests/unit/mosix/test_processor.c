/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_processor.c: sets of what processors can. */
#include "tests/lib/unit.h"

#include "mosix-core/mosixd/processor.h"

#include <stdio.h>

static const char one[] = "lm cmov cx8 fpu fxsr mmx sse sse2";
static const char two[] = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3";
static const char three[] = "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave";
static const char four[] = "avx512f avx512bw avx512cd avx512dq avx512vl";

static uint64_t cpu(const char *a, const char *b, const char *c, const char *d)
{
    char text[500];
    snprintf(text, sizeof text,
             "processor\t: 0\nflags\t\t: %s %s %s %s\nbugs\t: aes\nvmx flags\t: rdrand\n", a, b,
             c, d);
    return mx_cpu_of(text);
}

TEST(levels)
{
    assert_int_equal(mx_cpu_level(cpu(one, two, three, four)), 4);
    assert_int_equal(mx_cpu_level(cpu(one, two, three, "avx512f")), 3);
    assert_int_equal(mx_cpu_level(cpu(one, two, "avx2 fma", "")), 2);
    assert_int_equal(mx_cpu_level(cpu(one, "ssse3", "", "")), 1);
    assert_int_equal(mx_cpu_level(mx_cpu_of("Features\t: fp asimd\n")), 0);
}

TEST(lacking)
{
    char words[MX_CPU_WORDS_MAX];
    uint64_t all = cpu(one, two, three, four), less = cpu(one, two, "avx", "");
    assert_int_equal(mx_cpu_of(""), 0);
    assert_int_equal(mx_cpu_of("flags"), 0);
    assert_int_equal(mx_cpu_of("flags\t:"), 0);
    assert_int_equal(mx_cpu_of("flags\t: nothing avx51 avx512 known"), 0);
    assert_int_equal(cpu("aes", "", "", ""), mx_cpu_of("flags : aes"));
    assert_true(mx_cpu_does(all, less, words));
    assert_true(mx_cpu_does(all, all, words));
    assert_string_equal(words, "");
    assert_false(mx_cpu_does(less, all, words));
    assert_string_equal(words, "avx2, bmi1 and 11 more");
    assert_false(mx_cpu_does(all, all | cpu("rdpid", "", "", ""), words));
    assert_string_equal(words, "rdpid");
    assert_false(mx_cpu_does(less, less | cpu("rdpid", "aes", "", ""), words));
    assert_string_equal(words, "aes, rdpid");
    assert_false(mx_cpu_does(all, all | UINT64_C(1) << 63, words)); /* of a later version */
    assert_string_equal(words, "something newer");
    assert_false(mx_cpu_does(0, ~UINT64_C(0), words));
}

UNIT_MAIN(cmocka_unit_test(levels), cmocka_unit_test(lacking))
