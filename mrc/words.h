/* SPDX-License-Identifier: GPL-2.0-or-later */
/* words.h: what programs that we run say on their standard error. It waits in a pipe for a
 * moment: a program that ends badly has explained itself there, and what it said becomes a part
 * of our one sentence; all else is shown.
 * Must not know: which programs. */
#ifndef MRC_WORDS_H
#define MRC_WORDS_H

#include "common/base/attr.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    MRC_WORDS_WHY_BYTES = 160, /* of a reason that goes into a sentence */
    MRC_WORDS_TAIL_MAX =
        4096 /* bytes that are looked at for a reason: the last ones, and a NUL */
};

/* The last bytes of a text, with a NUL behind them. */
struct mrc_words_tail {
    char text[MRC_WORDS_TAIL_MAX];
    size_t len;
};

void mrc_words_keep(struct mrc_words_tail *t, const char *text, size_t len_bytes);

/* The line that tells why: the last one, but for those that only follow from another. Without
 * control characters; empty when nothing was said. */
void mrc_words_pick(const struct mrc_words_tail *t, char why[MRC_WORDS_WHY_BYTES]);

struct mrc_words {
    int from;          /* our end of the pipe */
    int to;            /* standard error of the programs */
    uint64_t first_ms; /* since when words wait; 0 = none do */
    unsigned looks;    /* since then */
    bool is_open;      /* they wait no more: all is shown at once */
    struct mrc_words_tail tail;
};

/* Makes the pipe; with -v nothing waits. Returns 0 or -errno. */
MUST int mrc_words_open(struct mrc_words *w);
void mrc_words_close(struct mrc_words *w);

/* Shows what has waited long enough, is too much to be an explanation, or belongs to a question
 * that process asker or one of its children asks on the terminal. Never blocks. */
void mrc_words_look(struct mrc_words *w, pid_t asker);

/* What to poll for the next look, and for how long at most; -1 = for ever. */
struct pollfd mrc_words_poll(const struct mrc_words *w);
int mrc_words_timeout(const struct mrc_words *w);

/* A program has failed: takes what waits. Waits a moment for it if nothing is there. */
void mrc_words_why(struct mrc_words *w, char why[MRC_WORDS_WHY_BYTES]);

/* For who has only our end of the pipe, when the programs have ended: the same, without
 * waiting; or shows the rest, if standard error takes it soon. */
void mrc_words_last(int from_fd, char why[MRC_WORDS_WHY_BYTES]);
void mrc_words_flush(int from_fd);

#endif
