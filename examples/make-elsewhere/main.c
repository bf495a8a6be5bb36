/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: says the sum of the first thousand primes. */
#include "parts.h"

#include <stdio.h>

MANY(main)

int main(void)
{
    static unsigned list[1000];
    primes(list, 1000);
    printf("%lu\n", sum(list, 1000));
    return 0;
}
