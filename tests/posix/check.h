/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check.h: for the programs that end at the first thing that is not as it should be.
 * CHECK(condition, format, …) says where, what and errno. Must not know: what is checked. */
#ifndef TESTS_POSIX_CHECK_H
#define TESTS_POSIX_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition, ...)                                                                  \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s (errno %s): ", __FILE__, __LINE__, #condition,          \
                    strerrorname_np(errno));                                                   \
            fprintf(stderr, __VA_ARGS__);                                                      \
            fprintf(stderr, "\n");                                                             \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

#endif
