/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parts.h: what the parts of the example know of each other. */
#ifndef EXAMPLES_MAKE_ELSEWHERE_PARTS_H
#define EXAMPLES_MAKE_ELSEWHERE_PARTS_H

/* Writes the first count primes. */
void primes(unsigned *list, unsigned count);
unsigned long sum(const unsigned *list, unsigned count);

#endif
