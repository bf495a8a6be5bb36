/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reconnect.h: gets a new stream to a session whose own was lost: at once, then after 1, 2, 4, … up to 30 s, as long as it is
 * worth it.
 * Must not know: the session, how connections are made.
 * Processes: each attempt is one, since connecting blocks; the one that succeeds stays and holds the connection until we close
 * or die. */
#ifndef MRC_RECONNECT_H
#define MRC_RECONNECT_H

#include "common/base/err.h"
#include "common/base/wire.h"
#include "common/sys/loop.h"

struct mrc_reconnect;

struct mrc_reconnect_opts {
    struct loop *loop;
    uint32_t wait_s; /* after so long we give up */
    bool is_loud;    /* standard error of the attempts is ours */
    int keep_fds[2]; /* that connect needs; -1: none */
    /* In the process of an attempt: *fd_out is a stream to an agent there. Blocks; 0 or -errno with words. may_ask: on the terminal. */
    int (*connect)(void *ctx, bool may_ask, int *fd_out, struct err *e);
    /* In the same, when the stream is not wanted any more. */
    void (*disconnect)(void *ctx);
    /* Here, before each attempt: what the stream begins with. Returns the number of bytes or -errno. */
    int (*greet)(void *ctx, uint8_t *out, size_t size_bytes);
    /* Here: there is a stream, which begins so; taken. */
    void (*on_stream)(void *ctx, int fd);
    /* Every second: next_s until the next attempt, 0: one is being made; why the last one failed, or empty. */
    void (*on_wait)(void *ctx, unsigned next_s, const char *why);
    void (*on_given_up)(void *ctx, const char *why);
    /* Here, when an attempt was refused because nobody may be asked: the next one may (true): the terminal is its, until on_asked. NULL: never. */
    bool (*on_ask)(void *ctx);
    void (*on_asked)(void *ctx);
    void *ctx;
};

/* In the process of an attempt: how long ago the lost stream's connection was there already; else 0. A connection that was made
 * since is another one. */
uint64_t mrc_reconnect_age_ms(void);

MUST int mrc_reconnect_new(const struct mrc_reconnect_opts *o, struct mrc_reconnect **out);
/* The stream was lost: begins. A stream of ours that was used before is let go. */
void mrc_reconnect_start(struct mrc_reconnect *r);
/* The session goes on: the next loss begins anew. */
void mrc_reconnect_done(struct mrc_reconnect *r);
/* Lets the connection go too. */
void mrc_reconnect_free(struct mrc_reconnect *r);

#endif
