/* SPDX-License-Identifier: GPL-2.0-or-later */
/* feed.h: asks mosixd the same question again and again, on a loop, whatever becomes of mosixd.
 * Must not know: what the answers mean.
 * A daemon that isn't there, hangs, dies in the middle or comes back is told of in words, and
 * asked again. */
#ifndef GOSSIP_MONITOR_FEED_H
#define GOSSIP_MONITOR_FEED_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/sys/buf.h"
#include "common/sys/loop.h"

enum { MON_FEED_WAIT_MS = 5000 }; /* for an answer; then it is given up */

/* answer: borrowed, of len_bytes, with a NUL behind it; NULL when there is none, with words
 * why. */
typedef void (*mon_feed_fn)(void *ctx, const char *answer, size_t len_bytes, const char *why);

/* Embedded in its owner; zeroed is not started. */
struct mon_feed {
    struct loop *loop;
    const char *path, *request; /* kept; the request is a line */
    unsigned period_ms;
    mon_feed_fn fn;
    void *ctx;
    int fd;
    struct loop_fd watch;
    struct loop_timer next, deadline;
    struct buf answer;
};

/* Sets loop, path, request, period_ms, fn and ctx before. Asks at once, and then each period_ms
 * from when the last was asked, or when it has been answered if that takes longer. */
void mon_feed_start(struct mon_feed *f);
/* Asks now, unless an answer is under way. */
void mon_feed_now(struct mon_feed *f);
void mon_feed_stop(struct mon_feed *f);

/* Asks once and waits, at most MON_FEED_WAIT_MS. answer: ends with a NUL, the caller's, from
 * malloc. Returns 0, or -errno with words. */
MUST int mon_feed_once(const char *path, const char *request, char **answer, size_t *len_bytes,
                       struct err *e);

#endif
