/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.h: which writes of a body will succeed, so that it need not wait for them, and making
 * those that it hasn't waited for.
 * Must not know: how calls are made. docs/migration.md, "Writing without waiting". */
#ifndef MOSIX_CORE_DEPUTY_BEHIND_H
#define MOSIX_CORE_DEPUTY_BEHIND_H

#include "common/base/err.h"
#include "mosix-core/abi/behind.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/deputy/fds.h"
#include "mosix-core/deputy/link.h"

#include <sys/types.h>

enum {
    MX_BEHIND_PROCESSES = 16, /* of a job that get promises; the others don't */
};

/* All zero: none. */
struct mx_writers {
    struct mx_writer {
        uint32_t who;
        bool is_used;
        struct mx_fds promised;
        struct mx_runs runs; /* writes, each in full */
        uint64_t done;       /* bytes that were written and not told */
        uint64_t unlooked;   /* since it was looked whether it goes on like this */
        uint64_t not_until;  /* nothing more is promised; by clock_mono_ms */
        bool is_over;        /* of all that was promised: to be told */
    } writers[MX_BEHIND_PROCESSES];
};

/* who is about to make a call; line NULL: one that is in no table, or a fork. */
void mx_writers_before(struct mx_writers *s, uint32_t who, const struct mx_call_line *line,
                       const uint64_t args[MX_CALL_ARGS]);
/* It has the result, which has not yet been sent. pid: its process. */
MUST int mx_writers_after(struct mx_writers *s, uint32_t who, pid_t pid, struct mx_link *l,
                          const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS],
                          int64_t result);
/* Its body stands still from now on, with nothing on its way: what was written is told. */
MUST int mx_writers_pause(struct mx_writers *s, uint32_t who, struct mx_link *l);
/* It is gone. */
void mx_writers_end(struct mx_writers *s, uint32_t who);

/* BEHIND_BYTES, of process pid; is_dead: nothing of it is done any more. Returns 0; -EPROTO for
 * what was not promised; -errno with words when what was promised can't be kept. */
MUST int mx_writers_frame(struct mx_writers *s, struct mx_talk_frame *f, pid_t pid,
                          bool is_dead, struct err *e);
/* Tells what was written since the last time. */
MUST int mx_writers_tell(struct mx_writers *s, struct mx_link *l);

#endif
