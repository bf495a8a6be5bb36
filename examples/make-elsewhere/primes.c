/* SPDX-License-Identifier: GPL-2.0-or-later */
/* primes.c: by trial division. */
#include "parts.h"

MANY(primes)

void primes(unsigned *list, unsigned count)
{
    unsigned have = 0;
    for (unsigned n = 2; have < count; n++) {
        unsigned i = 0;
        while (i < have && n % list[i] != 0)
            i++;
        if (i == have)
            list[have++] = n;
    }
}
