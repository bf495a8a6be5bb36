/* SPDX-License-Identifier: GPL-2.0-or-later */
/* comeback.h: where an agent that has lost its head meets the agent that the head starts on its return, and
 * gets the new stream from it (docs/resume.md).
 * Must not know: the job.
 * Privilege: whoever brings a stream is asked for the session's secret by the session; the other end must be this user. */
#ifndef MRC_AGENT_COMEBACK_H
#define MRC_AGENT_COMEBACK_H

#include "common/sys/loop.h"
#include "mrc/link.h"

/* In the session's agent: listens from now on. */
struct comeback;
struct comeback_opts {
    struct loop *loop;
    struct mrc_link *link; /* whose session it is; outlives it */
    void (*on_back)(void *ctx); /* the link has a new stream */
    void *ctx;
};
/* hello: the head's first. Returns 0 or -errno. */
MUST int comeback_new(const struct comeback_opts *o, const struct mrc_hello *hello,
                      struct comeback **out);
/* The link has lost its stream: whoever brought that may end. */
void comeback_lost(struct comeback *c);
void comeback_free(struct comeback *c);

/* In the new agent: hands link's stream to the session's agent, if it is there, and says bye to the head if not.
 * Then on_done is called when we may end. */
struct handover;
struct handover_opts {
    struct loop *loop;
    struct mrc_link *link; /* outlives it */
    void (*on_done)(void *ctx);
    void *ctx;
};
/* Called from the link's on_hello, with a hello that comes back. */
MUST int handover_new(const struct handover_opts *o, const struct mrc_hello *hello,
                      struct handover **out);
void handover_free(struct handover *h);

#endif
