/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe.h: pieces of a program that says what its system calls do; each is run at home and
 * away, and says the same. A probe prints nothing that may differ from run to run: no numbers
 * of processes, no times. */
#ifndef TESTS_MIGRATE_PROBE_H
#define TESTS_MIGRATE_PROBE_H

#include <errno.h>
#include <stdio.h>

struct probe {
    const char *name;
    void (*run)(void);
};

/* A probe is found by its section. */
#define PROBE(name)                                                                            \
    static void probe_##name(void);                                                            \
    static const struct probe entry_##name                                                     \
        __attribute__((used, section("probes"), aligned(8))) = { #name, probe_##name };        \
    static void probe_##name(void)

/* What a call gives; an error by its name. */
#define SAY(what, call)                                                                        \
    do {                                                                                       \
        errno = 0;                                                                             \
        long say_result = (long)(call);                                                        \
        probe_say(what, say_result);                                                           \
    } while (0)

void probe_say(const char *what, long result);
void probe_say_bytes(const char *what, const void *ptr, unsigned long len_bytes);

#endif
