/* SPDX-License-Identifier: GPL-2.0-or-later */
/* processor.c: sets of processor.def.
 * Must not know: how they are read, who needs them. */
#include "mosix-core/mosixd/processor.h"

#include "common/base/attr.h"

#include <stdio.h>
#include <string.h>

enum {
#define CPU(name) AT_##name,
#include "mosix-core/mosixd/processor.def"
#undef CPU
    CPU_END
};
_Static_assert(CPU_END <= 64, "they have a bit each");

static const char *const names[CPU_END] = {
#define CPU(name) #name,
#include "mosix-core/mosixd/processor.def"
#undef CPU
};

/* The levels stand first, one behind the other. Source: the x86-64 psABI, "Micro-Architecture
 * Levels". */
static const int level_ends[] = { AT_cx16, AT_avx, AT_avx512f, AT_avx512ifma };

static uint64_t bit_of(const char *name, size_t len)
{
    for (unsigned i = 0; i < CPU_END; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return UINT64_C(1) << i;
    return 0;
}

uint64_t mx_cpu_of(const char *cpuinfo)
{
    const char *line = cpuinfo;
    while (line && strncmp(line, "flags", 5) != 0)
        line = (line = strchr(line, '\n')) ? line + 1 : NULL;
    line = line ? strchr(line, ':') : NULL;
    if (!line)
        return 0;
    uint64_t cpu = 0;
    const char *end = line + strcspn(line, "\n");
    for (const char *at = line + 1; at < end;) {
        size_t len = strcspn(at, " \t\n");
        cpu |= bit_of(at, len);
        at += len + 1;
    }
    return cpu;
}

unsigned mx_cpu_level(uint64_t cpu)
{
    unsigned level = 0;
    for (; level < ARRAY_LEN(level_ends); level++) {
        uint64_t all = (UINT64_C(1) << level_ends[level]) - 1;
        if ((cpu & all) != all)
            break;
    }
    return level;
}

bool mx_cpu_does(uint64_t cpu, uint64_t other, char words[MX_CPU_WORDS_MAX])
{
    const char *first[2] = { "", "" };
    unsigned count = 0;
    uint64_t missing = other & ~cpu;
    for (unsigned i = 0; i < 64; i++)
        if (missing >> i & 1) {
            if (count < 2)
                first[count] = i < CPU_END ? names[i] : "something newer";
            count++;
        }
    words[0] = 0;
    if (count)
        snprintf(words, MX_CPU_WORDS_MAX, "%s%s%s", first[0], count < 2 ? "" : ", ", first[1]);
    size_t len = strlen(words);
    if (count > 2)
        snprintf(words + len, MX_CPU_WORDS_MAX - len, " and %u more", count - 2);
    return count == 0;
}
