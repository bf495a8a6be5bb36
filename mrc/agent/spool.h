/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spool.h: what a detached job has printed and nobody has confirmed yet: kept, given to whoever is attached, given again to
 * the next one.
 * Must not know: descriptors, sessions.
 * Invariant: acked <= sent <= total, and what is kept are the bytes from acked to total. */
#ifndef MRC_AGENT_SPOOL_H
#define MRC_AGENT_SPOOL_H

#include "common/base/wire.h"
#include "common/sys/buf.h"

#include <stdbool.h>

struct spool {
    struct buf kept;
    size_t keep_max;             /* above it the job is made to wait */
    uint64_t acked, sent, total; /* bytes since the job began */
    uint64_t visit_at;           /* acked, when the visit began */
    uint64_t owed;               /* bytes that the job may not know yet to be taken */
    bool is_ended;               /* no more will come */
};

/* keep_max bytes are kept gladly, window_bytes more if they come. */
void spool_init(struct spool *s, size_t keep_max, size_t window_bytes);
void spool_fini(struct spool *s);

/* The job has printed these. *credit: how many bytes it is to be told that are taken. Returns 0, -ENOSPC: more than the
 * window; or -ENOMEM. */
MUST int spool_take(struct spool *s, struct bytes body, uint64_t *credit);

/* Somebody new reads: from what nobody has confirmed on. */
void spool_visit(struct spool *s);
/* What is to be given next, and that so much of it was. */
struct bytes spool_next(const struct spool *s);
void spool_gave(struct spool *s, size_t len_bytes);

/* Since the visit began so many bytes were confirmed. *credit as above. Returns 0, or -EPROTO: they were never given. */
MUST int spool_confirm(struct spool *s, uint64_t total, uint64_t *credit);

/* All that will ever come was given, or confirmed. */
bool spool_is_given(const struct spool *s);
bool spool_is_done(const struct spool *s);

#endif
