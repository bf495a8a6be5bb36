/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sum.c: adds. */
#include "parts.h"

MANY(sum)

unsigned long sum(const unsigned *list, unsigned count)
{
    unsigned long all = 0;
    for (unsigned i = 0; i < count; i++)
        all += list[i];
    return all;
}
