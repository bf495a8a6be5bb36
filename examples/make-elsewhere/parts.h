/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parts.h: what the parts of the example know of each other. */
#ifndef EXAMPLES_MAKE_ELSEWHERE_PARTS_H
#define EXAMPLES_MAKE_ELSEWHERE_PARTS_H

/* Writes the first count primes. */
void primes(unsigned *list, unsigned count);
unsigned long sum(const unsigned *list, unsigned count);

/* Real parts are larger: two hundred functions for the compiler to think about. */
#define ONE(part, n)                                                                           \
    void part##_##n(unsigned *a, unsigned count);                                              \
    void part##_##n(unsigned *a, unsigned count)                                               \
    {                                                                                          \
        for (unsigned i = 1; i < count; i++) {                                                 \
            a[i] = a[i] * n + a[i - 1] % (n + i);                                              \
            switch (a[i] & 7) {                                                                \
            case 0: a[i - 1] += n; break;                                                      \
            case 3: a[i] ^= a[i - 1] << 3; break;                                              \
            case 5: a[i] = a[i] / 3 + n; break;                                                \
            }                                                                                  \
        }                                                                                      \
    }
#define FIVE(part, n)                                                                          \
    ONE(part, n##0) ONE(part, n##1) ONE(part, n##2) ONE(part, n##3) ONE(part, n##4)
#define TWENTY(part, n) FIVE(part, n##0) FIVE(part, n##1) FIVE(part, n##2) FIVE(part, n##3)
#define HUNDRED(part, n)                                                                       \
    TWENTY(part, n##0)                                                                         \
    TWENTY(part, n##1) TWENTY(part, n##2) TWENTY(part, n##3) TWENTY(part, n##4)
#define MANY(part) HUNDRED(part, 1) HUNDRED(part, 2)

#endif
