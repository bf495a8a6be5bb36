/* SPDX-License-Identifier: GPL-2.0-or-later */
/* processor.h: what programs may rely on in a node's processor.
 * Must not know: how it is read, who needs it. */
#ifndef MOSIX_CORE_MOSIXD_PROCESSOR_H
#define MOSIX_CORE_MOSIXD_PROCESSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MX_CPU_WORDS_MAX = 80 };

/* The bits of processor.def, by the text of /proc/cpuinfo; 0: another processor. */
uint64_t mx_cpu_of(const char *cpuinfo);

/* Level 1 to 4 of x86-64; 0: none of them. */
unsigned mx_cpu_level(uint64_t cpu);

/* Can there be done what could be done with the other one? Else words name what is missing, the
 * first two of it: "avx2, bmi1 and 3 more". */
bool mx_cpu_does(uint64_t cpu, uint64_t other, char words[MX_CPU_WORDS_MAX]);

#endif
