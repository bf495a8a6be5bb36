/* SPDX-License-Identifier: GPL-2.0-or-later */
/* linkspec.h: the words of "lab link": delay=40ms rate=100mbit loss=0.1% cut=5s seed=7 one-way.
 * Must not know: links, sockets. */
#ifndef EXAMPLES_LAB_LINKSPEC_H
#define EXAMPLES_LAB_LINKSPEC_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "examples/lab/delayline.h"

enum linkspec_given {
    GIVEN_DELAY = 1,
    GIVEN_RATE = 2,
    GIVEN_QUEUE = 4,
    GIVEN_LOSS = 8,
    GIVEN_CUT = 16,
    GIVEN_SEED = 32,
};

/* Only what was named is in given. */
struct linkspec {
    unsigned given;
    struct dl_settings settings;
    uint64_t cut_ns; /* DL_FOR_EVER: until told otherwise; 0: no more */
    uint64_t seed;
    bool is_one_way;
};

/* Adds one word to *s. Returns 0, or -EINVAL with words (unknown name, no number, unknown unit,
 * too big). */
MUST int linkspec_add(struct linkspec *s, const char *word, struct err *e);

/* The settings that s names, put over those in *settings. */
void linkspec_apply(const struct linkspec *s, struct dl_settings *settings);

#endif
