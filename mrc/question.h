/* SPDX-License-Identifier: GPL-2.0-or-later */
/* question.h: asks an agent one thing that is no job: a channel, a request, an answer.
 * Must not know: what is asked. */
#ifndef MRC_QUESTION_H
#define MRC_QUESTION_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/wire.h"

#include <stdbool.h>

struct mrc_question {
    const char *host;    /* for messages */
    const char *service; /* of the agent's */
    const char *what;    /* for messages: "the cache there" */
    struct bytes request;
    void (*on_data)(void *ctx, struct bytes body); /* of the answer, as it comes */
    /* The answer is whole: is there another question? Then it is in *next, which was this one. NULL: there is none. */
    bool (*on_answer)(void *ctx, struct mrc_question *next);
    void *ctx;
};

/* Asks on a stream to an agent whose magic was read; fd is taken. Returns 0; the agent's -errno; -ECONNRESET it
 * ended without an answer; with words. */
MUST int mrc_question(int fd, const struct mrc_question *q, struct err *e);

/* Prints an answer that is text: what a terminal could take for more than that becomes "?". An on_data. */
void mrc_question_print(void *ctx, struct bytes body);

#endif
